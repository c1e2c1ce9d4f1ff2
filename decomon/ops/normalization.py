"""Batch normalisation at inference: one scale and one shift per channel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

from decomon._backend import Shape, Tensor, keras, tf
from decomon.ops._base import AffineOp, Op
from decomon.ops._registry import Call, UnsupportedError, read, register


@final
@dataclass(frozen=True)
class BatchNormalization(AffineOp):
    """``y = s * x + t`` with the moving statistics, read from the layer at run time."""

    layer: Any
    shape: Shape

    @property
    def diagonal(self) -> bool:
        return True

    def __call__(self, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        return x * self._scale(x.dtype) + self._shift(x.dtype)

    def absolute(self, *radii: Tensor) -> Tensor:
        (radius,) = radii
        return radius * tf.abs(self._scale(radius.dtype))

    def transpose(self, rows: Tensor, shapes: Sequence[Shape]) -> tuple[Tensor, ...]:
        return (rows * self._scale(rows.dtype),)

    def offset(self, shapes: Sequence[Shape], dtype: Tensor) -> Tensor | None:
        return tf.broadcast_to(self._shift(dtype), [1, *self.shape])

    def _scale(self, dtype: Tensor) -> Tensor:
        scale = tf.math.rsqrt(read(self.layer.moving_variance, dtype) + self.layer.epsilon)
        if self.layer.gamma is not None:
            scale = scale * read(self.layer.gamma, dtype)
        return self._along_axis(scale)

    def _shift(self, dtype: Tensor) -> Tensor:
        shift = -self._along_axis(read(self.layer.moving_mean, dtype)) * self._scale(dtype)
        if self.layer.beta is not None:
            shift = shift + self._along_axis(read(self.layer.beta, dtype))
        return shift

    def _along_axis(self, values: Tensor) -> Tensor:
        axis = self.layer.axis % (len(self.shape) + 1)
        return tf.reshape(values, [-1 if i == axis else 1 for i in range(len(self.shape) + 1)])


@register(keras.layers.BatchNormalization)
def batch_normalization(call: Call) -> Sequence[Op]:
    """Use the moving statistics, as the layer does at inference."""
    if not isinstance(call.layer.axis, int):
        raise UnsupportedError(f"it normalises along several axes, {call.layer.axis}")
    return [BatchNormalization(call.layer, call.input_shapes[0])]
