"""Dense: a matrix on the last axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

from decomon._backend import Shape, Tensor, keras, tf
from decomon.ops._base import AffineOp, Op
from decomon.ops._registry import Call, UnsupportedError, activation, read, register


@final
@dataclass(frozen=True)
class Dense(AffineOp):
    """``y = x K + b`` on the last axis; reads the layer's variables at run time."""

    layer: Any

    def __call__(self, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        y = self._product(x, read(self.layer.kernel, x.dtype))
        return y if self.layer.bias is None else y + read(self.layer.bias, x.dtype)

    def absolute(self, *radii: Tensor) -> Tensor:
        (radius,) = radii
        return self._product(radius, tf.abs(read(self.layer.kernel, radius.dtype)))

    def transpose(self, rows: Tensor, shapes: Sequence[Shape]) -> tuple[Tensor, ...]:
        return (self._product(rows, tf.transpose(read(self.layer.kernel, rows.dtype))),)

    def offset(self, shapes: Sequence[Shape], dtype: Tensor) -> Tensor | None:
        if self.layer.bias is None:
            return None
        (shape,) = shapes
        bias = read(self.layer.bias, dtype)
        return tf.broadcast_to(bias, [1, *shape[:-1], bias.shape[0]])

    @staticmethod
    def _product(x: Tensor, kernel: Tensor) -> Tensor:
        flat = tf.reshape(x, [-1, kernel.shape[0]])
        shape = tf.concat([tf.shape(x)[:-1], [kernel.shape[1]]], axis=0)
        y = tf.reshape(tf.matmul(flat, kernel), shape)
        y.set_shape([*x.shape[:-1], kernel.shape[1]])
        return y


@register(keras.layers.Dense)
def dense(call: Call) -> Sequence[Op]:
    """Split the layer into its matrix and its activation."""
    if call.layer.quantization_mode is not None:
        raise UnsupportedError("its kernel is quantised")
    return [Dense(call.layer), *activation(call.layer.activation)]
