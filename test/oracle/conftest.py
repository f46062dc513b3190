"""What the oracle tests share: where the engine is, how a plan is written, how it is run."""

import hashlib
import json
import os
import subprocess
from pathlib import Path

import numpy
import pytest
import torch
from safetensors.numpy import load_file, save_file

# Models this small are slower on more threads, and very slow on a busy machine.
torch.set_num_threads(1)

ROOT = Path(__file__).resolve().parents[2]
ENGINE = Path(os.environ.get("ZIPTIE_ENGINE", ROOT / "dist" / "engine" / "ziptie-engine"))
PROBE = Path(os.environ.get("ZIPTIE_ENGINE_PROBE", ROOT / "dist" / "native" / "ziptie-engine-probe"))
OPS_PROBE = Path(os.environ.get("ZIPTIE_OPS_PROBE", ROOT / "dist" / "native" / "ziptie-ops-probe"))
STORIES = ROOT.parent / "shared" / "data" / "models" / "stories260k"


@pytest.fixture(scope="session")
def stories() -> Path:
    """A Llama with trained weights: GQA, tied embeddings, 260k parameters."""
    if not STORIES.is_dir():
        pytest.skip(f"no stories260k at {STORIES}")
    return STORIES


def write_shard(path: Path, rows: list[tuple[list[int], list[int]]]) -> None:
    """Writes token shards: each row is (input_ids, loss_mask)."""
    offsets = numpy.cumsum([0] + [len(ids) for ids, _ in rows]).astype(numpy.uint64)
    save_file(
        {
            "input_ids": numpy.array([i for ids, _ in rows for i in ids], dtype=numpy.uint32),
            "loss_mask": numpy.array([m for _, mask in rows for m in mask], dtype=numpy.uint8),
            "row_offsets": offsets,
        },
        str(path),
    )


NONE_DROPPED = {"too_long": 0, "unsupervised": 0, "broken": 0, "template": 0, "tokenizer": 0}


def write_plan(output: Path, *, model: dict, shard: Path, steps: int, **changes) -> Path:
    """Writes a plan that trains in the shard's order, and returns its path. `changes` replace top-level keys."""
    output.mkdir(parents=True, exist_ok=True)
    inputs = [shard]
    if "path" in model:
        model = {"vocabulary": None, **model}
        inputs += sorted(Path(model["path"]).glob("*.safetensors"))
    plan = {
        "version": 1,
        "stage": "pretrain",
        "model": model,
        "tokenizer_files": [],
        "data": [{"shards": [str(shard)], "weight": 1.0, "dropped": NONE_DROPPED}],
        "evaluation": None,
        "adapter": None,
        "quantization": None,
        "frozen_dtype": "float32",
        "recompute": "none",
        "optimizer": {
            "name": "adamw_torch",
            "learning_rate": 1e-3,
            "embedding_learning_rate": None,
            "betas": [0.9, 0.999],
            "epsilon": 1e-8,
            "weight_decay": 0.0,
            "max_grad_norm": 1.0,
        },
        "schedule": {"name": "constant", "warmup_steps": 0, "min_lr_rate": 0.0, "steps": steps},
        "batching": {
            "per_device_train_batch_size": 4,
            "gradient_accumulation_steps": 1,
            "max_length": 4096,
            "truncation": "cut",
            "shuffle": False,
            "group_by_length": False,
            "packing": False,
        },
        "checkpointing": {"save_steps": None, "save_total_limit": None},
        "logging_steps": 1,
        "device": "cpu",
        "threads": 2,
        "seed": 1,
        "output": str(output),
        "inputs": {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in inputs},
    }
    plan.update(changes)
    path = output / "plan.json"
    path.write_text(json.dumps(plan))
    return path


def run_engine(*arguments: str) -> subprocess.CompletedProcess:
    """Runs the engine; a failure shows what it said."""
    done = subprocess.run([str(ENGINE), *arguments], capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(map(str, done.args))}\n{done.stderr[-4000:]}"
    return done


def run_probe(*arguments: str) -> None:
    done = subprocess.run([str(PROBE), *arguments], capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(map(str, done.args))}\n{done.stderr[-4000:]}"


def probe_logits(model: Path, rows, scratch: Path, *extra: str) -> dict[str, numpy.ndarray]:
    """Logits and loss of `rows`, and gradients where `--gradients` is asked for, by the engine."""
    shard, output = scratch / "rows.safetensors", scratch / "probe.safetensors"
    write_shard(shard, rows)
    run_probe("logits", "--model", str(model), "--shard", str(shard), "--output", str(output), *extra)
    return load_file(str(output))


def events(output: Path, name: str) -> list[dict]:
    """The run's events of one name, in order."""
    lines = (output / "events.jsonl").read_text().splitlines()
    return [event for event in map(json.loads, lines) if event["event"] == name]


def relative_difference(ours, reference) -> float:
    """‖ours − reference‖ / ‖reference‖, in float64; NaN anywhere is a failure, not a small number."""
    ours, reference = numpy.asarray(ours, numpy.float64), numpy.asarray(reference, numpy.float64)
    assert ours.shape == reference.shape, f"{ours.shape} against {reference.shape}"
    assert numpy.isfinite(ours).all(), "not finite"
    return float(numpy.linalg.norm(ours - reference) / numpy.linalg.norm(reference))
