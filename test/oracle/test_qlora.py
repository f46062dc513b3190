"""QLoRA with adapters everywhere: 50 steps of the engine against transformers, PEFT and bitsandbytes from identical state."""

import bitsandbytes
import pytest
import torch
from adamw8 import FormulasAdamW
from conftest import events, run_engine, run_probe, write_plan, write_shard
from models import random_llama, random_rows, train
from peft import PeftModel
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

STEPS = 50
RATE = 2e-3
# Of 8-bit AdamW. With a smaller one, an update is amplified where a second moment is too small for its block's codes, and
# so is the difference that the last bits of a gradient make to which code is the nearest.
EPSILON = 1e-4
LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
ADAPTER = {
    # So that the adapters' matrices are large enough for moments in 8 bits.
    "r": 32,
    "alpha": 16,
    "dropout": 0.0,
    "use_rslora": False,
    "target_modules": [*LINEAR, "embed_tokens", "lm_head"],
    "modules_to_save": [],
}
SIZES = dict(hidden_size=128, intermediate_size=192, vocab_size=512, initializer_range=0.06)


def optimizer_settings(name: str) -> dict:
    return {
        "name": name,
        "learning_rate": RATE,
        "embedding_learning_rate": None,
        "betas": [0.9, 0.999],
        "epsilon": 1e-8 if name == "adamw_torch" else EPSILON,
        "weight_decay": 0.0,
        "max_grad_norm": 1.0,
    }


def quantized_reference(model_path, initial_adapter):
    base = AutoModelForCausalLM.from_pretrained(
        model_path,
        dtype=torch.float32,
        device_map="cpu",
        quantization_config=BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.float32,
        ),
    )
    quantized = [name for name, module in base.named_modules() if isinstance(module, bitsandbytes.nn.Linear4bit)]
    assert len(quantized) == 2 * len(LINEAR), quantized
    return PeftModel.from_pretrained(base, initial_adapter, is_trainable=True)


@pytest.mark.parametrize("name", ["adamw_torch", "adamw_8bit"])
def test_50_steps_of_qlora_follow_peft_and_bitsandbytes(name, tmp_path):
    random_llama(tmp_path / "model", tied=False, kv_heads=2, seed=51, **SIZES)
    rows = random_rows(60, SIZES["vocab_size"], seed=51, longest=32)
    write_shard(tmp_path / "rows.safetensors", rows)
    run = tmp_path / "run"
    plan_path = write_plan(
        run,
        model={"path": str(tmp_path / "model")},
        shard=tmp_path / "rows.safetensors",
        steps=STEPS,
        adapter=ADAPTER,
        quantization={"type": "nf4", "double_quant": True},
        optimizer=optimizer_settings(name),
    )
    run_probe("initial-adapter", "--plan", str(plan_path), "--output", str(tmp_path / "initial"))
    run_engine("train", str(plan_path))

    model = quantized_reference(tmp_path / "model", tmp_path / "initial")
    trainable = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    if name == "adamw_torch":
        optimizer = torch.optim.AdamW([p for _, p in trainable], lr=RATE, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0)
    else:
        # Not bitsandbytes' own, whose CPU kernel has other codes for small moments than its CUDA kernel.
        optimizer = FormulasAdamW(trainable, RATE, 0.9, 0.999, EPSILON)
    history = train(
        model,
        rows,
        steps=STEPS,
        batch_size=4,
        accumulation=1,
        optimizer=optimizer,
        rate=lambda step: RATE,
        max_grad_norm=1.0,
    )
    ours = events(run, "step")
    apart = [abs(step["loss"] - expected["loss"]) / expected["loss"] for step, expected in zip(ours, history, strict=True)]
    print(f"{name}: losses {history[0]['loss']:.4f} … {history[-1]['loss']:.4f}, at most {max(apart):.2e} apart")
    assert max(apart) < 1e-3
    # It has learned, so that there was something to follow.
    assert history[-1]["loss"] < 0.97 * history[0]["loss"]
