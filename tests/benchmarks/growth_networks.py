"""Random networks of any size, about a third of whose hidden neurons are unstable.

Weights are fixed for each size.  Layer by layer, biases are spread until the share of intervals
that contain zero is right for one box, and then the layer is scaled so that its
values are of size one; so activations neither vanish nor explode, however deep the network is.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

SHARE = 1 / 3
"""How many of the hidden neurons are unstable."""

# Behind another layer, interval arithmetic takes about twice as many neurons for unstable.
_SHARE_BY_INTERVALS = 0.6

RADIUS = 0.05
INPUTS = 64
CLASSES = 10


def boxes(shape: Sequence[int], batch: int) -> tuple[Array, Array]:
    """Return the corners of boxes around random points of [0, 1]."""
    center = np.random.default_rng(1).uniform(size=(batch, *shape)).astype(np.float32)
    return center - np.float32(RADIUS), center + np.float32(RADIUS)


def dense(depth: int, width: int) -> Any:
    """Return a ReLU network with ``depth`` hidden layers, calibrated by CROWN's own intervals."""
    import keras

    widths = [INPUTS, *[width] * depth, CLASSES]
    x_min, x_max = (corner[0].astype(np.float64) for corner in boxes((INPUTS,), 1))
    chain = _Chain(x_min, x_max)
    rng = np.random.default_rng(0)
    weights: list[Array] = []
    for inputs, outputs in pairwise(widths):
        kernel = rng.normal(size=(inputs, outputs)) * np.sqrt(2 / inputs)
        kernel, bias = chain.added(kernel, rng.normal(size=outputs))
        weights += [kernel, bias]
    parts: list[Any] = [keras.Input((INPUTS,))]
    parts += [keras.layers.Dense(width, activation="relu") for _ in range(depth)]
    model = keras.Sequential([*parts, keras.layers.Dense(CLASSES)])
    model.set_weights(weights)
    return model


def convolutional(side: int) -> Any:
    """Return two convolutions and two dense layers, calibrated by interval arithmetic."""
    import keras

    make: Any = keras.layers
    parts = [
        make.Conv2D(8, 3, activation="relu"),
        make.Conv2D(8, 3, strides=2, activation="relu"),
        make.Flatten(),
        make.Dense(32, activation="relu"),
        make.Dense(CLASSES),
    ]
    model = keras.Sequential([keras.Input((side, side, 1)), *parts])
    lower, upper = (corner.astype(np.float64) for corner in boxes((side, side, 1), 1))
    rng = np.random.default_rng(0)
    for layer in parts:
        if not layer.weights:
            lower, upper = lower.reshape(1, -1), upper.reshape(1, -1)
            continue
        shape = layer.kernel.shape
        kernel = rng.normal(size=shape) * np.sqrt(2 / np.prod(shape[:-1]))
        center = _applied(layer, (lower + upper) / 2, kernel)
        radius = _applied(layer, (upper - lower) / 2, np.abs(kernel))
        first = layer is parts[0]
        share = SHARE if first else _SHARE_BY_INTERVALS
        scale, bias = _calibrated(center, radius, rng.normal(size=shape[-1]), share)
        layer.set_weights([kernel * scale, bias])
        center, radius = center * scale + bias, radius * scale
        lower, upper = np.maximum(center - radius, 0), np.maximum(center + radius, 0)
    return model


def _applied(layer: Any, x: Array, kernel: Array) -> Array:
    """Apply a layer with another kernel and neither bias nor activation."""
    import keras

    if isinstance(layer, keras.layers.Dense):
        return x @ kernel
    return np.asarray(keras.ops.conv(x, kernel, strides=layer.strides), dtype=np.float64)


def _calibrated(
    center: Array, radius: Array, noise: Array, wanted: float = SHARE
) -> tuple[float, Array]:
    """Return a factor for the weights and biases that leave the right share unstable.

    More spread of the biases makes fewer neurons unstable; so much is looked for by bisection.

    Parameters
    ----------
    center, radius : of the values without biases, ``(..., neurons)``
    noise : ``(neurons,)``: the direction of the biases
    wanted : share of unstable neurons
    """
    middle = center.mean()
    few, many = 1e3 * float(radius.mean() + center.std()), 0.0
    for _ in range(60):
        spread = (few + many) / 2
        share = np.mean(np.abs(center - middle + spread * noise) < radius)
        few, many = (few, spread) if share > wanted else (spread, many)
    bias = few * noise - middle
    size = float(np.sqrt(np.mean((center + bias) ** 2)))
    return 1 / size, bias / size


class _Chain:
    """A dense ReLU network on one box that grows layer by layer, with CROWN's intervals."""

    def __init__(self, x_min: Array, x_max: Array) -> None:
        self._center, self._radius = (x_min + x_max) / 2, (x_max - x_min) / 2
        self._layers: list[tuple[Array, Array]] = []
        self._lines: list[tuple[Array, Array, Array]] = []

    def added(self, kernel: Array, noise: Array) -> tuple[Array, Array]:
        """Add a layer; return its kernel and bias, calibrated."""
        plain = np.zeros(kernel.shape[1])
        upper = self._bound(kernel.T, plain)
        lower = -self._bound(-kernel.T, plain)
        scale, bias = _calibrated((lower + upper) / 2, (upper - lower) / 2, noise)
        self._layers.append((kernel * scale, bias))
        self._lines.append(_relu_lines(lower * scale + bias, upper * scale + bias))
        return self._layers[-1]

    def _bound(self, rows: Array, offset: Array) -> Array:
        """Bound rows of the last hidden layer from above, backwards to the input."""
        for (kernel, bias), (low, slope, intercept) in zip(
            reversed(self._layers), reversed(self._lines), strict=True
        ):
            positive, negative = np.maximum(rows, 0), np.minimum(rows, 0)
            offset = offset + positive @ intercept
            rows = positive * slope + negative * low
            offset = offset + rows @ bias
            rows = rows @ kernel.T
        return rows @ self._center + np.abs(rows) @ self._radius + offset


def _relu_lines(lower: Array, upper: Array) -> tuple[Array, Array, Array]:
    """Return the lower slope and the chord's slope and offset of each neuron."""
    unstable = (lower < 0) & (upper > 0)
    width = np.where(unstable, upper - lower, 1.0)
    active = (lower >= 0).astype(np.float64)
    chord = np.where(unstable, upper / width, active)
    low = np.where(unstable, (upper > -lower).astype(np.float64), active)
    return low, chord, np.where(unstable, -chord * lower, 0.0)
