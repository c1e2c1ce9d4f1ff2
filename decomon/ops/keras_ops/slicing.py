"""Operations that put tensors together, and that cut parts out of them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any, cast

import numpy as np

from decomon.ops._base import Op
from decomon.ops._registry import UnsupportedError, Value
from decomon.ops.keras_ops._use import Use, integers, number, rule, touches_batch
from decomon.ops.keras_ops.shaping import Flip
from decomon.ops.linear import Shift
from decomon.ops.merging import Concatenate
from decomon.ops.shaping import Gather, Reshape, Slice, Stack, ZeroPadding


@rule("numpy.Concatenate", "axis")
def concatenate(use: Use) -> Value:
    """Tensors one after the other."""
    return joined(use, use.options["axis"])


@rule("numpy.Append", "axis")
def append(use: Use) -> Value:
    """Two tensors one after the other."""
    values = use.tensor("x1"), use.tensor("x2")
    axis = use.axis(use.options["axis"], len(values[0].shape) + 1)
    return use.apply(Concatenate(axis), *values)


@rule("numpy.Hstack")
def hstack(use: Use) -> Value:
    """Along the second axis; vectors along the first."""
    return joined(use, 1 if use.call.inputs[0].shape else 0)


@rule("numpy.Dstack")
def dstack(use: Use) -> Value:
    """Along the third axis, a new one if there are only two."""
    values = use.tensors("xs")
    if not values[0].shape:
        raise touches_batch("it moves the batch axis to the middle")
    if len(values[0].shape) == 1:
        values = tuple(use.apply(Reshape((*value.shape, 1)), value) for value in values)
    return use.apply(Concatenate(2), *values)


@rule("numpy.Stack", "axis")
def stack(use: Use) -> Value:
    """Along a new axis."""
    values = use.tensors("x")
    return use.apply(Stack(use.axis(use.options["axis"], len(values[0].shape) + 2)), *values)


@rule("numpy.Split", "indices_or_sections", "axis")
def split(use: Use) -> Sequence[Value]:
    """Equal parts, or parts between indices."""
    return parts(use, use.options["axis"])


@rule("numpy.Hsplit", "indices_or_sections")
def hsplit(use: Use) -> Sequence[Value]:
    """Along the second axis; a vector along its only one."""
    return parts(use, 1 if use.tensor("x").shape else 0)


@rule("core.Unstack", "num", "axis")
def unstack(use: Use) -> Sequence[Value]:
    """One tensor per index of an axis."""
    x = use.tensor("x")
    axis = use.axis(use.options["axis"], len(x.shape) + 1)
    return [cut(use, x, axis, i, i + 1, drop=True) for i in range(x.shape[axis - 1])]


@rule("numpy.GetItem")
def getitem(use: Use) -> Value:
    """Integers, slices with any step, new axes and an ellipsis; the batch axis stays whole."""
    x, key = use.tensor("x"), use.arguments["key"]
    keys = list(cast("Sequence[Any]", key)) if isinstance(key, (tuple, list)) else [key]
    if any(isinstance(k, Value) or not _is_plain(k) for k in keys):
        raise UnsupportedError(f"its index is neither a slice nor a number: {key!r}")
    if Ellipsis not in keys:
        keys.append(Ellipsis)
    position = keys.index(Ellipsis)
    missing = len(x.shape) + 1 - sum(k is not None and k is not Ellipsis for k in keys)
    keys[position : position + 1] = [slice(None)] * missing
    first = keys.pop(0)
    if not isinstance(first, slice) or first != slice(None):
        raise touches_batch(f"its index {first!r} picks from the batch axis, or moves it")
    ranges: list[tuple[int, int, int]] = []
    flipped: list[int] = []
    sides = iter(x.shape)
    for k in keys:
        if k is None:
            continue
        side = next(sides)
        if isinstance(k, slice):
            found = range(side)[k]
            if found.step < 0:
                flipped.append(len(ranges) + 1)
                found = found[::-1]
            ranges.append((found.start, max(found.start, found.stop), found.step))
        else:
            ranges.append((int(k) % side, int(k) % side + 1, 1))
    if any(not range(*bounds) for bounds in ranges):
        raise UnsupportedError(f"its index {key!r} leaves nothing")
    return cut_out(use, x, ranges, flipped)


@rule("core.Slice", "shape")
def slice_(use: Use) -> Value:
    """From fixed positions; the batch axis stays whole."""
    x = use.tensor("inputs")
    starts = integers(use.arguments["start_indices"], "start_indices").ravel()
    sizes = integers(use.options["shape"], "shape").ravel()
    if starts[0] != 0 or (sizes[0] != -1 and not use.is_batch(int(sizes[0]))):
        raise touches_batch(f"it cuts {sizes[0]} samples from number {starts[0]} on out of a batch")
    ranges: list[tuple[int, int, int]] = []
    for side, start, size in zip(x.shape, starts[1:], sizes[1:], strict=True):
        stop = side if size == -1 else int(start + size)
        ranges.append((int(start), stop, 1))
    return cut_out(use, x, ranges, [])


@rule("numpy.Take", "axis")
def take(use: Use) -> Value:
    """Constant indices, negative ones from the end; each axis of theirs becomes one."""
    x = use.tensor("x")
    if use.options["axis"] is None:
        raise touches_batch("it has no axis, so it takes from the whole batch")
    axis = use.axis(use.options["axis"], len(x.shape) + 1)
    side, given = x.shape[axis - 1], integers(use.arguments["indices"], "indices")
    if not ((given >= -side) & (given < side)).all():
        raise UnsupportedError(f"its indices leave the axis of size {side}: {given}")
    indices = tuple(int(i) for i in given.ravel() % side)
    return use.chain(x, Gather(indices, axis), Reshape(use.call.output_shape))


@rule("numpy.Pad", "pad_width", "mode")
def pad(use: Use) -> Value:
    """Constants around, or values repeated or mirrored at the border."""
    x, mode = use.tensor("x"), use.options["mode"]
    rank = len(x.shape) + 1
    widths = [(int(before), int(after)) for before, after in use.options["pad_width"]]
    widths = widths * rank if len(widths) == 1 else widths
    if widths[0] != (0, 0):
        raise touches_batch(f"it pads the batch axis by {widths[0]}")
    if mode == "constant":
        return _pad_constant(use, x, widths)
    if mode not in ("edge", "reflect", "symmetric", "wrap"):
        raise UnsupportedError(f"its mode {mode!r} is not covered")
    for axis, (side, width) in enumerate(zip(x.shape, widths[1:], strict=True), start=1):
        if width != (0, 0):
            indices = np.pad(np.arange(side), width, mode=mode)
            x = use.apply(Gather(tuple(int(i) for i in indices), axis), x)
    return x


def joined(use: Use, axis: Any) -> Value:
    """Add tensors one after the other along an axis."""
    values = use.tensors("xs")
    axis = use.axis(axis, len(values[0].shape) + 1)
    return values[0] if len(values) == 1 else use.apply(Concatenate(axis), *values)


def parts(use: Use, axis: Any) -> Sequence[Value]:
    """Add the parts of a tensor along an axis; as many as the operation has outputs."""
    x = use.tensor("x")
    along = use.axis(axis, len(x.shape) + 1)
    sizes = [shape[along - 1] for shape in use.call.output_shapes]
    ends = accumulate(sizes)
    return [cut(use, x, along, end - size, end) for size, end in zip(sizes, ends, strict=True)]


def cut(use: Use, x: Value, axis: int, begin: int, end: int, *, drop: bool = False) -> Value:
    """Add what lies between two positions of an axis; drop that axis if asked to."""
    ranges = [(0, side, 1) for side in x.shape]
    ranges[axis - 1] = (begin, end, 1)
    part = use.apply(Slice(tuple(ranges)), x)
    shape = tuple(side for i, side in enumerate(part.shape, start=1) if i != axis)
    return use.apply(Reshape(shape), part) if drop else part


def cut_out(
    use: Use, x: Value, ranges: Sequence[tuple[int, int, int]], flipped: Sequence[int]
) -> Value:
    """Add a part of each sample in the operation's output shape; some axes are reversed."""
    ops: list[Op] = []
    if any(bounds != (0, side, 1) for bounds, side in zip(ranges, x.shape, strict=True)):
        ops.append(Slice(tuple(ranges)))
    if flipped:
        ops.append(Flip(tuple(flipped)))
    value = use.chain(x, *ops)
    shape = use.call.output_shape
    return value if value.shape == shape else use.apply(Reshape(shape), value)


def _is_plain(key: Any) -> bool:
    """Whether an index is a number, a new axis, an ellipsis or a slice of numbers."""
    if isinstance(key, slice):
        return all(k is None or _is_integer(k) for k in _limits(key))
    return key is None or key is Ellipsis or _is_integer(key)


def _limits(key: Any) -> tuple[Any, Any, Any]:
    return key.start, key.stop, key.step


def _is_integer(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _pad_constant(use: Use, x: Value, widths: Sequence[tuple[int, int]]) -> Value:
    padded = use.apply(ZeroPadding(tuple(widths)), x)
    given = use.arguments["constant_values"]
    value = 0.0 if given is None else number(given, "constant_values", use.dtype)
    if value == 0:
        return padded
    around = np.pad(np.zeros(x.shape, use.dtype), widths[1:], constant_values=value)
    return use.apply(Shift(around), padded)
