"""Convolutions in one to three dimensions."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from decomon._backend import Shape, Tensor, keras, tf
from decomon.ops._base import AffineOp, Stencil
from decomon.ops._layout import channels_first, from_channels_last, to_channels_last
from decomon.ops._registry import Call, Value, read, register
from decomon.ops.linear import add_bias

FORMATS = {1: "NWC", 2: "NHWC", 3: "NDHWC"}
"""TensorFlow's name of channels-last, by the number of sides."""

_FEW_CHANNELS = 8


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

    def transpose(self, rows: Tensor, shapes: Sequence[Shape]) -> tuple[Tensor | None, ...]:
        layer = self.layer
        if channels_first(layer) or not self._banded:
            return super().transpose(rows, shapes)
        (shape,) = shapes
        starts = [-pad for pad in self._before(shape)]
        return (_placed(self._spread(rows), starts, shape[:-1]),)

    def stencil(self, shapes: Sequence[Shape]) -> Stencil | None:
        layer = self.layer
        if channels_first(layer):
            return None
        (shape,) = shapes
        return Stencil(
            tuple(_reach(layer)),
            tuple(layer.strides),
            tuple(-pad for pad in self._before(shape)),
            self._spread,
        )

    def _before(self, shape: Shape) -> list[int]:
        """Return how many zeros the padding puts before the first entry along each axis."""
        layer = self.layer
        if layer.padding == "valid":
            return [0] * layer.rank
        if layer.padding == "causal":
            return [side - 1 for side in _reach(layer)]
        return [before for before, _ in _paddings(layer, shape[:-1])[1:-1]]

    @property
    def _banded(self) -> bool:
        """Whether the transpose is a product of matrices that is faster than TensorFlow's own.

        That was measured: for few channels its kernels fall far below the rate of a product.
        """
        layer = self.layer
        plain = layer.groups == 1 and layer.rank == 2 and max(layer.dilation_rate) == 1
        return plain and layer.kernel.shape[2] <= _FEW_CHANNELS

    def _spread(self, rows: Tensor) -> Tensor:
        """Transpose the convolution without padding: ``(n, *sides, filters)`` to larger sides."""
        layer = self.layer
        kernel = read(layer.kernel, rows.dtype)
        if self._banded:
            return _spread_banded(rows, kernel, tuple(layer.strides))
        sides = [
            (side - 1) * stride + reach
            for side, stride, reach in zip(
                rows.shape[1:-1], layer.strides, _reach(layer), strict=True
            )
        ]
        channels = kernel.shape[-2] * layer.groups
        x = tf.zeros([tf.shape(rows)[0], *sides, channels], rows.dtype)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = self._windows(x, kernel, "VALID")
        return tape.gradient(y, x, output_gradients=rows)

    def _convolve(self, x: Tensor, kernel: Tensor) -> Tensor:
        layer, padding = self.layer, self.layer.padding
        if padding == "causal":  # as many zeros in front as the kernel looks back
            x = tf.pad(
                x, [[0, 0], [layer.dilation_rate[0] * (layer.kernel_size[0] - 1), 0], [0, 0]]
            )
            padding = "valid"
        return self._windows(x, kernel, padding.upper())

    def _windows(self, x: Tensor, kernel: Tensor, padding: str) -> Tensor:
        layer = self.layer
        parts = [
            tf.nn.convolution(
                part,
                weights,
                strides=layer.strides,
                padding=padding,
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


def _reach(layer: Any) -> list[int]:
    """Return how many places a dilated kernel spans along each axis."""
    return [
        (size - 1) * rate + 1
        for size, rate in zip(layer.kernel_size, layer.dilation_rate, strict=True)
    ]


def _spread_banded(rows: Tensor, kernel: Tensor, strides: tuple[int, ...]) -> Tensor:
    """Do the same as :func:`spread_banded`, with the gradients that are known of a convolution."""

    @tf.custom_gradient
    def spread(rows: Tensor, kernel: Tensor) -> tuple[Tensor, Any]:
        def gradient(upstream: Tensor) -> tuple[Tensor, Tensor]:
            return (
                tf.nn.conv2d(upstream, kernel, strides, "VALID"),
                tf.raw_ops.Conv2DBackpropFilter(
                    input=upstream,
                    filter_sizes=tf.shape(kernel),
                    out_backprop=rows,
                    strides=[1, *strides, 1],
                    padding="VALID",
                ),
            )

        return spread_banded(rows, kernel, strides), gradient

    return spread(rows, kernel)


def spread_banded(rows: Tensor, kernel: Tensor, strides: Sequence[int]) -> Tensor:
    """Transpose a two-dimensional convolution without padding, as one product of matrices.

    Along the second axis, the convolution is a banded matrix; along the first one, products
    for each line of the kernel are shifted and added up.

    Parameters
    ----------
    rows : ``(n, height, width, filters)``
    kernel : ``(kernel height, kernel width, channels, filters)``

    Returns
    -------
    tensor ``(n, larger height, larger width, channels)``
    """
    tall, wide, channels, filters = (int(side) for side in kernel.shape)
    height, width = (int(side) for side in rows.shape[1:3])
    down, across = strides
    length = (width - 1) * across + wide
    # Column j of the window comes from column w of the rows by kernel column j - w * across.
    first: NDArray[np.intp] = np.arange(width)[:, None] * across
    apart = np.arange(length) - first
    columns = np.where((apart >= 0) & (apart < wide), apart, wide).astype(np.int32)
    padded = tf.pad(tf.transpose(kernel, [1, 3, 0, 2]), [[0, 1], [0, 0], [0, 0], [0, 0]])
    band = tf.gather(padded, tf.constant(columns))  # (width, length, filters, tall, channels)
    band = tf.reshape(
        tf.transpose(band, [0, 2, 3, 1, 4]), [width * filters, tall * length * channels]
    )
    lines = tf.matmul(tf.reshape(rows, [-1, width * filters]), band)
    # Lines of the kernel that the same stride covers lie next to each other in the result.
    groups = -(-tall // down)
    lines = tf.reshape(lines, [-1, height, tall, length * channels])
    if groups * down != tall:
        lines = tf.pad(lines, [[0, 0], [0, 0], [0, groups * down - tall], [0, 0]])
    total = None
    for group in range(groups):
        part = tf.reshape(
            lines[:, :, group * down : (group + 1) * down],
            [-1, height, down * length * channels],
        )
        part = tf.pad(part, [[0, 0], [group, groups - 1 - group], [0, 0]])
        total = part if total is None else total + part
    tall_sum = tf.reshape(total, [-1, (height + groups - 1) * down, length, channels])
    return tall_sum[:, : (height - 1) * down + tall]


def _placed(x: Tensor, starts: Sequence[int], sides: Sequence[int]) -> Tensor:
    """Put images of any size where they begin on a frame, cutting off what lies outside."""
    cut: list[Any] = [slice(None)]
    pads = [[0, 0]]
    for start, side, have in zip(starts, sides, x.shape[1:-1], strict=True):
        cut.append(slice(max(-start, 0), max(min(have, side - start), 0)))
        pads.append([max(start, 0), max(side - start - have, 0)])
    x = x[tuple(cut)]
    return tf.pad(x, [*pads, [0, 0]]) if any(map(any, pads)) else x


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
