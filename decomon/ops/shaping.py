"""Ops that move values around and, for padding, add zeros."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from decomon._backend import Shape, Tensor, keras, tf
from decomon.ops._base import NonnegativeOp, Op
from decomon.ops._layout import channels_first
from decomon.ops._registry import Call, UnsupportedError, register


@final
@dataclass(frozen=True)
class Reshape(NonnegativeOp):
    """Give each sample another shape; values keep their row-major order."""

    shape: Shape

    @property
    def diagonal(self) -> bool:
        return True

    def aligned(self, shapes: Sequence[Shape], shape: Shape) -> bool:
        return True

    def factors(
        self, shapes: Sequence[Shape], shape: Shape, dtype: Tensor
    ) -> tuple[Tensor | None, ...]:
        return (None,)

    def __call__(self, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        return tf.reshape(x, [tf.shape(x)[0], *self.shape])

    def transpose(self, rows: Tensor, shapes: Sequence[Shape]) -> tuple[Tensor, ...]:
        return (tf.reshape(rows, [tf.shape(rows)[0], *shapes[0]]),)


@final
@dataclass(frozen=True)
class Permute(NonnegativeOp):
    """Reorder the axes of each sample; ``axes`` counts the batch axis as 0 and starts with it."""

    axes: tuple[int, ...]

    @property
    def diagonal(self) -> bool:
        return True

    def __call__(self, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        return tf.transpose(x, self.axes)


@final
@dataclass(frozen=True)
class ZeroPadding(NonnegativeOp):
    """Add zeros around; ``paddings`` has a pair for every axis, the batch axis first."""

    paddings: tuple[tuple[int, int], ...]

    @property
    def diagonal(self) -> bool:
        return True

    def __call__(self, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        return tf.pad(x, self.paddings)


@final
@dataclass(frozen=True)
class Slice(NonnegativeOp):
    """Cut out a part of each sample: per axis, begin, end and step, all resolved; step > 0."""

    ranges: tuple[tuple[int, int, int], ...]

    @property
    def diagonal(self) -> bool:
        return True

    def __call__(self, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        return x[(slice(None), *(slice(*bounds) for bounds in self.ranges))]


@final
@dataclass(frozen=True)
class Gather(NonnegativeOp):
    """Pick entries along an axis, the batch axis counting as 0.

    ``indices`` count from 0 and may repeat; a single number drops the axis.
    """

    indices: int | tuple[int, ...]
    axis: int

    @property
    def diagonal(self) -> bool:
        return isinstance(self.indices, int) or len(set(self.indices)) == len(self.indices)

    def __call__(self, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        return tf.gather(x, self.indices, axis=self.axis)


@final
@dataclass(frozen=True)
class BroadcastTo(NonnegativeOp):
    """Repeat each sample to a shape; missing axes are added in front, after the batch axis."""

    shape: Shape

    def __call__(self, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        missing = len(self.shape) + 1 - len(x.shape)
        ones = [1] * missing
        x = tf.reshape(x, [tf.shape(x)[0], *ones, *x.shape[1:]])
        return tf.broadcast_to(x, [tf.shape(x)[0], *self.shape])


@final
@dataclass(frozen=True)
class Stack(NonnegativeOp):
    """Tensors of one shape along a new axis, the batch axis counting as 0."""

    axis: int

    @property
    def diagonal(self) -> bool:
        return True

    def __call__(self, *inputs: Tensor) -> Tensor:
        return tf.stack(inputs, axis=self.axis)

    def transpose(self, rows: Tensor, shapes: Sequence[Shape]) -> tuple[Tensor, ...]:
        return tuple(tf.unstack(rows, num=len(shapes), axis=self.axis))


@register(keras.layers.Flatten)
def flatten(call: Call) -> Sequence[Op]:
    """Flatten; with channels first, Keras moves the channels to the end before it flattens."""
    rank = len(call.input_shapes[0])
    ops: list[Op] = [Reshape(call.output_shape)]
    if call.layer.data_format == "channels_first" and rank > 1:
        ops.insert(0, Permute((0, *range(2, rank + 1), 1)))
    return ops


@register(keras.layers.Reshape)
def reshape(call: Call) -> Sequence[Op]:
    """The target shape with its -1 resolved is the layer's output shape."""
    return [Reshape(call.output_shape)]


@register(keras.layers.Permute)
def permute(call: Call) -> Sequence[Op]:
    """Keras counts the axes of a sample from 1, and the batch axis stays."""
    return [Permute((0, *call.layer.dims))]


@register(keras.layers.ZeroPadding1D, keras.layers.ZeroPadding2D, keras.layers.ZeroPadding3D)
def zero_padding(call: Call) -> Sequence[Op]:
    """Pad the sides of the image."""
    sides = _pairs(call.layer.padding)
    if channels_first(call.layer):
        return [ZeroPadding(((0, 0), (0, 0), *sides))]
    return [ZeroPadding(((0, 0), *sides, (0, 0)))]


@register(keras.layers.Cropping1D)
def cropping1d(call: Call) -> Sequence[Op]:
    """Crop the first axis of the sample; this layer has no data format."""
    (shape,) = call.input_shapes
    return [_crop(shape, {0: _pairs(call.layer.cropping)[0]})]


@register(keras.layers.Cropping2D, keras.layers.Cropping3D)
def cropping(call: Call) -> Sequence[Op]:
    """Crop the sides of the image."""
    (shape,) = call.input_shapes
    start = 1 if channels_first(call.layer) else 0
    return [_crop(shape, dict(enumerate(_pairs(call.layer.cropping), start)))]


@register(keras.layers.RepeatVector)
def repeat_vector(call: Call) -> Sequence[Op]:
    """One copy per step."""
    return [BroadcastTo(call.output_shape)]


def _pairs(settings: Any) -> tuple[tuple[int, int], ...]:
    """Both ends of every side; layers of one side have a single pair."""
    pairs = [settings] if isinstance(settings[0], int) else settings
    return tuple((int(before), int(after)) for before, after in pairs)


def _crop(shape: Shape, cut: Mapping[int, tuple[int, int]]) -> Slice:
    """Remove some entries at both ends of the given axes of a sample."""
    ends = [cut.get(axis, (0, 0)) for axis in range(len(shape))]
    return Slice(
        tuple((before, side - after, 1) for (before, after), side in zip(ends, shape, strict=True))
    )


@register(
    keras.layers.Dropout,
    keras.layers.SpatialDropout1D,
    keras.layers.SpatialDropout2D,
    keras.layers.SpatialDropout3D,
    keras.layers.AlphaDropout,
    keras.layers.GaussianDropout,
    keras.layers.GaussianNoise,
    keras.layers.ActivityRegularization,
    keras.layers.Identity,
)
def identity(call: Call) -> Sequence[Op]:
    """Layers that do nothing at inference."""
    if len(call.input_shapes) != 1:
        raise UnsupportedError(f"it was called on {len(call.input_shapes)} tensors, not one")
    return []
