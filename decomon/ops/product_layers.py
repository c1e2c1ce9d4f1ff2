"""Layers that multiply tensors: elementwise, or as dot products."""

from __future__ import annotations

import functools
from string import ascii_lowercase
from typing import Any

from decomon._backend import keras
from decomon.ops._registry import Builder, Call, Value, register
from decomon.ops.axes import along
from decomon.ops.contraction import contract
from decomon.ops.elementwise.curves import RSQRT, SQUARE
from decomon.ops.elementwise.hinge import Hinge
from decomon.ops.linear import Shift, Sum
from decomon.ops.norms import NormalizedImage
from decomon.ops.products import Product, multiply
from decomon.ops.shaping import Reshape


@register(keras.layers.Multiply)
def multiply_layer(call: Call) -> Value:
    """The elementwise product; repeated factors come together, so that they are squared."""
    factors = sorted(call.inputs, key=lambda value: value.index)
    return functools.reduce(lambda x, y: multiply(call, x, y), factors)


@register(keras.layers.Dot)
def dot(call: Call) -> Value:
    """Products along one axis of each tensor, summed; all other axes are paired with each other.

    The product of a vector with itself is the sum of its squares.
    """
    layer, (x, y) = call.layer, call.inputs
    axes = _axes(layer.axes, call.inputs)
    same = x == y and len(x.shape) == 1
    if layer.normalize:
        x, y = (unit_length(call.builder, v, axis) for v, axis in zip((x, y), axes, strict=True))
    if same:
        total = call.chain(multiply(call, x, x), Sum((1,), keepdims=True))
    else:
        labels = iter(ascii_lowercase[1:])
        first = ["a", *(next(labels) for _ in x.shape)]
        second = ["a", *(next(labels) for _ in y.shape)]
        second[axes[1]] = first[axes[0]]
        free = [label for label in first + second[1:] if label != first[axes[0]]]
        equation = f"{''.join(first)},{''.join(second)}->{''.join(free)}"
        total = contract(call.builder, equation, x, y)
    return (
        total if total.shape == call.output_shape else call.apply(Reshape(call.output_shape), total)
    )


def unit_length(builder: Builder, value: Value, axis: int) -> Value:
    """Divide by the Euclidean norm along an axis, or by Keras' epsilon if that is larger."""
    least = float(keras.config.epsilon()) ** 2

    def normalized(x: Value) -> Value:
        total = builder.apply(Sum((len(x.shape),), keepdims=True), builder.apply(SQUARE, x))
        above = builder.apply(Hinge(), builder.apply(Shift(-least), total))
        root = builder.apply(RSQRT.known_above(least), builder.apply(Shift(least), above))
        image = NormalizedImage(count=1, epsilon=0.0, least=least)
        return builder.apply(image, builder.apply(Product(), x, root), x)

    return along(builder, value, (axis,), normalized)


def _axes(given: Any, values: tuple[Value, ...]) -> tuple[int, ...]:
    """Return the axis of each tensor, the batch axis counting as 0."""
    both = (given, given) if isinstance(given, int) else given
    return tuple(axis % (len(value.shape) + 1) for axis, value in zip(both, values, strict=True))
