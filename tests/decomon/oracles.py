"""Bounds of dense ReLU networks by other means, in NumPy: interval arithmetic, CROWN, the optimum.

``layers`` is a list of ``(kernel (in, out), bias)``; boxes here are single ones, shape ``(n,)``.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

Array = NDArray[np.float64]
Layers = Sequence[tuple[Array, Array]]
Ends = tuple[Array, Array]


def forward(layers: Layers, x: Array) -> Array:
    """Logits of one point."""
    for kernel, bias in layers[:-1]:
        x = np.maximum(x @ kernel + bias, 0)
    return x @ layers[-1][0] + layers[-1][1]


def affine_range(kernel: Array, bias: Array, low: Array, high: Array) -> Ends:
    """Exact range of one affine layer over a box."""
    up, down = np.maximum(kernel, 0), np.minimum(kernel, 0)
    return low @ up + high @ down + bias, high @ up + low @ down + bias


def relaxed(low: float, high: float, like: float) -> tuple[float, float, float]:
    """Lower slope, upper slope, upper offset of a ReLU; ``like`` > 0 prefers the lower slope 1."""
    if low >= 0:
        return 1.0, 1.0, 0.0
    if high <= 0:
        return 0.0, 0.0, 0.0
    slope = high / (high - low)
    return float(like >= 0), slope, -slope * low


class DenseCrown:
    """CROWN, or CROWN with interval-arithmetic inside, one box at a time."""

    def __init__(self, layers: Layers, x_min: Array, x_max: Array, *, inside: str) -> None:
        self.layers, self.x_min, self.x_max = layers, x_min, x_max
        self.pre: list[Ends] = []
        self.choice: list[Array] = []
        low, high = x_min, x_max
        for depth, (kernel, bias) in enumerate(layers[:-1]):
            low, high = affine_range(kernel, bias, low, high)
            own_low, own_high = low, high
            if inside == "crown":
                own_high = self.upper(depth, np.eye(len(bias)))
                own_low = -self.upper(depth, -np.eye(len(bias)))
                open_ = (low < 0) & (high > 0)
                own_low, own_high = np.where(open_, own_low, low), np.where(open_, own_high, high)
                low, high = np.maximum(low, own_low), np.minimum(high, own_high)
            self.pre.append((low, high))
            self.choice.append(own_high + own_low)
            low, high = np.maximum(low, 0), np.maximum(high, 0)
        self.post = (low, high)

    def upper(self, depth: int, rows: Array) -> Array:
        """Upper bounds of ``rows . z`` with z the output of the affine layer ``depth``."""
        constant = np.zeros(len(rows))
        for layer in range(depth, -1, -1):
            kernel, bias = self.layers[layer]
            constant = constant + rows @ bias
            rows = rows @ kernel.T
            if layer == 0:
                break
            (low, high), choice = self.pre[layer - 1], self.choice[layer - 1]
            new = np.zeros_like(rows)
            for neuron in range(rows.shape[1]):
                lower, slope, offset = relaxed(low[neuron], high[neuron], choice[neuron])
                a = rows[:, neuron]
                new[:, neuron] = np.where(a > 0, a * slope, a * lower)
                constant = constant + np.where(a > 0, a * offset, 0)
            rows = new
        return np.maximum(rows, 0) @ self.x_max + np.minimum(rows, 0) @ self.x_min + constant

    def intervals(self, rows: Array) -> Array:
        """Bounds of ``rows . output`` from the interval of the last hidden layer."""
        kernel, bias = self.layers[-1]
        folded = rows @ kernel.T
        low, high = self.post
        return np.maximum(folded, 0) @ high + np.minimum(folded, 0) @ low + rows @ bias

    def margins(self, rows: Array) -> Array:
        """The tighter of both, row by row."""
        return np.minimum(self.upper(len(self.layers) - 1, rows), self.intervals(rows))


def optimum(layers: Layers, x_min: Array, x_max: Array, row: Array) -> float:
    """The largest ``row . output`` over a box: one linear program per activation pattern.

    Where the pattern of all ReLUs is fixed, the network is affine and the pattern holds on a
    polytope; the polytopes cover the box.
    """
    best = -np.inf
    sizes = [len(bias) for _, bias in layers[:-1]]
    for pattern in itertools.product((0.0, 1.0), repeat=sum(sizes)):
        active = np.split(np.array(pattern), np.cumsum(sizes)[:-1])
        matrix, shift = np.eye(len(x_min)), np.zeros(len(x_min))
        sides: list[Array] = []
        limits: list[Array] = []
        for (kernel, bias), on in zip(layers[:-1], active, strict=True):
            matrix, shift = matrix @ kernel, shift @ kernel + bias
            sign = 1 - 2 * on  # active: -z <= 0; inactive: z <= 0
            sides.append(sign[:, None] * matrix.T)
            limits.append(-sign * shift)
            matrix, shift = matrix * on, shift * on
        kernel, bias = layers[-1]
        goal = matrix @ kernel @ row
        constant = float((shift @ kernel + bias) @ row)
        found = linprog(
            -goal,
            A_ub=np.concatenate(sides),
            b_ub=np.concatenate(limits),
            bounds=np.stack([x_min, x_max], axis=1),
            method="highs",
        )
        if found.status == 0:
            best = max(best, constant - found.fun)
        elif found.status != 2:  # anything but "infeasible"
            raise RuntimeError(f"linear program not solved: {found.message}")
    return best
