"""
What zip-tie initialisation is worth: evaluation loss of a model whose vocabulary grew by 1,000 tokens, its new rows random, the
mean of all, or zip-tied, before the first step and after `--steps`.

    npm run bench -- zip_tie [--base stories:0,stories:1500,llama:1500] [--steps 200] [--seeds 3]

A base is named with the steps that it is first trained on the text in its own tokens: a sum of tokens is worth what the base knows
of these. `stories` is stories260k, which has never seen a byte of Chinese; `llama` a small Llama with Llama 2's vocabulary and random
weights. A seed is that of the base's weights and training, of random rows and of what follows.

Random rows are N(0, `initializer_range`²), which is 0.02 in both; those of `random at scale` have the root mean square of the base's
own embedding and head instead, several times as much.
"""

import argparse
import os
import statistics
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "test" / "oracle"))

from conftest import STORIES  # noqa: E402
from grown_vocabulary import Training, extend_tokenizer, grown_losses  # noqa: E402

TOKENIZERS = {
    "stories": STORIES / "tokenizer.json",
    "llama": ROOT.parent / "shared" / "data" / "tokenizers" / "llama2-tokenizer.json",
}
# Llama 2 has a byte a token for many characters here, and a large head.
ROWS = {"stories": {"max_length": 192, "batch_size": 8}, "llama": {"max_length": 64, "batch_size": 4}}
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


def trained_base(directory: Path, name: str, steps: int, seed: int) -> tuple[Path, dict[int, float]]:
    """A base and its losses on the text in its own tokens, by step."""
    if name == "stories" and steps == 0:
        return STORIES, {}
    training = Training(TOKENIZERS[name], **ROWS[name])
    model = {"path": str(STORIES)}
    if name == "llama":
        model = {"architecture": SMALL_LLAMA | {"vocab_size": training.tokenizer.get_vocab_size()}, "seed": seed}
    return training.base(directory, model, steps, seed)


def compare(directory: Path, name: str, base_steps: int, options: argparse.Namespace) -> None:
    extended = extend_tokenizer(directory / "extended", TOKENIZERS[name], options.added)
    training = Training(extended / "tokenizer.json", **ROWS[name])
    losses: dict[str, list[dict[int, float]]] = {}
    for seed in range(1, options.seeds + 1):
        base, learned = trained_base(directory / f"base-{seed}", name, base_steps, seed)
        if learned:
            print(f"  base {seed} in its own tokens: {learned[0]:.4f}, trained {learned[base_steps]:.4f}", flush=True)
        grown = grown_losses(
            directory / f"grown-{seed}", training, base, extended, steps=options.steps, seed=seed
        )
        for initialization, by_step in grown.items():
            losses.setdefault(initialization, []).append(by_step)
    heads = ("at step 0", f"after {options.steps}")
    print(f"  {'new rows':16}" + "".join(f"{head:>26}" for head in heads) + f"   zip-tie is lower, of {options.seeds} seeds")
    for initialization, runs in losses.items():
        columns = [spread([run[step] for run in runs]) for step in (0, options.steps)]
        lower = [
            sum(tied[step] < run[step] for tied, run in zip(losses["zip-tie"], runs, strict=True))
            for step in (0, options.steps)
        ]
        said = "" if initialization == "zip-tie" else "   {} and {}".format(*lower)
        print(f"  {initialization:16}" + "".join(f"{column:>26}" for column in columns) + said, flush=True)


def spread(values: list[float]) -> str:
    """Median, and the least and greatest of them."""
    return f"{statistics.median(values):.3f} ({min(values):.3f}–{max(values):.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default="stories:0,stories:1500,llama:1500")
    parser.add_argument("--added", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f} before; evaluation loss, median (least–greatest)")
    for base in options.base.split(","):
        name, steps = base.split(":")
        print(f"{name}, {steps} steps on the text; {options.added} tokens added", flush=True)
        with tempfile.TemporaryDirectory() as directory:
            compare(Path(directory), name, int(steps), options)


if __name__ == "__main__":
    main()
