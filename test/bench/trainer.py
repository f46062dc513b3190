"""
The native BPE trainer beside Hugging Face's, in one run each on the same corpus: seconds, their ratio, and memory.

The corpus is made of UD Chinese GSD's clauses in random order, every fiftieth character another one, so that there are new
words however long it gets. HF's trainer is only run up to `--compare` megabytes.

    npm run bench -- trainer [--megabytes 10,100] [--compare 100] [--vocab-size 30000]
"""

import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ENGINE = Path(os.environ.get("ZIPTIE_ENGINE", ROOT / "dist" / "engine" / "ziptie-engine"))
UD = ROOT.parent / "shared" / "data" / "ud-chinese-gsd" / "all-4997.tsv"
HAN = [[0x3400, 0x4DBF], [0x4E00, 0x9FFF]]


def write_corpus(path: Path, size: int) -> None:
    lines = [line.split("\t")[1] for line in UD.read_text(encoding="utf-8").splitlines()[1:]]
    clauses = [clause for line in lines for clause in re.split(r"(?<=[，。；、])", line) if clause]
    characters = "".join(lines)
    source = random.Random(1)
    with path.open("w", encoding="utf-8") as file:
        written = 0
        while written < size:
            text = list("".join(source.choices(clauses, k=400)))
            for _ in range(len(text) // 50):
                text[source.randrange(len(text))] = source.choice(characters)
            # A line of about the length of UD's.
            joined = re.sub(r"。", "。\n", "".join(text)) + "\n"
            file.write(joined)
            written += len(joined.encode())


def measured(command: list[str]) -> tuple[float, float, float]:
    """Seconds on the clock and on the CPU, and the peak of resident memory in MB."""
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        sys.exit(f"{' '.join(command)} failed")
    return time.perf_counter() - begin, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def train_with_hf(corpus: str, vocab_size: int, output: str) -> None:
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    han = "".join(f"\\x{{{first:X}}}-\\x{{{last:X}}}" for first, last in HAN)
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(f"[^{han}]"), "removed")
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, min_frequency=2, show_progress=False)
    with open(corpus, encoding="utf-8") as file:
        tokenizer.train_from_iterator((line.rstrip("\n") for line in file), trainer)
    tokenizer.save(output)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", default="10,100")
    parser.add_argument("--compare", type=float, default=100)
    parser.add_argument("--vocab-size", type=int, default=30000)
    parser.add_argument("--hf", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.hf:
        train_with_hf(options.hf[0], options.vocab_size, options.hf[1])
        return
    print(f"vocabulary {options.vocab_size}, {os.cpu_count()} cores; HF's trainer by its Python package")
    print(f"{'MB':>6}  {'native s':>9}  {'CPU s':>6}  {'peak MB':>8}  {'HF s':>7}  {'CPU s':>6}  {'peak MB':>8}  {'HF / native':>11}  same")
    with tempfile.TemporaryDirectory() as directory:
        for megabytes in map(float, options.megabytes.split(",")):
            corpus = Path(directory) / "corpus.txt"
            write_corpus(corpus, int(megabytes * 1e6))
            output = Path(directory) / "vocabulary.json"
            plan = {
                "version": 1,
                "dataset": [{"path": str(corpus), "format": "text"}],
                "pre_tokenizer": {"replacement": None, "characters": HAN, "isolated": []},
                "trainer": {
                    "vocab_size": options.vocab_size,
                    "min_frequency": 2,
                    "special_tokens": [],
                    "initial_alphabet": [],
                    "limit_alphabet": None,
                    "character_coverage": 1,
                    "max_token_length": None,
                },
                "max_word_bytes": 1 << 31,
                "threads": None,
                "output": str(output),
            }
            plan_file = Path(directory) / "plan.json"
            plan_file.write_text(json.dumps(plan))
            ours, cpu, memory = measured([str(ENGINE), "train-tokenizer", str(plan_file)])
            line = f"{megabytes:6.0f}  {ours:9.1f}  {cpu:6.1f}  {memory:8.0f}"
            if megabytes <= options.compare:
                reference = Path(directory) / "hf.json"
                arguments = [sys.executable, __file__, "--vocab-size", str(options.vocab_size)]
                theirs, their_cpu, their_memory = measured([*arguments, "--hf", str(corpus), str(reference)])
                tokens = json.loads(output.read_text(encoding="utf-8"))["vocab"]
                model = json.loads(reference.read_text(encoding="utf-8"))["model"]["vocab"]
                same = {token: id for id, token in enumerate(tokens)} == model
                line += f"  {theirs:7.1f}  {their_cpu:6.1f}  {their_memory:8.0f}  {theirs / ours:11.2f}  {'yes' if same else 'NO'}"
            print(line, flush=True)


if __name__ == "__main__":
    main()
