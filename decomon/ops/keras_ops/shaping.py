"""Operations that only move values around or repeat them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from decomon._backend import Shape, Tensor, tf
from decomon._tensors import size_of
from decomon.ops._base import NonnegativeOp, Op
from decomon.ops._registry import UnsupportedError
from decomon.ops.keras_ops import _classes
from decomon.ops.keras_ops._use import Use, constant, integers, number, rule, touches_batch
from decomon.ops.linear import Constant, Scale
from decomon.ops.refusals import register_refusal
from decomon.ops.shaping import (
    BroadcastTo,
    Gather,
    Permute,
    Reshape,
)


@final
@dataclass(frozen=True)
class Flip(NonnegativeOp):
    """Reverse the order along some axes, the batch axis counting as 0."""

    axes: tuple[int, ...]

    @property
    def diagonal(self) -> bool:
        return True

    def __call__(self, *inputs: Tensor) -> Tensor:
        return tf.reverse(inputs[0], self.axes)

    def transpose(self, rows: Tensor, shapes: Sequence[Shape]) -> tuple[Tensor, ...]:
        return (tf.reverse(rows, self.axes),)


@final
@dataclass(frozen=True)
class Roll(NonnegativeOp):
    """Move values along axes; what leaves at one end enters at the other."""

    shifts: tuple[int, ...]
    axes: tuple[int, ...]

    @property
    def diagonal(self) -> bool:
        return True

    def __call__(self, *inputs: Tensor) -> Tensor:
        return tf.roll(inputs[0], self.shifts, self.axes)

    def transpose(self, rows: Tensor, shapes: Sequence[Shape]) -> tuple[Tensor, ...]:
        return (tf.roll(rows, tuple(-shift for shift in self.shifts), self.axes),)


@final
@dataclass(frozen=True)
class Tile(NonnegativeOp):
    """Repeat the whole tensor along axes; ``multiples`` has the batch axis first."""

    multiples: tuple[int, ...]

    def __call__(self, *inputs: Tensor) -> Tensor:
        return tf.tile(inputs[0], self.multiples)


@rule("numpy.Reshape", "newshape")
def reshape(use: Use) -> Sequence[Op]:
    """Keep the batch axis; in row-major order that is so if a sample keeps its size."""
    x, shape = use.tensor("x"), use.call.output_shape
    if size_of(shape) != size_of(x.shape):
        raise touches_batch(f"it reshapes {(None, *x.shape)} to {use.options['newshape']}")
    return [Reshape(shape)]


@rule("numpy.Ravel")
def ravel(use: Use) -> Sequence[Op]:
    """One axis is left, so a sample must be one number."""
    if use.tensor("x").shape:
        raise touches_batch("it flattens the batch axis with all others; use keras.layers.Flatten")
    return []


@rule("numpy.Squeeze", "axis")
def squeeze(use: Use) -> Sequence[Op]:
    """Drop named axes."""
    axis = use.options["axis"]
    if axis is None:
        raise touches_batch("it has no axis, so it also drops the batch axis of a single sample")
    use.axes(axis, len(use.tensor("x").shape) + 1)
    return [Reshape(use.call.output_shape)]


@rule("numpy.ExpandDims", "axis")
def expand_dims(use: Use) -> Sequence[Op]:
    """Axes count in the result."""
    use.tensor("x")
    use.axes(use.options["axis"], len(use.call.output_shape) + 1)
    return [Reshape(use.call.output_shape)]


@rule("numpy.Transpose", "axes")
def transpose(use: Use) -> Sequence[Op]:
    """Without axes, all are reversed."""
    rank = len(use.tensor("x").shape) + 1
    axes = use.options["axes"]
    return permuted(tuple(range(rank))[::-1] if not axes else tuple(int(a) % rank for a in axes))


@rule("numpy.Swapaxes", "axis1", "axis2")
def swapaxes(use: Use) -> Sequence[Op]:
    """Exchange two axes."""
    rank = len(use.tensor("x").shape) + 1
    first, second = int(use.options["axis1"]) % rank, int(use.options["axis2"]) % rank
    axes = list(range(rank))
    axes[first], axes[second] = second, first
    return permuted(tuple(axes))


@rule("numpy.Moveaxis", "source", "destination")
def moveaxis(use: Use) -> Sequence[Op]:
    """Move one axis or several."""
    rank = len(use.tensor("x").shape) + 1
    source, destination = (
        [int(a) % rank for a in np.atleast_1d(use.options[name])]
        for name in ("source", "destination")
    )
    axes = [axis for axis in range(rank) if axis not in source]
    for to, axis in sorted(zip(destination, source, strict=True)):
        axes.insert(to, axis)
    return permuted(tuple(axes))


@rule("numpy.Rot90", "k", "axes")
def rot90(use: Use) -> Sequence[Op]:
    """Turn an image by quarters: a transposition and a reversal, or two reversals."""
    x = use.tensor("array")
    rank, turns = len(x.shape) + 1, int(use.options["k"]) % 4
    first, second = (use.axis(axis, rank) for axis in use.options["axes"])
    if turns % 2 == 0 and x.shape[first - 1] != x.shape[second - 1]:
        raise UnsupportedError(
            f"Keras declares the shape of a quarter turn, {use.call.output_shape}, but turns the "
            f"image of shape {x.shape} {turns} times; use keras.ops.flip"
        )
    turned = list(range(rank))
    turned[first], turned[second] = second, first
    quarter: list[list[Op]] = [
        [],
        [Flip((second,)), Permute(tuple(turned))],
        [Flip((first, second))],
        [Permute(tuple(turned)), Flip((second,))],
    ]
    return quarter[turns]


@rule("numpy.Flip", "axis")
def flip(use: Use) -> Sequence[Op]:
    """One axis or several."""
    return [Flip(use.axes(use.options["axis"], len(use.tensor("x").shape) + 1))]


@rule("numpy.Fliplr")
def fliplr(use: Use) -> Sequence[Op]:
    """The second axis."""
    return [Flip(use.axes(1, len(use.tensor("x").shape) + 1))]


@rule("numpy.Roll", "shift", "axis")
def roll(use: Use) -> Sequence[Op]:
    """One axis or several; an axis may be named twice."""
    rank, axis = len(use.tensor("x").shape) + 1, use.options["axis"]
    use.axes(axis, rank)
    axes = tuple(int(a) % rank for a in np.atleast_1d(axis))
    shifts = integers(use.options["shift"], "shift")
    return [Roll(tuple(int(s) for s in np.broadcast_to(shifts, len(axes))), axes)]


@rule("numpy.Repeat", "repeats", "axis")
def repeat(use: Use) -> Sequence[Op]:
    """Each entry so many times, or each its own number of times."""
    x = use.tensor("x")
    if use.options["axis"] is None:
        raise touches_batch("it has no axis, so it flattens the whole batch")
    axis = use.axis(use.options["axis"], len(x.shape) + 1)
    repeats = integers(use.options["repeats"], "repeats").ravel()
    indices = np.repeat(np.arange(x.shape[axis - 1]), repeats)
    return [Gather(tuple(int(i) for i in indices), axis)]


@rule("numpy.Tile", "repeats")
def tile(use: Use) -> Sequence[Op]:
    """Axes in front are repeated once if they are not named."""
    rank = len(use.tensor("x").shape) + 1
    repeats = [int(i) for i in integers(use.options["repeats"], "repeats").ravel()]
    if len(repeats) > rank:
        raise touches_batch(f"it has more repeats ({repeats}) than the tensor has axes")
    repeats = [1] * (rank - len(repeats)) + repeats
    if repeats[0] != 1:
        raise touches_batch(f"it repeats the batch axis {repeats[0]} times")
    return [Tile(tuple(repeats))]


@rule("numpy.BroadcastTo", "shape")
def broadcast_to(use: Use) -> Sequence[Op]:
    """The batch axis has to stay as it is."""
    x, shape = use.tensor("x"), tuple(use.options["shape"])
    if len(shape) != len(x.shape) + 1 or not use.is_batch(shape[0]):
        raise touches_batch(f"it broadcasts {(None, *x.shape)} to {shape}, batch axis included")
    return [BroadcastTo(use.call.output_shape)]


@rule("core.Cast", "dtype")
def cast(use: Use) -> Sequence[Op]:
    """To a type that has all values of the present one."""
    return _converted(use)


@rule("core.ConvertToTensor", "dtype", "sparse", "ragged")
def convert_to_tensor(use: Use) -> Sequence[Op]:
    """A dense tensor stays what it is."""
    if use.options["sparse"] or use.options["ragged"]:
        raise UnsupportedError("it makes a sparse or ragged tensor")
    return _converted(use)


@rule("numpy.Array", "dtype")
def array(use: Use) -> Sequence[Op]:
    """Another name of the same."""
    return _converted(use)


@rule("numpy.Copy")
def copy(use: Use) -> Sequence[Op]:
    """The same values."""
    use.tensor("x")
    return []


@rule("core.StopGradient")
def stop_gradient(use: Use) -> Sequence[Op]:
    """The same values."""
    use.tensor("variable")
    return []


@rule("numpy.ZerosLike", "dtype")
def zeros_like(use: Use) -> Sequence[Op]:
    """A constant of the tensor's shape."""
    return [Constant(np.zeros(use.tensor("x").shape, use.dtype))]


@rule("numpy.OnesLike", "dtype")
def ones_like(use: Use) -> Sequence[Op]:
    """A constant of the tensor's shape."""
    return [Constant(np.ones(use.tensor("x").shape, use.dtype))]


@rule("numpy.FullLike", "dtype")
def full_like(use: Use) -> Sequence[Op]:
    """A constant of the tensor's shape."""
    value = number(use.arguments["fill_value"], "fill_value", use.dtype)
    return [Constant(np.full(use.tensor("x").shape, value, use.dtype))]


@rule("numpy.Tril", "k")
def tril(use: Use) -> Sequence[Op]:
    """Zero above a diagonal of the last two axes."""
    return [Scale(np.tril(_matrices(use), int(use.options["k"])))]


@rule("numpy.Triu", "k")
def triu(use: Use) -> Sequence[Op]:
    """Zero below a diagonal of the last two axes."""
    return [Scale(np.triu(_matrices(use), int(use.options["k"])))]


register_refusal(
    "it works along the first axis, which is that of the batch. Use keras.ops.concatenate, "
    "keras.ops.split or keras.ops.flip with an axis of one sample, counted from 1",
    *_classes.find("numpy.Vstack numpy.Vsplit numpy.Flipud"),
)


def permuted(axes: tuple[int, ...]) -> Sequence[Op]:
    """Return a permutation of axes that keeps the batch axis first."""
    if axes[0] != 0:
        raise touches_batch(f"it moves the batch axis: axes={axes}")
    return [] if axes == tuple(range(len(axes))) else [Permute(axes)]


def _converted(use: Use) -> Sequence[Op]:
    """Refuse conversions that round; integers can only be inputs, and come as floats anyway."""
    use.tensor("x")
    given = _classes.input_dtypes(use.call.layer)
    exact = {use.dtype, "float32"}
    if not all(dtype in exact or np.dtype(dtype).kind in "iu" for dtype in given):
        raise UnsupportedError(
            f"it rounds {' and '.join(sorted(given))} to {use.dtype}; make the whole model one type"
        )
    return []


def _matrices(use: Use) -> Any:
    x = use.tensor("x")
    if len(x.shape) < 2:
        raise touches_batch("the batch axis is one of its last two axes")
    return constant(np.ones(x.shape[-2:], use.dtype), "mask")
