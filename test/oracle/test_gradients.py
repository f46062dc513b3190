"""The gradient of every trained tensor against torch.autograd, and what must not change it."""

import pytest
import torch
from conftest import probe_logits, relative_difference
from models import SHAPES, loss_sum, random_model, random_rows, randomise_trained
from peft import LoraConfig, get_peft_model

LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
EVERYWHERE = [*LINEAR, "embed_tokens", "lm_head"]
ROWS = random_rows(4, 320, seed=11, longest=60)

# What of a model an adapter trains: PEFT's settings.
ADAPTERS = {
    "every linear layer": {"target_modules": LINEAR},
    "everywhere": {"target_modules": EVERYWHERE},
    "everywhere, rsLoRA": {"target_modules": EVERYWHERE, "use_rslora": True},
    "some, embedding": {"target_modules": ["q_proj", "up_proj", "embed_tokens"]},
    "head alone": {"target_modules": ["lm_head"]},
    "one layer": {"target_modules": ["layers.1.self_attn.v_proj", "layers.1.mlp.down_proj"]},
    "saved ends": {"target_modules": LINEAR, "modules_to_save": ["embed_tokens", "lm_head"]},
    "saved norms": {"target_modules": ["k_proj"], "modules_to_save": ["norm"]},
    "adapted embedding, saved head": {"target_modules": ["o_proj", "embed_tokens"], "modules_to_save": ["lm_head"]},
}
# Adapter, tied or not; in a tied model a saved head is a saved embedding, which is not adapted besides.
CASES = [(a, tied) for a in ADAPTERS for tied in (False, True) if not (tied and a == "adapted embedding, saved head")]


def adapted(model, directory, adapter, **settings):
    """`model` with a random adapter, which is saved in `directory`."""
    tied = model.config.tie_word_embeddings
    config = LoraConfig(
        **{"r": 3, "lora_alpha": 8, "task_type": "CAUSAL_LM", "ensure_weight_tying": tied, **ADAPTERS[adapter], **settings}
    )
    wrapped = get_peft_model(model, config)
    randomise_trained(wrapped, seed=5)
    wrapped.save_pretrained(directory)
    return wrapped.eval()


def by_engine_name(wrapped) -> dict[str, torch.Tensor]:
    """Gradients of a PEFT model under the engine's names, and in its shapes."""
    gradients = {}

    def add(name, gradient):
        gradients[name] = gradients[name] + gradient if name in gradients else gradient

    tied = wrapped.config.tie_word_embeddings
    for name, parameter in wrapped.named_parameters():
        if not parameter.requires_grad:
            continue
        name, gradient = name.replace(".default", ""), parameter.grad
        if tied and "lm_head.lora_" in name:
            # The other end of the embedding's adapter, whose gradient is the sum of both.
            half = "B" if "lora_A" in name else "A"
            add(f"base_model.model.model.embed_tokens.lora_embedding_{half}", gradient)
        elif "lora_embedding_" in name:
            add(name, gradient.T)
        elif ".modules_to_save" in name:
            add(name.replace(".modules_to_save", "").removeprefix("base_model.model."), gradient)
        else:
            add(name, gradient)
    return gradients


def check_gradients(result, expected):
    assert {key.removeprefix("gradient.") for key in result if key.startswith("gradient.")} == expected.keys()
    for name, gradient in expected.items():
        assert gradient.norm() > 0, name
        assert relative_difference(result[f"gradient.{name}"], gradient.numpy()) < 1e-4, name


@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_of_full_training_equal_autograd(shape, tmp_path):
    family, settings = SHAPES[shape]
    model = random_model(tmp_path / "model", family, seed=7, **settings)
    result = probe_logits(tmp_path / "model", ROWS, tmp_path, "--gradients")
    loss_sum(model, ROWS)[0].backward()
    check_gradients(result, {name: parameter.grad for name, parameter in model.named_parameters()})


@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_of_lora_everywhere_equal_autograd(shape, tmp_path):
    family, settings = SHAPES[shape]
    model = random_model(tmp_path / "model", family, seed=7, **settings)
    check_adapter(model, "everywhere", tmp_path)


@pytest.mark.parametrize(("adapter", "tied"), CASES)
def test_gradients_of_each_adapter_equal_autograd(adapter, tied, tmp_path):
    model = random_model(tmp_path / "model", "qwen2", seed=7, tie_word_embeddings=tied)
    check_adapter(model, adapter, tmp_path)


def check_adapter(model, adapter, tmp_path):
    wrapped = adapted(model, tmp_path / "adapter", adapter)
    result = probe_logits(
        tmp_path / "model", ROWS, tmp_path, "--adapter", str(tmp_path / "adapter"), "--gradients"
    )
    loss_sum(wrapped, ROWS)[0].backward()
    check_gradients(result, by_engine_name(wrapped))


@pytest.mark.parametrize("recompute", ["selective", "full"])
def test_what_is_computed_again_changes_no_bit(recompute, tmp_path):
    model = random_model(tmp_path / "model", seed=7)
    adapted(model, tmp_path / "adapter", "everywhere")
    adapter = ["--adapter", str(tmp_path / "adapter"), "--gradients"]
    kept = probe_logits(tmp_path / "model", ROWS, tmp_path, *adapter)
    again = probe_logits(tmp_path / "model", ROWS, tmp_path, *adapter, "--recompute", recompute)
    assert kept.keys() == again.keys()
    for name in kept:
        assert (kept[name] == again[name]).all(), name
