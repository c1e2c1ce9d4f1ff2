"""Normalisation with fixed statistics: one scale and one shift per channel or entry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

from decomon._backend import Shape, Tensor, keras, tf
from decomon.ops._base import AffineOp, Op
from decomon.ops._registry import Call, UnsupportedError, Value, read, register
from decomon.ops.linear import Scale, Shift


@final
@dataclass(frozen=True)
class BatchNormalization(AffineOp):
    """``y = s * x + t`` with the moving statistics, read from the layer at run time."""

    layer: Any
    shape: Shape

    @property
    def diagonal(self) -> bool:
        return True

    def aligned(self, shapes: Sequence[Shape], shape: Shape) -> bool:
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


@final
@dataclass(frozen=True)
class Statistics:
    """Mean and standard deviation of a ``Normalization`` layer, read at run time.

    They are the layer's variables if it was adapted.  If it was given them, or if the variables
    were assigned and are not in use (``finalize_state`` does that), they are constants.
    """

    layer: Any
    adapted: bool

    def mean(self) -> Tensor:
        """The mean, with the rank of the input."""
        return self._laid_out(self.layer.adapt_mean) if self.adapted else self.layer.mean

    def deviation(self) -> Tensor:
        """The standard deviation, which Keras keeps away from zero."""
        variance = self.layer.variance
        if self.adapted:
            variance = self._laid_out(self.layer.adapt_variance)
        return tf.maximum(tf.sqrt(variance), keras.config.epsilon())

    def in_use(self) -> bool:
        """Whether the layer computes with what its variables hold."""
        adapted = Statistics(self.layer, adapted=True)
        return bool(
            tf.reduce_all(self.layer.mean == adapted.mean())
            and tf.reduce_all(self.deviation() == adapted.deviation())
        )

    def _laid_out(self, variable: Any) -> Tensor:
        value = read(variable, self.layer.compute_dtype)
        return tf.reshape(value, self.layer.mean.shape)


@register(keras.layers.Normalization)
def normalization(call: Call) -> Sequence[Op]:
    """``(x - mean) / deviation``, or its inverse."""
    layer = call.layer
    fixed = Statistics(layer, adapted=False)
    given = layer.input_mean is not None
    statistics = fixed if given or not fixed.in_use() else Statistics(layer, adapted=True)
    if layer.invert:
        return [Scale(statistics.deviation), Shift(statistics.mean)]
    return [
        Shift(lambda: -statistics.mean()),
        Scale(lambda: 1.0 / statistics.deviation()),
    ]


@register(keras.layers.SpectralNormalization)
def spectral_normalization(call: Call) -> Value:
    """At inference the kernel is used as training left it."""
    return call.builder.layer(call.layer.layer, *call.inputs)
