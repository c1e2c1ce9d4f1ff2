"""The arithmetic that bounds cannot do without, counted in multiply-adds.

What is counted, for a chain of affine layers and functions of single neurons:

- *Intervals*: every affine layer maps a centre by ``W`` and a radius by ``|W|``, for each sample.
- *Rows*: for each unstable (sample, neuron) pair, a lower and an upper row are substituted back to
  the input; for each margin that is asked for, one row.

A row costs

- nothing at the affine layer that it starts behind, because there it is a row of the matrix;
- one multiply-add for each entry of the matrix between its field and what its field sees, at every
  affine layer further back.  Its *field* is where it can have coefficients: of a neuron of
  a convolution, a window; behind a flattening dense layer, everything;
- two for each coefficient at a function of single neurons (slope, offset);
- two for each coefficient at the input (centre and radius).

Nothing is counted for neurons that are stable, nor for those whose exact interval is known without
rows, as that of the first affine layer.  Methods do not know beforehand which neurons are unstable,
so this is a lower limit, not a recipe.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, final

from decomon.nodes import Graph
from decomon.ops._base import ElementwiseOp
from decomon.ops.convolution import GroupedConvolution
from decomon.ops.dense import Dense
from decomon.ops.shaping import Reshape

Shape: TypeAlias = tuple[int, ...]


@final
@dataclass(frozen=True)
class Matrix:
    """A dense layer of a flat value."""

    inputs: int
    outputs: int


@final
@dataclass(frozen=True)
class Windows:
    """A convolution: sides and channels of its input and output, ``(*sides, channels)``."""

    inputs: Shape
    outputs: Shape
    kernel: Shape
    strides: Shape


@final
@dataclass(frozen=True)
class Curve:
    """A function of each neuron alone."""


@final
@dataclass(frozen=True)
class Moved:
    """The same values in another shape."""

    inputs: Shape


Step: TypeAlias = Matrix | Windows | Curve | Moved
"""One node of a chain."""


def chain(graph: Graph) -> tuple[Step, ...]:
    """Describe the nodes of a graph after its input by their shapes.

    Raises
    ------
    ValueError
        If it is no chain of dense layers, convolutions, functions of single neurons and
        changes of shape.
    """
    return tuple(_step(graph, index) for index in range(1, len(graph.nodes)))


def _step(graph: Graph, index: int) -> Step:
    node = graph.nodes[index]
    if node.inputs != (index - 1,):
        raise ValueError(f"Only chains of layers are counted. Received: node {node.name!r}")
    source, op = graph.nodes[index - 1], node.op
    if isinstance(op, Dense) and len(node.shape) == 1:
        return Matrix(source.size, node.size)
    if isinstance(op, GroupedConvolution) and op.layer.groups == 1 and _plain(op.layer):
        layer = op.layer
        return Windows(source.shape, node.shape, tuple(layer.kernel_size), tuple(layer.strides))
    if isinstance(op, ElementwiseOp):
        return Curve()
    if isinstance(op, Reshape):
        return Moved(source.shape)
    raise ValueError(f"Nothing is known about the cost of node {node.name!r}. Received: {op!r}")


def _plain(layer: object) -> bool:
    config = layer.get_config()  # type: ignore[attr-defined]
    last = config["data_format"] == "channels_last"
    return last and config["padding"] in {"valid", "same"} and set(config["dilation_rate"]) == {1}


def intervals_multiply_adds(steps: Sequence[Step]) -> int:
    """Return the cost of the intervals of all nodes, for one sample."""
    return 2 * sum(_entries(step) for step in steps)


def _entries(step: Step) -> int:
    """Return how many entries of its matrix a layer uses, repetitions included."""
    match step:
        case Matrix(inputs, outputs):
            return inputs * outputs
        case Windows(inputs, outputs, kernel):
            return math.prod(outputs) * math.prod(kernel) * inputs[-1]
        case _:
            return 0


def row_multiply_adds(steps: Sequence[Step], start: int) -> int:
    """Return the cost of one row that stands for a neuron of the node behind step ``start``.

    Parameters
    ----------
    steps : of the whole chain
    start : position of a step that is affine or only moves what an affine one gives
    """
    while isinstance(steps[start], Moved) and start > 0:
        start -= 1
    cost = 0
    field = _seen(steps[start], None)
    for step in reversed(steps[:start]):
        match step:
            case Matrix(inputs):
                cost += math.prod(field) * inputs
            case Windows(inputs, _, kernel):
                cost += math.prod(field) * math.prod(kernel) * inputs[-1]
            case Curve():
                cost += 2 * math.prod(field)
            case Moved():
                pass
        field = _seen(step, field)
    return cost + 2 * math.prod(field)


def _seen(step: Step, field: Shape | None) -> Shape:
    """Return the field of a row before a step, from that behind it; None is a single neuron."""
    match step:
        case Matrix(inputs):
            return (inputs,)
        case Moved(inputs):
            if field is not None and math.prod(field) < math.prod(inputs) and len(inputs) == 1:
                return (math.prod(field),)
            return inputs  # a window that was flattened and is none any more counts as everything
        case Windows(inputs, _, kernel, strides):
            sides = (1,) * len(kernel) if field is None else field[:-1]
            windows = [
                min(side, (count - 1) * stride + size)
                for side, count, stride, size in zip(inputs, sides, strides, kernel, strict=False)
            ]
            return (*windows, inputs[-1])
        case Curve():
            if field is None:
                raise ValueError("A row starts behind an affine layer, not behind a function.")
            return field


def necessary_multiply_adds(
    steps: Sequence[Step], samples: int, margins: int, unstable: Mapping[int, int] | None
) -> int:
    """Return the cost of bounds.

    Parameters
    ----------
    steps : the chain
    samples : how many
    margins : how many each sample is asked for
    unstable : how many (sample, neuron) pairs are unstable, by the step whose results they are, for
        those steps that rows start behind; None if there are no rows at all, but intervals
    """
    cost = samples * intervals_multiply_adds(steps)
    if unstable is None:
        return cost
    for start, pairs in unstable.items():
        cost += 2 * pairs * row_multiply_adds(steps, start)
    last = max(i for i, step in enumerate(steps) if isinstance(step, Matrix | Windows))
    return cost + samples * margins * row_multiply_adds(steps, last)
