"""Matrix products, convolutions and normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from decomon._backend import keras
from decomon.onnx_reader._values import Array, Call, Handler, RefusalError, Value, inner

layers, ops = keras.layers, keras.ops

_CONVOLUTIONS = {1: layers.Conv1D, 2: layers.Conv2D, 3: layers.Conv3D}
_DEPTHWISE = {1: layers.DepthwiseConv1D, 2: layers.DepthwiseConv2D}
_TRANSPOSED = {1: layers.Conv1DTranspose, 2: layers.Conv2DTranspose}
_PADDING = {1: layers.ZeroPadding1D, 2: layers.ZeroPadding2D, 3: layers.ZeroPadding3D}
_CROPPING = {1: layers.Cropping1D, 2: layers.Cropping2D}

Pads = list[tuple[int, int]]


def gemm(call: Call) -> Value:
    """Return ``alpha A B + beta C`` for constants B and C."""
    call.require("transA", 0, 0)
    x, kernel, added = call.value(), call.floats(1), call.floats(2)
    if kernel is None or kernel.ndim != 2:
        raise RefusalError("no constant matrix as operand 1")
    kernel = kernel.T if call.attribute("transB", 0) else kernel
    kernel = _times(call, "alpha", kernel)
    added = None if added is None else _times(call, "beta", added)
    width = kernel.shape[1]
    if added is not None and added.size not in (1, width):
        raise RefusalError(f"an operand 2 of shape {added.shape}, which is no vector of outputs")
    bias = None if added is None else np.broadcast_to(added.reshape(-1), (width,))
    return _dense(call, x, kernel, bias)


def matmul(call: Call) -> Value:
    """Return a matrix product; one factor may be constant."""
    x, y = call.operand(0), call.operand(1)
    if isinstance(x, Value) and isinstance(y, Value):
        if x.bare or y.bare or len(x.shape) != len(y.shape) or len(x.shape) < 3:
            raise RefusalError(f"operands of shapes {x.shape} and {y.shape}")
        made = ops.matmul(call.plain(x), call.plain(y))
        return Value(made, (1, *made.shape[1:]))
    if isinstance(x, Value):
        kernel = call.floats(1)
        if kernel is None or kernel.ndim not in (1, 2):
            raise RefusalError("an operand 1 that is no constant vector or matrix")
        if kernel.ndim == 1:
            column = _dense(call, x, kernel[:, None], None)
            return Value(call.shaped(column.tensor, inner(x.shape[:-1])), x.shape[:-1])
        return _dense(call, x, kernel, call.bias(kernel.shape[1]))
    kernel, value = call.floats(0), call.value(1)
    if kernel is None or kernel.ndim != 2 or len(value.shape) < 2:
        raise RefusalError("an operand 0 that is no constant matrix")
    # A x = (x' A')', over the last two axes.
    flipped = _swapped(call, value)
    return _swapped(call, _dense(call, flipped, kernel.T, None))


def _dense(call: Call, x: Value, kernel: Array, bias: Array | None) -> Value:
    if not x.shape or x.shape[-1] != kernel.shape[0]:
        raise RefusalError(f"operands of shapes {x.shape} and {kernel.shape}")
    weights = [kernel] if bias is None else [kernel, bias]
    units = kernel.shape[1]
    options = {"units": units, "use_bias": bias is not None}
    tensor = call.layer(layers.Dense, call.plain(x), weights, **options)
    return Value(tensor, (*x.shape[:-1], units))


def _swapped(call: Call, value: Value) -> Value:
    """Exchange the last two axes."""
    rank = len(value.shape)
    order = [*range(1, rank - 1), rank, rank - 1]
    return call.wrapped(call.named(layers.Permute, call.full(value), dims=order))


def _times(call: Call, name: str, array: Array) -> Array:
    factor = call.attribute(name, 1.0)
    return array if factor == 1 else (array * factor).astype(call.dtype)


def conv(call: Call) -> Value:
    """Return a convolution in one to three dimensions."""
    x, kernel, bias = call.value(), call.floats(1), call.floats(2)
    tensor = call.channels_last(x)
    dims = len(x.shape) - 2
    if kernel is None or kernel.ndim != dims + 2 or dims not in _CONVOLUTIONS:
        raise RefusalError(f"an input of shape {x.shape} and no constant kernel that fits it")
    strides, rates = _each(call, "strides", dims), _each(call, "dilations", dims)
    if max(strides) > 1 and max(rates) > 1:
        raise RefusalError("both strides and dilations")
    wide = [(k - 1) * d + 1 for k, d in zip(kernel.shape[2:], rates, strict=True)]
    tensor, padding = padded(call, tensor, pads_of(call, x.shape[2:], wide, strides), wide, strides)
    groups, channels = call.attribute("group", 1), x.shape[1]
    options: dict[str, Any] = {
        "kernel_size": kernel.shape[2:],
        "strides": strides,
        "dilation_rate": rates,
        "padding": padding,
        "use_bias": bias is not None,
    }
    # (out, in / groups, ...) becomes (..., in / groups, out).
    weights = [np.moveaxis(kernel, (0, 1), (-1, -2))]
    if 1 < groups == channels and dims in _DEPTHWISE and len(set(strides)) == 1:
        each = kernel.shape[0] // groups
        weights = [weights[0].reshape(*kernel.shape[2:], channels, each)]
        options["depth_multiplier"] = each
        kind = _DEPTHWISE[dims]
    else:
        options |= {"filters": kernel.shape[0], "groups": groups}
        kind = _CONVOLUTIONS[dims]
    weights += [] if bias is None else [bias]
    made = call.layer(kind, tensor, weights, **options)
    return Value(made, (1, made.shape[-1], *made.shape[1:-1]), last=True)


def conv_transpose(call: Call) -> Value:
    """Return the transpose of a convolution, in one or two dimensions."""
    x, kernel, bias = call.value(), call.floats(1), call.floats(2)
    tensor = call.channels_last(x)
    dims = len(x.shape) - 2
    call.require("group", 1, 1)
    call.require("auto_pad", "NOTSET", "NOTSET")
    if "output_shape" in call.attributes:
        raise RefusalError("output_shape, which is not supported")
    if kernel is None or kernel.ndim != dims + 2 or dims not in _TRANSPOSED:
        raise RefusalError(f"an input of shape {x.shape} and no constant kernel that fits it")
    strides, rates = _each(call, "strides", dims), _each(call, "dilations", dims)
    if max(strides) > 1 and max(rates) > 1:
        raise RefusalError("both strides and dilations")
    extra = call.attribute("output_padding", [0] * dims)
    cut = [(low, high - more) for (low, high), more in zip(_pairs(call, dims), extra, strict=True)]
    if min(high for _, high in cut) < 0:
        raise RefusalError("output_padding larger than pads")
    weights = [np.moveaxis(kernel, (0, 1), (-1, -2)), *([] if bias is None else [bias])]
    # Keras makes windows of less than the stride wider; here, that cannot be told from the bias.
    if any(k < s for k, s in zip(kernel.shape[2:], strides, strict=True)):
        raise RefusalError("strides larger than its kernel")
    made = call.layer(
        _TRANSPOSED[dims],
        tensor,
        weights,
        filters=kernel.shape[1],
        kernel_size=kernel.shape[2:],
        strides=strides,
        dilation_rate=rates,
        use_bias=bias is not None,
    )
    if any(low or high for low, high in cut):
        made = call.named(_CROPPING[dims], made, cropping=cut[0] if dims == 1 else cut)
    return Value(made, (1, made.shape[-1], *made.shape[1:-1]), last=True)


def batch_normalization(call: Call) -> Value:
    """Return the normalisation with the statistics of training."""
    call.require("training_mode", 0, 0)
    x = call.value()
    constants = [call.floats(i) for i in range(1, 5)]
    if x.bare or any(constant is None for constant in constants):
        raise RefusalError("fewer than four constants, or an input without channels")
    made = call.layer(
        layers.BatchNormalization,
        x.tensor,
        [constant for constant in constants if constant is not None],
        axis=-1 if x.last else 1,
        epsilon=call.attribute("epsilon", 1e-5),
    )
    return x.like(made)


def layer_normalization(call: Call) -> Value:
    """Return the normalisation over the last axis."""
    x, scale, shift = call.value(), call.floats(1), call.floats(2)
    axis = call.attribute("axis", -1)
    if axis not in (-1, len(x.shape) - 1) or scale is None:
        raise RefusalError(f"axis={axis}, and only the last one is supported")
    given = [scale] if shift is None else [scale, shift]
    weights = [np.broadcast_to(each.reshape(-1), x.shape[-1:]) for each in given]
    made = call.layer(
        layers.LayerNormalization,
        call.plain(x),
        weights,
        epsilon=call.attribute("epsilon", 1e-5),
        center=shift is not None,
    )
    return Value(made, x.shape)


def pad(call: Call) -> Value:
    """Return more entries around the others, which are zero."""
    x = call.value()
    if call.attribute("mode", "constant") != "constant":
        raise RefusalError(f"mode={call.attribute('mode', '')!r}, and only 'constant' is supported")
    filling = call.constant(2)
    filled = call.attribute("value", 0.0) if filling is None else float(filling.reshape(-1)[0])
    widths = call.integers("pads", 1)
    if widths is None:
        raise RefusalError("no pads")
    rank = len(x.shape)
    axes = call.constant(3)
    chosen = range(rank) if axes is None else [int(i) % rank for i in axes]
    pads: Pads = [(0, 0)] * rank
    for axis, low, high in zip(
        chosen, widths[: len(widths) // 2], widths[len(widths) // 2 :], strict=True
    ):
        pads[axis] = (low, high)
    if min(min(pair) for pair in pads) < 0:
        raise RefusalError("negative pads")
    if not any(any(pair) for pair in pads):
        return x
    spatial = not x.bare and rank - 2 in _PADDING and not any(pads[0]) and not any(pads[1])
    if filled == 0 and spatial:
        made = call.layer(
            _PADDING[rank - 2],
            call.channels_last(x),
            padding=pads[2] if rank == 3 else pads[2:],
        )
        shape = (1, made.shape[-1], *made.shape[1:-1])
        return Value(made, shape, last=True, nonnegative=x.nonnegative)
    if not x.bare and any(pads[0]):
        raise RefusalError("pads of axis 0, which is that of the batch")
    widths_of_keras = [(0, 0), *pads] if x.bare else pads
    made = ops.pad(call.plain(x), widths_of_keras, constant_values=filled)
    return Value(made, tuple(made.shape[1:]) if x.bare else (1, *made.shape[1:]))


# Windows.


def _each(call: Call, name: str, dims: int) -> tuple[int, ...]:
    return tuple(int(i) for i in call.attribute(name, [1] * dims))


def _pairs(call: Call, dims: int) -> Pads:
    pads = [int(i) for i in call.attribute("pads", [0] * (2 * dims))]
    if min(pads) < 0:
        raise RefusalError(f"negative pads: {pads}")
    return list(zip(pads[:dims], pads[dims:], strict=True))


def pads_of(call: Call, sides: Sequence[int], wide: Sequence[int], strides: Sequence[int]) -> Pads:
    """Return how much is added before and after each axis, for windows of ``wide`` entries."""
    kind = call.attribute("auto_pad", "NOTSET")
    if kind == "NOTSET":
        return _pairs(call, len(sides))
    if kind == "VALID":
        return [(0, 0)] * len(sides)
    same = same_pads(sides, wide, strides)
    return same if kind == "SAME_UPPER" else [(high, low) for low, high in same]


def same_pads(sides: Sequence[int], wide: Sequence[int], strides: Sequence[int]) -> Pads:
    """Return what Keras adds for "same"; of an odd number, more comes after."""
    pads: Pads = []
    for side, width, stride in zip(sides, wide, strides, strict=True):
        total = max((-(-side // stride) - 1) * stride + width - side, 0)
        pads.append((total // 2, total - total // 2))
    return pads


def padded(
    call: Call, tensor: Any, pads: Pads, wide: Sequence[int], strides: Sequence[int]
) -> tuple[Any, str]:
    """Pad with zeros, or return how the layer itself is to do it."""
    if not any(any(pair) for pair in pads):
        return tensor, "valid"
    sides = tuple(tensor.shape[1:-1])
    if pads == same_pads(sides, wide, strides):
        return tensor, "same"
    return zeros_around(call, tensor, pads), "valid"


def zeros_around(call: Call, tensor: Any, pads: Pads) -> Any:
    """Pad the axes of space of a tensor with the channels last."""
    kind = _PADDING[len(pads)]
    return call.named(kind, tensor, padding=pads[0] if len(pads) == 1 else pads)


AFFINE: dict[str, Handler] = {
    "BatchNormalization": batch_normalization,
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "Gemm": gemm,
    "LayerNormalization": layer_normalization,
    "MatMul": matmul,
    "Pad": pad,
}
"""By the name of the operator."""
