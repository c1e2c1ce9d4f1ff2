"""Layers that divide by a root mean square: layer, RMS, group and unit normalisation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, final

from decomon._backend import Shape, Tensor, keras, tf
from decomon._tensors import size_of
from decomon.bounds import Interval
from decomon.ops._base import AffineOp
from decomon.ops._registry import Builder, Call, UnsupportedError, Value, register
from decomon.ops.axes import along, resolve_axes
from decomon.ops.elementwise.curves import RSQRT, SQUARE
from decomon.ops.elementwise.hinge import Hinge
from decomon.ops.linear import Mean, Scale, Shift, Sum
from decomon.ops.narrow import Narrow
from decomon.ops.products import Product
from decomon.ops.shaping import Permute, Reshape
from decomon.rounding import units

# Keras divides by the norm, but at least by this.
_LEAST_NORM = 1e-12


@final
@dataclass(frozen=True)
class Center(AffineOp):
    """``x - mean(x)`` along the last axis."""

    def __call__(self, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        return x - tf.reduce_mean(x, axis=-1, keepdims=True)

    def absolute(self, *radii: Tensor) -> Tensor:
        """Entry i has ``1 - 1/n`` in its own column and ``-1/n`` in all others."""
        (radius,) = radii
        n = radius.shape[-1]
        if n == 1:
            return tf.zeros_like(radius)
        return radius * (1 - 2 / n) + tf.reduce_mean(radius, axis=-1, keepdims=True)

    def transpose(self, rows: Tensor, shapes: Sequence[Shape]) -> tuple[Tensor, ...]:
        return (self(rows),)

    def offset(self, shapes: Sequence[Shape], dtype: Tensor) -> Tensor | None:
        return None


@final
@dataclass(frozen=True)
class NormalizedImage(Narrow):
    """The image of ``d / sqrt(max(sum(d^2) / count + epsilon, least))`` along the last axis.

    Parameters
    ----------
    count : what the sum of squares is divided by
    epsilon, least : nonnegative numbers
    centered : whether the entries of ``d`` sum up to zero
    """

    count: int
    epsilon: float
    least: float = 0.0
    centered: bool = False

    def image(self, *sources: Interval) -> Interval:
        """Bound each entry by its own interval and the others' sum of squares R.

        ``d_i / sqrt(max((d_i^2 + R) / count + epsilon, least))`` grows with ``d_i`` for any fixed
        R, and its size falls with R, so a positive upper end of ``d_i`` meets the least R and a
        negative one the largest.  If the entries sum up to zero, then by Cauchy and Schwarz
        ``R >= d_i^2 / (n - 1)``; the ratio with the larger of both lower bounds of R still grows
        with ``d_i``, being the smaller of two functions that do.  That also implies
        ``|y| <= sqrt(n - 1)``, and ``|y| <= sqrt(n)`` for entries that are not centred.

        Rounding: a sum of n squares is off by at most ``(n + 1) u`` times itself, which is taken
        from or given to R; the rest are a few operations.
        """
        (d,) = sources
        unit, tiny = units(d.lower)
        n = d.lower.shape[-1]
        ends = tf.square(d.lower), tf.square(d.upper)
        largest = tf.maximum(*ends)
        crossing = (d.lower <= 0) & (d.upper >= 0)
        smallest = tf.where(crossing, tf.zeros_like(largest), tf.minimum(*ends))
        least, most = self._others(smallest, -1.0), self._others(largest, 1.0)

        def most_of(end: Tensor) -> Tensor:
            square = tf.square(end)
            rest = tf.where(end >= 0, least, most)
            if self.centered and n > 1:
                rest = tf.maximum(rest, square / (n - 1) * (1 - 4 * unit))
            denominator = tf.maximum((square + rest) / self.count + self.epsilon, self.least)
            value = tf.math.divide_no_nan(end, tf.sqrt(denominator))
            # Where squares underflow, nothing is known but that the entry is part of the sum.
            known = float(self.count) ** 0.5 * tf.sign(end)
            value = tf.where(denominator * unit > tiny, value, tf.maximum(known, 0.0))
            return value + 16 * unit * tf.abs(value) + tiny

        return Interval(-most_of(-d.lower), most_of(d.upper))

    @staticmethod
    def _others(squares: Tensor, side: float) -> Tensor:
        """Return the sum of all but the own square, outward."""
        unit, tiny = units(squares)
        n = squares.shape[-1]
        total = tf.reduce_sum(squares, axis=-1, keepdims=True)
        error = (2 * n + 6) * unit * total + n * tiny
        return tf.nn.relu(total - squares + side * error)


def add_normalization(
    builder: Builder, x: Value, *, epsilon: float, center: bool, deviation: bool = True
) -> Value:
    """Add ``d / sqrt(mean((d or x - mean(x))^2) + epsilon)`` along the last axis.

    Parameters
    ----------
    center : whether d is ``x - mean(x)``, otherwise it is x itself
    deviation : whether the mean of the squares is that of d; otherwise, that of the centred x
    """
    d = builder.apply(Center(), x) if center else x
    of = d if deviation else builder.apply(Center(), x)
    axis = (len(x.shape),)
    mean = builder.apply(Mean(axis, keepdims=True), builder.apply(SQUARE, of))
    root = builder.apply(RSQRT.known_above(epsilon), builder.apply(Shift(epsilon), mean))
    y = builder.apply(Product(), d, root)
    if not deviation:
        return y
    image = NormalizedImage(count=x.shape[-1], epsilon=epsilon, centered=center)
    return builder.apply(image, y, d)


def add_unit_normalization(builder: Builder, x: Value) -> Value:
    """Add ``x / max(norm(x), 1e-12)`` along the last axis, with the Euclidean norm."""
    least = _LEAST_NORM**2
    total = builder.apply(Sum((len(x.shape),), keepdims=True), builder.apply(SQUARE, x))
    above = builder.apply(Hinge(), builder.apply(Shift(-least), total))
    root = builder.apply(RSQRT.known_above(least), builder.apply(Shift(least), above))
    image = NormalizedImage(count=1, epsilon=0.0, least=least)
    return builder.apply(image, builder.apply(Product(), x, root), x)


def add_gain(builder: Builder, x: Value, gain: Any, bias: Any, shape: Sequence[int]) -> Value:
    """Add ``x * gain + bias``; both are variables or None, and get a shape that broadcasts."""
    if gain is not None:
        x = builder.apply(Scale(_shaped(gain, shape)), x)
    return x if bias is None else builder.apply(Shift(_shaped(bias, shape)), x)


def _shaped(variable: Any, shape: Sequence[int]) -> Callable[[], Tensor]:
    """Return a function that reads a variable and gives it a shape."""
    return lambda: tf.reshape(tf.convert_to_tensor(variable), shape)


def _broadcast_shape(x: Value, axes: Sequence[int]) -> list[int]:
    """Return the shape, batch axis included, of what varies along some axes only."""
    return [side if i in axes else 1 for i, side in enumerate((1, *x.shape))]


@register(keras.layers.LayerNormalization)
def layer_normalization(call: Call) -> Value:
    """Subtract the mean and divide by the standard deviation.

    The deprecated ``rms_scaling`` divides by the standard deviation without subtracting the mean.
    """
    layer, (x,) = call.layer, call.inputs
    axes = resolve_axes(layer.axis, x)
    centered = not layer.rms_scaling
    y = along(
        call.builder,
        x,
        axes,
        lambda value: add_normalization(
            call.builder,
            value,
            epsilon=float(layer.epsilon),
            center=centered,
            deviation=centered,
        ),
    )
    return add_gain(call.builder, y, layer.gamma, layer.beta, _broadcast_shape(x, axes))


@register(keras.layers.RMSNormalization)
def rms_normalization(call: Call) -> Value:
    """Divide by the root mean square.

    Keras multiplies by the scale as it is, so it always varies along the last axes.
    """
    layer, (x,) = call.layer, call.inputs
    axes = resolve_axes(layer.axis, x)
    sides = tuple(layer.scale.shape)
    if any(side not in (1, own) for side, own in zip(sides[::-1], x.shape[::-1], strict=False)):
        raise UnsupportedError(f"its scale, {sides}, does not fit its input, {x.shape}")
    y = along(
        call.builder,
        x,
        axes,
        lambda value: add_normalization(
            call.builder, value, epsilon=float(layer.epsilon), center=False
        ),
    )
    return add_gain(call.builder, y, layer.scale, None, sides)


@register(keras.layers.GroupNormalization)
def group_normalization(call: Call) -> Value:
    """Normalise each group of channels over all positions and the channels of the group."""
    layer, (x,) = call.layer, call.inputs
    (axis,) = resolve_axes(layer.axis, x)
    rank = len(x.shape) + 1
    order = (0, axis, *(a for a in range(1, rank) if a != axis))
    moved = call.apply(Permute(order), x)
    grouped = call.apply(Reshape((layer.groups, size_of(x.shape) // layer.groups)), moved)
    y = add_normalization(call.builder, grouped, epsilon=float(layer.epsilon), center=True)
    back = tuple(order.index(a) for a in range(rank))
    y = call.chain(y, Reshape(moved.shape), Permute(back))
    return add_gain(call.builder, y, layer.gamma, layer.beta, _broadcast_shape(x, (axis,)))


@register(keras.layers.UnitNormalization)
def unit_normalization(call: Call) -> Value:
    """Divide by the Euclidean norm."""
    (x,) = call.inputs
    axes = resolve_axes(call.layer.axis, x)
    return along(call.builder, x, axes, lambda v: add_unit_normalization(call.builder, v))
