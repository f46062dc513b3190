"""Training steps of the engine against PyTorch, transformers and PEFT from identical state, and what it writes."""

import json

import numpy
import pytest
import torch
from conftest import events, relative_difference, run_engine, run_probe, write_plan, write_shard
from models import adamw, loss_sum, random_llama, random_rows, scheduled_rates, train, warmed_up
from peft import PeftModel
from safetensors.numpy import load_file, save_file
from transformers import AutoModelForCausalLM, trainer_pt_utils

ADAPTER = {
    "r": 8,
    "alpha": 16,
    "dropout": 0.0,
    "use_rslora": False,
    "target_modules": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
    "modules_to_save": [],
}
STEPS = 20


def assert_same_history(output, reference):
    ours = events(output, "step")
    assert [step["step"] for step in ours] == list(range(1, len(reference) + 1))
    for step, expected in zip(ours, reference):
        assert abs(step["loss"] - expected["loss"]) / expected["loss"] < 1e-4, step["step"]
        assert abs(step["grad_norm"] - expected["grad_norm"]) / expected["grad_norm"] < 1e-3, step["step"]


@pytest.mark.parametrize("use_rslora", [False, True])
def test_twenty_lora_steps_on_stories260k_follow_peft(use_rslora, stories, tmp_path):
    rows = random_rows(24, 512, seed=21, longest=96)
    write_shard(tmp_path / "rows.safetensors", rows)
    adapter = {**ADAPTER, "use_rslora": use_rslora}
    run = tmp_path / "run"
    plan_path = write_plan(
        run, model={"path": str(stories)}, shard=tmp_path / "rows.safetensors", steps=STEPS, adapter=adapter
    )
    run_probe("initial-adapter", "--plan", str(plan_path), "--output", str(tmp_path / "initial"))
    run_engine("train", str(plan_path))

    base = AutoModelForCausalLM.from_pretrained(stories, dtype=torch.float32)
    model = PeftModel.from_pretrained(base, tmp_path / "initial", is_trainable=True)
    plan = json.loads(plan_path.read_text())
    history = train(
        model,
        rows,
        steps=STEPS,
        batch_size=4,
        accumulation=1,
        optimizer=adamw(model, plan["optimizer"]),
        rate=lambda step: 1e-3,
        max_grad_norm=1.0,
    )
    assert_same_history(run, history)
    assert history[-1]["loss"] < history[0]["loss"]

    trained = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(stories, dtype=torch.float32), run / "adapter"
    ).eval()
    with torch.no_grad():
        reference = torch.cat([trained(input_ids=torch.tensor([ids])).logits[0] for ids, _ in rows[:4]]).numpy()
    write_shard(tmp_path / "few.safetensors", rows[:4])
    run_probe(
        "logits",
        "--model", str(stories),
        "--adapter", str(run / "adapter"),
        "--shard", str(tmp_path / "few.safetensors"),
        "--output", str(tmp_path / "few-out.safetensors"),
    )  # fmt: skip
    assert relative_difference(load_file(str(tmp_path / "few-out.safetensors"))["logits"], reference) < 1e-4


@pytest.mark.parametrize("tied", [True, False])
def test_twenty_full_steps_with_accumulation_decay_and_schedule_follow_pytorch(tied, tmp_path):
    model = random_llama(tmp_path / "model", tied=tied, kv_heads=2, seed=31, initializer_range=0.05)
    rows = random_rows(40, 320, seed=31)
    write_shard(tmp_path / "rows.safetensors", rows)
    run = tmp_path / "run"
    optimizer = {
        "name": "adamw_torch",
        "learning_rate": 2e-3,
        "embedding_learning_rate": None,
        "betas": [0.9, 0.95],
        "epsilon": 1e-8,
        "weight_decay": 0.1,
        "max_grad_norm": 0.5,
    }
    plan_path = write_plan(
        run,
        model={"path": str(tmp_path / "model")},
        shard=tmp_path / "rows.safetensors",
        steps=STEPS,
        optimizer=optimizer,
        schedule={"name": "cosine_with_min_lr", "warmup_steps": 4, "min_lr_rate": 0.1, "steps": STEPS},
        batching={
            "per_device_train_batch_size": 2,
            "gradient_accumulation_steps": 2,
            "max_length": 4096,
            "truncation": "cut",
            "shuffle": False,
            "group_by_length": False,
            "packing": False,
        },
    )
    run_engine("train", str(plan_path))
    rates = [step["learning_rate"] for step in events(run, "step")]

    history = train(
        model,
        rows,
        steps=STEPS,
        batch_size=2,
        accumulation=2,
        optimizer=adamw(model, optimizer),
        rate=lambda step: rates[step - 1],
        max_grad_norm=0.5,
    )
    assert_same_history(run, history)

    written = AutoModelForCausalLM.from_pretrained(run / "model", dtype=torch.float32)
    ours = dict(written.named_parameters())
    for name, parameter in model.named_parameters():
        assert relative_difference(ours[name].detach().numpy(), parameter.detach().numpy()) < 1e-3, name


@pytest.mark.parametrize("warmup", [0, 1, 5])
@pytest.mark.parametrize("name", ["constant_with_warmup", "linear", "cosine", "cosine_with_min_lr"])
def test_the_learning_rate_is_that_of_transformers_after_a_warm_up_that_starts_above_zero(name, warmup, tmp_path):
    random_llama(tmp_path / "model", tied=True, kv_heads=2, seed=41)
    write_shard(tmp_path / "rows.safetensors", random_rows(8, 320, seed=41))
    steps, peak = 30, 1e-3
    schedule = {
        "name": name,
        "warmup_steps": warmup,
        "min_lr_rate": 0.1 if name == "cosine_with_min_lr" else 0.0,
        "steps": steps,
    }
    plan_path = write_plan(
        tmp_path / "run",
        model={"path": str(tmp_path / "model")},
        shard=tmp_path / "rows.safetensors",
        steps=steps,
        schedule=schedule,
    )
    run_engine("train", str(plan_path))
    ours = [step["learning_rate"] for step in events(tmp_path / "run", "step")]
    reference = scheduled_rates(schedule, peak)
    # The one difference, and why: with transformers' own warm-up the first step changes nothing.
    assert reference[:warmup] == pytest.approx([peak * step / warmup for step in range(warmup)])
    assert ours[:warmup] == pytest.approx([peak * (step + 1) / warmup for step in range(warmup)], rel=1e-6)
    assert ours == pytest.approx(warmed_up(reference, warmup, peak), rel=1e-6)
    assert min(ours) > 0


def test_a_constant_learning_rate_is_constant_in_transformers_too(tmp_path):
    random_llama(tmp_path / "model", tied=True, kv_heads=2, seed=41)
    write_shard(tmp_path / "rows.safetensors", random_rows(8, 320, seed=41))
    schedule = {"name": "constant", "warmup_steps": 0, "min_lr_rate": 0.0, "steps": 10}
    plan_path = write_plan(
        tmp_path / "run",
        model={"path": str(tmp_path / "model")},
        shard=tmp_path / "rows.safetensors",
        steps=10,
        schedule=schedule,
    )
    run_engine("train", str(plan_path))
    ours = [step["learning_rate"] for step in events(tmp_path / "run", "step")]
    assert ours == pytest.approx(scheduled_rates(schedule, 1e-3), rel=1e-6)


def test_rows_grouped_by_length_come_in_the_order_of_transformers(tmp_path, monkeypatch):
    random_llama(tmp_path / "model", tied=True, kv_heads=2, seed=43)
    rows = random_rows(101, 320, seed=43)
    write_shard(tmp_path / "rows.safetensors", rows)
    batch_size, accumulation = 3, 2
    plan_path = write_plan(
        tmp_path / "run",
        model={"path": str(tmp_path / "model")},
        shard=tmp_path / "rows.safetensors",
        steps=len(rows) // (batch_size * accumulation),
        batching={
            "per_device_train_batch_size": batch_size,
            "gradient_accumulation_steps": accumulation,
            "max_length": 4096,
            "truncation": "cut",
            "shuffle": False,
            "group_by_length": True,
            "packing": False,
        },
    )
    run_engine("train", str(plan_path))
    monkeypatch.setattr(trainer_pt_utils.torch, "randperm", lambda count, generator: torch.arange(count))
    per_step = batch_size * accumulation
    order = trainer_pt_utils.get_length_grouped_indices([len(ids) for ids, _ in rows], per_step)
    steps = events(tmp_path / "run", "step")
    for number, step in enumerate(steps):
        expected = sum(len(rows[row][0]) for row in order[number * per_step : (number + 1) * per_step])
        assert step["tokens"] == expected, number


def test_packed_rows_train_as_if_each_were_alone(tmp_path):
    random_llama(tmp_path / "model", tied=True, kv_heads=2, seed=47)
    rows = random_rows(24, 320, seed=47)
    write_shard(tmp_path / "rows.safetensors", rows)
    shard = load_file(tmp_path / "rows.safetensors")
    packs = numpy.arange(0, 25, 3, dtype=numpy.uint64)
    save_file({**shard, "pack_offsets": packs}, str(tmp_path / "packed.safetensors"))
    batching = {
        "gradient_accumulation_steps": 1,
        "max_length": 4096,
        "truncation": "cut",
        "shuffle": False,
        "group_by_length": False,
    }
    losses = {}
    for name, packing, batch_size in [("rows", False, 6), ("packed", True, 2)]:
        plan_path = write_plan(
            tmp_path / name,
            model={"path": str(tmp_path / "model")},
            shard=tmp_path / f"{name}.safetensors",
            steps=8,
            batching={**batching, "per_device_train_batch_size": batch_size, "packing": packing},
        )
        run_engine("train", str(plan_path))
        losses[name] = [step["loss"] for step in events(tmp_path / name, "step")]
    assert losses["packed"] == losses["rows"]
    assert events(tmp_path / "packed", "run_started")[0]["rows"]["packs"] == 8
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "model", dtype=torch.float32)
    total, tokens = loss_sum(model, rows[:6])
    assert losses["packed"][0] == pytest.approx((total / tokens).item(), rel=1e-5)
