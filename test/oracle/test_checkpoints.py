"""Checkpoints that transformers and bitsandbytes saved: sharded, and quantised to 4 bits."""

import json
import os
import subprocess

import numpy
import pytest
import torch
from conftest import ENGINE, relative_difference, run_engine, run_probe, write_shard
from models import loss_sum, random_llama, random_rows
from safetensors.numpy import load_file, save_file
from safetensors.torch import load_file as load_torch_file
from transformers import AutoModelForCausalLM, BitsAndBytesConfig


def quantise(directory, output, *, double_quant=True, quant_type="nf4", storage="uint8"):
    """Has transformers and bitsandbytes quantise a model and save it; gives the model that they run."""
    config = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type=quant_type,
        bnb_4bit_use_double_quant=double_quant,
        bnb_4bit_compute_dtype=torch.float32,
        bnb_4bit_quant_storage=storage,
    )
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32, quantization_config=config)
    model.save_pretrained(output)
    return model.eval()


def our_logits(directory, rows, tmp_path):
    write_shard(tmp_path / "rows.safetensors", rows)
    output = tmp_path / "probe.safetensors"
    run_probe(
        "logits", "--model", str(directory), "--shard", str(tmp_path / "rows.safetensors"), "--output", str(output)
    )
    return load_file(str(output))


def check(model, directory, rows, tmp_path, tolerance=1e-4):
    result = our_logits(directory, rows, tmp_path)
    with torch.no_grad():
        reference = torch.cat([model(input_ids=torch.tensor([ids])).logits[0] for ids, _ in rows]).numpy()
        total, _ = loss_sum(model, rows)
    assert relative_difference(result["logits"], reference) < tolerance
    assert relative_difference(result["loss_sum"], [total.item()]) < tolerance


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("double_quant", [True, False])
def test_a_checkpoint_quantised_by_bitsandbytes_gives_its_logits(tied, double_quant, tmp_path):
    random_llama(tmp_path / "model", tied=tied, kv_heads=2, seed=41)
    model = quantise(tmp_path / "model", tmp_path / "quantised", double_quant=double_quant)
    assert any(name.endswith("bitsandbytes__nf4") for name in load_file(str(tmp_path / "quantised/model.safetensors")))
    check(model, tmp_path / "quantised", random_rows(4, 320, seed=41), tmp_path)


@pytest.mark.parametrize("stored", ["NF4, doubly quantised", "NF4", "bfloat16"])
def test_a_model_is_run_in_the_form_that_it_is_stored_in(stored, tmp_path):
    """The engine keeps it so in memory; likelihoods are those of transformers, which computes in float32."""
    model = random_llama(tmp_path / "model", tied=False, kv_heads=2, seed=53)
    if stored == "bfloat16":
        model.to(torch.bfloat16).save_pretrained(tmp_path / "stored")
        model = AutoModelForCausalLM.from_pretrained(tmp_path / "stored", dtype=torch.float32).eval()
    else:
        model = quantise(tmp_path / "model", tmp_path / "stored", double_quant="doubly" in stored)
    rows = random_rows(4, 320, seed=53)
    requests = [{"id": i, "input_ids": ids[:2], "continuation_ids": ids[2:]} for i, (ids, _) in enumerate(rows)]
    (tmp_path / "requests.jsonl").write_text("".join(json.dumps(request) + "\n" for request in requests))
    done = run_engine("score", "--model", str(tmp_path / "stored"), "--requests", str(tmp_path / "requests.jsonl"))
    scores = {answer["id"]: answer["token_log_likelihoods"] for answer in map(json.loads, done.stdout.splitlines())}
    for i, (ids, _) in enumerate(rows):
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([ids])).logits[0]
        reference = torch.log_softmax(logits, -1)[torch.arange(1, len(ids) - 1), torch.tensor(ids[2:])]
        assert relative_difference(scores[i], reference.numpy()) < 1e-4


def test_codes_that_are_stored_as_another_type_are_the_same_codes(tmp_path):
    random_llama(tmp_path / "model", tied=False, kv_heads=2, seed=43)
    model = quantise(tmp_path / "model", tmp_path / "quantised", storage="bfloat16")
    stored = load_torch_file(str(tmp_path / "quantised" / "model.safetensors"))
    assert stored["model.layers.0.mlp.up_proj.weight"].dtype == torch.bfloat16
    check(model, tmp_path / "quantised", random_rows(3, 320, seed=43), tmp_path)


@pytest.mark.parametrize("tied", [True, False])
def test_a_sharded_checkpoint_gives_the_logits_of_transformers(tied, tmp_path):
    model = random_llama(tmp_path / "whole", tied=tied, kv_heads=2, seed=45)
    model.save_pretrained(tmp_path / "sharded", max_shard_size="100KB")
    assert len(list((tmp_path / "sharded").glob("*.safetensors"))) > 2
    check(model, tmp_path / "sharded", random_rows(4, 320, seed=45), tmp_path, 1e-5)


def refusal(directory) -> str:
    """What the engine says of a model that it refuses, with exit status 1."""
    done = subprocess.run([str(ENGINE), "describe", "--model", str(directory)], capture_output=True, text=True)
    assert done.returncode == 1, done.stdout
    assert done.stdout == ""
    return done.stderr


def test_other_quantisations_are_refused_by_name(tmp_path):
    random_llama(tmp_path / "model", tied=False, kv_heads=2, seed=47)
    quantise(tmp_path / "model", tmp_path / "fp4", quant_type="fp4")
    assert "quantization_config.bnb_4bit_quant_type: 'fp4' is not supported" in refusal(tmp_path / "fp4")

    quantise(tmp_path / "model", tmp_path / "nf4")
    weights = tmp_path / "nf4" / "model.safetensors"
    good = load_file(str(weights))
    name = "model.layers.0.mlp.up_proj.weight"
    state = f"{name}.quant_state.bitsandbytes__nf4"

    def refused_with(changes: dict, without: tuple = ()) -> str:
        tensors = {key: value for key, value in good.items() if key not in without}
        save_file(tensors | changes, str(weights))
        return refusal(tmp_path / "nf4")

    def state_with(**changes):
        described = json.loads(good[state].tobytes()) | changes
        return {state: numpy.frombuffer(json.dumps(described).encode(), dtype=numpy.uint8)}

    where = f"{weights}: tensor '{name}"
    assert f"{where}.quant_state.bitsandbytes__nf4': blocksize: 128 is not supported" in refused_with(
        state_with(blocksize=128)
    )
    assert "nested_blocksize: 512 is not supported" in refused_with(state_with(nested_blocksize=512))
    assert "quant_type: 'fp4' is not supported" in refused_with(state_with(quant_type="fp4"))
    assert "was quantised from shape [64, 112], the model needs [112, 64]" in refused_with(
        state_with(shape=[64, 112])
    )
    assert "bytes of codes, shape [112, 65] needs" in refused_with(state_with(shape=[112, 65]))
    assert "shape: is not the shape of a weight" in refused_with(state_with(shape=[2**62, 2**62]))
    assert f"{state}': 70000 bytes are too many for what it should hold" in refused_with(
        {state: numpy.full(70000, ord(" "), dtype=numpy.uint8)}
    )
    assert "nested_offset: expected a number" in refused_with(state_with(nested_offset="1"))
    assert f"{where}.quant_map' is not bitsandbytes' table of codes" in refused_with(
        {f"{name}.quant_map": good[f"{name}.quant_map"][::-1].copy()}
    )
    assert f"there is no '{name}.absmax'" in refused_with({}, (f"{name}.absmax",))
    assert f"{where}.absmax' is U8 [3], the quantised weight needs U8 of 112 elements" in refused_with(
        {f"{name}.absmax": good[f"{name}.absmax"][:3]}
    )
    assert f"{where}' has shape [3584, 1], the model needs [112, 64]" in refused_with({}, (state,))


def test_a_missing_shard_is_refused_by_its_name(tmp_path):
    model = random_llama(tmp_path / "model", tied=True, kv_heads=2, seed=49)
    model.save_pretrained(tmp_path / "sharded", max_shard_size="100KB")
    missing = sorted((tmp_path / "sharded").glob("*.safetensors"))[1]
    os.remove(missing)
    assert f"{missing}: cannot open: No such file or directory" in refusal(tmp_path / "sharded")


def test_a_quantised_scale_that_is_not_finite_is_found_when_it_is_read(tmp_path):
    random_llama(tmp_path / "model", tied=True, kv_heads=2, seed=51)
    quantise(tmp_path / "model", tmp_path / "nf4")
    weights = tmp_path / "nf4" / "model.safetensors"
    tensors = load_file(str(weights))
    name = "model.layers.1.self_attn.q_proj.weight.nested_absmax"
    tensors[name] = numpy.full_like(tensors[name], numpy.nan)
    save_file(tensors, str(weights))
    with pytest.raises(AssertionError, match=r"nested_absmax' holds nan at element 0"):
        our_logits(tmp_path / "nf4", random_rows(1, 320, seed=1), tmp_path)
