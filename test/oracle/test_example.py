"""The example's tokenizer is what its script makes of its corpus, and transformers loads it."""

import json
import shutil
import subprocess
import sys

from conftest import ROOT
from transformers import AutoTokenizer

EXAMPLE = ROOT / "examples" / "traditional-chinese"


def test_the_committed_tokenizer_is_what_the_script_trains(tmp_path):
    shutil.copytree(EXAMPLE / "data", tmp_path / "data")
    shutil.copy(EXAMPLE / "train_tokenizer.py", tmp_path)
    subprocess.run([sys.executable, str(tmp_path / "train_tokenizer.py")], check=True)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (tmp_path / "tokenizer" / name).read_text() == (EXAMPLE / "tokenizer" / name).read_text()


def test_transformers_loads_the_tokenizer_and_decodes_every_text_back():
    tokenizer = AutoTokenizer.from_pretrained(EXAMPLE / "tokenizer")
    assert tokenizer.convert_tokens_to_ids(["<s>", "</s>"]) == [1, 2]
    for line in (EXAMPLE / "data" / "corpus.jsonl").read_text(encoding="utf-8").splitlines():
        text = json.loads(line)["text"]
        assert tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]) == text
