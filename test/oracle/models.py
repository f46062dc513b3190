"""Reference models and reference training, by transformers, PEFT and PyTorch."""

from pathlib import Path

import numpy
import torch
from transformers import LlamaConfig, LlamaForCausalLM


def random_llama(directory: Path, *, tied: bool, kv_heads: int, seed: int, **changes) -> LlamaForCausalLM:
    """A two-layer Llama with random weights, saved as an HF directory."""
    torch.manual_seed(seed)
    settings = dict(
        vocab_size=320,
        hidden_size=64,
        intermediate_size=112,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=kv_heads,
        max_position_embeddings=256,
        tie_word_embeddings=tied,
        initializer_range=0.15,
        bos_token_id=1,
        eos_token_id=2,
    )
    settings.update(changes)
    model = LlamaForCausalLM(LlamaConfig(**settings)).float().eval()
    model.save_pretrained(directory)
    return model


def random_rows(count: int, vocabulary: int, seed: int, longest: int = 48) -> list[tuple[list[int], list[int]]]:
    """Rows of random length whose loss mask has holes; the last token of each is always supervised."""
    random = numpy.random.default_rng(seed)
    rows = []
    for _ in range(count):
        length = int(random.integers(5, longest))
        mask = (random.random(length) < 0.6).astype(int)
        mask[-1] = 1
        rows.append((random.integers(3, vocabulary, length).tolist(), mask.tolist()))
    return rows


def loss_sum(model, rows) -> tuple[torch.Tensor, int]:
    """Sum of negative log-likelihoods over supervised tokens, each row alone; and how many tokens that is."""
    total, tokens = 0, 0
    for ids, mask in rows:
        logits = model(input_ids=torch.tensor([ids])).logits[0]
        targets = torch.tensor(ids[1:])
        chosen = torch.tensor(mask[1:], dtype=torch.bool)
        losses = torch.nn.functional.cross_entropy(logits[:-1], targets, reduction="none")
        total = total + losses[chosen].sum()
        tokens += int(chosen.sum())
    return total, tokens


def train(model, rows, *, steps, batch_size, accumulation, optimizer, rate, max_grad_norm) -> list[dict]:
    """Optimizer steps over `rows` in order, round and round; `rate(step)` is the learning rate of step 1, 2, …

    Returns loss and gradient norm of each step. The loss is the mean over the supervised tokens of the whole step.
    """
    per_step = batch_size * accumulation
    history = []
    for step in range(1, steps + 1):
        begin = (step - 1) * per_step
        batch = [rows[(begin + i) % len(rows)] for i in range(per_step)]
        optimizer.zero_grad()
        total, tokens = loss_sum(model, batch)
        loss = total / tokens
        loss.backward()
        trainable = [p for p in model.parameters() if p.requires_grad]
        norm = torch.nn.utils.clip_grad_norm_(trainable, max_grad_norm)
        for group in optimizer.param_groups:
            group["lr"] = rate(step)
        optimizer.step()
        history.append({"loss": loss.item(), "grad_norm": norm.item()})
    return history
