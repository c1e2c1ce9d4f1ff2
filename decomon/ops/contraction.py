"""Einstein sums of two perturbed tensors, and averages with weights that add up to one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from decomon._backend import Tensor, tf
from decomon._tensors import size_of
from decomon.bounds import Interval
from decomon.ops._registry import Builder, Value
from decomon.ops.linear import Sum
from decomon.ops.narrow import Narrow
from decomon.ops.products import Product
from decomon.ops.shaping import Permute, Reshape
from decomon.rounding import units


def contract(
    builder: Builder, equation: str, x: Value, y: Value, *, average: bool = False
) -> Value:
    """Add an Einstein sum of two values; the first label of all three terms is the batch axis.

    Both are brought to the same axes, those of the result and then those that are summed, with
    size 1 where a label is missing; they are multiplied elementwise, and the products summed.

    Parameters
    ----------
    equation : one letter per axis, none of them twice in one operand
    average : whether the entries of ``x`` along the summed axes are not negative and add up to
        one, so that the result lies between the entries of ``y``
    """
    operands, result = equation.replace(" ", "").split("->")
    first, second = operands.split(",")
    summed = "".join(label for label in dict.fromkeys(first + second) if label not in result)
    labels = result + summed
    x, y = _aligned(builder, x, first, labels), _aligned(builder, y, second, labels)
    axes = tuple(range(len(result), len(labels)))
    total = builder.apply(Sum(axes), builder.apply(Product(), x, y))
    return builder.apply(AverageImage(len(summed)), total, x, y) if average else total


def _aligned(builder: Builder, x: Value, own: str, labels: str) -> Value:
    """Order the axes of a value as in ``labels``, with new axes of size 1."""
    present = [label for label in labels if label in own]
    order = tuple(own.index(label) for label in present)
    if order != tuple(range(len(order))):
        x = builder.apply(Permute(order), x)
    sides = dict(zip(present[1:], x.shape, strict=True))
    shape = tuple(sides.get(label, 1) for label in labels[1:])
    return x if shape == x.shape else builder.apply(Reshape(shape), x)


@final
@dataclass(frozen=True)
class AverageImage(Narrow):
    """The image of ``sum_s p_s v_s`` over the last axes, with ``p_s >= 0`` and ``sum_s p_s = 1``.

    Parameters
    ----------
    summed : how many axes are summed
    """

    summed: int

    def image(self, *sources: Interval) -> Interval:
        """Return the exact image for values and weights that are otherwise independent.

        As weights are not negative, the sum is largest at the upper ends of the values.  All
        weights start at their lower ends; what is missing to one goes to the largest values first,
        each up to the upper end of its weight (a fractional knapsack).
        """
        weights, values = sources
        low, high = self._flat(weights.lower), self._flat(weights.upper)
        low, high = tf.clip_by_value(low, 0.0, 1.0), tf.clip_by_value(high, 0.0, 1.0)
        upper = _largest_average(low, high, self._flat(values.upper))
        lower = -_largest_average(low, high, -self._flat(values.lower))
        return Interval(lower, upper)

    def _flat(self, x: Tensor) -> Tensor:
        """Make one axis of those that are summed."""
        kept = x.shape[1 : len(x.shape) - self.summed]
        last = size_of(x.shape[len(x.shape) - self.summed :])
        return tf.reshape(x, [tf.shape(x)[0], *kept, last])


def _largest_average(low: Tensor, high: Tensor, values: Tensor) -> Tensor:
    """Return the largest average of values, outward by its rounding error.

    All partial sums of weights are at most 1, so those and what is left over are off by at most
    ``(n + 4) u``, and each such error costs at most the largest value; the sum of products
    is off by as much again.
    """
    unit, tiny = units(values)
    n = values.shape[-1]
    order = tf.argsort(values, axis=-1, direction="DESCENDING")
    ordered = tf.gather(values, order, axis=-1, batch_dims=len(values.shape) - 1)
    shape = tf.broadcast_dynamic_shape(tf.shape(low), tf.shape(order))
    known = tf.broadcast_static_shape(low.shape, order.shape)
    order = tf.broadcast_to(order, shape)
    low, high = (_take(tf.broadcast_to(side, shape), order) for side in (low, high))
    left = tf.nn.relu(1 - tf.reduce_sum(low, axis=-1, keepdims=True))
    room = tf.nn.relu(high - low)
    before = tf.cumsum(room, axis=-1, exclusive=True)
    filled = tf.clip_by_value(left - before, 0.0, room)
    average = tf.reduce_sum((low + filled) * ordered, axis=-1)
    # What is known of the shape is lost where an axis of 1 is stretched.
    average.set_shape(known[:-1])
    return average + 4 * (n + 4) * unit * tf.reduce_max(tf.abs(values), axis=-1) + tiny


def _take(values: Tensor, order: Tensor) -> Tensor:
    taken = tf.gather(values, order, axis=-1, batch_dims=len(values.shape) - 1)
    taken.set_shape(values.shape)
    return taken
