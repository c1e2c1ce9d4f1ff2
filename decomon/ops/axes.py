"""Ops along any axes, written for the last one; and constant masks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast, final

import numpy as np
from numpy.typing import NDArray

from decomon._backend import Shape, Tensor, keras, tf
from decomon._tensors import size_of
from decomon.bounds import Interval
from decomon.ops._base import AffineOp
from decomon.ops._registry import Builder, UnsupportedError, Value
from decomon.ops.shaping import Permute, Reshape


def resolve_axes(axis: Any, value: Value) -> tuple[int, ...]:
    """Return axes as increasing positive numbers that count the batch axis as 0; refuse that one.

    ``axis`` is an integer, or several, negative ones counting from the end.
    """
    rank = len(value.shape) + 1
    given = cast("Sequence[Any]", axis if isinstance(axis, (list, tuple)) else (axis,))
    if not all(isinstance(a, int) and -rank <= a < rank for a in given):
        raise UnsupportedError(f"its axis is {axis!r}, but its input has {rank} axes")
    axes = tuple(sorted({a % rank for a in given}))
    if 0 in axes:
        raise UnsupportedError(f"its axis, {axis!r}, is that of the batch")
    return axes


def along(
    builder: Builder, value: Value, axes: Sequence[int], function: Callable[[Value], Value]
) -> Value:
    """Add something that acts on the last axis along other axes, which become one.

    ``axes`` are resolved; ``function`` keeps the shape.
    """
    rank = len(value.shape) + 1
    order = (*(a for a in range(rank) if a not in axes), *axes)
    moved = _permuted(builder, value, order)
    joined = tuple(moved.shape[: rank - 1 - len(axes)])
    joined = (*joined, size_of(moved.shape[rank - 1 - len(axes) :]))
    result = _reshaped(builder, function(_reshaped(builder, moved, joined)), moved.shape)
    return _permuted(builder, result, tuple(int(a) for a in np.argsort(order)))


def _permuted(builder: Builder, value: Value, order: tuple[int, ...]) -> Value:
    return value if order == tuple(range(len(order))) else builder.apply(Permute(order), value)


def _reshaped(builder: Builder, value: Value, shape: Shape) -> Value:
    return value if value.shape == shape else builder.apply(Reshape(shape), value)


@final
@dataclass(frozen=True, eq=False)
class Keep(AffineOp):
    """``x`` where a mask is true, and a constant elsewhere.

    The mask, of shape ``(1, ...)``, broadcasts against the tensor.
    """

    mask: NDArray[np.bool_]
    fill: float

    @property
    def diagonal(self) -> bool:
        return True

    def __call__(self, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        return tf.where(self.mask, x, tf.constant(self.fill, x.dtype))

    def absolute(self, *radii: Tensor) -> Tensor:
        (radius,) = radii
        return tf.where(self.mask, radius, tf.zeros_like(radius))

    def interval(self, *inputs: Interval) -> Interval:
        (x,) = inputs
        return Interval(self(x.lower), self(x.upper))

    def transpose(self, rows: Tensor, shapes: Sequence[Shape]) -> tuple[Tensor, ...]:
        return (self.absolute(rows),)


def constant_mask(mask: Any, rank: int) -> NDArray[np.bool_]:
    """Return a mask that is the same for every sample, of ``rank`` axes, the first of size 1."""
    if isinstance(mask, (Value, keras.KerasTensor)):
        raise UnsupportedError("its mask is computed by the model, so what it keeps can change")
    values = np.asarray(mask)
    if not np.isin(values, (0, 1)).all():
        raise UnsupportedError("its mask has values other than 0 and 1")
    values = values.astype(bool)
    if values.ndim > rank:
        raise UnsupportedError(f"its mask has {values.ndim} axes, more than what it masks ({rank})")
    values = values.reshape((1,) * (rank - values.ndim) + values.shape)
    if values.shape[0] != 1 and not (values == values[:1]).all():
        raise UnsupportedError("its mask is not the same for every sample")
    return values[:1]
