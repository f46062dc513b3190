"""Adapters in PEFT's files: its own give its logits here, ours give our logits there."""

import json

import pytest
import torch
from conftest import probe_logits, relative_difference, run_engine, run_probe, write_plan, write_shard
from models import random_model, random_rows
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.numpy import load_file
from test_gradients import ADAPTERS, CASES, adapted
from transformers import AutoModelForCausalLM

ROWS = random_rows(3, 320, seed=21)


def logits_of(model) -> list:
    with torch.no_grad():
        return torch.cat([model(input_ids=torch.tensor([ids])).logits[0] for ids, _ in ROWS]).numpy()


def by_peft(base, adapter):
    return PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), adapter).eval()


@pytest.mark.parametrize(("adapter", "tied"), CASES)
def test_adapters_go_both_ways(adapter, tied, tmp_path):
    base = tmp_path / "model"
    model = random_model(base, seed=9, tie_word_embeddings=tied)
    plain = logits_of(model)
    theirs = logits_of(adapted(model, tmp_path / "theirs", adapter))
    assert relative_difference(theirs, plain) > 0.01  # the adapter does something

    here = probe_logits(base, ROWS, tmp_path, "--adapter", str(tmp_path / "theirs"))["logits"]
    assert relative_difference(here, theirs) < 1e-4

    run_probe(
        "rewrite-adapter",
        *("--model", str(base), "--adapter", str(tmp_path / "theirs"), "--output", str(tmp_path / "ours")),
    )
    ours = by_peft(base, tmp_path / "ours")
    assert relative_difference(logits_of(ours), here) < 1e-4
    # The same tensors as PEFT's, but for the frozen tables that it saves below adapted ends.
    written = load_file(tmp_path / "ours" / "adapter_model.safetensors")
    expected = load_file(tmp_path / "theirs" / "adapter_model.safetensors")
    assert written.keys() == {name for name in expected if not name.endswith(".base_layer.weight")}
    for name, tensor in written.items():
        assert (tensor == expected[name]).all(), name


def test_ends_that_peft_adapted_apart_in_a_tied_model_stay_apart(tmp_path):
    model = random_model(tmp_path / "model", seed=9, tie_word_embeddings=True)
    for adapter in ("head alone", "some, embedding", "everywhere"):
        directory = tmp_path / adapter.replace(" ", "-")
        wrapped = adapted(model, directory, adapter, ensure_weight_tying=False)
        here = probe_logits(tmp_path / "model", ROWS, tmp_path, "--adapter", str(directory))["logits"]
        assert relative_difference(here, logits_of(wrapped)) < 1e-4
        model = wrapped.unload()


@pytest.mark.parametrize("tied", [False, True])
def test_a_fresh_adapter_starts_as_pefts(tied, tmp_path):
    """Zero where PEFT has zeros, the same spread where it draws numbers."""
    base = tmp_path / "model"
    model = random_model(base, seed=9, tie_word_embeddings=tied, vocab_size=640)
    config = LoraConfig(r=16, task_type="CAUSAL_LM", ensure_weight_tying=tied, **ADAPTERS["everywhere"])
    get_peft_model(model, config).save_pretrained(tmp_path / "fresh")
    run_probe(
        "rewrite-adapter",
        *("--model", str(base), "--adapter", str(tmp_path / "fresh"), "--output", str(tmp_path / "ours"), "--fresh"),
    )
    ours = load_file(tmp_path / "ours" / "adapter_model.safetensors")
    for name, tensor in load_file(tmp_path / "fresh" / "adapter_model.safetensors").items():
        if name.endswith(".base_layer.weight"):
            continue
        assert (ours[name] == 0).all() == (tensor == 0).all(), name
        assert ours[name].std() == pytest.approx(tensor.std(), rel=0.15), name
    written = json.loads((tmp_path / "ours" / "adapter_config.json").read_text())
    assert written["ensure_weight_tying"] == tied


@pytest.mark.parametrize("tied", [False, True])
def test_peft_loads_a_checkpoint_of_a_run_as_it_loads_its_adapter(tied, tmp_path):
    base = tmp_path / "model"
    plain = logits_of(random_model(base, seed=9, tie_word_embeddings=tied))
    write_shard(tmp_path / "shard.safetensors", ROWS)
    run = tmp_path / "run"
    plan = write_plan(
        run,
        model={"path": str(base)},
        shard=tmp_path / "shard.safetensors",
        steps=3,
        checkpointing={"save_steps": 1, "save_total_limit": None},
        adapter={
            "r": 3,
            "alpha": 8,
            "dropout": 0.0,
            "use_rslora": False,
            "target_modules": ["q_proj", "down_proj", "embed_tokens", *([] if tied else ["lm_head"])],
            "modules_to_save": ["norm"],
        },
    )
    run_engine("train", str(plan))
    trained = logits_of(by_peft(base, run / "adapter"))
    assert relative_difference(trained, plain) > 0.01
    assert (logits_of(by_peft(base, run / "checkpoints" / "step-3")) == trained).all()
    assert relative_difference(logits_of(by_peft(base, run / "checkpoints" / "step-1")), trained) > 0.001
