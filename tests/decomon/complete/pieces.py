"""Piecewise linear networks as matrices and choices, read from Keras models in float64.

Nothing here is shared with the library: affine layers are probed with unit vectors.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from tests.decomon.helpers import keras, layers

Array: TypeAlias = NDArray[np.float64]
Map: TypeAlias = tuple[Array, Array]
"""An affine function of the network's input: matrix ``(units, inputs)`` and offset ``(units,)``."""


@final
@dataclass(frozen=True)
class Option:
    """What a unit is where ``sides @ x <= limits``: ``row @ x + offset``."""

    row: Array
    offset: float
    sides: Array
    limits: Array


class Step(abc.ABC):
    """A node of the network; ``sources`` are positions of earlier ones, 0 being the input."""

    sources: tuple[int, ...]

    @abc.abstractmethod
    def forward(self, *values: Array) -> Array:
        """Map points ``(count, units)``."""


@final
@dataclass(frozen=True)
class Affine(Step):
    """``matrix @ value + bias``."""

    sources: tuple[int, ...]
    matrix: Array
    bias: Array

    def forward(self, *values: Array) -> Array:
        return values[0] @ self.matrix.T + self.bias

    def after(self, found: Map) -> Map:
        matrix, offset = found
        return self.matrix @ matrix, self.matrix @ offset + self.bias


@final
@dataclass(frozen=True)
class Sum(Step):
    """The sum of several nodes."""

    sources: tuple[int, ...]

    def forward(self, *values: Array) -> Array:
        return np.sum(values, axis=0)


class Choice(Step):
    """A node each of whose units is one of several affine functions, where each of them holds."""

    @abc.abstractmethod
    def options(self, found: Map, unit: int) -> list[Option]:
        """Return what a unit can be, if its source is ``found``; together, they cover all."""

    @abc.abstractmethod
    def units(self, found: Map) -> int:
        """Return how many units there are."""


@final
@dataclass(frozen=True)
class Bend(Choice):
    """``below * value`` for negative values and ``above * value`` for others."""

    sources: tuple[int, ...]
    below: float
    above: float

    def forward(self, *values: Array) -> Array:
        return np.where(values[0] < 0, self.below, self.above) * values[0]

    def options(self, found: Map, unit: int) -> list[Option]:
        row, offset = found[0][unit], float(found[1][unit])
        return [
            Option(slope * row, slope * offset, sign * row[None], np.array([-sign * offset]))
            for slope, sign in ((self.below, 1.0), (self.above, -1.0))
        ]

    def units(self, found: Map) -> int:
        return len(found[1])


@final
@dataclass(frozen=True)
class Largest(Choice):
    """The largest unit of each group ``(groups, members)``."""

    sources: tuple[int, ...]
    groups: NDArray[np.intp]

    def forward(self, *values: Array) -> Array:
        return values[0][:, self.groups].max(axis=2)

    def options(self, found: Map, unit: int) -> list[Option]:
        matrix, offset = found
        members = self.groups[unit]
        return [
            Option(
                matrix[winner],
                float(offset[winner]),
                matrix[others] - matrix[winner],
                offset[winner] - offset[others],
            )
            for winner in members
            for others in [members[members != winner]]
        ]

    def units(self, found: Map) -> int:
        return len(self.groups)


@final
@dataclass(frozen=True)
class Network:
    """A network of flat inputs; the last step is its output."""

    inputs: int
    steps: tuple[Step, ...]

    def forward(self, points: Array) -> Array:
        """Outputs ``(count, classes)`` at points ``(count, inputs)``."""
        values = [points.astype(np.float64)]
        for step in self.steps:
            values.append(step.forward(*(values[source] for source in step.sources)))
        return values[-1]


_BENDS = {"relu": (0.0, 1.0), "Absolute": (-1.0, 1.0)}


def read(model: Any) -> Network:
    """Read a Keras model whose layers are affine, bends, max pooling and additions."""
    steps: list[Step] = []
    where = {id(model.inputs[0]): 0}
    for layer in model.layers if isinstance(model, keras.Sequential) else model.operations:
        if isinstance(layer, layers.InputLayer):
            continue
        given = layer.input if isinstance(layer.input, list) else [layer.input]
        sources = tuple(where[id(tensor)] for tensor in given)
        for step in _steps(layer, sources, given[0].shape[1:], len(steps)):
            steps.append(step)
        where[id(layer.output)] = len(steps)
    return Network(int(np.prod(model.inputs[0].shape[1:])), tuple(steps))


def _steps(layer: Any, sources: tuple[int, ...], shape: Sequence[int], count: int) -> list[Step]:
    kind = type(layer).__name__
    if kind == "Add":
        return [Sum(sources)]
    if kind == "ReLU":
        return [Bend(sources, *_BENDS["relu"])]
    if kind == "LeakyReLU":
        return [Bend(sources, float(layer.negative_slope), 1.0)]
    if kind == "Absolute":
        return [Bend(sources, *_BENDS["Absolute"])]
    if kind == "MaxPooling2D":
        return [Largest(sources, _windows(layer, shape))]
    found: list[Step] = [Affine(sources, *_probed(layer, shape))]
    activation = getattr(layer, "activation", keras.activations.linear)
    if activation is keras.activations.relu:
        found.append(Bend((count + 1,), *_BENDS["relu"]))
    elif activation is not keras.activations.linear:
        raise ValueError(f"not piecewise linear: {activation}")
    return found


def _probed(layer: Any, shape: Sequence[int]) -> tuple[Array, Array]:
    """Return the matrix and the bias of an affine layer, in double precision."""
    config = {**layer.get_config(), "dtype": "float64"}
    if "activation" in config:
        config["activation"] = None
    copy = type(layer).from_config(config)
    copy.build((None, *shape))
    copy.set_weights([np.asarray(weight, np.float64) for weight in layer.get_weights()])
    size = int(np.prod(shape))
    probes = np.concatenate([np.zeros((1, size)), np.eye(size)]).reshape(-1, *shape)
    outputs = np.asarray(copy(probes), np.float64).reshape(size + 1, -1)
    return (outputs[1:] - outputs[0]).T, outputs[0]


def _windows(layer: Any, shape: Sequence[int]) -> NDArray[np.intp]:
    """Return the positions that each unit of a max pooling layer without padding looks at."""
    if layer.padding != "valid":
        raise ValueError(f"padding {layer.padding!r} is not read")
    height, width, channels = shape
    positions = np.arange(height * width * channels).reshape(height, width, channels)
    views = np.lib.stride_tricks.sliding_window_view(positions, layer.pool_size, axis=(0, 1))
    views = views[:: layer.strides[0], :: layer.strides[1]]
    return views.reshape(-1, int(np.prod(layer.pool_size)))
