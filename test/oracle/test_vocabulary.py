"""A vocabulary that grows when a model is loaded, as numpy, PEFT and transformers see what the run leaves."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy
import pytest
import torch
from conftest import ENGINE, ROOT, events, relative_difference, run_engine, run_probe, write_plan, write_shard
from models import loss_sum, random_llama, random_rows
from peft import PeftModel
from safetensors.numpy import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

BASE, GROWN = 320, 350
# Of a base with rows that no token uses.
TOKENS = 300
ADAPTER = {
    "r": 4,
    "alpha": 8,
    "dropout": 0.0,
    "use_rslora": False,
    "target_modules": ["q_proj", "v_proj", "down_proj"],
    "modules_to_save": [],
}


EXAMPLE = ROOT / "examples" / "traditional-chinese"
PROGRAM = ROOT / "dist" / "cli.js"


def zip_tie_map(path, tokens=BASE, grown=GROWN):
    random = numpy.random.default_rng(3)
    shares = {}
    for new in range(tokens, grown):
        count = int(random.integers(1, 7))
        weights = random.random(count)
        shares[str(new)] = [
            [int(base), float(weight)] for base, weight in zip(random.integers(0, tokens, count), weights / weights.sum())
        ]
    path.write_text(json.dumps(shares))
    return shares


def expected_rows(initialization, shares, old, tokens=BASE, grown=GROWN):
    old = old[:tokens].astype(numpy.float64)
    if initialization == "mean":
        return numpy.tile(old.mean(axis=0), (grown - tokens, 1))
    return numpy.array([sum(weight * old[base] for base, weight in shares[str(new)]) for new in range(tokens, grown)])


def train(tmp_path, initialization, *, adapter, steps=3, tokens=None, grown=GROWN):
    shares = zip_tie_map(tmp_path / "map.json", tokens or BASE, grown)
    rows = random_rows(8, grown, seed=71)
    write_shard(tmp_path / "rows.safetensors", rows)
    vocabulary = {
        "size": grown,
        "base_size": tokens,
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


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("initialization", ["random", "mean", "zip-tie"])
@pytest.mark.parametrize("grown", [BASE - 5, BASE, GROWN])
def test_new_tokens_take_rows_that_no_token_of_the_base_uses(grown, initialization, tied, tmp_path):
    random_llama(tmp_path / "model", tied=tied, kv_heads=2, seed=77)
    run, rows, shares = train(tmp_path, initialization, adapter=ADAPTER, steps=1, tokens=TOKENS, grown=grown)
    before = load_file(str(tmp_path / "model" / "model.safetensors"))
    after = load_file(str(run / "base" / "model.safetensors"))
    for name, old in before.items():
        if name not in ("model.embed_tokens.weight", "lm_head.weight"):
            assert after[name].tobytes() == old.tobytes(), name
            continue
        assert after[name].shape == (max(BASE, grown), 64)
        assert after[name][:TOKENS].tobytes() == old[:TOKENS].tobytes(), name
        assert after[name][grown:].tobytes() == old[grown:].tobytes(), name
        new = after[name][TOKENS:grown]
        if initialization == "random":
            assert abs(new.std() / 0.15 - 1) < 0.15 and abs(new.mean()) < 0.02
            assert not numpy.any(new[: BASE - TOKENS] == old[TOKENS:grown])
        else:
            expected = expected_rows(initialization, shares, old, TOKENS, grown)
            assert numpy.abs(new - expected).max() < 1e-7

    # What the run says of its first step is the loss of that base.
    base = AutoModelForCausalLM.from_pretrained(run / "base", dtype=torch.float32)
    assert base.config.vocab_size == max(BASE, grown)
    with torch.no_grad():
        total, tokens = loss_sum(base.eval(), rows[:4])
    assert abs(events(run, "step")[0]["loss"] - total.item() / tokens) < 1e-4


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


def texts() -> list[str]:
    return [json.loads(line)["text"] for line in (EXAMPLE / "data" / "corpus.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def extended(tmp_path_factory) -> dict:
    """The example's tokenizer with more tokens, and its zip-tie map beside it."""
    directory = tmp_path_factory.mktemp("extended")
    config = {
        "stage": "vocabulary",
        "tokenizer_name_or_path": str(EXAMPLE / "tokenizer"),
        "dataset": str(EXAMPLE / "data" / "corpus.jsonl"),
        "scripts": ["Han"],
        "vocab_size": 2500,
    }
    (directory / "han.ziptie.yaml").write_text(json.dumps(config))
    command = ["node", str(PROGRAM), "extend-vocabulary", str(directory / "han.ziptie.yaml"), "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "ZIPTIE_ENGINE": str(ENGINE)})
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize("unused", [0, 7, 100_000])
def test_a_model_grown_by_a_real_tokenizer_is_exported_as_one_that_transformers_loads_whole(unused, extended, tmp_path):
    """`unused`: rows of the base beyond its tokens: none, fewer than there are new tokens, or more."""
    directory, tokens, added = Path(extended["tokenizer"]), extended["base_size"], extended["added"]
    assert added > 7
    unused = min(unused, added + 5)
    model = tmp_path / "model"
    random_llama(model, tied=False, kv_heads=2, seed=79, vocab_size=tokens + unused)
    for file in (EXAMPLE / "tokenizer").iterdir():
        shutil.copy(file, model)
    tokenizer = AutoTokenizer.from_pretrained(directory)
    rows = [[1, *tokenizer(text, add_special_tokens=False)["input_ids"], 2][:96] for text in texts()[:24]]
    assert len({id for row in rows for id in row if id >= tokens}) > 10
    rows = [(row, [1] * len(row)) for row in rows]
    write_shard(tmp_path / "rows.safetensors", rows)
    vocabulary = {
        "size": tokens + added,
        "base_size": tokens,
        "initialization": "zip-tie",
        "map": str(directory / "zip-tie.json"),
        "seed": 1,
    }
    run = tmp_path / "run"
    plan = write_plan(
        run,
        model={"path": str(model), "vocabulary": vocabulary},
        shard=tmp_path / "rows.safetensors",
        steps=8,
        adapter=ADAPTER | {"target_modules": [*ADAPTER["target_modules"], "embed_tokens", "lm_head"]},
        quantization={"type": "nf4", "double_quant": True},
        tokenizer_files=[str(directory / name) for name in ("tokenizer.json", "tokenizer_config.json")],
    )
    run_engine("train", str(plan))
    merged = tmp_path / "merged"
    run_engine("export", "--model", str(run / "base"), "--adapter", str(run / "adapter"), "--output", str(merged))

    loaded = AutoTokenizer.from_pretrained(merged)
    whole = AutoModelForCausalLM.from_pretrained(merged, dtype=torch.float32).eval()
    assert len(loaded) == tokens + added
    assert whole.config.vocab_size == tokens + max(added, unused)
    for text in texts()[:24]:
        ids = loaded(text, add_special_tokens=False)["input_ids"]
        assert ids == tokenizer(text, add_special_tokens=False)["input_ids"]
        assert loaded.decode(ids) == text

    base = AutoModelForCausalLM.from_pretrained(run / "base", dtype=torch.float32).eval()
    with torch.no_grad():
        plain = torch.cat([base(input_ids=torch.tensor([ids])).logits[0] for ids, _ in rows]).numpy()
        ours = torch.cat([whole(input_ids=torch.tensor([ids])).logits[0] for ids, _ in rows]).numpy()
        peft = PeftModel.from_pretrained(base, run / "adapter").eval()
        expected = torch.cat([peft(input_ids=torch.tensor([ids])).logits[0] for ids, _ in rows]).numpy()
    # It has learned, so that there was something to merge.
    assert relative_difference(ours, plain) > 1e-2
    assert relative_difference(ours, expected) < 1e-4
    for arguments in [("--model", merged), ("--model", run / "base", "--adapter", run / "adapter")]:
        output = tmp_path / "probe.safetensors"
        shard = ("--shard", str(tmp_path / "rows.safetensors"))
        run_probe("logits", *map(str, arguments), *shard, "--output", str(output))
        assert relative_difference(load_file(str(output))["logits"], ours) < 1e-4
