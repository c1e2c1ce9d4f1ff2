"""Two-dimensional convolution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

from decomon._backend import Shape, Tensor, keras, tf
from decomon.ops._base import AffineOp, Op
from decomon.ops._registry import Call, UnsupportedError, activation, read, register


@final
@dataclass(frozen=True)
class Convolution2D(AffineOp):
    """``keras.layers.Conv2D`` with any stride, dilation, padding, groups and data format.

    The transpose is the generic vector-Jacobian product: no matrix is ever formed.
    """

    layer: Any

    def __call__(self, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        y = self._convolve(x, read(self.layer.kernel, x.dtype))
        if self.layer.bias is None:
            return y
        bias = read(self.layer.bias, x.dtype)
        return y + (bias[:, None, None] if self._channels_first else bias)

    def absolute(self, *radii: Tensor) -> Tensor:
        (radius,) = radii
        return self._convolve(radius, tf.abs(read(self.layer.kernel, radius.dtype)))

    def offset(self, shapes: Sequence[Shape], dtype: Tensor) -> Tensor | None:
        return None if self.layer.bias is None else super().offset(shapes, dtype)

    @property
    def _channels_first(self) -> bool:
        return self.layer.data_format == "channels_first"

    def _convolve(self, x: Tensor, kernel: Tensor) -> Tensor:
        if self._channels_first:  # TensorFlow convolves channels-first tensors on GPUs only
            x = tf.transpose(x, [0, 2, 3, 1])
        groups = self.layer.groups
        parts = [
            tf.nn.convolution(
                part,
                weights,
                strides=self.layer.strides,
                padding=self.layer.padding.upper(),
                dilations=self.layer.dilation_rate,
            )
            for part, weights in zip(
                tf.split(x, groups, axis=-1), tf.split(kernel, groups, axis=-1), strict=True
            )
        ]
        y = parts[0] if groups == 1 else tf.concat(parts, axis=-1)
        return tf.transpose(y, [0, 3, 1, 2]) if self._channels_first else y


@register(keras.layers.Conv2D)
def convolution(call: Call) -> Sequence[Op]:
    """Split the layer into its convolution and its activation."""
    layer = call.layer
    ambiguous = layer.data_format == "channels_first" and call.output_shape[-1] == layer.filters
    if layer.bias is not None and ambiguous:
        raise UnsupportedError(
            f"its bias has as many entries as its output is wide ({layer.filters}), and with "
            "channels first, Keras on TensorFlow then adds it along the width, not the channels"
        )
    return [Convolution2D(layer), *activation(layer.activation)]
