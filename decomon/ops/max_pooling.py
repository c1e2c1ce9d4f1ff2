"""Max pooling: windows of an image, and the maximum over each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np
from numpy.typing import NDArray

from decomon._backend import Shape, Tensor, keras, tf
from decomon.bounds import Interval, Relaxation
from decomon.ops._base import NonlinearOp, NonnegativeOp, Op, SlopeRule
from decomon.ops._registry import Call, register
from decomon.ops.maxima import Max
from decomon.ops.shaping import Reshape

Table = NDArray[np.int64]
"""Which positions along one axis belong to each window, ``(windows, size)``; -1 is none."""


@final
@dataclass(frozen=True, eq=False)
class Windows(NonnegativeOp):
    """Copy windows of an image to a new last axis.

    ``tables`` has one entry per image axis.  ``(*image, channels)`` becomes ``(*windows, channels,
    n)``; with channels first, ``(channels, *image)`` becomes ``(channels, *windows, n)``.
    Where a window reaches beyond the image, the copy is of any pixel, and :attr:`inside` says so.
    """

    tables: tuple[Table, ...]
    channels_first: bool = False

    @cached_property
    def inside(self) -> NDArray[np.bool_] | None:
        """Which entries of the windows are pixels, broadcast to the output; None if all are."""
        masks = [table >= 0 for table in self.tables]
        if all(mask.all() for mask in masks):
            return None
        rank = len(masks)
        inside = np.ones([1] * 2 * rank, bool)
        for axis, mask in enumerate(masks):
            shape = [1] * 2 * rank
            shape[axis], shape[rank + axis] = mask.shape
            inside = inside & mask.reshape(shape)
        count = [mask.shape[0] for mask in masks]
        channels = [1, *count] if self.channels_first else [*count, 1]
        return inside.reshape([*channels, -1])

    def __call__(self, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        first = 2 if self.channels_first else 1
        rank = len(self.tables)
        for axis in reversed(range(rank)):
            x = _pick(x, self.tables[axis], first + axis)
        places = [first + 2 * axis for axis in range(rank)]
        entries = [place + 1 for place in places]
        channels = 1 if self.channels_first else len(x.shape) - 1
        kept = [channels, *places] if self.channels_first else [*places, channels]
        x = tf.transpose(x, [0, *kept, *entries])
        shape = [int(side) for side in x.shape[1 : 2 + rank]]
        size = int(np.prod([table.shape[1] for table in self.tables]))
        return tf.reshape(x, [tf.shape(x)[0], *shape, size])


@final
@dataclass(frozen=True, eq=False)
class MaxPooling(NonlinearOp):
    """The maximum over each window; parameters are those of :class:`Max`.

    The windows are not a node of their own: an image has fewer entries to bound than overlapping
    windows of it.
    """

    windows: Windows

    @cached_property
    def maximum(self) -> Max:
        """The maximum of a window; entries beyond the image never win."""
        return Max(self.windows.inside)

    def __call__(self, *inputs: Tensor) -> Tensor:
        return self.maximum(self.windows(*inputs))

    def interval(self, *inputs: Interval) -> Interval:
        return self.maximum.interval(self.windows.interval(*inputs))

    def unstable(self, *intervals: Interval) -> tuple[Tensor, ...]:
        """Say which pixels are in doubt in some window."""
        (mask,) = self.maximum.unstable(self.windows.interval(*intervals))
        (x,) = intervals
        rows = tf.cast(mask, x.lower.dtype)
        (count,) = self.windows.transpose(rows, [tuple(x.lower.shape[1:])])
        return (tf.greater(count, 0),)

    def initial(self, intervals: Sequence[Interval], rule: SlopeRule) -> tuple[Tensor, ...]:
        return self.maximum.initial([self.windows.interval(*intervals)], rule)

    def project(self, parameters: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return self.maximum.project(parameters)

    def relax(self, intervals: Sequence[Interval], parameters: tuple[Tensor, ...]) -> Relaxation:
        """Bound each window's maximum as :meth:`Max.relax` does."""
        found = self.maximum.relax([self.windows.interval(*intervals)], parameters)
        return _Copied(found, self.windows, tuple(intervals[0].lower.shape[1:]))


@final
@dataclass(frozen=True)
class _Copied(Relaxation):
    """A relaxation whose input is copied out of a tensor of shape ``shape`` first."""

    relaxation: Relaxation
    copy: Windows
    shape: Shape

    def substitute(self, rows: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        (sent,), offset = self.relaxation.substitute(rows)
        outer = tf.shape(sent)[:2]
        folded = tf.reshape(sent, [outer[0] * outer[1], *sent.shape[2:]])
        (back,) = self.copy.transpose(folded, [self.shape])
        return (tf.reshape(back, [outer[0], outer[1], *self.shape]),), offset


def _pick(x: Tensor, table: Table, axis: int) -> Tensor:
    """Replace an axis by two: the windows, and the entries of each."""
    count, size = table.shape
    before, after = x.shape[1:axis], x.shape[axis + 1 :]
    if table.ravel().tolist() == list(range(count * size)):
        cut = x[(slice(None),) * axis + (slice(0, count * size),)]
    else:
        cut = tf.gather(x, np.maximum(table, 0).ravel(), axis=axis)
    return tf.reshape(cut, [tf.shape(x)[0], *before, count, size, *after])


@register(keras.layers.MaxPooling1D, keras.layers.MaxPooling2D, keras.layers.MaxPooling3D)
def max_pooling(call: Call) -> Sequence[Op]:
    """Windows of one size at a stride; padding never wins."""
    layer = call.layer
    padded = layer.padding == "same"
    options = zip(layer.pool_size, layer.strides, strict=True)
    tables = [
        _regular(side, size, stride, padded=padded)
        for side, (size, stride) in zip(_image(call), options, strict=True)
    ]
    return [MaxPooling(Windows(tuple(tables), _channels_first(call)))]


@register(
    keras.layers.AdaptiveMaxPooling1D,
    keras.layers.AdaptiveMaxPooling2D,
    keras.layers.AdaptiveMaxPooling3D,
)
def adaptive_max_pooling(call: Call) -> Sequence[Op]:
    """Windows that are chosen so that their number is right."""
    counts = call.layer.output_size
    tables = [_adaptive(side, count) for side, count in zip(_image(call), counts, strict=True)]
    return [MaxPooling(Windows(tuple(tables), _channels_first(call)))]


@register(
    keras.layers.GlobalMaxPooling1D,
    keras.layers.GlobalMaxPooling2D,
    keras.layers.GlobalMaxPooling3D,
)
def global_max_pooling(call: Call) -> Sequence[Op]:
    """One window that is the whole image."""
    tables = [np.arange(side)[None] for side in _image(call)]
    pooling = MaxPooling(Windows(tuple(tables), _channels_first(call)))
    return [pooling, Reshape(call.output_shape)]


def _channels_first(call: Call) -> bool:
    return call.layer.data_format == "channels_first"


def _image(call: Call) -> Shape:
    """Return the sides of the image."""
    shape = call.input_shapes[0]
    return shape[1:] if _channels_first(call) else shape[:-1]


def _regular(side: int, size: int, stride: int, *, padded: bool) -> Table:
    """Windows of one size; padding is shared between both ends, the larger half at the end."""
    if padded:
        count = -(-side // stride)
        begin = -(max((count - 1) * stride + size - side, 0) // 2)
    else:
        count, begin = (side - size) // stride + 1, 0
    table = begin + stride * np.arange(count)[:, None] + np.arange(size)
    return np.where((table >= 0) & (table < side), table, -1)


def _adaptive(side: int, count: int) -> Table:
    """Window i goes from ``i side / count`` to ``(i + 1) side / count``, both rounded outward."""
    place = np.arange(count)
    begin, end = place * side // count, -(-(place + 1) * side // count)
    table = begin[:, None] + np.arange(int((end - begin).max()))
    return np.where(table < end[:, None], table, -1)
