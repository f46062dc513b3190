"""
Continues prompts with transformers, greedily, in float32.

stdin: a list of {"model", "tokenizer", "adapter" or null, "max_new_tokens", "prompts": [text or messages]}
stdout: for each the answers: what the decoded whole has more than the decoded prompt.
"""

import json
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

torch.set_num_threads(1)


def answers(request):
    tokenizer = AutoTokenizer.from_pretrained(request["tokenizer"])
    model = AutoModelForCausalLM.from_pretrained(request["model"], dtype=torch.float32)
    if request["adapter"]:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, request["adapter"])
    for prompt in request["prompts"]:
        if isinstance(prompt, str):
            ids = tokenizer(prompt)["input_ids"]
        else:
            ids = tokenizer.apply_chat_template(prompt, add_generation_prompt=True, return_dict=True)["input_ids"]
        if ids[:2] == 2 * [tokenizer.bos_token_id]:
            ids = ids[1:]
        with torch.no_grad():
            output = model.generate(
                input_ids=torch.tensor([ids]),
                max_new_tokens=request["max_new_tokens"],
                do_sample=False,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.eos_token_id,
            )[0].tolist()
        whole, begun = (tokenizer.decode(text, skip_special_tokens=True) for text in (output, ids))
        yield whole[len(begun) :]


json.dump([list(answers(request)) for request in json.load(sys.stdin)], sys.stdout)
