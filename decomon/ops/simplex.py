"""Layers and activations that act along axes: softmax, its logarithm, sparsemax, gated units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from decomon._backend import keras, tf
from decomon.bounds import Interval
from decomon.ops._registry import (
    Builder,
    Call,
    UnsupportedError,
    Value,
    register,
    register_activation,
)
from decomon.ops.axes import Keep, along, constant_mask, resolve_axes
from decomon.ops.elementwise.curves import LOG_SIGMOID, SIGMOID
from decomon.ops.linear import Subtract
from decomon.ops.logsumexp import LogSumExp
from decomon.ops.narrow import Narrow
from decomon.ops.products import Product
from decomon.ops.shaping import Reshape, Slice
from decomon.ops.softmax import Softmax, log_odds
from decomon.ops.sparsemax import add_sparsemax

MASKED = -1e9
"""What Keras puts in place of masked logits in single and double precision."""


@final
@dataclass(frozen=True)
class LogSoftmaxImage(Narrow):
    """The image of ``x_i - log(sum_k exp(x_k))``, the logarithm of a sigmoid of the log-odds."""

    def image(self, *sources: Interval) -> Interval:
        return LOG_SIGMOID.interval(log_odds(sources[0]))


def add_softmax(builder: Builder, x: Value, axis: object = -1) -> Value:
    """Add a softmax along one axis or over several axes together."""
    axes = resolve_axes(axis, x)
    return along(builder, x, axes, lambda value: builder.apply(Softmax(), value))


@register(keras.layers.Softmax, arguments=True)
def softmax_layer(call: Call) -> Value:
    """Softmax, with masked entries far below all others before and zero after it."""
    x, builder = call.inputs[0], call.builder
    mask = call.kwargs.get("mask", call.args[1] if len(call.args) > 1 else None)
    if mask is None:
        return add_softmax(builder, x, call.layer.axis)
    kept = constant_mask(mask, len(x.shape) + 1)
    scores = add_softmax(builder, call.apply(Keep(kept, MASKED), x), call.layer.axis)
    return call.apply(Keep(kept, 0.0), scores)


@register_activation(keras.activations.softmax, tf.nn.softmax)
def softmax(builder: Builder, value: Value) -> Value:
    """Along the last axis."""
    return add_softmax(builder, value)


@register_activation(keras.activations.log_softmax, tf.nn.log_softmax)
def log_softmax(builder: Builder, value: Value) -> Value:
    """``x - log(sum exp(x))`` along the last axis."""
    return add_log_softmax(builder, value)


def add_log_softmax(builder: Builder, x: Value, axis: object = -1) -> Value:
    """Add a log-softmax along one axis or over several axes together."""

    def last(value: Value) -> Value:
        total = builder.apply(LogSumExp(), value)
        total = builder.apply(Reshape((*value.shape[:-1], 1)), total)
        return builder.apply(LogSoftmaxImage(), builder.apply(Subtract(), value, total), value)

    return along(builder, x, resolve_axes(axis, x), last)


@register_activation(keras.activations.sparsemax)
def sparsemax(builder: Builder, value: Value) -> Value:
    """The projection onto the simplex, along the last axis."""
    return add_sparsemax(builder, value)


@register_activation(keras.activations.glu)
def glu(_builder: Builder, value: Value) -> Value:
    """Refuse a gated unit inside a layer, which Keras gives twice the shape that it has."""
    raise UnsupportedError(
        f"its activation 'glu' halves the last axis, of size {value.shape[-1]}, but Keras declares "
        "the whole size. Call keras.activations.glu(x) in a Functional model instead"
    )


def add_glu(builder: Builder, x: Value, axis: int = -1) -> Value:
    """Add a gated linear unit along an axis."""
    (position,) = resolve_axes(axis, x)
    half = x.shape[position - 1] // 2
    whole = tuple((0, side, 1) for side in x.shape)
    first, second = (
        builder.apply(
            Slice((*whole[: position - 1], (begin, begin + half, 1), *whole[position:])), x
        )
        for begin in (0, half)
    )
    return builder.apply(Product(), first, builder.apply(SIGMOID, second))
