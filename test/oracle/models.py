"""Reference models and reference training, by transformers, PEFT and PyTorch."""

from pathlib import Path

import numpy
import torch
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
)

FAMILIES = {
    "llama": (LlamaConfig, LlamaForCausalLM),
    "mistral": (MistralConfig, MistralForCausalLM),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM),
}

# Its bounds lie within the wavelengths of a 16-wide head, so that every branch of the formula is taken.
LLAMA3_ROPE = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}

# What makes models differ: name → family and settings of a random model.
SHAPES = {
    "llama, untied": ("llama", {}),
    "llama, tied": ("llama", {"tie_word_embeddings": True}),
    "llama, one key head": ("llama", {"num_key_value_heads": 1}),
    "llama, rope scaled as llama3": ("llama", {"rope_scaling": LLAMA3_ROPE}),
    "llama, rope scaled linearly": ("llama", {"rope_scaling": {"rope_type": "linear", "factor": 4.0}}),
    "llama, biased, wide heads": ("llama", {"attention_bias": True, "head_dim": 24}),
    "mistral": ("mistral", {"sliding_window": 64, "head_dim": 24}),
    "qwen2, tied": ("qwen2", {"tie_word_embeddings": True}),
    "qwen2, untied": ("qwen2", {}),
}


def random_model(directory: Path, family: str = "llama", *, seed: int, **changes) -> PreTrainedModel:
    """A two-layer model with random weights, biases and norms among them, saved as an HF directory."""
    torch.manual_seed(seed)
    settings = dict(
        vocab_size=320,
        hidden_size=64,
        intermediate_size=112,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        tie_word_embeddings=False,
        initializer_range=0.15,
        bos_token_id=1,
        eos_token_id=2,
    )
    settings.update(changes)
    config_class, model_class = FAMILIES[family]
    model = model_class(config_class(**settings)).float().eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(".bias"):
                parameter.normal_(0, 0.3)
            elif name.endswith("norm.weight"):
                parameter.normal_(1, 0.1)
    model.save_pretrained(directory)
    return model


def random_llama(directory: Path, *, tied: bool, kv_heads: int, seed: int, **changes) -> PreTrainedModel:
    return random_model(
        directory, seed=seed, tie_word_embeddings=tied, num_key_value_heads=kv_heads, **changes
    )


def randomise_trained(model, seed: int) -> None:
    """Every trained tensor away from where it starts, so that nothing is right by being zero."""
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=random), alpha=0.1)


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
