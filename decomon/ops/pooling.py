"""Average pooling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

from decomon._backend import Tensor, keras, tf
from decomon.ops._base import NonnegativeOp, Op
from decomon.ops._registry import Call, register


@final
@dataclass(frozen=True)
class AveragePooling2D(NonnegativeOp):
    """Average over windows; with padding, over the part of the window inside the image."""

    layer: Any

    def __call__(self, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        channels_first = self.layer.data_format == "channels_first"
        if channels_first:  # TensorFlow pools channels-first tensors on GPUs only
            x = tf.transpose(x, [0, 2, 3, 1])
        y = tf.nn.avg_pool2d(
            x,
            ksize=self.layer.pool_size,
            strides=self.layer.strides,
            padding=self.layer.padding.upper(),
        )
        return tf.transpose(y, [0, 3, 1, 2]) if channels_first else y


@register(keras.layers.AveragePooling2D)
def average_pooling(call: Call) -> Sequence[Op]:
    """One op."""
    return [AveragePooling2D(call.layer)]
