"""Where the channels of an image are."""

from __future__ import annotations

from typing import Any

from decomon._backend import Tensor, tf


def channels_first(layer: Any) -> bool:
    """Whether a layer's channels come right after the batch axis; otherwise they come last."""
    return layer.data_format == "channels_first"


def to_channels_last(layer: Any, x: Tensor) -> Tensor:
    """Move the channels to the end: TensorFlow has most image operations only there on CPUs."""
    if not channels_first(layer):
        return x
    return tf.transpose(x, [0, *range(2, len(x.shape)), 1])


def from_channels_last(layer: Any, y: Tensor) -> Tensor:
    """Move the channels back to where the layer has them."""
    if not channels_first(layer):
        return y
    last = len(y.shape) - 1
    return tf.transpose(y, [0, last, *range(1, last)])


def spatial_axes(layer: Any, rank: int) -> tuple[int, ...]:
    """The axes of an image's sides, the batch axis being 0; ``rank`` counts all axes."""
    return tuple(range(2, rank)) if channels_first(layer) else tuple(range(1, rank - 1))
