"""Training speed of the engine against transformers + PEFT in PyTorch: same model, rows, dtype and threads, one run.

    npm run bench -- engine [--threads 2] [--repeats 3] [--only SHAPE] [--training full|lora|lora-bf16|qlora] [--no-peer]

Shapes named after a model train on rows of one length, all of whose tokens count: nothing but arithmetic. Those that end in -sft train on
instructions as people have them (../shared/data/sft, Chinese, with Llama 2's tokenizer; left out where that is absent), of their own
lengths, with loss on the outputs: there the peer pads each batch to its longest row, as transformers' collators do, and computes logits
of every token. Tokens per second are of the rows, never of padding.

Prints tokens per second and peak memory of both and their ratio, medians of the repeats, which alternate between the two; and the
floating-point operations in matrix products with weights that the engine does in a second of whole steps, as a share of what oneDNN
does in products of these sizes and nothing else, measured beside each repeat. bf16 is the type of frozen weights on both sides. qlora is
NF4 with double quantisation and adapters on the embedding and the head too, which the peer cannot train on a CPU in comparable form.
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
        training=("full", "lora"),
    ),
    "110M": dict(
        vocab_size=32000, hidden_size=768, intermediate_size=2048, num_hidden_layers=12, num_attention_heads=12,
        num_key_value_heads=12, tie_word_embeddings=True, batch=4, length=512, steps=2,
        training=("full", "lora", "lora-bf16", "qlora"),
    ),
    "110M-sft": dict(
        vocab_size=32000, hidden_size=768, intermediate_size=2048, num_hidden_layers=12, num_attention_heads=12,
        num_key_value_heads=12, tie_word_embeddings=True, batch=8, length=1024, steps=3, rows="sft",
        training=("full", "lora"),
    ),
    "1B": dict(
        vocab_size=32000, hidden_size=2048, intermediate_size=5632, num_hidden_layers=22, num_attention_heads=32,
        num_key_value_heads=4, tie_word_embeddings=False, batch=1, length=256, steps=1,
        training=("lora", "lora-bf16", "qlora"),
    ),
    "1B-sft": dict(
        vocab_size=32000, hidden_size=2048, intermediate_size=5632, num_hidden_layers=22, num_attention_heads=32,
        num_key_value_heads=4, tie_word_embeddings=False, batch=4, length=1024, steps=1, rows="sft",
        training=("lora",),
    ),
}  # fmt: skip
# PyTorch's bfloat16 products are ten times slower than its float32 ones on processors without units for them.
FEWER_TOKENS = {"lora-bf16": {"110M": dict(batch=1, length=256), "1B": dict(batch=1, length=32)}}
SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
# A peer that takes longer than this has lost by any measure; on a busy machine PyTorch's barriers can take for ever.
PEER_SECONDS = 1200


def config_of(shape):
    keys = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
            "num_key_value_heads", "tie_word_embeddings")  # fmt: skip
    return {key: shape[key] for key in keys} | {"max_position_embeddings": max(2048, shape["length"])}


def shape_of(name, training):
    return SHAPES[name] | FEWER_TOKENS.get(training, {}).get(name, {})


def rows_of(shape):
    """As many (input_ids, loss_mask) as the run has steps, and one step more to warm up."""
    import numpy

    count = shape["batch"] * (shape["steps"] + 1)
    if shape.get("rows") == "sft":
        return sft_rows(count, shape["length"])
    random = numpy.random.default_rng(1)
    ids = random.integers(3, shape["vocab_size"], (count, shape["length"]))
    return [(row.tolist(), [1] * shape["length"]) for row in ids]


def sft_rows(count, length):
    """The first rows of a Chinese instruction set, in its order and cut to `length` tokens."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(SHARED / "tokenizers" / "llama2-tokenizer.json"))
    made = []
    for row in json.loads((SHARED / "sft" / "alpaca_zh_demo.json").read_text())[:count]:
        prompt = tokenizer.encode(f"[INST] {row['instruction']}\n{row['input']} [/INST]").ids
        answer = tokenizer.encode(f" {row['output']}</s>", add_special_tokens=False).ids
        made.append(((prompt + answer)[:length], ([0] * len(prompt) + [1] * len(answer))[:length]))
    return made


def batches_of(shape):
    """The rows of each step."""
    rows = rows_of(shape)
    return [rows[first : first + shape["batch"]] for first in range(0, len(rows), shape["batch"])]


def tokens_per_second(shape, seconds):
    """The median over steps, without the first, which warms the caches of either side."""
    batches = batches_of(shape)[: len(seconds)]
    rates = [sum(len(ids) for ids, _ in batch) / took for batch, took in zip(batches, seconds, strict=True)]
    return statistics.median(rates[1:])


def products(shape):
    """Matrix products with weights in a layer and in the head: (outputs, inputs, how many)."""
    hidden, intermediate = shape["hidden_size"], shape["intermediate_size"]
    head_dim = hidden // shape["num_attention_heads"]
    qkv = (shape["num_attention_heads"] + 2 * shape["num_key_value_heads"]) * head_dim
    layers = shape["num_hidden_layers"]
    return [
        (qkv, hidden, layers),
        (hidden, shape["num_attention_heads"] * head_dim, layers),
        (2 * intermediate, hidden, layers),
        (hidden, intermediate, layers),
        (shape["vocab_size"], hidden, 1),
    ]


def product_flops(shape, training):
    """Floating-point operations a token in products with the model's own weights, adapters not counted, and the head only for tokens
    that carry loss."""
    rows = rows_of(shape)
    supervised = sum(sum(mask) for _, mask in rows) / sum(len(mask) for _, mask in rows)
    *layer, (vocabulary, hidden, _) = products(shape)
    weights = sum(out * inputs * count for out, inputs, count in layer) + supervised * vocabulary * hidden
    return weights * (6 if training == "full" else 4)


def library_flops(shape, threads):
    """oneDNN's FLOP/s on the shape's products, weighted as a forward pass weights them: one thread's, times the threads, since the
    barriers of its own team wait for whatever else the machine does."""
    from conftest import OPS_PROBE

    batches = batches_of(shape)
    rows = sum(len(ids) for batch in batches for ids, _ in batch) // len(batches)
    work = seconds = 0
    for out, inputs, count in products(shape):
        # The head works in chunks of rows.
        m = min(rows, 512) if out == shape["vocab_size"] else rows
        done = subprocess.run(
            [str(OPS_PROBE), "library-peak", str(m), str(out), str(inputs)],
            capture_output=True, text=True, check=True, env=dict(os.environ, OMP_NUM_THREADS="1"),
        )  # fmt: skip
        flops = 2 * out * inputs * count
        work += flops
        seconds += flops / (threads * float(done.stdout))
    return work / seconds


def peer(name, training, threads):
    """One PyTorch run in this process: prints {"tokens_per_second", "memory_bytes"}."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.set_num_threads(threads)
    torch.manual_seed(1)
    shape = shape_of(name, training)
    torch.set_default_dtype(torch.bfloat16 if training == "lora-bf16" else torch.float32)
    model = LlamaForCausalLM(LlamaConfig(**config_of(shape))).train()
    torch.set_default_dtype(torch.float32)
    if training != "full":
        model = get_peft_model(model, LoraConfig(r=16, lora_alpha=32, lora_dropout=0.0, target_modules=LINEAR))
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4)
    seconds = []
    for batch in batches_of(shape):
        # What transformers' DataCollatorForSeq2Seq makes of a batch.
        longest = max(len(ids) for ids, _ in batch)
        padding = [longest - len(ids) for ids, _ in batch]
        inputs = {
            "input_ids": torch.tensor([ids + [0] * pad for (ids, _), pad in zip(batch, padding, strict=True)]),
            "attention_mask": torch.tensor(
                [[1] * len(ids) + [0] * pad for (ids, _), pad in zip(batch, padding, strict=True)]
            ),
            "labels": torch.tensor(
                [
                    [i if m else -100 for i, m in zip(ids, mask, strict=True)] + [-100] * pad
                    for (ids, mask), pad in zip(batch, padding, strict=True)
                ]
            ),
        }
        if not any(padding):
            del inputs["attention_mask"]
        begin = time.perf_counter()
        optimizer.zero_grad()
        model(**inputs).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        seconds.append(time.perf_counter() - begin)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"tokens_per_second": tokens_per_second(shape, seconds), "memory_bytes": memory}))


def engine(shape, training, threads):
    """One run of the engine: {"tokens_per_second", "memory_bytes"}."""
    from conftest import events, run_engine, write_plan, write_shard

    targets = LINEAR + (["embed_tokens", "lm_head"] if training == "qlora" else [])
    lora = {
        "r": 16, "alpha": 32, "dropout": 0.0, "use_rslora": False, "target_modules": targets, "modules_to_save": [],
    }  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="ziptie-bench-") as directory:
        shard = Path(directory) / "rows.safetensors"
        write_shard(shard, rows_of(shape))
        architecture = config_of(shape) | {
            "model_type": "llama", "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "initializer_range": 0.02,
            "bos_token_id": 1, "eos_token_id": 2, "head_dim": shape["hidden_size"] // shape["num_attention_heads"],
            "rope_scaling": None, "attention_bias": False,
        }  # fmt: skip
        plan = write_plan(
            Path(directory) / "run",
            model={"architecture": architecture, "seed": 1},
            shard=shard,
            steps=shape["steps"] + 1,
            threads=threads,
            adapter=None if training == "full" else lora,
            frozen_dtype="bfloat16" if training in ("lora-bf16", "qlora") else "float32",
            quantization={"type": "nf4", "double_quant": True} if training == "qlora" else None,
            batching={
                "per_device_train_batch_size": shape["batch"], "gradient_accumulation_steps": 1,
                "max_length": shape["length"], "truncation": "cut", "shuffle": False, "group_by_length": False,
                "packing": False,
            },
        )  # fmt: skip
        run_engine("train", str(plan))
        steps = events(Path(directory) / "run", "step")
    return {
        "tokens_per_second": tokens_per_second(shape, [s["seconds"] for s in steps]),
        "memory_bytes": max(s["memory_bytes"] for s in steps),
    }


def run_peer(name, training, threads):
    """One run of the peer in a process of its own, or None when it takes longer than PEER_SECONDS."""
    environment = dict(os.environ, OMP_NUM_THREADS=str(threads), HF_HUB_OFFLINE="1")
    try:
        done = subprocess.run(
            [sys.executable, __file__, "--peer", name, training, "--threads", str(threads)],
            capture_output=True, text=True, env=environment, timeout=PEER_SECONDS,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return None
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def median(runs, key):
    """Of the runs that ended, or None."""
    values = [run[key] for run in runs if run is not None]
    return statistics.median(values) if values else None


def number(value, width, digits=0):
    return f"{'–' if value is None else format(value, f',.{digits}f'):>{width}}"


def compare(name, training, options):
    """Prints one row of the table."""
    ours, theirs, shares = [], [], []
    shape = shape_of(name, training)
    if shape.get("rows") == "sft" and not (SHARED / "sft").is_dir():
        print(f"{name:<14}{training:<11} left out: no {SHARED / 'sft'}")
        return
    for _ in range(options.repeats):
        ours.append(engine(shape, training, options.threads))
        library = library_flops(shape, options.threads)
        shares.append({"share": product_flops(shape, training) * ours[-1]["tokens_per_second"] / library})
        if training != "qlora" and not options.no_peer:
            theirs.append(run_peer(name, training, options.threads))
    speed, peer_speed = median(ours, "tokens_per_second"), median(theirs, "tokens_per_second")
    memory, peer_memory = median(ours, "memory_bytes"), median(theirs, "memory_bytes")
    print(
        f"{name:<14}{training:<11}{number(speed, 14)}{number(peer_speed, 15)}"
        f"{number(speed / peer_speed if peer_speed else None, 8, 2)}{number(memory / 2**20, 12)}"
        f"{number(peer_memory / 2**20 if peer_memory else None, 13)}{number(100 * median(shares, 'share'), 12)} %",
        flush=True,
    )


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--threads", type=int, default=os.cpu_count())
    arguments.add_argument("--repeats", type=int, default=3)
    arguments.add_argument("--only", choices=SHAPES)
    arguments.add_argument("--training", choices=("full", "lora", "lora-bf16", "qlora"))
    arguments.add_argument("--no-peer", action="store_true", help="the engine alone")
    arguments.add_argument("--peer", nargs=2, help=argparse.SUPPRESS)
    options = arguments.parse_args()
    if options.peer:
        return peer(*options.peer, options.threads)

    load = os.getloadavg()[0]
    print(
        f"{platform.processor() or platform.machine()}, {options.threads} threads, medians of {options.repeats} runs, "
        f"load {load:.1f} before"
    )
    print(
        f"{'shape':<14}{'training':<11}{'ziptie tok/s':>14}{'PyTorch tok/s':>15}{'ratio':>8}{'ziptie MiB':>12}"
        f"{'PyTorch MiB':>13}{'of oneDNN':>14}"
    )
    for name in [options.only] if options.only else SHAPES:
        for training in [options.training] if options.training else SHAPES[name]["training"]:
            compare(name, training, options)


if __name__ == "__main__":
    main()
