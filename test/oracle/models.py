"""Reference models and reference training, by transformers, PEFT and PyTorch."""

import re
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
    Trainer,
    get_scheduler,
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


def learnable_rows(count: int, vocabulary: int, seed: int) -> list[tuple[list[int], list[int]]]:
    """Rows of a few phrases in random order, of which the loss mask leaves out the first: which words there are can be
    learned, and what follows a word within a phrase."""
    random = numpy.random.default_rng(seed)
    phrases = [random.choice(numpy.arange(3, vocabulary), 6, replace=False).tolist() for _ in range(8)]
    rows = []
    for _ in range(count):
        chosen = random.integers(0, len(phrases), int(random.integers(2, 7)))
        ids = [token for phrase in chosen for token in phrases[phrase]]
        rows.append((ids, [0] * 6 + [1] * (len(ids) - 6)))
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


def parameter_groups(model, settings: dict) -> list[dict]:
    """The trained parameters of a model by name, as torch's groups, for a plan's `optimizer`: those that transformers'
    Trainer spares get no decay; those of embedding and head have their rate, by `lr_scale`."""
    decaying = set(Trainer.get_decay_parameter_names(None, model))
    groups = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        of_ends = re.search(r"\b(embed_tokens|lm_head)\b", name) is not None
        groups.setdefault((of_ends, name in decaying), []).append((name, parameter))
    embedding_rate = settings["embedding_learning_rate"] or settings["learning_rate"]
    return [
        {
            "params": named,
            "lr": settings["learning_rate"],
            "lr_scale": embedding_rate / settings["learning_rate"] if of_ends else 1.0,
            "weight_decay": settings["weight_decay"] if decays else 0.0,
        }
        for (of_ends, decays), named in groups.items()
    ]


def adamw(model, settings: dict) -> torch.optim.Optimizer:
    """torch.optim.AdamW as a plan's `optimizer` sets it."""
    return torch.optim.AdamW(
        parameter_groups(model, settings), betas=tuple(settings["betas"]), eps=settings["epsilon"]
    )


def scheduled_rates(schedule: dict, peak: float) -> list[float]:
    """The learning rate of each step, by transformers' scheduler of that name, as its Trainer would use it."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=peak)
    scheduler = get_scheduler(
        schedule["name"],
        optimizer,
        num_warmup_steps=schedule["warmup_steps"],
        num_training_steps=schedule["steps"],
        scheduler_specific_kwargs=(
            {"min_lr_rate": schedule["min_lr_rate"]} if schedule["name"] == "cosine_with_min_lr" else None
        ),
    )
    rates = []
    for _ in range(schedule["steps"]):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def warmed_up(rates: list[float], warmup_steps: int, peak: float) -> list[float]:
    """The same with the warm-up that native/README.md states: its step s, from 1, has s / warmup_steps of the peak, where
    transformers' has (s - 1) / warmup_steps, whose first step learns nothing."""
    return [peak * (step + 1) / warmup_steps for step in range(warmup_steps)] + rates[warmup_steps:]


def train(model, rows, *, steps, batch_size, accumulation, optimizer, rate, max_grad_norm) -> list[dict]:
    """Optimizer steps over `rows` in order, round and round; `rate(step)` is the learning rate of step 1, 2, …, of which
    a parameter group has its `lr_scale`.

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
            group["lr"] = rate(step) * group["lr_scale"]
        optimizer.step()
        history.append({"loss": loss.item(), "grad_norm": norm.item()})
    return history
