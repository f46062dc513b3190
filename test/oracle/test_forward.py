"""Logits, loss and greedy continuations of the engine against transformers."""

import json

import numpy
import pytest
import torch
from conftest import probe_logits, relative_difference, run_engine
from models import LLAMA3_ROPE, SHAPES, loss_sum, random_llama, random_model, random_rows
from transformers import AutoModelForCausalLM, LlamaForCausalLM


def check(model, directory, rows, tmp_path):
    result = probe_logits(directory, rows, tmp_path)
    with torch.no_grad():
        reference = torch.cat([model(input_ids=torch.tensor([ids])).logits[0] for ids, _ in rows]).numpy()
        total, tokens = loss_sum(model, rows)
    assert relative_difference(result["logits"], reference) < 1e-5
    assert int(result["loss_tokens"][0]) == tokens
    assert relative_difference(result["loss_sum"], [total.item()]) < 1e-5


def test_stories260k_gives_the_logits_and_loss_of_transformers(stories, tmp_path):
    model = AutoModelForCausalLM.from_pretrained(stories, dtype=torch.float32).eval()
    check(model, stories, random_rows(6, 512, seed=3, longest=200), tmp_path)


@pytest.mark.parametrize("shape", SHAPES)
def test_random_models_give_the_logits_and_loss_of_transformers(shape, tmp_path):
    family, settings = SHAPES[shape]
    model = random_model(tmp_path / "model", family, seed=3, **settings)
    check(model, tmp_path / "model", random_rows(5, 320, seed=4, longest=64), tmp_path)


def test_a_config_of_transformers_4_is_understood_like_that_of_5(tmp_path):
    model = random_model(tmp_path / "model", seed=3, rope_scaling=LLAMA3_ROPE, rope_theta=5e5)
    path = tmp_path / "model" / "config.json"
    config = json.loads(path.read_text())
    parameters = config.pop("rope_parameters")
    config["rope_theta"] = parameters.pop("rope_theta")
    config["rope_scaling"] = parameters
    path.write_text(json.dumps(config))
    check(model, tmp_path / "model", random_rows(3, 320, seed=4, longest=200), tmp_path)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_weights_are_read_exactly(dtype, tmp_path):
    random_llama(tmp_path / "full", tied=False, kv_heads=2, seed=5).to(dtype).save_pretrained(tmp_path / "half")
    widened = LlamaForCausalLM.from_pretrained(tmp_path / "half", dtype=torch.float32).eval()
    check(widened, tmp_path / "half", random_rows(3, 320, seed=5), tmp_path)


def test_greedy_continuations_equal_transformers(stories, tmp_path):
    model = AutoModelForCausalLM.from_pretrained(stories, dtype=torch.float32).eval()
    prompts = [[1, 403], [1, 317, 290, 264], [1, 450, 261, 280, 300, 270]]
    prompt_file = tmp_path / "prompts.jsonl"
    prompt_file.write_text("".join(json.dumps({"id": str(i), "input_ids": p}) + "\n" for i, p in enumerate(prompts)))
    done = run_engine("generate", "--model", str(stories), "--prompts", str(prompt_file), "--max-new-tokens", "40")
    answers = {a["id"]: a["output_ids"] for a in map(json.loads, done.stdout.splitlines())}
    for i, prompt in enumerate(prompts):
        reference = model.generate(torch.tensor([prompt]), max_new_tokens=40, do_sample=False, pad_token_id=0)
        expected = reference[0, len(prompt) :].tolist()
        got = answers[str(i)]
        assert got == (expected[: len(got)] if expected[-1:] == [2] else expected), i
        assert len(got) >= len(expected) - 1
