/**
 * Bailong's template (arXiv 2404.00862, eq. 8): `<s> i₁ </s> o₁ </s> … </s> iₙ </s> oₙ </s>`, with the tokenizer's own BOS and
 * EOS, and its loss (eq. 9): on every output and the EOS that ends it.
 *
 * Whitespace is that of the equation, one space on either side of every instruction and output. It is also what makes
 * the template work with Llama 2's tokenizer as first published, whose special tokens are matched after its
 * normaliser has turned every space into `▁`: there ` </s>` is the EOS token, and `</s>` after a letter is five
 * ordinary tokens. Such a tokenizer takes the spaces into the special tokens and words and leaves no token for them.
 *
 * A prompt ends with the instruction's EOS, so the space before an output is the model's to say and carries loss.
 *
 * There is no system turn in the equation, and Bailong was trained without one: a conversation that has one (or a tool's
 * answer, or two turns in a row by the same side) is refused rather than bent into shape.
 */
export const BAILONG_TEMPLATE = `{%- for message in messages -%}
    {%- if message.role == 'system' -%}
        {{- raise_exception('The bailong template has no system turn. Move its text into the first user turn, or choose another template.') -}}
    {%- elif message.role != ('user' if loop.index0 % 2 == 0 else 'assistant') -%}
        {{- raise_exception('The bailong template takes turns of user and assistant alternately, user first; turn ' ~ loop.index ~ ' is of ' ~ message.role ~ '.') -}}
    {%- elif message.role == 'user' -%}
        {{- (bos_token if loop.first else '') + ' ' + message.content + ' ' + eos_token -}}
    {%- else -%}
        {%- generation -%}
        {{- ' ' + message.content + ' ' + eos_token -}}
        {%- endgeneration -%}
    {%- endif -%}
{%- endfor -%}
`;
