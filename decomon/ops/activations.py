"""Layers and functions that are one-dimensional activations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from decomon._backend import keras, tf
from decomon.ops._base import Op
from decomon.ops._registry import Call, UnsupportedError, activation, register, register_activation
from decomon.ops.elementwise.hinge import Hinge
from decomon.ops.terminal import Sigmoid, Softmax

register_activation(keras.activations.linear)()
register_activation(keras.activations.relu)(Hinge())
register_activation(tf.nn.relu)(Hinge())
register_activation(keras.activations.softmax)(Softmax())
register_activation(tf.nn.softmax)(Softmax())
register_activation(keras.activations.sigmoid)(Sigmoid())


@register(keras.layers.Activation)
def activation_layer(call: Call) -> Sequence[Op]:
    """A layer that is nothing but its activation."""
    return activation(call.layer.activation)


@register(keras.layers.ReLU)
def relu(call: Call) -> Sequence[Op]:
    """A rectifier, leaky if it has a negative slope."""
    layer = call.layer
    if layer.max_value is not None:
        raise UnsupportedError(f"max_value={layer.max_value} is not covered yet")
    if layer.threshold:
        raise UnsupportedError(f"threshold={layer.threshold} makes it discontinuous")
    return _leaky(float(layer.negative_slope))


@register(keras.layers.LeakyReLU)
def leaky_relu(call: Call) -> Sequence[Op]:
    """A hinge whose left piece is the negative slope."""
    return _leaky(float(call.layer.negative_slope))


@register(keras.layers.Softmax)
def softmax(call: Call) -> Sequence[Op]:
    """Softmax along the last axis."""
    rank = len(call.output_shape)
    if call.layer.axis not in (-1, rank):
        raise UnsupportedError(f"its axis is {call.layer.axis}, not the last")
    return [Softmax()]


def _leaky(slope: float) -> Sequence[Op]:
    if slope > 1:
        raise UnsupportedError(f"negative_slope={slope} makes it concave")
    # TensorFlow keeps this slope in single precision, whatever the layer computes in.
    return [Hinge(float(np.float32(slope)), 1.0)]
