"""What a token costs as models, sequences and vocabularies grow: LoRA on all linear layers, float32, the engine alone.

    npm run bench -- growth [--threads 2]

Time is measured as a whole. Beside it stand the floating-point operations of a token and the shares of these, computed from the
shape, that are in the linear layers, in attention (which grows with the sequence) and in the head (which grows with the vocabulary).
"""

import argparse
import os

from engine import engine, product_flops

BASE = dict(
    vocab_size=4096, hidden_size=256, intermediate_size=688, num_hidden_layers=4, num_attention_heads=4,
    num_key_value_heads=4, tie_word_embeddings=True, batch=4, length=256, steps=3,
)  # fmt: skip


def model(hidden, layers):
    return dict(
        hidden_size=hidden, intermediate_size=hidden * 8 // 3 // 16 * 16, num_hidden_layers=layers,
        num_attention_heads=hidden // 64, num_key_value_heads=hidden // 64,
    )  # fmt: skip


# Tokens in a batch stay the same as sequences grow.
AXES = {
    "model": [model(128, 2), model(256, 4), model(512, 8), model(768, 12)],
    "sequence": [dict(length=length, batch=4096 // length) for length in (128, 512, 2048, 4096)],
    "vocabulary": [dict(vocab_size=size) for size in (512, 4096, 32000, 128000)],
}


def flops(shape):
    """Of a token's forward and backward pass: {"linear", "attention", "head"}."""
    head = 4 * shape["vocab_size"] * shape["hidden_size"]
    # Two products forward, five backward; a token sees half the sequence on average.
    attention = 7 * 2 * shape["length"] / 2 * shape["hidden_size"] * shape["num_hidden_layers"]
    return {"linear": product_flops(shape, "lora") - head, "attention": attention, "head": head}


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--threads", type=int, default=os.cpu_count())
    options = arguments.parse_args()
    print(f"{options.threads} threads, load {os.getloadavg()[0]:.1f} before")
    print(f"{'grows':<12}{'hidden × layers':>16}{'length':>8}{'vocab':>9}{'µs/token':>10}{'MFLOP/token':>13}{'GFLOP/s':>9}  FLOP are in")
    for axis, changes in AXES.items():
        for change in changes:
            shape = BASE | change
            seconds = 1 / engine(shape, "lora", options.threads)["tokens_per_second"]
            parts = flops(shape)
            total = sum(parts.values())
            shares = ", ".join(
                f"{part} {100 * share / total:.0f} %" for part, share in sorted(parts.items(), key=lambda item: -item[1])
            )
            size = f"{shape['hidden_size']} × {shape['num_hidden_layers']}"
            print(
                f"{axis:<12}{size:>16}{shape['length']:>8,}{shape['vocab_size']:>9,}{seconds * 1e6:>10.1f}"
                f"{total / 1e6:>13.1f}{total / seconds / 1e9:>9.0f}  {shares}",
                flush=True,
            )


if __name__ == "__main__":
    main()
