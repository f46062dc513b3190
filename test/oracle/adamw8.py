"""8-bit AdamW written out from its formulas: bitsandbytes' CUDA kernel with codes that are always the nearest."""

import math

import numpy
import torch
from bitsandbytes.functional import create_dynamic_map

F = numpy.float32
# bitsandbytes' `min_8bit_size`.
SMALLEST_IN_8_BITS = 4096


class BlockwiseState:
    """A moment in 8 bits: blocks of 256, each code the nearest to moment / absmax in a dynamic map."""

    def __init__(self, elements: int, signed: bool):
        self.map = create_dynamic_map(signed=signed).numpy()
        self.midpoints = (self.map[:-1] + self.map[1:]) * F(0.5)
        self.elements = elements
        self.blocks = -(-elements // 256)
        self.codes = numpy.zeros(elements, numpy.uint8)
        self.absmax = numpy.zeros(self.blocks, F)
        self.scaled = numpy.zeros(elements, F)  # what the codes are the nearest to

    def dequantized(self) -> numpy.ndarray:
        return self.map[self.codes] * numpy.repeat(self.absmax, 256)[: self.elements]

    def quantize(self, values: numpy.ndarray) -> None:
        padded = numpy.zeros(self.blocks * 256, F)
        padded[: self.elements] = values
        self.absmax = numpy.abs(padded).reshape(-1, 256).max(1)
        divisor = numpy.repeat(numpy.where(self.absmax > 0, self.absmax, F(1)), 256)[: self.elements]
        self.scaled = values / divisor
        self.codes = numpy.searchsorted(self.midpoints, self.scaled).astype(numpy.uint8)


class WholeState:
    """A moment in float32, as tensors have that are too small for 8 bits."""

    def __init__(self, elements: int):
        self.values = numpy.zeros(elements, F)

    def dequantized(self) -> numpy.ndarray:
        return self.values

    def quantize(self, values: numpy.ndarray) -> None:
        self.values = values


class Formulas:
    """bitsandbytes' CUDA AdamW8bit in float32, every operation rounded on its own; constants in float64."""

    def __init__(self, value, learning_rate, beta1, beta2, epsilon, weight_decay):
        self.p = value.copy()
        self.rate, self.beta1, self.beta2 = learning_rate, beta1, beta2
        self.epsilon, self.weight_decay = epsilon, weight_decay
        in_8_bits = value.size >= SMALLEST_IN_8_BITS
        self.first = BlockwiseState(value.size, signed=True) if in_8_bits else WholeState(value.size)
        self.second = BlockwiseState(value.size, signed=False) if in_8_bits else WholeState(value.size)

    def step(self, number: int, gradient: numpy.ndarray) -> None:
        root = math.sqrt(1 - self.beta2**number)
        size, epsilon = F(self.rate * root / (1 - self.beta1**number)), F(self.epsilon * root)
        finite = numpy.isfinite(gradient)
        with numpy.errstate(invalid="ignore", over="ignore"):
            m = F(self.beta1) * self.first.dequantized() + F(1 - self.beta1) * gradient
            v = F(self.beta2) * self.second.dequantized() + F(1 - self.beta2) * gradient * gradient
            updated = (self.p - size * (m / (numpy.sqrt(v) + epsilon))) * F(1 - self.rate * self.weight_decay)
        self.p = numpy.where(finite, updated, self.p)
        self.first.quantize(numpy.where(finite, m, F(0)))
        self.second.quantize(numpy.where(finite, v, F(0)))


class FormulasAdamW(torch.optim.Optimizer):
    """The formulas as an optimizer of named parameters, in groups with their own rate and decay. Blocks follow the layout
    that the engine has, in which an embedding's adapter is PEFT's transposed."""

    def __init__(self, groups, betas: tuple[float, float], epsilon: float):
        super().__init__(groups, {"lr": 0.0, "weight_decay": 0.0})
        self.number = 0
        self.formulas = {}
        for group in self.param_groups:
            for name, parameter in zip(group["param_names"], group["params"], strict=True):
                value = laid_out(name, parameter.detach()).numpy().flatten()
                self.formulas[name] = Formulas(value, 0.0, *betas, epsilon, 0.0)

    @torch.no_grad()
    def step(self):
        self.number += 1
        for group in self.param_groups:
            for name, parameter in zip(group["param_names"], group["params"], strict=True):
                formulas = self.formulas[name]
                formulas.rate, formulas.weight_decay = group["lr"], group["weight_decay"]
                formulas.step(self.number, laid_out(name, parameter.grad).numpy().flatten())
                laid_out(name, parameter).copy_(torch.tensor(formulas.p).reshape(laid_out(name, parameter).shape))


def laid_out(name: str, tensor: torch.Tensor) -> torch.Tensor:
    """A parameter as the engine holds it, a view."""
    return tensor.T if "lora_embedding" in name else tensor
