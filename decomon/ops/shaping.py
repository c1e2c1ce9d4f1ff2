"""Ops that move values around and, for padding, add zeros."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from decomon._backend import Shape, Tensor, keras, tf
from decomon.ops._base import NonnegativeOp, Op
from decomon.ops._registry import Call, UnsupportedError, register


@final
@dataclass(frozen=True)
class Reshape(NonnegativeOp):
    """Give each sample another shape; values keep their row-major order."""

    shape: Shape

    @property
    def diagonal(self) -> bool:
        return True

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


@register(keras.layers.ZeroPadding2D)
def zero_padding(call: Call) -> Sequence[Op]:
    """Pad the two image axes."""
    sides = tuple((int(before), int(after)) for before, after in call.layer.padding)
    if call.layer.data_format == "channels_first":
        return [ZeroPadding(((0, 0), (0, 0), *sides))]
    return [ZeroPadding(((0, 0), *sides, (0, 0)))]


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
