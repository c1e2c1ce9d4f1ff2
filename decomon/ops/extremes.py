"""The largest and the smallest of several tensors."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from decomon._backend import keras, tf
from decomon.bounds import Interval
from decomon.ops._registry import Builder, Call, Value, register
from decomon.ops.elementwise.hinge import Hinge
from decomon.ops.linear import Negate, Subtract
from decomon.ops.maxima import Max
from decomon.ops.merging import Add
from decomon.ops.narrow import Narrow
from decomon.ops.products import align
from decomon.ops.shaping import BroadcastTo, Reshape, Stack


@final
@dataclass(frozen=True)
class LargestOf(Narrow):
    """The image of the maximum of several tensors: the maximum of their ends."""

    def image(self, *sources: Interval) -> Interval:
        lower, upper = align([s.lower for s in sources]), align([s.upper for s in sources])
        return Interval(functools.reduce(tf.maximum, lower), functools.reduce(tf.maximum, upper))


def maximum(call: Call | Builder, *values: Value) -> Value:
    """Add the elementwise maximum of values, which broadcast, shorter shapes from the left.

    Of two, ``y + relu(x - y)``: its planes leave the same volume as those of the maximum on the box
    (``(u_1 + u_2) / 2`` above the centre, and one of both entries below), but they profit from
    bounds of the difference, which depends on both operands together.  Of more, folding would leave
    more volume than the concave envelope that :class:`Max` has.
    """
    distinct = tuple(dict.fromkeys(values))
    if len(distinct) == 1:
        return distinct[0]
    aligned = same_rank(call, distinct)
    if len(distinct) == 2:
        x, y = aligned
        excess = call.apply(Hinge(), call.apply(Subtract(), x, y))
        return call.apply(LargestOf(), call.apply(Add(), y, excess), x, y)
    shape = tuple(max(sides) for sides in zip(*(v.shape for v in aligned), strict=True))
    wide = (v if v.shape == shape else call.apply(BroadcastTo(shape), v) for v in aligned)
    return call.apply(Max(), call.apply(Stack(len(shape) + 1), *wide))


def minimum(call: Call | Builder, *values: Value) -> Value:
    """Add the elementwise minimum of values: minus the maximum of their negatives."""
    distinct = tuple(dict.fromkeys(values))
    if len(distinct) == 1:
        return distinct[0]
    negated = (call.apply(Negate(), value) for value in distinct)
    return call.apply(Negate(), maximum(call, *negated))


def same_rank(call: Call | Builder, values: Sequence[Value]) -> tuple[Value, ...]:
    """Give values the same rank by new axes in front, as Keras does when it merges tensors."""
    rank = max(len(value.shape) for value in values)
    return tuple(
        value
        if len(value.shape) == rank
        else call.apply(Reshape((1,) * (rank - len(value.shape)) + value.shape), value)
        for value in values
    )


@register(keras.layers.Maximum)
def maximum_layer(call: Call) -> Value:
    """The elementwise maximum of its inputs."""
    return maximum(call, *call.inputs)


@register(keras.layers.Minimum)
def minimum_layer(call: Call) -> Value:
    """The elementwise minimum of its inputs."""
    return minimum(call, *call.inputs)
