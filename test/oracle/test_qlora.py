"""QLoRA and its recipe: 50 steps of the engine against transformers, PEFT and bitsandbytes from identical state."""

import bitsandbytes
import pytest
import torch
from adamw8 import FormulasAdamW
from conftest import events, run_engine, run_probe, write_plan, write_shard
from models import adamw, learnable_rows, parameter_groups, random_model, scheduled_rates, train, warmed_up
from peft import PeftModel
from safetensors.numpy import load_file
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

STEPS = 50
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
NF4 = {"type": "nf4", "double_quant": True}
SIZES = dict(hidden_size=128, intermediate_size=192, vocab_size=512, initializer_range=0.06)
OPTIMIZERS = ["adamw_torch", "adamw_8bit"]


def optimizer_settings(name: str, **changes) -> dict:
    return {
        "name": name,
        "learning_rate": 2e-3,
        "embedding_learning_rate": None,
        "betas": [0.9, 0.999],
        "epsilon": 1e-8,
        "weight_decay": 0.0,
        "max_grad_norm": 1.0,
        **changes,
    }


def reference_optimizer(model, settings: dict) -> torch.optim.Optimizer:
    if settings["name"] == "adamw_torch":
        return adamw(model, settings)
    # Not bitsandbytes' own, whose CPU kernel has other codes for small moments than its CUDA kernel.
    return FormulasAdamW(parameter_groups(model, settings), tuple(settings["betas"]), settings["epsilon"])


class Transposed(torch.nn.Module):
    """A linear layer whose weight is another parameter's transpose."""

    def __init__(self, parameter: torch.nn.Parameter):
        super().__init__()
        self.parameter = parameter

    @property
    def weight(self) -> torch.Tensor:
        return self.parameter.t()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.linear(x, self.weight)


def hold_once(model: PeftModel) -> None:
    """Makes the one adapter of a tied model's ends one for the optimizer, too: PEFT gives both ends the same memory, but
    as two parameters, each of which a step would update, with its own share of the gradient and its own moments."""
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    a, b = embedding.lora_embedding_A["default"], embedding.lora_embedding_B["default"]
    assert head.lora_A["default"].weight.data_ptr() == b.data_ptr()
    assert head.lora_B["default"].weight.data_ptr() == a.data_ptr()
    head.lora_A["default"], head.lora_B["default"] = Transposed(b), Transposed(a)


def quantized_reference(model_path, initial_adapter) -> PeftModel:
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
    model = PeftModel.from_pretrained(base, initial_adapter, is_trainable=True)
    config = model.peft_config["default"]
    if base.config.tie_word_embeddings and "embed_tokens" in config.target_modules:
        assert config.ensure_weight_tying
        hold_once(model)
    return model


def assert_follows(run, history) -> None:
    """Each step's loss within 1e-3 of the reference's; and it has fallen, so that there was something to follow."""
    ours = events(run, "step")
    apart = [
        abs(step["loss"] - expected["loss"]) / expected["loss"]
        for step, expected in zip(ours, history, strict=True)
    ]
    print(f"losses {history[0]['loss']:.4f} … {history[-1]['loss']:.4f}, at most {max(apart):.2e} apart")
    assert max(apart) < 1e-3
    assert history[-1]["loss"] < 0.6 * history[0]["loss"]


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_50_steps_of_qlora_follow_peft_and_bitsandbytes(name, tied, tmp_path):
    random_model(tmp_path / "model", tie_word_embeddings=tied, seed=51, **SIZES)
    rows = learnable_rows(60, SIZES["vocab_size"], seed=51)
    write_shard(tmp_path / "rows.safetensors", rows)
    settings = optimizer_settings(name)
    run = tmp_path / "run"
    plan_path = write_plan(
        run,
        model={"path": str(tmp_path / "model")},
        shard=tmp_path / "rows.safetensors",
        steps=STEPS,
        adapter=ADAPTER,
        quantization=NF4,
        optimizer=settings,
    )
    run_probe("initial-adapter", "--plan", str(plan_path), "--output", str(tmp_path / "initial"))
    run_engine("train", str(plan_path))

    model = quantized_reference(tmp_path / "model", tmp_path / "initial")
    history = train(
        model,
        rows,
        steps=STEPS,
        batch_size=4,
        accumulation=1,
        optimizer=reference_optimizer(model, settings),
        rate=lambda step: settings["learning_rate"],
        max_grad_norm=1.0,
    )
    assert_follows(run, history)

    prefix = "base_model.model."
    written = load_file(run / "adapter" / "adapter_model.safetensors")
    embedding = [written[f"{prefix}model.embed_tokens.lora_embedding_{half}"] for half in "BA"]
    head = [written[f"{prefix}lm_head.lora_{half}.weight"] for half in "AB"]
    shared = [(ours.shape == end.T.shape) and (ours == end.T).all() for ours, end in zip(head, embedding)]
    assert shared == [tied, tied]


# What is trained of a model: every weight; or what QLoRA leaves out is saved whole beside the adapter, norms among it.
TRAINED = {
    "every weight": {},
    "QLoRA with saved norms and ends": {
        "adapter": {**ADAPTER, "target_modules": LINEAR, "modules_to_save": ["embed_tokens", "lm_head", "norm"]},
        "quantization": NF4,
    },
}


@pytest.mark.parametrize("trained", TRAINED)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_50_steps_of_the_whole_recipe_follow_transformers(name, trained, tmp_path):
    """Warm-up, cosine with a floor, accumulation, decay that spares norms and biases, and a rate for the embedding."""
    model = random_model(tmp_path / "model", "qwen2", seed=53, **SIZES)
    rows = learnable_rows(90, SIZES["vocab_size"], seed=53)
    write_shard(tmp_path / "rows.safetensors", rows)
    settings = optimizer_settings(
        name, learning_rate=4e-3, embedding_learning_rate=1e-3, weight_decay=0.5, max_grad_norm=0.5
    )
    schedule = {"name": "cosine_with_min_lr", "warmup_steps": 8, "min_lr_rate": 0.1, "steps": STEPS}
    run = tmp_path / "run"
    plan_path = write_plan(
        run,
        model={"path": str(tmp_path / "model")},
        shard=tmp_path / "rows.safetensors",
        steps=STEPS,
        optimizer=settings,
        schedule=schedule,
        batching={
            "per_device_train_batch_size": 2,
            "gradient_accumulation_steps": 2,
            "max_length": 4096,
            "truncation": "cut",
            "shuffle": False,
            "group_by_length": False,
            "packing": False,
        },
        **TRAINED[trained],
    )
    if TRAINED[trained]:
        run_probe("initial-adapter", "--plan", str(plan_path), "--output", str(tmp_path / "initial"))
        model = quantized_reference(tmp_path / "model", tmp_path / "initial")
    run_engine("train", str(plan_path))

    peak = settings["learning_rate"]
    rates = warmed_up(scheduled_rates(schedule, peak), schedule["warmup_steps"], peak)
    history = train(
        model,
        rows,
        steps=STEPS,
        batch_size=2,
        accumulation=2,
        optimizer=reference_optimizer(model, settings),
        rate=lambda step: rates[step - 1],
        max_grad_norm=settings["max_grad_norm"],
    )
    assert [step["learning_rate"] for step in events(run, "step")] == pytest.approx(rates, rel=1e-6)
    assert_follows(run, history)
