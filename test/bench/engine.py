"""Training speed of the engine against transformers + PEFT in PyTorch: same model, rows, dtype and threads, one run.

    npm run bench -- engine [--threads 2] [--repeats 3] [--only NAME]

Prints tokens per second and peak memory of both, and their ratio; the median of the repeats, which alternate between the two.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "oracle"))

LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
SHAPES = {
    "stories260k": dict(
        vocab_size=512, hidden_size=64, intermediate_size=172, num_hidden_layers=5, num_attention_heads=8,
        num_key_value_heads=4, tie_word_embeddings=True, batch=8, length=256, steps=30,
    ),
    "110M": dict(
        vocab_size=32000, hidden_size=768, intermediate_size=2048, num_hidden_layers=12, num_attention_heads=12,
        num_key_value_heads=12, tie_word_embeddings=True, batch=4, length=512, steps=3,
    ),
}  # fmt: skip


def config_of(shape):
    keys = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
            "num_key_value_heads", "tie_word_embeddings")  # fmt: skip
    return {key: shape[key] for key in keys} | {"max_position_embeddings": 2048}


def rows_of(shape):
    import numpy

    random = numpy.random.default_rng(1)
    ids = random.integers(3, shape["vocab_size"], (shape["batch"] * (shape["steps"] + 1), shape["length"]))
    return [(row.tolist(), [1] * shape["length"]) for row in ids]


def peer(name, adapter, threads):
    """One PyTorch run in this process: prints {"tokens_per_second", "memory_bytes"}."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.set_num_threads(threads)
    torch.manual_seed(1)
    shape = SHAPES[name]
    model = LlamaForCausalLM(LlamaConfig(**config_of(shape))).float().train()
    if adapter == "lora":
        model = get_peft_model(model, LoraConfig(r=16, lora_alpha=32, lora_dropout=0.0, target_modules=LINEAR))
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4)
    rows = torch.tensor([ids for ids, _ in rows_of(shape)])
    seconds = []
    for step in range(shape["steps"] + 1):
        batch = rows[step * shape["batch"] : (step + 1) * shape["batch"]]
        begin = time.perf_counter()
        optimizer.zero_grad()
        model(input_ids=batch, labels=batch).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        seconds.append(time.perf_counter() - begin)
    report(shape, seconds[1:], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def report(shape, seconds, memory_bytes):
    tokens = shape["batch"] * shape["length"]
    print(json.dumps({"tokens_per_second": tokens / statistics.median(seconds), "memory_bytes": memory_bytes}))


def engine(name, adapter, threads):
    from conftest import events, run_engine, write_plan, write_shard

    shape = SHAPES[name]
    with tempfile.TemporaryDirectory(prefix="ziptie-bench-") as directory:
        shard = Path(directory) / "rows.safetensors"
        write_shard(shard, rows_of(shape))
        architecture = config_of(shape) | {
            "model_type": "llama", "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "initializer_range": 0.02,
            "bos_token_id": 1, "eos_token_id": 2,
        }  # fmt: skip
        lora = {"r": 16, "alpha": 32, "dropout": 0.0, "use_rslora": False, "target_modules": LINEAR}
        plan = write_plan(
            Path(directory) / "run",
            model={"architecture": architecture, "seed": 1},
            shard=shard,
            steps=shape["steps"] + 1,
            threads=threads,
            adapter=lora if adapter == "lora" else None,
            batching={
                "per_device_train_batch_size": shape["batch"], "gradient_accumulation_steps": 1,
                "max_length": shape["length"], "truncation": "cut", "shuffle": False,
            },
        )  # fmt: skip
        run_engine("train", str(plan))
        steps = events(Path(directory) / "run", "step")
    # The first step of either side warms caches and is left out.
    return {
        "tokens_per_second": shape["batch"] * shape["length"] / statistics.median(s["seconds"] for s in steps[1:]),
        "memory_bytes": max(s["memory_bytes"] for s in steps),
    }


def run_peer(name, adapter, threads):
    environment = dict(os.environ, OMP_NUM_THREADS=str(threads), HF_HUB_OFFLINE="1")
    done = subprocess.run(
        [sys.executable, __file__, "--peer", name, adapter, "--threads", str(threads)],
        capture_output=True, text=True, env=environment,
    )  # fmt: skip
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--threads", type=int, default=os.cpu_count())
    arguments.add_argument("--repeats", type=int, default=3)
    arguments.add_argument("--only", choices=SHAPES)
    arguments.add_argument("--peer", nargs=2, help=argparse.SUPPRESS)
    options = arguments.parse_args()
    if options.peer:
        return peer(*options.peer, options.threads)

    print(f"{platform.processor() or platform.machine()}, {options.threads} threads, float32, median of {options.repeats} runs")
    print(f"{'shape':<14}{'training':<10}{'ziptie tok/s':>14}{'PyTorch tok/s':>15}{'ratio':>8}{'ziptie MiB':>12}{'PyTorch MiB':>13}")
    for name in [options.only] if options.only else SHAPES:
        for adapter in ("full", "lora"):
            ours, theirs = [], []
            for _ in range(options.repeats):
                ours.append(engine(name, adapter, options.threads))
                theirs.append(run_peer(name, adapter, options.threads))
            speed = [statistics.median(r["tokens_per_second"] for r in runs) for runs in (ours, theirs)]
            memory = [statistics.median(r["memory_bytes"] for r in runs) / 2**20 for runs in (ours, theirs)]
            print(
                f"{name:<14}{adapter:<10}{speed[0]:>14,.0f}{speed[1]:>15,.0f}{speed[0] / speed[1]:>8.2f}"
                f"{memory[0]:>12,.0f}{memory[1]:>13,.0f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
