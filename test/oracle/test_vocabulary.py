"""A vocabulary that grows when a model is loaded, as numpy and PEFT see what the run leaves."""

import json

import numpy
import pytest
import torch
from conftest import events, relative_difference, run_engine, run_probe, write_plan, write_shard
from models import loss_sum, random_llama, random_rows
from peft import PeftModel
from safetensors.numpy import load_file
from transformers import AutoModelForCausalLM

BASE, GROWN = 320, 350
ADAPTER = {
    "r": 4,
    "alpha": 8,
    "dropout": 0.0,
    "use_rslora": False,
    "target_modules": ["q_proj", "v_proj", "down_proj"],
    "modules_to_save": [],
}


def zip_tie_map(path):
    random = numpy.random.default_rng(3)
    shares = {}
    for new in range(BASE, GROWN):
        count = int(random.integers(1, 7))
        weights = random.random(count)
        shares[str(new)] = [
            [int(base), float(weight)] for base, weight in zip(random.integers(0, BASE, count), weights / weights.sum())
        ]
    path.write_text(json.dumps(shares))
    return shares


def expected_rows(initialization, shares, old):
    old = old.astype(numpy.float64)
    if initialization == "mean":
        return numpy.tile(old.mean(axis=0), (GROWN - BASE, 1))
    return numpy.array([sum(weight * old[base] for base, weight in shares[str(new)]) for new in range(BASE, GROWN)])


def train(tmp_path, initialization, *, adapter, steps=3):
    shares = zip_tie_map(tmp_path / "map.json")
    rows = random_rows(8, GROWN, seed=71)
    write_shard(tmp_path / "rows.safetensors", rows)
    vocabulary = {
        "size": GROWN,
        "initialization": initialization,
        "map": str(tmp_path / "map.json") if initialization == "zip-tie" else None,
        "seed": 5,
    }
    run = tmp_path / "run"
    plan = write_plan(
        run,
        model={"path": str(tmp_path / "model"), "vocabulary": vocabulary},
        shard=tmp_path / "rows.safetensors",
        steps=steps,
        adapter=adapter,
    )
    run_engine("train", str(plan))
    return run, rows, shares


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("initialization", ["random", "mean", "zip-tie"])
def test_an_adapters_run_leaves_the_grown_base_that_it_was_trained_on(initialization, tied, tmp_path):
    random_llama(tmp_path / "model", tied=tied, kv_heads=2, seed=71)
    run, rows, shares = train(tmp_path, initialization, adapter=ADAPTER)
    before = load_file(str(tmp_path / "model" / "model.safetensors"))
    after = load_file(str(run / "base" / "model.safetensors"))
    assert before.keys() == after.keys()
    for name, old in before.items():
        assert after[name][: len(old)].tobytes() == old.tobytes(), name
        if name not in ("model.embed_tokens.weight", "lm_head.weight"):
            continue
        new = after[name][BASE:]
        assert new.shape == (GROWN - BASE, 64)
        if initialization == "random":
            assert abs(new.std() / 0.15 - 1) < 0.1 and abs(new.mean()) < 0.02
        else:
            assert numpy.abs(new - expected_rows(initialization, shares, old)).max() < 1e-7

    config = json.loads((run / "adapter" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(run / "base")
    base = AutoModelForCausalLM.from_pretrained(run / "base", dtype=torch.float32)
    assert base.config.vocab_size == GROWN
    model = PeftModel.from_pretrained(base, run / "adapter").eval()
    with torch.no_grad():
        reference = torch.cat([model(input_ids=torch.tensor([ids])).logits[0] for ids, _ in rows]).numpy()
    output = tmp_path / "probe.safetensors"
    run_probe(
        "logits",
        "--model", str(run / "base"),
        "--adapter", str(run / "adapter"),
        "--shard", str(tmp_path / "rows.safetensors"),
        "--output", str(output),
    )  # fmt: skip
    assert relative_difference(load_file(str(output))["logits"], reference) < 1e-4

    run_engine(
        "export", "--model", str(run / "base"), "--adapter", str(run / "adapter"), "--output", str(tmp_path / "merged")
    )
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged", dtype=torch.float32)
    assert merged.config.vocab_size == GROWN


def test_new_rows_of_a_half_precision_base_are_written_as_they_were_trained_on(tmp_path):
    random_llama(tmp_path / "model", tied=False, kv_heads=2, seed=73).to(torch.bfloat16).save_pretrained(
        tmp_path / "model"
    )
    run, _, _ = train(tmp_path, "zip-tie", adapter=ADAPTER, steps=1)
    base = AutoModelForCausalLM.from_pretrained(run / "base")
    assert base.dtype == torch.bfloat16
    first = events(run, "step")[0]
    # The loss of step 1 is the base's, since a new adapter changes nothing.
    rows = random_rows(8, GROWN, seed=71)[:4]
    with torch.no_grad():
        total, tokens = loss_sum(base.float().eval(), rows)
    assert abs(first["loss"] - total.item() / tokens) / first["loss"] < 1e-5


def test_training_every_weight_writes_the_grown_model_itself(tmp_path):
    random_llama(tmp_path / "model", tied=True, kv_heads=2, seed=75)
    run, _, _ = train(tmp_path, "mean", adapter=None)
    assert not (run / "base").exists()
    model = AutoModelForCausalLM.from_pretrained(run / "model", dtype=torch.float32)
    assert model.get_input_embeddings().weight.shape == (GROWN, 64)
