"""Ops of several tensors."""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from decomon._backend import Shape, Tensor, keras, tf
from decomon.ops._base import NonnegativeOp, Op
from decomon.ops._registry import Call, UnsupportedError, register


@final
@dataclass(frozen=True)
class Add(NonnegativeOp):
    """The sum of tensors, broadcast against each other as Keras does."""

    def __call__(self, *inputs: Tensor) -> Tensor:
        return functools.reduce(operator.add, inputs)

    def transpose(self, rows: Tensor, shapes: Sequence[Shape]) -> tuple[Tensor, ...]:
        if all(shape == tuple(rows.shape[1:]) for shape in shapes):
            return (rows,) * len(shapes)
        return super().transpose(rows, shapes)


@final
@dataclass(frozen=True)
class Concatenate(NonnegativeOp):
    """Tensors side by side; ``axis`` counts the batch axis as 0."""

    axis: int

    def __call__(self, *inputs: Tensor) -> Tensor:
        return tf.concat(inputs, axis=self.axis)

    def transpose(self, rows: Tensor, shapes: Sequence[Shape]) -> tuple[Tensor, ...]:
        sizes = [shape[self.axis - 1] for shape in shapes]
        return tuple(tf.split(rows, sizes, axis=self.axis))


@register(keras.layers.Add)
def add(call: Call) -> Sequence[Op]:
    """Keras aligns ranks by adding leading axes; with equal ranks this is the plain sum."""
    ranks = {len(shape) for shape in call.input_shapes}
    if len(ranks) != 1:
        raise UnsupportedError(f"its inputs have different ranks, {call.input_shapes}")
    return [Add()]


@register(keras.layers.Concatenate)
def concatenate(call: Call) -> Sequence[Op]:
    """Negative axes count from the end."""
    return [Concatenate(call.layer.axis % (len(call.output_shape) + 1))]
