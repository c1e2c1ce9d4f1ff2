"""Affine ops of several tensors."""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from decomon._backend import Shape, Tensor, keras, tf
from decomon.ops._base import NonnegativeOp, Op
from decomon.ops._registry import Call, UnsupportedError, Value, register
from decomon.ops.linear import Subtract
from decomon.ops.shaping import Reshape


@final
@dataclass(frozen=True)
class Add(NonnegativeOp):
    """The sum of tensors, broadcast against each other."""

    def aligned(self, shapes: Sequence[Shape], shape: Shape) -> bool:
        return all(source == shape for source in shapes)

    def __call__(self, *inputs: Tensor) -> Tensor:
        return functools.reduce(operator.add, inputs)

    def transpose(self, rows: Tensor, shapes: Sequence[Shape]) -> tuple[Tensor | None, ...]:
        if all(shape == tuple(rows.shape[1:]) for shape in shapes):
            return (rows,) * len(shapes)
        return super().transpose(rows, shapes)


@final
@dataclass(frozen=True)
class Average(NonnegativeOp):
    """The mean of tensors, broadcast against each other."""

    def __call__(self, *inputs: Tensor) -> Tensor:
        return Add()(*inputs) / len(inputs)


@final
@dataclass(frozen=True)
class Concatenate(NonnegativeOp):
    """Tensors side by side; ``axis`` counts the batch axis as 0."""

    axis: int

    @property
    def diagonal(self) -> bool:
        return True

    def __call__(self, *inputs: Tensor) -> Tensor:
        return tf.concat(inputs, axis=self.axis)

    def transpose(self, rows: Tensor, shapes: Sequence[Shape]) -> tuple[Tensor, ...]:
        sizes = [shape[self.axis - 1] for shape in shapes]
        return tuple(tf.split(rows, sizes, axis=self.axis))


@register(keras.layers.Add)
def add(call: Call) -> Value:
    """The sum of aligned tensors."""
    return call.apply(Add(), *_summands(call))


@register(keras.layers.Average)
def average(call: Call) -> Value:
    """The mean of aligned tensors."""
    return call.apply(Average(), *_summands(call))


@register(keras.layers.Subtract)
def subtract(call: Call) -> Value:
    """The difference of aligned tensors."""
    return call.apply(Subtract(), *aligned(call))


@register(keras.layers.Concatenate)
def concatenate(call: Call) -> Sequence[Op]:
    """Negative axes count from the end."""
    axis = call.layer.axis % (len(call.output_shape) + 1)
    if axis == 0:
        raise UnsupportedError("it joins batches (axis=0), so outputs do not belong to one sample")
    return [Concatenate(axis)]


def aligned(call: Call) -> tuple[Value, ...]:
    """The inputs of a merging layer with equal ranks: Keras adds axes after the batch axis."""
    rank = max(len(shape) for shape in call.input_shapes)
    return tuple(
        value
        if len(value.shape) == rank
        else call.apply(Reshape((1,) * (rank - len(value.shape)) + value.shape), value)
        for value in call.inputs
    )


def check_sum(first: Shape, second: Shape) -> None:
    """Refuse a sum that Keras on TensorFlow computes differently for certain batch sizes.

    ``keras.ops.add`` takes a second operand with a single side longer than 1, the batch axis
    included, for a bias of the channels (see :func:`decomon.ops.linear.add_bias`).  If the sample
    has one such side, that happens for a batch of one; if it has none, it happens for batches
    that are as large as the first operand's first or last side, and then mixes samples.

    Parameters
    ----------
    first, second : shapes of equal rank, without batch axis
    """
    long = [axis for axis, side in enumerate(second) if side > 1]
    ends = (len(first) - 1, 0)
    wrong = False
    if not long:
        wrong = any(first[axis] > 1 for axis in ends)
    elif len(long) == 1:
        fitting = [axis for axis in ends if first[axis] == second[long[0]]]
        wrong = bool(fitting) and fitting[0] != long[0]
    if wrong:
        raise UnsupportedError(
            f"it adds a tensor of shape {second} to one of shape {first}, and Keras on TensorFlow "
            "takes the former for a bias when the batch has a certain size, so the result depends "
            "on the batch. Pass the larger tensor last, or repeat the smaller one first"
        )


def _summands(call: Call) -> tuple[Value, ...]:
    values = aligned(call)
    total = values[0].shape
    for value in values[1:]:
        check_sum(total, value.shape)
        total = tuple(b if a == 1 else a for a, b in zip(total, value.shape, strict=True))
    return values
