"""Encodes texts with HF tokenizers and transformers. stdin: {"file", "texts"} or {"file", "template", "conversations"}; stdout: JSON."""

import json
import sys

from tokenizers import Tokenizer

request = json.load(sys.stdin)
if "texts" in request:
    tokenizer = Tokenizer.from_file(request["file"])
    tokenizer.no_truncation()
    tokenizer.no_padding()
    encodings = tokenizer.encode_batch(request["texts"], add_special_tokens=request["special"])
    answer = [{"ids": e.ids, "offsets": e.offsets} for e in encodings]
else:
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(tokenizer_file=request["file"], bos_token="<s>", eos_token="</s>", unk_token="<unk>")
    answer = []
    for messages in request["conversations"]:
        encoded = tokenizer.apply_chat_template(
            messages,
            chat_template=request["template"],
            return_assistant_tokens_mask=True,
            return_dict=True,
        )
        answer.append({"ids": encoded["input_ids"], "mask": encoded["assistant_masks"]})
json.dump(answer, sys.stdout)
