"""Convolutions in one to three dimensions."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

from decomon._backend import Shape, Tensor, keras, tf
from decomon.ops._base import AffineOp
from decomon.ops._layout import channels_first, from_channels_last, to_channels_last
from decomon.ops._registry import Call, Value, read, register
from decomon.ops.linear import add_bias

FORMATS = {1: "NWC", 2: "NHWC", 3: "NDHWC"}
"""TensorFlow's name of channels-last, by the number of sides."""


@dataclass(frozen=True)
class Convolution(AffineOp, abc.ABC):
    """What a layer does with its kernel, plus its bias; variables are read at run time.

    The transpose is the generic vector-Jacobian product: no matrix is ever formed.
    """

    layer: Any

    def __call__(self, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        y = from_channels_last(self.layer, self.convolve(to_channels_last(self.layer, x)))
        if self.layer.bias is None:
            return y
        bias = read(self.layer.bias, x.dtype)
        if channels_first(self.layer):
            bias = tf.reshape(bias, [-1, *[1] * self.layer.rank])
        return add_bias(y, bias)

    def absolute(self, *radii: Tensor) -> Tensor:
        (radius,) = radii
        spread = self.convolve_absolute(to_channels_last(self.layer, radius))
        return from_channels_last(self.layer, spread)

    def offset(self, shapes: Sequence[Shape], dtype: Tensor) -> Tensor | None:
        return None if self.layer.bias is None else super().offset(shapes, dtype)

    @abc.abstractmethod
    def convolve(self, x: Tensor) -> Tensor:
        """Convolve a tensor whose channels come last, without bias."""

    @abc.abstractmethod
    def convolve_absolute(self, radius: Tensor) -> Tensor:
        """The same with the absolute value of every entry of the matrix."""


@final
@dataclass(frozen=True)
class GroupedConvolution(Convolution):
    """A convolution with any stride, dilation, padding and number of groups."""

    def convolve(self, x: Tensor) -> Tensor:
        return self._convolve(x, read(self.layer.kernel, x.dtype))

    def convolve_absolute(self, radius: Tensor) -> Tensor:
        return self._convolve(radius, tf.abs(read(self.layer.kernel, radius.dtype)))

    def _convolve(self, x: Tensor, kernel: Tensor) -> Tensor:
        layer, padding = self.layer, self.layer.padding
        if padding == "causal":  # as many zeros in front as the kernel looks back
            x = tf.pad(
                x, [[0, 0], [layer.dilation_rate[0] * (layer.kernel_size[0] - 1), 0], [0, 0]]
            )
            padding = "valid"
        parts = [
            tf.nn.convolution(
                part,
                weights,
                strides=layer.strides,
                padding=padding.upper(),
                data_format=FORMATS[layer.rank],
                dilations=layer.dilation_rate,
            )
            for part, weights in zip(
                tf.split(x, layer.groups, axis=-1),
                tf.split(kernel, layer.groups, axis=-1),
                strict=True,
            )
        ]
        return parts[0] if layer.groups == 1 else tf.concat(parts, axis=-1)


@final
@dataclass(frozen=True)
class TransposedConvolution(Convolution):
    """The transpose of a convolution, which enlarges by its strides."""

    def convolve(self, x: Tensor) -> Tensor:
        return self._convolve(x, read(self.layer.kernel, x.dtype))

    def convolve_absolute(self, radius: Tensor) -> Tensor:
        return self._convolve(radius, tf.abs(read(self.layer.kernel, radius.dtype)))

    def _convolve(self, x: Tensor, kernel: Tensor) -> Tensor:
        layer = self.layer
        for axis, rate in enumerate(layer.dilation_rate):
            kernel = _dilate(kernel, axis, rate)
        sides, channels = x.shape[1:-1], x.shape[-1]
        if channels_first(layer):
            sides = layer.compute_output_shape((None, channels, *sides))[2:]
        else:
            sides = layer.compute_output_shape((None, *sides, channels))[1:-1]
        y = tf.nn.conv_transpose(
            x,
            kernel,
            tf.concat([tf.shape(x)[:1], sides, [layer.filters]], axis=0),
            layer.strides,
            padding=layer.padding.upper(),
            data_format=FORMATS[layer.rank],
        )
        y.set_shape([x.shape[0], *sides, layer.filters])
        return y


@final
@dataclass(frozen=True)
class DepthwiseConvolution(Convolution):
    """A convolution of each channel by kernels of its own."""

    def convolve(self, x: Tensor) -> Tensor:
        return depthwise(self.layer, x, read(self.layer.kernel, x.dtype))

    def convolve_absolute(self, radius: Tensor) -> Tensor:
        return depthwise(self.layer, radius, tf.abs(read(self.layer.kernel, radius.dtype)))


@final
@dataclass(frozen=True)
class SeparableConvolution(Convolution):
    """A depthwise convolution followed by a matrix on the channels, as one op.

    The product of both absolute values is more than the absolute value of their product, so that
    one is a plain convolution by the kernel that both are together.
    """

    def convolve(self, x: Tensor) -> Tensor:
        y = depthwise(self.layer, x, read(self.layer.depthwise_kernel, x.dtype))
        pointwise = read(self.layer.pointwise_kernel, x.dtype)
        return tf.nn.convolution(y, pointwise, data_format=FORMATS[self.layer.rank])

    def convolve_absolute(self, radius: Tensor) -> Tensor:
        layer = self.layer
        deep = read(layer.depthwise_kernel, radius.dtype)
        channels, multiplier = deep.shape[-2:]
        point = tf.reshape(
            read(layer.pointwise_kernel, radius.dtype), [channels, multiplier, layer.filters]
        )
        kernel = tf.abs(tf.einsum("...cm,cmf->...cf", deep, point))
        pads = _paddings(layer, radius.shape[1:-1]) if layer.padding == "same" else None
        strided = any(rate > 1 for rate in layer.dilation_rate)
        y = tf.nn.convolution(
            radius if pads is None else tf.pad(radius, pads),
            kernel,
            strides=None if strided else layer.strides,
            padding="VALID",
            data_format=FORMATS[layer.rank],
            dilations=layer.dilation_rate,
        )
        return _subsample(y, layer.strides) if strided else y


def depthwise(layer: Any, x: Tensor, kernel: Tensor) -> Tensor:
    """Convolve every channel of a one- or two-dimensional image by its own kernels.

    TensorFlow has neither strides with dilations nor unequal strides; there the convolution is
    evaluated everywhere and every so many values are kept.
    """
    strides, rates, padding = layer.strides, layer.dilation_rate, layer.padding.upper()
    apart = max(strides) > 1 and (max(rates) > 1 or len(set(strides)) > 1)
    if apart and padding == "SAME":
        x, padding = tf.pad(x, _paddings(layer, x.shape[1:-1])), "VALID"
    flat = layer.rank == 1
    if flat:
        x, kernel, rates = x[:, None], kernel[None], (1, *rates)
    step = 1 if apart else strides[0]
    y = tf.nn.depthwise_conv2d(
        x, kernel, [1, step, step, 1], padding, data_format="NHWC", dilations=rates
    )
    y = y[:, 0] if flat else y
    return _subsample(y, strides) if apart else y


def _dilate(kernel: Tensor, axis: int, rate: int) -> Tensor:
    """Put ``rate - 1`` zeros between the entries along an axis."""
    if rate == 1:
        return kernel
    size = kernel.shape[axis]
    apart = tf.expand_dims(kernel, axis + 1)
    pads = [[0, rate - 1 if i == axis + 1 else 0] for i in range(len(apart.shape))]
    shape = [*kernel.shape[:axis], size * rate, *kernel.shape[axis + 1 :]]
    spread = tf.reshape(tf.pad(apart, pads), shape)
    return spread[(*[slice(None)] * axis, slice((size - 1) * rate + 1))]


def _paddings(layer: Any, sides: Sequence[int]) -> list[list[int]]:
    """How many zeros "same" puts around each axis: the odd one goes behind."""
    pads = [[0, 0]]
    for side, size, stride, rate in zip(
        sides, layer.kernel_size, layer.strides, layer.dilation_rate, strict=True
    ):
        last = (-(-side // stride) - 1) * stride
        total = max(last + (size - 1) * rate + 1 - side, 0)
        pads.append([total // 2, total - total // 2])
    return [*pads, [0, 0]]


def _subsample(y: Tensor, strides: Sequence[int]) -> Tensor:
    return y[(slice(None), *(slice(None, None, stride) for stride in strides))]


@register(keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)
def convolution(call: Call) -> Value:
    """Split the layer into its convolution and its activation."""
    y = call.apply(GroupedConvolution(call.layer), *call.inputs)
    return call.activation(call.layer.activation, y)


@register(keras.layers.Conv1DTranspose, keras.layers.Conv2DTranspose, keras.layers.Conv3DTranspose)
def transposed_convolution(call: Call) -> Value:
    """Split the layer into its convolution and its activation."""
    y = call.apply(TransposedConvolution(call.layer), *call.inputs)
    return call.activation(call.layer.activation, y)


@register(keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)
def depthwise_convolution(call: Call) -> Value:
    """Split the layer into its convolution and its activation."""
    y = call.apply(DepthwiseConvolution(call.layer), *call.inputs)
    return call.activation(call.layer.activation, y)


@register(keras.layers.SeparableConv1D, keras.layers.SeparableConv2D)
def separable_convolution(call: Call) -> Value:
    """Split the layer into its convolution and its activation."""
    y = call.apply(SeparableConvolution(call.layer), *call.inputs)
    return call.activation(call.layer.activation, y)
