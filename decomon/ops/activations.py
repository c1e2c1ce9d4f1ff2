"""Layers and functions that act on each neuron alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from decomon._backend import keras, tf
from decomon.ops._base import Op
from decomon.ops._registry import (
    Builder,
    Call,
    UnsupportedError,
    Value,
    register,
    register_activation,
)
from decomon.ops.elementwise import curves
from decomon.ops.elementwise.hinge import Hinge

_CURVES: tuple[tuple[Op, tuple[Any, ...]], ...] = (
    (Hinge(), (keras.activations.relu, keras.ops.relu, tf.nn.relu)),
    # TensorFlow keeps this slope in single precision, whatever the layer computes in.
    (
        Hinge(float(np.float32(0.2)), 1.0),
        (keras.activations.leaky_relu, keras.ops.leaky_relu, tf.nn.leaky_relu),
    ),
    (curves.RELU6, (keras.activations.relu6, keras.ops.relu6, tf.nn.relu6)),
    (curves.elu(1.0), (keras.activations.elu, keras.ops.elu, tf.nn.elu)),
    (curves.celu(1.0), (keras.activations.celu, keras.ops.celu)),
    (curves.SELU, (keras.activations.selu, keras.ops.selu, tf.nn.selu)),
    (curves.GELU, (keras.activations.gelu, tf.nn.gelu)),
    (curves.GELU_TANH, (keras.ops.gelu,)),  # its default is the approximation
    (curves.SILU, (keras.activations.silu, keras.ops.silu, tf.nn.silu)),
    (curves.MISH, (keras.activations.mish,)),
    (curves.SIGMOID, (keras.activations.sigmoid, keras.ops.sigmoid, tf.nn.sigmoid)),
    (curves.LOG_SIGMOID, (keras.activations.log_sigmoid, keras.ops.log_sigmoid)),
    (curves.HARD_SIGMOID, (keras.activations.hard_sigmoid, keras.ops.hard_sigmoid)),
    (curves.HARD_SILU, (keras.activations.hard_silu, keras.ops.hard_silu)),
    (curves.TANH, (keras.activations.tanh, keras.ops.tanh, tf.nn.tanh, tf.tanh)),
    (curves.HARD_TANH, (keras.activations.hard_tanh, keras.ops.hard_tanh)),
    (curves.TANH_SHRINK, (keras.activations.tanh_shrink, keras.ops.tanh_shrink)),
    (curves.SOFTPLUS, (keras.activations.softplus, keras.ops.softplus, tf.nn.softplus)),
    (curves.SOFTSIGN, (keras.activations.softsign, keras.ops.softsign, tf.nn.softsign)),
    (curves.soft_shrink(0.5), (keras.activations.soft_shrink, keras.ops.soft_shrink)),
    (curves.hard_shrink(0.5), (keras.activations.hard_shrink, keras.ops.hard_shrink)),
    (curves.SPARSE_PLUS, (keras.activations.sparse_plus, keras.ops.sparse_plus)),
    (curves.SPARSE_SIGMOID, (keras.activations.sparse_sigmoid, keras.ops.sparse_sigmoid)),
    (curves.SQUAREPLUS, (keras.activations.squareplus, keras.ops.squareplus)),
    (curves.EXP, (keras.activations.exponential, keras.ops.exp, tf.exp)),
    (curves.ABS, (keras.ops.abs, keras.ops.absolute, tf.abs)),
    (curves.SQUARE, (keras.ops.square, tf.square)),
    (curves.SQRT, (keras.ops.sqrt, tf.sqrt)),
    (curves.RSQRT, (keras.ops.rsqrt, tf.math.rsqrt)),
    (curves.LOG, (keras.ops.log, tf.math.log)),
    (curves.LOG1P, (keras.ops.log1p, tf.math.log1p)),
    (curves.EXPM1, (keras.ops.expm1, tf.math.expm1)),
    (curves.RECIPROCAL, (keras.ops.reciprocal, tf.math.reciprocal)),
    (curves.SIN, (keras.ops.sin, tf.sin)),
    (curves.COS, (keras.ops.cos, tf.cos)),
    (curves.ARCTAN, (keras.ops.arctan, tf.math.atan)),
    (curves.ERF, (keras.ops.erf, tf.math.erf)),
    (curves.SIGN, (keras.ops.sign, tf.sign)),
    (curves.FLOOR, (keras.ops.floor, tf.floor)),
)


def _register(op: Op, functions: Sequence[Any]) -> None:
    @register_activation(*functions)
    def rule(builder: Builder, value: Value) -> Value:
        return builder.apply(op, value)


for _op, _functions in _CURVES:
    _register(_op, _functions)


@register_activation(keras.activations.linear)
def linear(_builder: Builder, value: Value) -> Value:
    """Nothing to do."""
    return value


@register(keras.layers.Activation)
def activation_layer(call: Call) -> Value:
    """A layer that is nothing but its activation."""
    return call.activation(call.layer.activation, call.inputs[0])


@register(keras.layers.ReLU)
def relu(call: Call) -> Sequence[Op]:
    """A rectifier with its options."""
    layer = call.layer
    most = None if layer.max_value is None else float(layer.max_value)
    least, slope = float(layer.threshold), float(layer.negative_slope)
    if most is None and least == 0:
        slope = float(np.float32(slope))  # as for the leaky one
    if most is not None and most < least:
        raise UnsupportedError(f"its max_value {most} lies below its threshold {least}")
    return [curves.relu(slope, most, least)]


@register(keras.layers.LeakyReLU)
def leaky_relu(call: Call) -> Sequence[Op]:
    """Two linear pieces, concave if the slope is above 1."""
    # TensorFlow keeps this slope in single precision, whatever the layer computes in.
    return [curves.relu(float(np.float32(call.layer.negative_slope)), None, 0.0)]


@register(keras.layers.ELU)
def elu(call: Call) -> Sequence[Op]:
    """Exponential to the left of zero."""
    alpha = float(call.layer.alpha)
    if alpha < 0:
        raise UnsupportedError(f"its alpha is negative, {alpha}, so that it is not monotone")
    return [curves.elu(alpha)]
