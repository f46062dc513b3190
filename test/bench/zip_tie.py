"""
What zip-tie initialisation is worth: evaluation loss of a model whose vocabulary grew by 1,000 tokens, its new rows random, the
mean of all, or zip-tied, before the first step and after `--steps`.

    npm run bench -- zip_tie [--base stories,llama] [--steps 200] [--base-steps N]

A base has to know something of the bytes that the new tokens are tied from, so it is trained on the text in its own tokens
first: `stories` is stories260k, `llama` a small Llama with Llama 2's vocabulary and random weights.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "test" / "oracle"))

from conftest import ENGINE, NONE_DROPPED, STORIES, events, run_engine, write_plan, write_shard  # noqa: E402
from tokenizers import Tokenizer  # noqa: E402

DATA = ROOT.parent / "shared" / "data"
UD = DATA / "ud-chinese-gsd" / "all-4997.tsv"
PROGRAM = ROOT / "dist" / "cli.js"
BASES = {"stories": STORIES / "tokenizer.json", "llama": DATA / "tokenizers" / "llama2-tokenizer.json"}
SMALL_LLAMA = {
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 172,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "head_dim": 16,
    "attention_bias": False,
    "rope_scaling": None,
    "max_position_embeddings": 512,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
    "initializer_range": 0.02,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
# Tokens of a row; Llama 2 has a byte a token for most characters here, and a large head.
LONGEST = {"stories": 192, "llama": 64}
BATCH = {"stories": 8, "llama": 4}
BASE_STEPS = {"stories": 300, "llama": 3000}


def sentences() -> tuple[list[str], list[str]]:
    """To train on, and every tenth to evaluate."""
    texts = [line.split("\t")[1] for line in UD.read_text(encoding="utf-8").splitlines()[1:]]
    return [text for index, text in enumerate(texts) if index % 10 != 9], texts[9::10][:200]


def extend(directory: Path, tokenizer: Path, added: int) -> Path:
    """Extends a tokenizer by so many tokens, and returns the new one's directory."""
    directory.mkdir(parents=True)
    (directory / "train.txt").write_text("\n".join(sentences()[0]), encoding="utf-8")
    size = added
    for _ in range(4):
        config = {
            "stage": "vocabulary",
            "tokenizer_name_or_path": str(tokenizer),
            "dataset": "train.txt",
            "scripts": ["Han"],
            "vocab_size": size,
            "character_coverage": 0.85,
        }
        (directory / "han.ziptie.yaml").write_text(json.dumps(config))
        command = ["node", str(PROGRAM), "extend-vocabulary", str(directory / "han.ziptie.yaml"), "--format", "json"]
        environment = {**os.environ, "ZIPTIE_ENGINE": str(ENGINE)}
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        if done.returncode != 0:
            sys.exit(done.stderr)
        report = json.loads(done.stdout)
        if report["added"] == added:
            return Path(report["tokenizer"])
        size += added - report["added"]
    sys.exit(f"the corpus does not give {added} tokens")


def write_texts(path: Path, tokenizer: Tokenizer, texts: list[str], longest: int) -> None:
    rows = [[1, *tokenizer.encode(text, add_special_tokens=False).ids, 2][:longest] for text in texts]
    write_shard(path, [(ids, [1] * len(ids)) for ids in rows])


def train(run: Path, name: str, model: dict, tokenizer: Tokenizer, steps: int) -> list[float]:
    """The evaluation losses, the first one before the first step."""
    run.mkdir(parents=True)
    training, evaluation = sentences()
    write_texts(run / "train.safetensors", tokenizer, training, LONGEST[name])
    write_texts(run / "evaluation.safetensors", tokenizer, evaluation, LONGEST[name])
    plan = write_plan(
        run,
        model=model,
        shard=run / "train.safetensors",
        steps=steps,
        evaluation={
            "shards": [str(run / "evaluation.safetensors")],
            "every_steps": max(1, steps // 4),
            "batch_size": 8,
            "dropped": NONE_DROPPED,
        },
        logging_steps=50,
    )
    settings = json.loads(plan.read_text())
    settings["batching"] |= {"per_device_train_batch_size": BATCH[name], "shuffle": True}
    settings["inputs"] = {}
    plan.write_text(json.dumps(settings))
    run_engine("train", str(plan))
    return [event["loss"] for event in events(run, "evaluation")]


def trained_base(directory: Path, name: str, tokenizer: Tokenizer, steps: int) -> Path:
    """A model of that name, trained on the text in its own tokens."""
    if name == "stories":
        model = {"path": str(STORIES)}
        if steps == 0:
            return STORIES
    else:
        model = {"architecture": {**SMALL_LLAMA, "vocab_size": tokenizer.get_vocab_size()}, "seed": 1}
    train(directory, name, model, tokenizer, max(1, steps))
    return directory / "model"


def compare(directory: Path, name: str, added: int, steps: int, base_steps: int) -> dict[str, list[float]]:
    """Evaluation losses by initialisation."""
    original = Tokenizer.from_file(str(BASES[name]))
    base = trained_base(directory / "base", name, original, base_steps)
    extended = extend(directory / "extended", BASES[name], added)
    tokenizer = Tokenizer.from_file(str(extended / "tokenizer.json"))
    losses = {}
    for initialization in ("random", "mean", "zip-tie"):
        vocabulary = {
            "size": tokenizer.get_vocab_size(),
            "base_size": None,
            "initialization": initialization,
            "map": str(extended / "zip-tie.json") if initialization == "zip-tie" else None,
            "seed": 1,
        }
        model = {"path": str(base), "vocabulary": vocabulary}
        losses[initialization] = train(directory / initialization, name, model, tokenizer, steps)
    return losses


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", default="stories,llama")
    parser.add_argument("--added", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--base-steps", type=int, help="of the base; 300 for stories, 3000 for llama")
    options = parser.parse_args()
    for name in options.base.split(","):
        base_steps = BASE_STEPS[name] if options.base_steps is None else options.base_steps
        with tempfile.TemporaryDirectory() as directory:
            losses = compare(Path(directory), name, options.added, options.steps, base_steps)
        print(f"{name}: {options.added} tokens added to a base of {base_steps} steps; evaluation loss")
        for initialization, values in losses.items():
            print(f"  {initialization:8}", "  ".join(f"{value:.4f}" for value in values), flush=True)


if __name__ == "__main__":
    main()
