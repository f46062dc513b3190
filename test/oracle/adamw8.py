"""8-bit AdamW written out from its formulas: bitsandbytes' CUDA kernel with codes that are always the nearest."""

import math

import numpy
import torch
from bitsandbytes.functional import create_dynamic_map

F = numpy.float32


class BlockwiseState:
    """A moment in 8 bits: blocks of 256, each code the nearest to moment / absmax in a dynamic map."""

    def __init__(self, elements: int, signed: bool):
        self.map = create_dynamic_map(signed=signed).numpy()
        self.midpoints = (self.map[:-1] + self.map[1:]) * F(0.5)
        self.elements = elements
        self.blocks = -(-elements // 256)
        self.codes = numpy.zeros(elements, numpy.uint8)
        self.absmax = numpy.zeros(self.blocks, F)

    def dequantized(self) -> numpy.ndarray:
        return self.map[self.codes] * numpy.repeat(self.absmax, 256)[: self.elements]

    def quantize(self, values: numpy.ndarray) -> None:
        padded = numpy.zeros(self.blocks * 256, F)
        padded[: self.elements] = values
        self.absmax = numpy.abs(padded).reshape(-1, 256).max(1)
        divisor = numpy.repeat(numpy.where(self.absmax > 0, self.absmax, F(1)), 256)[: self.elements]
        self.codes = numpy.searchsorted(self.midpoints, values / divisor).astype(numpy.uint8)


class Formulas:
    """bitsandbytes' CUDA AdamW8bit in float32, every operation rounded on its own; constants in float64."""

    def __init__(self, value, learning_rate, beta1, beta2, epsilon, weight_decay):
        self.p = value.copy()
        self.rate, self.beta1, self.beta2 = learning_rate, beta1, beta2
        self.epsilon, self.weight_decay = epsilon, weight_decay
        self.first = BlockwiseState(value.size, signed=True)
        self.second = BlockwiseState(value.size, signed=False)

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
    """The formulas as an optimizer without decay. Blocks follow the layout that the engine has, in which an embedding's
    adapter is PEFT's transposed."""

    def __init__(self, named_parameters, rate: float, beta1: float, beta2: float, epsilon: float):
        named = list(named_parameters)
        super().__init__([parameter for _, parameter in named], {"lr": rate})
        settings = dict(learning_rate=rate, beta1=beta1, beta2=beta2, epsilon=epsilon, weight_decay=0.0)
        self.number = 0
        self.in_8_bits = []
        small = []
        for name, parameter in named:
            if parameter.numel() < 4096:
                small.append(parameter)
                continue
            transposed = "lora_embedding" in name
            laid_out = parameter.detach().T if transposed else parameter.detach()
            self.in_8_bits.append((parameter, transposed, Formulas(laid_out.numpy().flatten(), **settings)))
        self.rest = (
            torch.optim.AdamW(small, lr=rate, betas=(beta1, beta2), eps=epsilon, weight_decay=0.0) if small else None
        )

    @torch.no_grad()
    def step(self):
        self.number += 1
        if self.rest is not None:
            self.rest.step()
        for parameter, transposed, formulas in self.in_8_bits:
            shape = parameter.T.shape if transposed else parameter.shape
            gradient = parameter.grad.T if transposed else parameter.grad
            formulas.step(self.number, gradient.numpy().flatten())
            updated = torch.tensor(formulas.p).reshape(shape)
            parameter.copy_(updated.T if transposed else updated)
