"""Resizing, cropping and rescaling images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from decomon._backend import Shape, keras, tf
from decomon.ops._base import Op
from decomon.ops._layout import spatial_axes
from decomon.ops._registry import Call, UnsupportedError, register
from decomon.ops.linear import AlongAxes, Scale, Shift
from decomon.ops.shaping import Gather, Slice, ZeroPadding


@register(keras.layers.UpSampling1D)
def up_sampling1d(call: Call) -> Sequence[Op]:
    """Repeat every step; this layer has no data format."""
    (shape,) = call.input_shapes
    return _repeat(shape, (1,), (call.layer.size,))


@register(keras.layers.UpSampling2D)
def up_sampling2d(call: Call) -> Sequence[Op]:
    """Repeat every pixel, or interpolate between them."""
    layer = call.layer
    (shape,) = call.input_shapes
    axes = spatial_axes(layer, 4)
    if layer.interpolation == "nearest":
        return _repeat(shape, axes, layer.size)
    sides = [shape[axis - 1] * times for axis, times in zip(axes, layer.size, strict=True)]
    return _resize(shape, axes, sides, layer.interpolation)


@register(keras.layers.UpSampling3D)
def up_sampling3d(call: Call) -> Sequence[Op]:
    """Repeat every voxel."""
    (shape,) = call.input_shapes
    return _repeat(shape, spatial_axes(call.layer, 5), call.layer.size)


@register(keras.layers.Resizing)
def resizing(call: Call) -> Sequence[Op]:
    """Crop or pad to the new aspect ratio if asked, then interpolate."""
    layer = call.layer
    shape = _image(call)
    axes = spatial_axes(layer, 4)
    sides = (layer.height, layer.width)
    old = [shape[axis - 1] for axis in axes]
    ops: list[Op] = []
    if _gets_integers(layer):
        raise UnsupportedError(
            "it gets integers, so it rounds what it interpolates. Declare the input as floating "
            "point: keras.Input(..., dtype='float32')"
        )
    if layer.crop_to_aspect_ratio:
        kept = [max(min(side, fit), 1) for side, fit in zip(old, _fit(old, sides), strict=True)]
        ops, shape = _center(shape, axes, kept)
    elif layer.pad_to_aspect_ratio:
        before = [0] * 4
        for axis, side, fit in zip(axes, old, _fit(old, sides), strict=True):
            before[axis] = (max(side, fit) - side) // 2
        if any(before):
            inside = np.pad(np.ones(shape), [(pad, pad) for pad in before[1:]])
            border = float(layer.fill_value) * (1 - inside[None])
            ops = [ZeroPadding(tuple((pad, pad) for pad in before)), Shift(border)]
            shape = inside.shape
    return [*ops, *_resize(shape, axes, sides, layer.interpolation, antialias=layer.antialias)]


@register(keras.layers.CenterCrop)
def center_crop(call: Call) -> Sequence[Op]:
    """Crop; an image that is too small is cropped to the aspect ratio and enlarged."""
    layer = call.layer
    shape = _image(call)
    axes = spatial_axes(layer, 4)
    sides = (layer.height, layer.width)
    height, width = (shape[axis - 1] for axis in axes)
    if height >= layer.height and width >= layer.width:
        return _center(shape, axes, sides)[0]
    fit = (
        int(float(width * layer.height) / layer.width),
        int(float(height * layer.width) / layer.height),
    )
    kept = [max(min(old, new), 1) for old, new in zip((height, width), fit, strict=True)]
    ops, shape = _center(shape, axes, kept)
    return [*ops, *_resize(shape, axes, sides, "bilinear")]


@register(keras.layers.Rescaling)
def rescaling(call: Call) -> Sequence[Op]:
    """One factor and one term, each a number or an array."""
    layer = call.layer
    (shape,) = call.input_shapes
    scale, offset = (  # numbers and lists pass through single precision here, as in the layer
        np.asarray(keras.ops.cast(values, layer.compute_dtype))
        for values in (layer.scale, layer.offset)
    )
    if scale.ndim and keras.config.image_data_format() == "channels_first":
        scale = scale.reshape(scale.shape + (1,) * (3 - scale.ndim))
    for name, values in (("scale", scale), ("offset", offset)):
        if np.broadcast_shapes(values.shape, (1, *shape)) != (1, *shape):
            raise UnsupportedError(
                f"its {name} of shape {values.shape} enlarges its input of shape {shape}"
            )
    return [Scale(scale), Shift(offset)]


def _image(call: Call) -> Shape:
    """The shape of the input, which must be one image per sample."""
    (shape,) = call.input_shapes
    if len(shape) != 3:
        raise UnsupportedError(
            f"its input of shape {shape} is not one image with channels per sample, so it takes "
            "the batch for the height"
        )
    return shape


def _gets_integers(layer: Any) -> bool:
    """Whether a layer was called on a tensor of integers somewhere."""
    tensors = [tensor for node in layer._inbound_nodes for tensor in node.input_tensors]
    return any(keras.backend.is_int_dtype(tensor.dtype) for tensor in tensors)


def _fit(old: Sequence[int], new: Sequence[int]) -> tuple[int, int]:
    """Height and width with which the other old side has the new aspect ratio.

    Keras divides in single precision, and rounds down.
    """
    (height, width), (new_height, new_width) = old, new
    return (
        int(np.float32(width * new_height) / np.float32(new_width)),
        int(np.float32(height * new_width) / np.float32(new_height)),
    )


def _center(shape: Shape, axes: Sequence[int], kept: Sequence[int]) -> tuple[list[Op], Shape]:
    """Cut out the middle: the op, none if nothing is cut, and the new shape."""
    ranges = [(0, side, 1) for side in shape]
    for axis, side in zip(axes, kept, strict=True):
        start = (shape[axis - 1] - side) // 2
        ranges[axis - 1] = (start, start + side, 1)
    cut = tuple(end - start for start, end, _ in ranges)
    return ([] if cut == shape else [Slice(tuple(ranges))]), cut


def _repeat(shape: Shape, axes: Sequence[int], times: Sequence[int]) -> list[Op]:
    return [
        Gather(tuple(int(i) for i in np.repeat(np.arange(shape[axis - 1]), count)), axis)
        for axis, count in zip(axes, times, strict=True)
        if count > 1
    ]


def _resize(
    shape: Shape,
    axes: Sequence[int],
    sides: Sequence[int],
    interpolation: str,
    *,
    antialias: bool = False,
) -> list[Op]:
    """Interpolate along two axes, one after the other."""
    pairs = [
        (axis, _weights(shape[axis - 1], side, interpolation, antialias=antialias))
        for axis, side in zip(axes, sides, strict=True)
        if shape[axis - 1] != side
    ]
    if interpolation == "nearest":
        return [Gather(tuple(int(i) for i in weights.argmax(1)), axis) for axis, weights in pairs]
    if not pairs:
        return []
    return [AlongAxes(tuple(axis for axis, _ in pairs), tuple(weights for _, weights in pairs))]


def _weights(old: int, new: int, interpolation: str, *, antialias: bool) -> NDArray[np.floating]:
    """The matrix ``(new, old)`` along one axis: the answers to unit impulses.

    Every one of TensorFlow's interpolations is a product of one kernel per axis, normalised per
    axis, so what it does along one axis does not depend on the other.
    """
    with tf.init_scope():
        impulses = np.eye(old, dtype=np.float32).reshape(1, old, 1, old)
        answers = tf.image.resize(impulses, (new, 1), method=interpolation, antialias=antialias)
        return np.asarray(answers)[0, :, 0, :]
