"""Dense layers: a matrix on the last axis, or any Einstein sum with a kernel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

from decomon._backend import Shape, Tensor, keras, tf
from decomon.ops._base import AffineOp
from decomon.ops._registry import Call, UnsupportedError, Value, read, register
from decomon.ops.linear import Einsum, add_bias, product


@final
@dataclass(frozen=True)
class Dense(AffineOp):
    """``y = x K + b`` on the last axis; reads the layer's variables at run time."""

    layer: Any

    def __call__(self, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        y = product(x, read(self.layer.kernel, x.dtype))
        return y if self.layer.bias is None else y + read(self.layer.bias, x.dtype)

    def absolute(self, *radii: Tensor) -> Tensor:
        (radius,) = radii
        return product(radius, tf.abs(read(self.layer.kernel, radius.dtype)))

    def transpose(self, rows: Tensor, shapes: Sequence[Shape]) -> tuple[Tensor, ...]:
        return (product(rows, tf.transpose(read(self.layer.kernel, rows.dtype))),)

    def select(
        self, places: Tensor, shape: Shape, shapes: Sequence[Shape], dtype: Tensor
    ) -> tuple[Tensor, ...] | None:
        if len(shape) != 1:
            return None
        columns = tf.transpose(read(self.layer.kernel, dtype))
        return (tf.gather(columns, places),)

    def offset(self, shapes: Sequence[Shape], dtype: Tensor) -> Tensor | None:
        if self.layer.bias is None:
            return None
        (shape,) = shapes
        bias = read(self.layer.bias, dtype)
        return tf.broadcast_to(bias, [1, *shape[:-1], bias.shape[0]])


@final
@dataclass(frozen=True)
class EinsumDense(AffineOp):
    """An Einstein sum of the input and the layer's kernel, plus the bias."""

    layer: Any

    def __call__(self, *inputs: Tensor) -> Tensor:
        y = self._sum(*inputs)
        return y if self.layer.bias is None else add_bias(y, read(self.layer.bias, y.dtype))

    def absolute(self, *radii: Tensor) -> Tensor:
        return self._sum.absolute(*radii)

    def offset(self, shapes: Sequence[Shape], dtype: Tensor) -> Tensor | None:
        return None if self.layer.bias is None else super().offset(shapes, dtype)

    @property
    def _sum(self) -> Einsum:
        return Einsum(self.layer.equation, lambda: self.layer.kernel)


@register(keras.layers.Dense)
def dense(call: Call) -> Value:
    """Split the layer into its matrix and its activation."""
    _check_precision(call.layer)
    return call.activation(call.layer.activation, call.apply(Dense(call.layer), *call.inputs))


@register(keras.layers.EinsumDense)
def einsum_dense(call: Call) -> Value:
    """Split the layer into its sum and its activation; samples must not be mixed."""
    layer = call.layer
    _check_precision(layer)
    operands, result = layer.equation.replace(" ", "").split("->")
    first, second = operands.split(",")
    if result[0] != first[0] or first[0] in second.replace(".", ""):
        raise UnsupportedError(
            f"its equation {layer.equation!r} does not keep the batch axis in front, so it may mix "
            "samples"
        )
    return call.activation(layer.activation, call.apply(EinsumDense(layer), *call.inputs))


def _check_precision(layer: Any) -> None:
    if layer.quantization_mode is not None:
        raise UnsupportedError("its kernel is quantised")
