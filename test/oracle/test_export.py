"""Adapters merged by the engine against PEFT: the merged model is the base with its adapter."""

import json
import shutil
import subprocess

import pytest
import torch
from conftest import ENGINE, relative_difference, run_engine, run_probe, write_shard
from models import random_llama, random_rows
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.numpy import load_file
from test_checkpoints import quantise
from transformers import AutoModelForCausalLM, AutoTokenizer

LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
ROWS = random_rows(4, 320, seed=61)

# (tied, LoraConfig's settings, whether what is merged is tied)
ADAPTERS = {
    "linear": (False, dict(target_modules=LINEAR), False),
    "linear of a tied model": (True, dict(target_modules=LINEAR), True),
    "rsLoRA": (True, dict(target_modules=LINEAR, use_rslora=True, lora_alpha=7), True),
    "embedding and head": (False, dict(target_modules=[*LINEAR, "embed_tokens", "lm_head"]), False),
    "saved whole": (False, dict(target_modules=LINEAR, modules_to_save=["embed_tokens", "lm_head", "norm"]), False),
    "tied embedding and head": (
        True,
        dict(target_modules=["q_proj", "embed_tokens", "lm_head"], ensure_weight_tying=True),
        True,
    ),
    "tied and saved whole": (
        True,
        dict(target_modules=["q_proj"], modules_to_save=["embed_tokens"], ensure_weight_tying=True),
        True,
    ),
    "different adapters on a tied model": (True, dict(target_modules=["q_proj", "embed_tokens", "lm_head"]), False),
    "the head alone of a tied model": (True, dict(target_modules=["q_proj", "lm_head"]), False),
    "the embedding alone of a tied model": (True, dict(target_modules=["q_proj", "embed_tokens"]), False),
}


def adapted(base, settings, directory):
    """Puts a random adapter on `base`, saves it, and gives the model with it as PEFT loads it."""
    settings = dict(r=4, lora_alpha=8) | settings
    if "ensure_weight_tying" not in settings:
        settings["ensure_weight_tying"] = False
    model = get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", **settings))
    torch.manual_seed(5)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            parameter.data += torch.randn_like(parameter) * 0.1
    model.save_pretrained(directory)
    return model.eval()


def logits(model, rows=ROWS):
    with torch.no_grad():
        return torch.cat([model(input_ids=torch.tensor([ids])).logits[0] for ids, _ in rows]).numpy()


def our_logits(tmp_path, *arguments):
    write_shard(tmp_path / "rows.safetensors", ROWS)
    output = tmp_path / "probe.safetensors"
    run_probe("logits", *arguments, "--shard", str(tmp_path / "rows.safetensors"), "--output", str(output))
    return load_file(str(output))["logits"]


def export(model, adapter, output, *extra):
    run_engine("export", "--model", str(model), "--adapter", str(adapter), "--output", str(output), *extra)


def load(directory):
    return AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()


@pytest.mark.parametrize("case", ADAPTERS)
def test_the_merged_model_is_the_base_with_its_adapter(case, tmp_path):
    tied, settings, stays_tied = ADAPTERS[case]
    random_llama(tmp_path / "base", tied=tied, kv_heads=2, seed=63)
    reference = adapted(load(tmp_path / "base"), settings, tmp_path / "adapter")
    expected = logits(reference)
    assert relative_difference(expected, logits(load(tmp_path / "base"))) > 1e-2, "the adapter changes nothing"

    export(tmp_path / "base", tmp_path / "adapter", tmp_path / "merged")
    merged = load(tmp_path / "merged")
    assert merged.config.tie_word_embeddings == stays_tied
    assert relative_difference(logits(merged), expected) < 1e-4
    assert relative_difference(our_logits(tmp_path, "--model", str(tmp_path / "merged")), expected) < 1e-4
    if not tied or settings["target_modules"] == LINEAR:  # elsewhere PEFT's own merge changes the one table twice
        assert relative_difference(logits(reference.merge_and_unload()), logits(merged)) < 1e-4


def test_a_quantised_base_is_dequantised_and_merged(tmp_path):
    random_llama(tmp_path / "base", tied=False, kv_heads=2, seed=65)
    model = quantise(tmp_path / "base", tmp_path / "quantised")
    reference = adapted(model, dict(target_modules=LINEAR), tmp_path / "adapter")
    export(tmp_path / "quantised", tmp_path / "adapter", tmp_path / "merged")
    merged = load(tmp_path / "merged")
    assert getattr(merged.config, "quantization_config", None) is None
    assert relative_difference(logits(merged), logits(reference)) < 1e-4


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_rounded_once_from_the_float32_merge(dtype, tmp_path):
    random_llama(tmp_path / "base", tied=False, kv_heads=2, seed=67)
    adapted(load(tmp_path / "base"), dict(target_modules=LINEAR), tmp_path / "adapter")
    export(tmp_path / "base", tmp_path / "adapter", tmp_path / "full")
    export(tmp_path / "base", tmp_path / "adapter", tmp_path / "half", "--dtype", dtype)
    half = AutoModelForCausalLM.from_pretrained(tmp_path / "half")
    assert half.dtype == getattr(torch, dtype)
    for name, expected in load(tmp_path / "full").state_dict().items():
        assert torch.equal(half.state_dict()[name], expected.to(half.dtype)), name


def test_the_model_keeps_its_type_settings_and_the_adapters_tokenizer(stories, tmp_path):
    base = tmp_path / "base"
    shutil.copytree(stories, base)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16)
    model.save_pretrained(base)
    adapted(load(base), dict(target_modules=LINEAR), tmp_path / "adapter")
    export(base, tmp_path / "adapter", tmp_path / "merged")
    config = json.loads((tmp_path / "merged" / "config.json").read_text())
    assert config["torch_dtype"] == "bfloat16"
    original = json.loads((base / "config.json").read_text())
    assert {key: value for key, value in config.items() if key != "torch_dtype"} == {
        key: value for key, value in original.items() if key != "dtype"
    }
    if (base / "tokenizer.json").exists():
        assert AutoTokenizer.from_pretrained(tmp_path / "merged")("Once")["input_ids"]
        shutil.copy(base / "tokenizer.json", tmp_path / "adapter")
        tokenizer = json.loads((base / "tokenizer.json").read_text())
        tokenizer["version"] = "1.0 "
        (tmp_path / "adapter" / "tokenizer.json").write_text(json.dumps(tokenizer))
        export(base, tmp_path / "adapter", tmp_path / "again")
        assert json.loads((tmp_path / "again" / "tokenizer.json").read_text())["version"] == "1.0 "


SETTINGS, SPECIAL, TEMPLATE = "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja"


@pytest.mark.parametrize(
    "own, from_base",
    [
        # Whatever the adapter lacks is the base's, as long as the vocabulary is.
        ([], ["tokenizer.json", SETTINGS, SPECIAL, TEMPLATE]),
        ([TEMPLATE], ["tokenizer.json", SETTINGS, SPECIAL]),
        ([SETTINGS], ["tokenizer.json", SPECIAL, TEMPLATE]),
        # Never two tokenizers at once: what names tokens by their ids goes with its vocabulary.
        (["tokenizer.json"], [TEMPLATE]),
        (["tokenizer.model", SETTINGS], [TEMPLATE]),
        (["vocab.json", "merges.txt", TEMPLATE], []),
    ],
)
def test_tokenizer_files_that_an_adapter_lacks_are_its_bases_but_for_another_vocabulary(own, from_base, tmp_path):
    base = dict.fromkeys(["tokenizer.json", SETTINGS, SPECIAL, TEMPLATE], "base")
    merged = tokenizer_files_of_export(base, dict.fromkeys(own, "adapter"), tmp_path)
    assert merged == dict.fromkeys(own, "adapter") | dict.fromkeys(from_base, "base")


def test_a_template_within_an_adapters_settings_is_not_displaced_by_a_file_of_its_base(tmp_path):
    own = {SETTINGS: {"chat_template": "adapter"}}
    merged = tokenizer_files_of_export({"tokenizer.json": "base", TEMPLATE: "base"}, own, tmp_path)
    assert merged == own | {"tokenizer.json": "base"}


def tokenizer_files_of_export(base: dict, adapter: dict, tmp_path) -> dict:
    """What JSON lies beside an exported model whose base and adapter have this beside them, by name."""
    random_llama(tmp_path / "base", tied=True, kv_heads=2, seed=68)
    adapted(load(tmp_path / "base"), dict(target_modules=["q_proj"]), tmp_path / "adapter")
    for directory, files in (("base", base), ("adapter", adapter)):
        for name, content in files.items():
            (tmp_path / directory / name).write_text(json.dumps(content))
    export(tmp_path / "base", tmp_path / "adapter", tmp_path / "merged")
    others = {"config.json", "generation_config.json", "model.safetensors"}
    files = [path for path in (tmp_path / "merged").iterdir() if path.name not in others]
    return {path.name: json.loads(path.read_text()) for path in files}


def test_what_cannot_be_merged_is_refused_and_leaves_nothing(tmp_path):
    random_llama(tmp_path / "base", tied=False, kv_heads=2, seed=69)
    adapted(load(tmp_path / "base"), dict(target_modules=LINEAR), tmp_path / "adapter")
    before = sorted(path.name for path in tmp_path.iterdir())

    def refusal(*changes: str) -> str:
        arguments = {
            "--model": str(tmp_path / "base"),
            "--adapter": str(tmp_path / "adapter"),
            "--output": str(tmp_path / "merged"),
        }
        arguments |= dict(zip(changes[::2], changes[1::2]))
        done = subprocess.run(
            [str(ENGINE), "export", *[each for pair in arguments.items() for each in pair]],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 1, done.stderr
        assert sorted(path.name for path in tmp_path.iterdir()) == before
        return done.stderr

    assert "base: exists already; name a new directory" in refusal("--output", str(tmp_path / "base"))
    assert "there is no adapter_config.json" in refusal("--adapter", str(tmp_path / "base"))
    random_llama(tmp_path / "other", tied=False, kv_heads=2, seed=69, hidden_size=32)
    before = sorted(path.name for path in tmp_path.iterdir())
    assert "has shape [64, 4], the model needs [32, 4]" in refusal("--model", str(tmp_path / "other"))

    weights = tmp_path / "adapter" / "adapter_model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-7])
    assert f"{weights}: tensor '" in refusal()
    weights.write_bytes(whole)

    config_path = tmp_path / "adapter" / "adapter_config.json"
    config = json.loads(config_path.read_text())
    config_path.write_text(json.dumps(config | {"target_modules": [*LINEAR, "lm_head"]}))
    assert "there is no adapter of 'lm_head', which adapter_config.json names" in refusal()
    config_path.write_text(json.dumps(config | {"r": 8}))
    assert "the model needs [64, 8]" in refusal()
    config_path.write_text(json.dumps(config))
    PeftModel.from_pretrained(load(tmp_path / "base"), tmp_path / "adapter")
