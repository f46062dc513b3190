"""The optimizers, step by step: against the formulas written out in float32, against PyTorch and against bitsandbytes."""

import math

import bitsandbytes
import numpy
import pytest
import torch
from adamw8 import Formulas
from bitsandbytes.functional import create_dynamic_map
from conftest import relative_difference, run_probe
from safetensors.numpy import load_file, save_file

STEPS = 200
SETTINGS = {"learning_rate": 1e-2, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "weight_decay": 0.1}
F = numpy.float32


def problem(elements: int, seed: int, decades: float = 6) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Weights and 200 steps' gradients, whose sizes differ by so many orders of magnitude within a block, and over time."""
    random = numpy.random.default_rng(seed)
    value = random.normal(size=elements).astype(F)
    scale = 10.0 ** random.uniform(-decades, 0, elements) * 10.0 ** random.uniform(-1, 1, (STEPS, 1))
    gradients = (random.normal(size=(STEPS, elements)) * scale).astype(F)
    gradients[:, 5::17] = 0
    return value, gradients


def engine_steps(tmp_path, name: str, value, gradients, **changes) -> dict[str, numpy.ndarray]:
    """What the engine has after each step: `value`, `value.exp_avg`, …"""
    save_file({"value": value, "gradients": gradients}, str(tmp_path / "input.safetensors"))
    settings = [f"--{key.replace('_', '-')}={number}" for key, number in {**SETTINGS, **changes}.items()]
    files = ["--input", str(tmp_path / "input.safetensors"), "--output", str(tmp_path / "output.safetensors")]
    run_probe("optimizer", "--name", name, *files, *settings)
    return load_file(tmp_path / "output.safetensors")


# Around the smallest size in 8 bits, and around whole blocks; the last is paged where paging is asked for.
@pytest.mark.parametrize("elements", [4096, 4097, 4096 + 255, 4096 + 256, 10_000, 100_001])
@pytest.mark.parametrize("name", ["adamw_8bit", "paged_adamw_8bit"])
def test_200_steps_of_8_bit_adamw_are_the_formulas_to_the_bit(name, elements, tmp_path):
    if elements > 50_000 and name == "adamw_8bit":
        pytest.skip("the same as paged")
    value, gradients = problem(elements, seed=elements)
    ours = engine_steps(tmp_path, name, value, gradients)
    reference = Formulas(value, **SETTINGS)
    for number in range(1, STEPS + 1):
        reference.step(number, gradients[number - 1])
        at = number - 1
        assert numpy.array_equal(ours["value.exp_avg"][at], reference.first.codes), number
        assert numpy.array_equal(ours["value.exp_avg_sq"][at], reference.second.codes), number
        assert numpy.array_equal(ours["value.exp_avg.absmax"][at], reference.first.absmax), number
        assert numpy.array_equal(ours["value.exp_avg_sq.absmax"][at], reference.second.absmax), number
        assert numpy.array_equal(ours["value"][at], reference.p), number


def test_a_gradient_that_is_no_number_leaves_its_element_alone_and_zeroes_its_state(tmp_path):
    value, gradients = problem(5000, seed=3)
    gradients[20, 7], gradients[21, 300], gradients[22, 4999], gradients[22, 0] = numpy.nan, numpy.inf, -numpy.inf, numpy.nan
    ours = engine_steps(tmp_path, "adamw_8bit", value, gradients)
    reference = Formulas(value, **SETTINGS)
    for number in range(1, STEPS + 1):
        reference.step(number, gradients[number - 1])
        assert numpy.array_equal(ours["value"][number - 1], reference.p), number
        assert numpy.array_equal(ours["value.exp_avg"][number - 1], reference.first.codes), number
    assert ours["value"][20][7] == ours["value"][19][7]
    assert ours["value.exp_avg"][20][7] == 127
    assert ours["value.exp_avg_sq"][20][7] == 0


@pytest.mark.parametrize("elements", [1, 255, 257, 4095])
def test_below_4096_elements_the_state_is_float32(elements, tmp_path):
    value, gradients = problem(elements, seed=elements)
    ours = engine_steps(tmp_path, "adamw_8bit", value, gradients)
    p, m, v = value.astype(numpy.float64), 0.0, 0.0
    for number in range(1, STEPS + 1):
        gradient = gradients[number - 1].astype(numpy.float64)
        m = 0.9 * m + 0.1 * gradient
        v = 0.999 * v + 0.001 * gradient**2
        root = math.sqrt(1 - 0.999**number)
        p = (p - 1e-2 * root / (1 - 0.9**number) * m / (numpy.sqrt(v) + 1e-8 * root)) * (1 - 1e-2 * 0.1)
        assert relative_difference(ours["value"][number - 1], p) < 1e-5, number
    assert ours["value.exp_avg"].dtype == F
    assert relative_difference(ours["value.exp_avg"][-1], m) < 1e-5
    assert relative_difference(ours["value.exp_avg_sq"][-1], v) < 1e-5


def test_a_block_of_zeroes_stays_zero_and_comes_to_life(tmp_path):
    value, gradients = problem(8192, seed=5)
    gradients[:50, 256:512] = 0
    ours = engine_steps(tmp_path, "adamw_8bit", value, gradients, weight_decay=0)
    assert (ours["value.exp_avg.absmax"][49][1], ours["value.exp_avg_sq.absmax"][49][1]) == (0, 0)
    assert numpy.array_equal(ours["value"][49][256:512], value[256:512])
    assert ours["value.exp_avg.absmax"][50][1] > 0
    assert not numpy.array_equal(ours["value"][50][256:512], value[256:512])


def test_torch_adamw_over_200_steps(tmp_path):
    value, gradients = problem(5000, seed=9)
    ours = engine_steps(tmp_path, "adamw_torch", value, gradients)
    parameter = torch.nn.Parameter(torch.tensor(value))
    optimizer = torch.optim.AdamW([parameter], lr=1e-2, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.1)
    for number in range(STEPS):
        parameter.grad = torch.tensor(gradients[number])
        optimizer.step()
        assert relative_difference(ours["value"][number], parameter.detach().numpy()) < 1e-6, number
    state = optimizer.state[parameter]
    assert relative_difference(ours["value.exp_avg"][-1], state["exp_avg"].numpy()) < 1e-5
    assert relative_difference(ours["value.exp_avg_sq"][-1], state["exp_avg_sq"].numpy()) < 1e-5


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_bitsandbytes_on_the_cpu_goes_the_same_way(weight_decay, tmp_path):
    """Its CPU kernel is not its CUDA kernel: it decays before the update, as torch does, and puts moment / absmax on a grid
    of 2^16 numbers before it looks for the nearest code, which for small moments may find one beside it. Gradients are of
    about one size here: moments too small for their block's codes part the ways of any two roundings."""
    value, gradients = problem(10_000, seed=13, decades=1)
    ours = engine_steps(tmp_path, "adamw_8bit", value, gradients, weight_decay=weight_decay)
    parameter = torch.nn.Parameter(torch.tensor(value))
    optimizer = bitsandbytes.optim.AdamW8bit(
        [parameter], lr=1e-2, betas=(0.9, 0.999), eps=1e-8, weight_decay=weight_decay
    )
    for number in range(STEPS):
        parameter.grad = torch.tensor(gradients[number])
        optimizer.step()
        if number == 0:
            state = optimizer.state[parameter]
            moments = {"exp_avg": F(0.1) * gradients[0], "exp_avg_sq": F(0.001) * gradients[0] * gradients[0]}
            for name, theirs in {"exp_avg": state["state1"], "exp_avg_sq": state["state2"]}.items():
                codes = create_dynamic_map(signed=name == "exp_avg").numpy()
                own, theirs = ours[f"value.{name}"][0], theirs.numpy()
                scaled = moments[name] / numpy.repeat(ours[f"value.{name}.absmax"][0], 256)[: value.size]
                farther = numpy.abs(codes[theirs] - scaled) - numpy.abs(codes[own] - scaled)
                print(f"{name}: {(own != theirs).mean():.1%} of the codes differ after one step")
                # Ours is the nearest; theirs may be farther by a distance of the grid.
                assert -1e-6 < farther.min() and farther.max() <= 2 / 65535
    moved = numpy.linalg.norm(parameter.detach().numpy() - value)
    apart = numpy.linalg.norm(ours["value"][-1] - parameter.detach().numpy())
    print("apart after 200 steps, of the way gone:", apart / moved)
    assert apart / moved < 0.03
