"""Trains the example's tokenizer from its corpus and writes tokenizer/. Needs `pip install tokenizers`.

BPE as Llama 2 has it: spaces become "▁", characters the vocabulary lacks fall back to UTF-8 bytes. Words, digits and
punctuation are kept apart, so that no token reaches across them.
"""

import json
import string
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

HERE = Path(__file__).parent
VOCAB_SIZE = 2048
SPECIAL = ["<unk>", "<s>", "</s>"]
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]


def texts():
    with open(HERE / "data" / "corpus.jsonl", encoding="utf-8") as corpus:
        for line in corpus:
            yield json.loads(line)["text"]
    with open(HERE / "data" / "sft.jsonl", encoding="utf-8") as dialogues:
        for line in dialogues:
            for message in json.loads(line)["messages"]:
                yield message["content"]


def main():
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"▁?[^▁\p{P}\p{N}]+|▁?\p{N}|▁?\p{P}|▁"), "isolated"),
        ]
    )
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE - len(BYTES),
        min_frequency=2,
        initial_alphabet=list(string.ascii_letters + string.digits + string.punctuation),
        special_tokens=SPECIAL,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts(), trainer)

    # The trainer knows no byte tokens: put them behind the special ones, where Llama 2 has them.
    state = json.loads(tokenizer.to_str())
    trained = sorted(state["model"]["vocab"], key=state["model"]["vocab"].get)
    order = SPECIAL + BYTES + [token for token in trained if token not in SPECIAL]
    state["model"]["vocab"] = {token: index for index, token in enumerate(order)}
    (HERE / "tokenizer").mkdir(exist_ok=True)
    (HERE / "tokenizer" / "tokenizer.json").write_text(
        json.dumps(state, ensure_ascii=False, indent=1) + "\n", encoding="utf-8"
    )
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "pad_token": None,
        "model_max_length": 256,
        "clean_up_tokenization_spaces": False,
    }
    (HERE / "tokenizer" / "tokenizer_config.json").write_text(
        json.dumps(config, ensure_ascii=False, indent=2) + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    main()
