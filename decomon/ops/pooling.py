"""Average pooling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from decomon._backend import Tensor, keras, tf
from decomon.ops._base import NonnegativeOp, Op
from decomon.ops._layout import from_channels_last, spatial_axes, to_channels_last
from decomon.ops._registry import Call, register
from decomon.ops.linear import AlongAxes, Mean


@final
@dataclass(frozen=True)
class AveragePooling(NonnegativeOp):
    """Average over windows; with padding, over the part of the window inside the image."""

    layer: Any

    def __call__(self, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        y = tf.nn.avg_pool(
            to_channels_last(self.layer, x),
            ksize=self.layer.pool_size,
            strides=self.layer.strides,
            padding=self.layer.padding.upper(),
        )
        return from_channels_last(self.layer, y)


@register(keras.layers.AveragePooling1D, keras.layers.AveragePooling2D)
def average_pooling(call: Call) -> Sequence[Op]:
    """One op."""
    return [AveragePooling(call.layer)]


@register(keras.layers.AveragePooling3D)
def average_pooling3d(call: Call) -> Sequence[Op]:
    """One side after the other: TensorFlow pools volumes on CPUs in single precision only."""
    layer = call.layer
    (shape,) = call.input_shapes
    axes = spatial_axes(layer, 5)
    matrices = tuple(
        _spans(shape[axis - 1], size, stride, layer.padding)
        for axis, size, stride in zip(axes, layer.pool_size, layer.strides, strict=True)
    )
    return [AlongAxes(axes, matrices)]


@register(
    keras.layers.GlobalAveragePooling1D,
    keras.layers.GlobalAveragePooling2D,
    keras.layers.GlobalAveragePooling3D,
)
def global_average_pooling(call: Call) -> Sequence[Op]:
    """The mean over all sides of the image."""
    axes = spatial_axes(call.layer, len(call.input_shapes[0]) + 1)
    return [Mean(axes, call.layer.keepdims)]


@register(
    keras.layers.AdaptiveAveragePooling1D,
    keras.layers.AdaptiveAveragePooling2D,
    keras.layers.AdaptiveAveragePooling3D,
)
def adaptive_average_pooling(call: Call) -> Sequence[Op]:
    """Windows that divide each side as evenly as whole numbers can, and may overlap."""
    (shape,) = call.input_shapes
    axes = spatial_axes(call.layer, len(shape) + 1)
    matrices = tuple(
        _windows(shape[axis - 1], new)
        for axis, new in zip(axes, call.layer.output_size, strict=True)
    )
    return [AlongAxes(axes, matrices)]


def _windows(old: int, new: int) -> NDArray[np.float64]:
    """Averages over the entries from ``floor(i old / new)`` to ``ceil((i + 1) old / new)``."""
    return _averages(old, [(i * old // new, -(-(i + 1) * old // new)) for i in range(new)])


def _spans(old: int, size: int, stride: int, padding: str) -> NDArray[np.float64]:
    """Averages over windows; those of "same" are cut off at the ends of the side."""
    if padding == "valid":
        starts = range(0, old - size + 1, stride)
    else:
        new = -(-old // stride)
        before = max((new - 1) * stride + size - old, 0) // 2
        starts = range(-before, new * stride - before, stride)
    return _averages(old, [(max(start, 0), min(start + size, old)) for start in starts])


def _averages(old: int, windows: Sequence[tuple[int, int]]) -> NDArray[np.float64]:
    matrix = np.zeros((len(windows), old))
    for row, (start, end) in zip(matrix, windows, strict=True):
        row[start:end] = 1 / (end - start)
    return matrix
