"""NF4 against bitsandbytes on the CPU: its serialised state read exactly, our own quantisation within one ulp of bfloat16."""

import subprocess

import pytest
import torch
from bitsandbytes import functional
from conftest import OPS_PROBE
from safetensors.torch import load_file, save_file

BLOCK = 64


def cases():
    """Name and weight: random, all zero, constant, outliers, and numbers of elements around blocks of 64 and of 256 · 64."""
    generator = torch.Generator().manual_seed(3)

    def normal(*shape):
        return torch.randn(*shape, generator=generator) * 0.02

    outliers = normal(64, 256)
    outliers[3, 70], outliers[40, 5] = 4.0, -9.0
    half_zero = normal(32, 128)
    half_zero[:, 64:] = 0
    yield "random", normal(128, 512)
    yield "zero", torch.zeros(16, 128)
    yield "constant", torch.full((16, 256), -0.375)
    yield "outliers", outliers
    yield "zero blocks", half_zero
    yield "short last block", normal(7, 75)
    yield "one element", normal(1, 1)
    yield "short last outer block", normal(257, 64)
    yield "tiny", normal(16, 64) * 1e-30


WEIGHTS = dict(cases())


def probe(command, tensors, directory, *options):
    save_file(tensors, str(directory / "in.safetensors"))
    arguments = [command, "--input", directory / "in.safetensors", "--output", directory / "out.safetensors", *options]
    done = subprocess.run([str(OPS_PROBE), *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return load_file(str(directory / "out.safetensors"))


def nibbles(packed, elements):
    packed = packed.flatten()
    return torch.stack([packed >> 4, packed & 15], dim=1).flatten()[:elements]


def bf16_ulps(ours, theirs):
    """Distance in representable bfloat16 numbers."""

    def ordered(x):
        bits = x.to(torch.bfloat16).flatten().view(torch.int16).to(torch.int32)
        return torch.where(bits < 0, -(bits & 0x7FFF), bits)

    return (ordered(ours) - ordered(theirs)).abs().max().item()


@pytest.mark.parametrize("nested", [False, True], ids=["nf4", "double"])
@pytest.mark.parametrize("weight", WEIGHTS.values(), ids=WEIGHTS)
def test_a_serialised_state_is_restored_exactly(weight, nested, tmp_path):
    packed, state = functional.quantize_4bit(weight, blocksize=BLOCK, compress_statistics=nested, quant_type="nf4")
    tensors = {"codes": packed.flatten(), "absmax": state.absmax}
    if nested:
        tensors |= {"nested_absmax": state.state2.absmax, "nested_offset": state.offset.reshape(1)}
    theirs = functional.dequantize_4bit(packed, state).flatten()
    ours = probe("dequantize-nf4", tensors, tmp_path, "--elements", weight.numel())["weight"]
    assert torch.isfinite(theirs).all()
    assert torch.equal(ours, theirs)

    narrow = probe("dequantize-nf4", tensors, tmp_path, "--elements", weight.numel(), "--bf16")["weight"]
    assert torch.equal(narrow, theirs.to(torch.bfloat16))


@pytest.mark.parametrize("weight", WEIGHTS.values(), ids=WEIGHTS)
def test_our_quantisation_is_theirs(weight, tmp_path):
    packed, state = functional.quantize_4bit(weight, blocksize=BLOCK, compress_statistics=False, quant_type="nf4")
    theirs = functional.dequantize_4bit(packed, state).flatten()
    ours = probe("quantize-nf4", {"weight": weight.flatten()}, tmp_path)
    elements = weight.numel()
    # Bytes of blocks that are all zero may differ; what they stand for may not.
    used = (state.absmax > 1e-30).repeat_interleave(BLOCK)[:elements]
    assert torch.equal(nibbles(ours["codes"], elements)[used], nibbles(packed, elements)[used])
    restored = probe("dequantize-nf4", ours, tmp_path, "--elements", elements)["weight"]
    assert torch.isfinite(restored).all()
    assert bf16_ulps(restored, theirs) <= 1


@pytest.mark.parametrize("weight", WEIGHTS.values(), ids=WEIGHTS)
def test_our_double_quantisation_is_theirs(weight, tmp_path):
    packed, state = functional.quantize_4bit(weight, blocksize=BLOCK, compress_statistics=True, quant_type="nf4")
    theirs = functional.dequantize_4bit(packed, state).flatten()
    ours = probe("quantize-nf4", {"weight": weight.flatten()}, tmp_path, "--double-quant")
    assert torch.allclose(ours["nested_offset"], state.offset.reshape(1), rtol=1e-6, atol=0)
    assert torch.allclose(ours["nested_absmax"], state.state2.absmax, rtol=1e-5, atol=1e-9)
    restored = probe("dequantize-nf4", ours, tmp_path, "--elements", weight.numel())["weight"]
    assert torch.isfinite(restored).all()
    assert bf16_ulps(restored, theirs) <= 1
