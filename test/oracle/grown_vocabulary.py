"""Models whose vocabulary grows by tokens of UD Chinese GSD, and their loss on its held-out sentences."""

import json
import os
import shutil
import subprocess
from pathlib import Path

from conftest import ENGINE, NONE_DROPPED, ROOT, events, run_engine, write_plan, write_shard
from safetensors.torch import load_file
from tokenizers import Tokenizer

UD = ROOT.parent / "shared" / "data" / "ud-chinese-gsd" / "all-4997.tsv"
PROGRAM = ROOT / "dist" / "cli.js"


def sentences() -> tuple[list[str], list[str]]:
    """To train on, and 200 to evaluate: every tenth is held out."""
    texts = [line.split("\t")[1] for line in UD.read_text(encoding="utf-8").splitlines()[1:]]
    return [text for index, text in enumerate(texts) if index % 10 != 9], texts[9::10][:200]


def extend_tokenizer(directory: Path, tokenizer: Path, added: int) -> Path:
    """Extends a tokenizer by exactly so many tokens, and returns the new one's directory."""
    directory.mkdir(parents=True)
    (directory / "train.txt").write_text("\n".join(sentences()[0]), encoding="utf-8")
    size = added
    # Tokens that the base has, or that nothing comes about from, are not added.
    for _ in range(4):
        config = {
            "stage": "vocabulary",
            "tokenizer_name_or_path": str(tokenizer),
            "dataset": "train.txt",
            "scripts": ["Han"],
            "vocab_size": size,
            "character_coverage": 0.85,
        }
        path = directory / "han.ziptie.yaml"
        path.write_text(json.dumps(config))
        done = subprocess.run(
            ["node", str(PROGRAM), "extend-vocabulary", str(path), "--format", "json"],
            capture_output=True,
            text=True,
            env={**os.environ, "ZIPTIE_ENGINE": str(ENGINE)},
        )
        assert done.returncode == 0, done.stderr[-4000:]
        report = json.loads(done.stdout)
        if report["added"] == added:
            return Path(report["tokenizer"])
        size += added - report["added"]
    raise AssertionError(f"the corpus does not give {added} tokens")


def at_the_scale_of_its_rows(model: Path, copy: Path) -> Path:
    """Copies a model and makes `initializer_range`, of which random rows are, what its embedding and head have come to."""
    shutil.copytree(model, copy)
    weights = load_file(str(copy / "model.safetensors"))
    tables = [weights[name] for name in ("model.embed_tokens.weight", "lm_head.weight") if name in weights]
    config = json.loads((copy / "config.json").read_text())
    config["initializer_range"] = float(sum(table.square().mean() for table in tables) / len(tables)) ** 0.5
    (copy / "config.json").write_text(json.dumps(config))
    return copy


class Training:
    """Trains on UD in rows of one length, and evaluates before the first step and after the last."""

    def __init__(self, tokenizer: Path, *, max_length: int, batch_size: int):
        self.tokenizer = Tokenizer.from_file(str(tokenizer))
        self.max_length = max_length
        self.batch_size = batch_size

    def run(self, directory: Path, model: dict, steps: int, seed: int, **changes) -> dict[int, float]:
        """Evaluation losses by the step after which they were measured; `changes` replace keys of the plan."""
        directory.mkdir(parents=True)
        for name, texts in zip(("train", "evaluation"), sentences(), strict=True):
            self.write_rows(directory / f"{name}.safetensors", texts)
        shards = [str(directory / "evaluation.safetensors")]
        plan = write_plan(
            directory,
            model=model,
            shard=directory / "train.safetensors",
            steps=steps,
            seed=seed,
            evaluation={
                "shards": shards,
                "on_start": True,
                "every_steps": None,
                "batch_size": 8,
                "dropped": NONE_DROPPED,
            },
            batching={
                "per_device_train_batch_size": self.batch_size,
                "gradient_accumulation_steps": 1,
                "max_length": self.max_length,
                "truncation": "cut",
                "shuffle": True,
                "group_by_length": False,
                "packing": False,
            },
            **changes,
        )
        run_engine("train", str(plan))
        return {event["step"]: event["loss"] for event in events(directory, "evaluation")}

    def write_rows(self, path: Path, texts: list[str]) -> None:
        """BOS, the text, EOS; Llama 2's ids of these, which stories260k shares."""
        rows = [[1, *self.tokenizer.encode(text, add_special_tokens=False).ids, 2] for text in texts]
        write_shard(path, [(ids, [1] * len(ids)) for ids in rows])

    def base(self, directory: Path, model: dict, steps: int, seed: int) -> tuple[Path, dict[int, float]]:
        """The model after so many steps with a learning rate that falls to nothing, so that it is at rest, and its losses."""
        losses = self.run(
            directory,
            model,
            steps,
            seed,
            schedule={"name": "cosine", "warmup_steps": steps // 20, "min_lr_rate": 0.0, "steps": steps},
            optimizer={
                "name": "adamw_torch",
                "learning_rate": 3e-3,
                "embedding_learning_rate": None,
                "betas": [0.9, 0.999],
                "epsilon": 1e-8,
                "weight_decay": 0.0,
                "max_grad_norm": 1.0,
            },
        )
        return directory / "model", losses


def grown_losses(
    directory: Path, training: Training, base: Path, extended: Path, *, steps: int, seed: int
) -> dict[str, dict[int, float]]:
    """Losses of the base grown by the tokens of `extended` in each way, by the step after which they were measured."""
    losses = {}
    for name in ("random", "random at scale", "mean", "zip-tie"):
        initialization = name.split()[0]
        path = at_the_scale_of_its_rows(base, directory / "scaled") if name == "random at scale" else base
        vocabulary = {
            "size": training.tokenizer.get_vocab_size(),
            "base_size": None,
            "initialization": initialization,
            "map": str(extended / "zip-tie.json") if initialization == "zip-tie" else None,
            "seed": seed,
        }
        losses[name] = training.run(directory / name, {"path": str(path), "vocabulary": vocabulary}, steps, seed)
    return losses
