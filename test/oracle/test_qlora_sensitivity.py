"""How far 8-bit AdamW may part from its reference, when all that is left are the last bits of gradients.

The optimizer itself is the formulas to the bit (test_optimizers.py). But a moment that lies between two codes goes to one
or the other by the last bit of a gradient, and where a second moment is too small for its block's codes, the step that
follows is amplified. So a reference that differs from itself by such bits alone parts from itself as far as the engine
parts from it. Rows that can be learned keep moments within reach of the codes; with random ones the first such step, the
eleventh, puts engine and perturbed reference alike 1e-3 off at once.
"""

import numpy
import pytest
import torch
from adamw8 import BlockwiseState, FormulasAdamW, laid_out
from conftest import events, run_engine, run_probe, write_plan, write_shard
from models import learnable_rows, parameter_groups, random_model, train
from safetensors.numpy import load_file
from test_qlora import ADAPTER, NF4, SIZES, STEPS, optimizer_settings, quantized_reference

ROWS = learnable_rows(60, SIZES["vocab_size"], seed=51)
SETTINGS = optimizer_settings("adamw_8bit")


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """With a run of the engine that keeps each of its steps, the model and the adapter that it began with."""
    directory = tmp_path_factory.mktemp("sensitivity")
    random_model(directory / "model", seed=51, **SIZES)
    write_shard(directory / "rows.safetensors", ROWS)
    plan_path = write_plan(
        directory / "run",
        model={"path": str(directory / "model")},
        shard=directory / "rows.safetensors",
        steps=STEPS,
        adapter=ADAPTER,
        quantization=NF4,
        optimizer=SETTINGS,
        checkpointing={"save_steps": 1, "save_total_limit": None},
    )
    run_probe("initial-adapter", "--plan", str(plan_path), "--output", str(directory / "initial"))
    run_engine("train", str(plan_path))
    return directory


def formulas(model) -> FormulasAdamW:
    return FormulasAdamW(parameter_groups(model, SETTINGS), tuple(SETTINGS["betas"]), SETTINGS["epsilon"])


def take_steps(model, optimizer, rows, steps: int) -> list[dict]:
    return train(
        model,
        rows,
        steps=steps,
        batch_size=4,
        accumulation=1,
        optimizer=optimizer,
        rate=lambda step: SETTINGS["learning_rate"],
        max_grad_norm=SETTINGS["max_grad_norm"],
    )


def perturb_gradients(optimizer, seed: int) -> None:
    """Has every gradient moved to the next float32 above or below, at random, before each step."""
    random = torch.Generator().manual_seed(seed)

    def perturb(optimizer, *_):
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                upwards = torch.rand(parameter.grad.shape, generator=random) < 0.5
                parameter.grad = torch.nextafter(parameter.grad, torch.where(upwards, torch.inf, -torch.inf))

    optimizer.register_step_pre_hook(perturb)


def test_a_run_parts_from_its_reference_no_farther_than_that_from_itself(directory):
    losses = {"engine": [step["loss"] for step in events(directory / "run", "step")]}
    for name, seed in {"reference": None, "perturbed": 1, "perturbed otherwise": 2}.items():
        model = quantized_reference(directory / "model", directory / "initial")
        optimizer = formulas(model)
        if seed is not None:
            perturb_gradients(optimizer, seed)
        losses[name] = [step["loss"] for step in take_steps(model, optimizer, ROWS, STEPS)]
    reference = numpy.array(losses.pop("reference"))
    apart = {name: numpy.abs(numpy.array(of) - reference) / reference for name, of in losses.items()}
    print({name: f"{by.max():.1e}, {by[:20].max():.1e} in 20 steps" for name, by in apart.items()})
    itself = max(by.max() for name, by in apart.items() if name != "engine")
    assert itself > 1e-5  # a bit does matter
    assert apart["engine"].max() < 3 * itself
    assert apart["engine"].max() < 1e-3
    assert apart["engine"][:20].max() < 1e-4


def checkpoint(directory, step: int) -> dict[str, numpy.ndarray]:
    at = directory / "run" / "checkpoints" / f"step-{step}"
    return {**load_file(at / "adapter_model.safetensors"), **load_file(at / "optimizer.safetensors")}


def restore(optimizer, saved: dict[str, numpy.ndarray], step: int) -> None:
    """Gives the reference's parameters and moments the values of a checkpoint."""
    optimizer.number = step
    for group in optimizer.param_groups:
        for name, parameter in zip(group["param_names"], group["params"], strict=True):
            name_of_engine, of = name.replace(".default", ""), optimizer.formulas[name]
            with torch.no_grad():
                parameter.copy_(torch.tensor(saved[name_of_engine]))
            of.p = laid_out(name, parameter.detach()).numpy().flatten()
            for moment, state in {"exp_avg": of.first, "exp_avg_sq": of.second}.items():
                values = saved[f"{name_of_engine}.{moment}"].flatten()
                if isinstance(state, BlockwiseState):
                    state.codes, state.absmax = values, saved[f"{name_of_engine}.{moment}.absmax"]
                else:
                    state.values = values


def test_from_the_same_state_a_step_leads_to_the_same_codes_but_between_two(directory):
    """Wherever in the run: the same loss, and the same codes except where a moment is as near to another, as far as the
    gradient's last bits tell."""
    model = quantized_reference(directory / "model", directory / "initial")
    optimizer = formulas(model)
    losses = [step["loss"] for step in events(directory / "run", "step")]
    compared = differing = 0
    for step in range(5, STEPS, 6):
        restore(optimizer, checkpoint(directory, step), step)
        batch = [ROWS[(4 * step + i) % len(ROWS)] for i in range(4)]
        assert take_steps(model, optimizer, batch, 1)[0]["loss"] == pytest.approx(losses[step], rel=2e-6), step
        after = checkpoint(directory, step + 1)
        for name, of in optimizer.formulas.items():
            for moment, state in {"exp_avg": of.first, "exp_avg_sq": of.second}.items():
                if not isinstance(state, BlockwiseState):
                    continue
                ours = after[f"{name.replace('.default', '')}.{moment}"].flatten()
                differ = numpy.flatnonzero(ours != state.codes)
                compared, differing = compared + ours.size, differing + differ.size
                # The neighbouring code, and the moment between both.
                assert (numpy.abs(ours[differ].astype(int) - state.codes[differ]) == 1).all(), (step, name)
                between = state.midpoints[numpy.minimum(ours, state.codes)[differ]]
                assert numpy.abs(state.scaled[differ] - between).max(initial=0) < 1e-5, (step, name)
    print(f"{differing} of {compared} codes differ")
    assert differing < 1e-4 * compared
