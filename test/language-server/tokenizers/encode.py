"""
Encodes texts with HF tokenizers, and conversations with transformers.

stdin: a list of {"file", "texts", "special"} or {"file", "template", "conversations"}; stdout: their answers, as JSON.
"""

import json
import sys

from tokenizers import Tokenizer


def encode_texts(request):
    tokenizer = Tokenizer.from_file(request["file"])
    tokenizer.no_truncation()
    tokenizer.no_padding()
    encodings = tokenizer.encode_batch(request["texts"], add_special_tokens=request["special"])
    return [{"ids": e.ids, "offsets": e.offsets} for e in encodings]


def encode_conversations(request):
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(tokenizer_file=request["file"], bos_token="<s>", eos_token="</s>", unk_token="<unk>")
    answers = []
    for messages in request["conversations"]:
        encoded = tokenizer.apply_chat_template(
            messages,
            chat_template=request["template"],
            return_assistant_tokens_mask=True,
            return_dict=True,
        )
        answers.append({"ids": encoded["input_ids"], "mask": encoded["assistant_masks"]})
    return answers


requests = json.load(sys.stdin)
json.dump([(encode_texts if "texts" in r else encode_conversations)(r) for r in requests], sys.stdout)
