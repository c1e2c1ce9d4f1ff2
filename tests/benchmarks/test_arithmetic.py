"""What is counted as necessary arithmetic is what matrices full of numbers take."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import decomon
from tests.benchmarks.arithmetic import (
    Curve,
    Matrix,
    Moved,
    Windows,
    chain,
    intervals_multiply_adds,
    necessary_multiply_adds,
    row_multiply_adds,
)
from tests.decomon.helpers import Array, keras, layers


def network() -> Any:
    return keras.Sequential(
        [
            keras.Input((72,)),
            layers.Reshape((9, 8, 1)),
            layers.Conv2D(2, (3, 2), strides=(2, 1), activation="relu"),
            layers.Conv2D(3, 2, activation="relu"),
            layers.Flatten(),
            layers.Dense(5, activation="relu"),
            layers.Dense(4),
        ]
    )


def used(steps: tuple[Any, ...], model: Any) -> list[Array | None]:
    """Which entries ``(inputs, outputs)`` of each step's matrix there are; None for a curve."""
    affine = iter(layer for layer in model.layers if layer.weights)
    found: list[Array | None] = []
    for step in steps:
        if isinstance(step, Curve):
            found.append(None)
            continue
        if isinstance(step, Moved):
            found.append(np.eye(int(np.prod(step.inputs)), dtype=bool))
            continue
        layer = next(affine)
        layer.set_weights([np.ones(layer.kernel.shape), np.zeros(layer.bias.shape)])
        size = int(np.prod(layer.input.shape[1:]))
        points = np.eye(size, dtype=np.float32).reshape(size, *layer.input.shape[1:])
        found.append(np.asarray(layer(points)).reshape(size, -1) > 0)
    return found


def counted(matrices: list[Array | None], start: int, neuron: int) -> int:
    """Count the arithmetic of one row, entry by entry."""
    first = matrices[start]
    assert first is not None
    field = first[:, neuron]
    cost = 0
    for matrix in reversed(matrices[:start]):
        if matrix is None:
            cost += 2 * int(field.sum())
            continue
        moves = (matrix.sum(axis=0) == 1).all() and (matrix.sum(axis=1) == 1).all()
        cost += 0 if moves else int(matrix[:, field].sum())
        field = matrix[:, field].any(axis=1)
    return cost + 2 * int(field.sum())


def test_a_row_costs_the_entries_that_it_meets() -> None:
    model = network()
    steps = chain(decomon.clone(model).graph)
    matrices = used(steps, model)
    starts = [i for i, step in enumerate(steps) if isinstance(step, Matrix | Windows)]
    assert len(starts) == 4
    for start in starts:
        matrix = matrices[start]
        assert matrix is not None
        costs = {counted(matrices, start, neuron) for neuron in range(matrix.shape[1])}
        assert costs == {row_multiply_adds(steps, start)}


def test_intervals_use_every_entry_twice() -> None:
    model = network()
    steps = chain(decomon.clone(model).graph)
    entries = sum(
        int(matrix.sum())
        for step, matrix in zip(steps, used(steps, model), strict=True)
        if matrix is not None and not isinstance(step, Moved)
    )
    assert intervals_multiply_adds(steps) == 2 * entries


def test_everything_is_summed() -> None:
    steps = chain(decomon.clone(network()).graph)
    last = len(steps) - 1
    inner = max(i for i, step in enumerate(steps[:last]) if isinstance(step, Matrix))
    intervals = necessary_multiply_adds(steps, 7, 3, None)
    assert intervals == 7 * intervals_multiply_adds(steps)
    margins = necessary_multiply_adds(steps, 7, 3, {}) - intervals
    assert margins == 21 * row_multiply_adds(steps, last)
    pairs = necessary_multiply_adds(steps, 7, 3, {inner: 11}) - intervals - margins
    assert pairs == 22 * row_multiply_adds(steps, inner)


def test_what_cannot_be_counted_is_refused() -> None:
    x = keras.Input((3,))
    residual = keras.Model(x, layers.Add()([layers.Dense(3)(x), x]))
    pooled = keras.Sequential([keras.Input((4, 1)), layers.AveragePooling1D(1), layers.Flatten()])
    for model in (residual, pooled):
        with pytest.raises(ValueError, match="Received: "):
            chain(decomon.clone(model).graph)
