"""Operators that arrange, choose or summarise entries."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from decomon._backend import Shape, keras
from decomon.onnx_reader._affine import pads_of, same_pads, zeros_around
from decomon.onnx_reader._values import (
    Call,
    Handler,
    Operand,
    RefusalError,
    Value,
    is_bare,
    position_of,
    size,
)

layers, ops = keras.layers, keras.ops

_MAXIMA = {1: layers.MaxPooling1D, 2: layers.MaxPooling2D, 3: layers.MaxPooling3D}
_MEANS = {1: layers.AveragePooling1D, 2: layers.AveragePooling2D, 3: layers.AveragePooling3D}
_ALL_MAXIMA = {
    1: layers.GlobalMaxPooling1D,
    2: layers.GlobalMaxPooling2D,
    3: layers.GlobalMaxPooling3D,
}
_ALL_MEANS = {
    1: layers.GlobalAveragePooling1D,
    2: layers.GlobalAveragePooling2D,
    3: layers.GlobalAveragePooling3D,
}


def _reshaped(call: Call, x: Value, shape: Sequence[int]) -> Value:
    wanted = tuple(int(n) for n in shape)
    if size(wanted) != size(x.shape):
        raise RefusalError(f"an input of shape {x.shape} and a result of shape {wanted}")
    if wanted == x.shape:
        return x
    if not wanted:
        raise RefusalError("a result without axes")
    made = call.wrapped(call.plain(x), wanted)
    return made.like(made.tensor, nonnegative=x.nonnegative)


def flatten(call: Call) -> Value:
    """Return two axes."""
    x, rank = call.value(), len(call.value().shape)
    axis = call.attribute("axis", 1)
    axis = axis if axis == rank else position_of(axis, rank)
    return _reshaped(call, x, (size(x.shape[:axis]), size(x.shape[axis:])))


def reshape(call: Call) -> Value:
    """Return other axes; 0 keeps one, -1 takes what is left."""
    x, wanted = call.value(), call.integers("shape", 1)
    if wanted is None:
        raise RefusalError("no shape")
    shape = list(wanted)
    if not call.attribute("allowzero", 0):
        if any(n == 0 and i >= len(x.shape) for i, n in enumerate(shape)):
            raise RefusalError(f"an input of shape {x.shape} and a wanted shape {wanted}")
        shape = [x.shape[i] if n == 0 else n for i, n in enumerate(shape)]
    if -1 in shape:
        known = size(tuple(n for n in shape if n != -1))
        shape = [size(x.shape) // max(known, 1) if n == -1 else n for n in shape]
    return _reshaped(call, x, shape)


def squeeze(call: Call) -> Value:
    """Return fewer axes."""
    x, axes = call.value(), call.integers("axes", 1)
    rank = len(x.shape)
    chosen = (
        [i for i, n in enumerate(x.shape) if n == 1]
        if axes is None
        else [position_of(axis, rank) for axis in axes]
    )
    return _reshaped(call, x, [n for i, n in enumerate(x.shape) if i not in chosen])


def unsqueeze(call: Call) -> Value:
    """Return more axes."""
    x, axes = call.value(), call.integers("axes", 1)
    if axes is None:
        raise RefusalError("no axes")
    rank = len(x.shape) + len(axes)
    chosen = {position_of(axis, rank) for axis in axes}
    left = iter(x.shape)
    return _reshaped(call, x, [1 if i in chosen else next(left) for i in range(rank)])


def transpose(call: Call) -> Value:
    """Return the axes in another order."""
    x = call.value()
    rank = len(x.shape)
    order = [int(i) for i in call.attribute("perm", list(range(rank))[::-1])]
    if sorted(order) != list(range(rank)):
        raise RefusalError(f"perm={order} for an input of shape {x.shape}")
    if order == list(range(rank)):
        return x
    if not x.bare and order[0] == 0:
        made = call.layer(layers.Permute, call.plain(x), dims=order[1:])
        return Value(made, (1, *made.shape[1:]), nonnegative=x.nonnegative)
    made = call.layer(layers.Permute, call.full(x), dims=[i + 1 for i in order])
    return call.wrapped(made)


def concat(call: Call) -> Value:
    """Return values and constants one after another."""
    operands = [operand for operand in call.operands if operand is not None]
    values = [operand for operand in operands if isinstance(operand, Value)]
    axis = call.attribute("axis", 1)
    spatial = all(value.last for value in values) and len(values) == len(operands)
    rank = len(values[0].shape)
    position = position_of(axis, rank)
    if spatial and position > 0:
        where = -1 if position == 1 else position - 1
        made = call.layer(layers.Concatenate, [v.tensor for v in values], axis=where)
        return Value(made, (1, made.shape[-1], *made.shape[1:-1]), last=True)
    parts = [_full(call, operand) for operand in operands]
    if len(parts) == 1:
        return values[0]
    return call.wrapped(call.layer(layers.Concatenate, parts, axis=position + 1))


def _full(call: Call, operand: Operand) -> Any:
    if isinstance(operand, Value):
        return call.full(operand)
    raise RefusalError("constants among its operands, which are not supported")


def split(call: Call) -> list[Value]:
    """Return pieces of an axis."""
    x = call.value()
    position = position_of(call.attribute("axis", 0), len(x.shape))
    sizes = call.integers("split", 1)
    if sizes is None:
        count = call.attribute("num_outputs", 2)
        each = -(-x.shape[position] // count)
        sizes = [min(each, x.shape[position] - i * each) for i in range(count)]
    ends = np.cumsum([0, *sizes]).tolist()
    return [_part(call, x, {position: slice(a, b)}) for a, b in itertools.pairwise(ends)]


def cut(call: Call) -> Value:
    """Return a range of some axes."""
    x = call.value()
    starts, ends = call.integers("starts", 1), call.integers("ends", 2)
    if starts is None or ends is None:
        raise RefusalError("no starts or ends")
    axes = call.integers("axes", 3) or list(range(len(starts)))
    steps = call.integers("steps", 4) or [1] * len(starts)
    chosen: dict[int, slice] = {}
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        position = position_of(axis, len(x.shape))
        length = x.shape[position]
        if step < 0:
            raise RefusalError("negative steps")
        first, stop, _ = slice(start, end).indices(length)
        chosen[position] = slice(first, stop, step)
    return _part(call, x, chosen)


def _part(call: Call, x: Value, chosen: dict[int, slice]) -> Value:
    """Return ranges of some axes."""
    kept = {
        axis: part
        for axis, part in chosen.items()
        if part != slice(0, x.shape[axis], part.step) or (part.step or 1) > 1
    }
    if not kept:
        return x
    rank = len(x.shape)
    made = call.full(x)[(slice(None), *(kept.get(i, slice(None)) for i in range(rank)))]
    return call.wrapped(made)


def gather(call: Call) -> Value:
    """Return some positions of an axis, by a constant list."""
    x, indices = call.value(), call.constant(1)
    position = position_of(call.attribute("axis", 0), len(x.shape))
    if indices is None:
        raise RefusalError("no indices")
    length = x.shape[position]
    wrapped = np.where(indices < 0, indices + length, indices).astype(np.int64)
    if wrapped.size and not (wrapped.min() >= 0 and wrapped.max() < length):
        raise RefusalError(f"indices beyond the {length} entries of axis {position}")
    taken = ops.take(call.full(x), wrapped.reshape(-1), axis=position + 1)
    shape = (*x.shape[:position], *wrapped.shape, *x.shape[position + 1 :])
    return call.wrapped(taken, shape)


def softmax(call: Call) -> Value:
    """Return shares of one along an axis; before version 13, along all axes from that one on."""
    return _normalised(call, ops.softmax)


def log_softmax(call: Call) -> Value:
    """Return the logarithm of shares."""
    return _normalised(call, ops.log_softmax)


def _normalised(call: Call, operation: Any) -> Value:
    x, old = call.value(), call.opset < 13
    axis = position_of(call.attribute("axis", 1 if old else -1), len(x.shape))
    if old and axis != len(x.shape) - 1:
        wide = _reshaped(call, x, (size(x.shape[:axis]), size(x.shape[axis:])))
        made = operation(wide.tensor, axis=-1)
        return _reshaped(call, Value(made, wide.shape), x.shape)
    return Value(operation(call.plain(x), axis=call.axis(x, axis)), x.shape)


def reduction(name: str) -> Handler:
    """Return what summarises axes by a function of ``keras.ops``."""

    def handler(call: Call) -> Value:
        x, axes = call.value(), call.integers("axes", 1)
        if not axes and call.attribute("noop_with_empty_axes", 0):
            return x
        rank = len(x.shape)
        chosen = sorted({position_of(i, rank) for i in axes} if axes else set(range(rank)))
        shape = tuple(1 if i in chosen else n for i, n in enumerate(x.shape))
        if not x.bare:
            chosen = [i for i in chosen if i]
        shift = 1 if x.bare else 0
        tensor = call.plain(x)
        # That of the batch alone has nothing to sum up.
        axes_of_keras = [i + shift for i in chosen]
        made = getattr(ops, name)(tensor, axis=axes_of_keras, keepdims=True) if chosen else tensor

        value = Value(made, x.shape[:1] + shape[1:] if not x.bare else shape)
        if x.bare and not is_bare(shape):
            value = call.wrapped(made, shape)
        if call.attribute("keepdims", 1):
            return value
        gone = {position_of(i, rank) for i in axes} if axes else set(range(rank))
        return _reshaped(call, value, [n for i, n in enumerate(shape) if i not in gone])

    return handler


# Pooling.


def max_pool(call: Call) -> Value:
    """Return the largest entry of each window."""
    call.require("storage_order", 0, 0)
    x, tensor, windows = _windows(call)
    sizes, strides, pads = windows
    padding = "valid"
    if any(any(pair) for pair in pads):
        if pads == same_pads(x.shape[2:], sizes, strides):
            padding = "same"
        elif x.nonnegative:
            # No window consists of padding alone, and among entries of at least 0 a 0 is harmless.
            tensor = zeros_around(call, tensor, pads)
        else:
            raise RefusalError(
                f"pads {pads} of values that may be negative; only a Relu before it, no pads or "
                "auto_pad=SAME_UPPER are supported"
            )
    made = call.layer(
        _MAXIMA[len(sizes)], tensor, pool_size=sizes, strides=strides, padding=padding
    )
    return _last(made, x.nonnegative)


def average_pool(call: Call) -> Value:
    """Return the mean of each window, with or without what was padded."""
    x, tensor, windows = _windows(call)
    sizes, strides, pads = windows
    some = any(any(pair) for pair in pads)
    if some:
        tensor = zeros_around(call, tensor, pads)
    made = call.layer(_MEANS[len(sizes)], tensor, pool_size=sizes, strides=strides)
    if some and not call.attribute("count_include_pad", 0):
        made = ops.multiply(made, _shares(x.shape[2:], windows).astype(call.dtype))
    return _last(made, x.nonnegative)


Windows = tuple[tuple[int, ...], tuple[int, ...], list[tuple[int, int]]]


def _windows(call: Call) -> tuple[Value, Any, Windows]:
    """Return the input, its tensor with the channels last, and sizes, strides and pads."""
    x = call.value()
    tensor = call.channels_last(x)
    sizes = tuple(int(i) for i in call.attribute("kernel_shape", []))
    dims = len(x.shape) - 2
    if len(sizes) != dims or dims not in _MAXIMA:
        raise RefusalError(f"windows of shape {sizes} on an input of shape {x.shape}")
    if max(call.attribute("dilations", [1])) > 1:
        raise RefusalError("dilations, which are not supported")
    strides = tuple(int(i) for i in call.attribute("strides", [1] * dims))
    pads = pads_of(call, x.shape[2:], sizes, strides)
    if any(max(pair) >= width for pair, width in zip(pads, sizes, strict=True)):
        raise RefusalError(f"pads {pads} of which windows of shape {sizes} could be made up")
    if call.attribute("ceil_mode", 0):
        rest = [
            (side + sum(pair) - width) % stride
            for side, pair, width, stride in zip(x.shape[2:], pads, sizes, strides, strict=True)
        ]
        if any(rest):
            raise RefusalError("ceil_mode=1 with windows that stand out")
    return x, tensor, (sizes, strides, pads)


def _shares(sides: Shape, windows: Windows) -> Any:
    """Return the size of a window over the number of its entries that were not padded."""
    total = np.ones(())
    for side, width, stride, (low, high) in zip(sides, *windows, strict=True):
        starts = np.arange(0, side + low + high - width + 1, stride) - low
        counts = np.minimum(starts + width, side) - np.maximum(starts, 0)
        total = total[..., None] * (width / counts)
    return total[None, ..., None]


def pool_all(kinds: dict[int, Any]) -> Handler:
    """Return what pools all axes of space."""

    def handler(call: Call) -> Value:
        x = call.value()
        tensor = call.channels_last(x)
        if len(x.shape) - 2 not in kinds:
            raise RefusalError(f"an input of shape {x.shape}")
        return _last(call.layer(kinds[len(x.shape) - 2], tensor, keepdims=True), x.nonnegative)

    return handler


def _last(tensor: Any, nonnegative: bool) -> Value:
    shape = (1, tensor.shape[-1], *tensor.shape[1:-1])
    return Value(tensor, shape, last=True, nonnegative=nonnegative)


SHAPES: dict[str, Handler] = {
    "AveragePool": average_pool,
    "Concat": concat,
    "Flatten": flatten,
    "Gather": gather,
    "GlobalAveragePool": pool_all(_ALL_MEANS),
    "GlobalMaxPool": pool_all(_ALL_MAXIMA),
    "LogSoftmax": log_softmax,
    "MaxPool": max_pool,
    "ReduceMax": reduction("max"),
    "ReduceMean": reduction("mean"),
    "ReduceMin": reduction("min"),
    "ReduceSum": reduction("sum"),
    "Reshape": reshape,
    "Slice": cut,
    "Softmax": softmax,
    "Split": split,
    "Squeeze": squeeze,
    "Transpose": transpose,
    "Unsqueeze": unsqueeze,
}
"""By the name of the operator."""
