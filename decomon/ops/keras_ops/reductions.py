"""Operations that make one number of many: sums, means, extremes, variances, norms."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from decomon._backend import Shape, Tensor, keras, tf
from decomon._tensors import size_of
from decomon.ops._base import NonnegativeOp, Op
from decomon.ops._registry import UnsupportedError, Value, read
from decomon.ops.axes import along
from decomon.ops.elementwise.curves import ABS, RSQRT, SQRT, SQUARE
from decomon.ops.keras_ops import _classes
from decomon.ops.keras_ops._use import Fixed, Use, number, rule
from decomon.ops.keras_ops.arithmetic import Ratio, at_least, at_most, check_rank, divisor, times
from decomon.ops.linear import Einsum, Mean, Negate, Subtract, Sum
from decomon.ops.logsumexp import LogSumExp
from decomon.ops.maxima import Max
from decomon.ops.norms import Center, NormalizedImage
from decomon.ops.products import Product
from decomon.ops.shaping import Gather, Permute, Reshape, Slice


@final
@dataclass(frozen=True)
class CumulativeSum(NonnegativeOp):
    """Sums of all entries up to each one along an axis, the batch axis counting as 0."""

    axis: int

    def __call__(self, *inputs: Tensor) -> Tensor:
        return tf.cumsum(inputs[0], self.axis)

    def transpose(self, rows: Tensor, shapes: Sequence[Shape]) -> tuple[Tensor, ...]:
        return (tf.cumsum(rows, self.axis, reverse=True),)


@rule("numpy.Sum", "axis", "keepdims")
def sum_(use: Use) -> Sequence[Op]:
    """The sum over axes."""
    return [Sum(_axes(use), bool(use.options["keepdims"]))]


@rule("numpy.Mean", "axis", "keepdims")
def mean(use: Use) -> Sequence[Op]:
    """The mean over axes."""
    return [Mean(_axes(use), bool(use.options["keepdims"]))]


@rule("numpy.Average", "axis")
def average(use: Use) -> Value:
    """The mean over axes, with constant weights or none."""
    x, axes = use.tensor("x"), _axes(use)
    if use.arguments["weights"] is None:
        return use.apply(Mean(axes), x)
    weights = use.fixed("weights")
    source = weights.source
    if len(weights.shape) == len(x.shape) + 1:
        check_rank(weights, len(x.shape) + 1)
        total = use.apply(Sum(axes), times(use, x, weights))
        return use.apply(Ratio(_nonzero_sum(weights, axes)), total)
    if len(weights.shape) != 1 or len(axes) != 1:
        raise UnsupportedError(f"its weights have the shape {weights.shape}; one axis is covered")
    letters = "abcdefghijkl"[: len(x.shape) + 1]
    summed = letters[axes[0]]
    equation = f"{letters},{summed}->{letters.replace(summed, '')}"
    return use.chain(x, Einsum(equation, source), Ratio(_nonzero_sum(weights, (0,))))


@rule("numpy.Max", "axis", "keepdims", "initial")
def max_(use: Use) -> Value:
    """The largest entry over axes, and of a constant if there is an initial value."""
    found = _largest(use, use.tensor("x"))
    limit = _initial(use)
    return found if limit is None else at_least(use, found, limit)


@rule("numpy.Min", "axis", "keepdims", "initial")
def min_(use: Use) -> Value:
    """The smallest entry over axes, and of a constant if there is an initial value."""
    found = _smallest(use, use.tensor("x"))
    limit = _initial(use)
    return found if limit is None else at_most(use, found, limit)


@rule("numpy.Amax", "axis", "keepdims")
def amax(use: Use) -> Value:
    """The largest entry over axes."""
    return _largest(use, use.tensor("x"))


@rule("numpy.Amin", "axis", "keepdims")
def amin(use: Use) -> Value:
    """The smallest entry over axes."""
    return _smallest(use, use.tensor("x"))


@rule("numpy.Ptp", "axis", "keepdims")
def ptp(use: Use) -> Value:
    """The largest minus the smallest entry over axes."""
    x = use.tensor("x")
    return use.apply(Subtract(), _largest(use, x), _smallest(use, x))


@rule("math.Logsumexp", "axis", "keepdims")
def logsumexp(use: Use) -> Value:
    """The logarithm of the sum of exponentials over axes."""
    return _over_last(use, use.tensor("x"), _axes(use), lambda x: use.apply(LogSumExp(), x))


@rule("numpy.Var", "axis", "keepdims")
def var(use: Use) -> Value:
    """The mean square of the distance from the mean."""
    return _variance(use, use.tensor("x"), _axes(use))


@rule("numpy.Std", "axis", "keepdims")
def std(use: Use) -> Value:
    """The root of the variance."""
    return use.apply(SQRT.known_above(0.0), _variance(use, use.tensor("x"), _axes(use)))


@rule("nn.Moments", "axes", "keepdims")
def moments(use: Use) -> Sequence[Value]:
    """Mean and variance."""
    x, keepdims = use.tensor("x"), bool(use.options["keepdims"])
    axes = use.axes(use.options["axes"], len(x.shape) + 1)
    return use.apply(Mean(axes, keepdims), x), _variance(use, x, axes)


@rule("linalg.Norm", "ord", "axis", "keepdims")
def norm(use: Use) -> Value:
    """The Euclidean norm, the sum of sizes or the largest size, over axes."""
    x, axes, order = use.tensor("x"), _axes(use), use.options["ord"]
    keepdims = bool(use.options["keepdims"])
    if order is None or (order == 2 and len(axes) == 1) or (order == "fro" and len(axes) == 2):
        return use.chain(x, SQUARE, Sum(axes, keepdims), SQRT.known_above(0.0))
    if order == 1 and len(axes) == 1:
        return use.chain(x, ABS, Sum(axes, keepdims))
    if order == math.inf and len(axes) == 1:
        return _largest(use, use.apply(ABS, x))
    raise UnsupportedError(f"its option ord={order!r} is not covered over {len(axes)} axes")


@rule("nn.Normalize", "axis", "order", "epsilon")
def normalize(use: Use) -> Value:
    """``x / max(norm of x, epsilon)``; the square of the norm is kept above epsilon's."""
    x, order, epsilon = use.tensor("x"), use.options["order"], use.options["epsilon"]
    if order != 2:
        raise UnsupportedError(f"its option order={order!r} is not covered; only 2 is")
    axes = _axes(use)
    # Keras declares float32 whatever it gets and gives.
    dtype = max(_classes.input_dtypes(use.call.layer))
    least = keras.config.epsilon() if epsilon is None else number(epsilon, "epsilon", "float64")
    least = float(np.asarray(least**2, dtype))
    if not least >= np.finfo(dtype).tiny:
        raise UnsupportedError(f"its epsilon {epsilon} is too small to be squared in {dtype}")
    limit = Fixed(np.asarray(least, dtype), ())

    def last(value: Value) -> Value:
        square = use.chain(value, SQUARE, Sum((len(value.shape),), keepdims=True))
        inverse = use.apply(RSQRT.known_above(least), at_least(use, square, limit))
        image = NormalizedImage(count=1, epsilon=0.0, least=least)
        return use.apply(image, use.apply(Product(), value, inverse), value)

    return along(use.call.builder, x, axes, last)


@rule("numpy.Cumsum", "axis", "dtype")
def cumsum(use: Use) -> Sequence[Op]:
    """Sums up to each entry of one axis."""
    if use.options["dtype"] not in (None, use.dtype):
        raise UnsupportedError(f"its option dtype={use.options['dtype']!r} is not covered")
    return [CumulativeSum(use.axis(use.options["axis"], len(use.tensor("x").shape) + 1))]


@rule("numpy.Diff", "n", "axis")
def diff(use: Use) -> Value:
    """Differences of neighbours, n times over."""
    x = use.tensor("a")
    axis = use.axis(use.options["axis"], len(x.shape) + 1)
    for _ in range(int(use.options["n"])):
        whole = [(0, side, 1) for side in x.shape]
        later, earlier = list(whole), list(whole)
        later[axis - 1] = (1, x.shape[axis - 1], 1)
        earlier[axis - 1] = (0, x.shape[axis - 1] - 1, 1)
        x = use.apply(Subtract(), *(use.apply(Slice(tuple(r)), x) for r in (later, earlier)))
    return x


@rule("numpy.Diagonal", "offset", "axis1", "axis2")
def diagonal(use: Use) -> Value:
    """A diagonal of two axes, as a new last axis."""
    return _diagonal(use, use.tensor("x"))


@rule("numpy.Trace", "offset", "axis1", "axis2")
def trace(use: Use) -> Value:
    """The sum over a diagonal."""
    found = _diagonal(use, use.tensor("x"))
    return use.apply(Sum((len(found.shape),)), found)


def _axes(use: Use) -> tuple[int, ...]:
    return use.axes(use.options["axis"], len(use.tensor("x").shape) + 1)


def _nonzero_sum(weights: Fixed, axes: tuple[int, ...]) -> Any:
    """Return the sum of weights, refusing sums that are zero now."""
    if not weights.is_variable:
        total = weights.source.sum(axis=axes)
        return divisor(Fixed(total, total.shape))
    source = weights.source
    divisor(Fixed(np.sum(np.asarray(source), axis=axes), ()))
    return lambda: tf.reduce_sum(read(source, source.dtype), axis=axes)


def _initial(use: Use) -> Fixed | None:
    given = use.options["initial"]
    if given is None:
        return None
    return Fixed(np.asarray(number(given, "initial", use.dtype), use.dtype), ())


def _largest(use: Use, x: Value) -> Value:
    return _over_last(use, x, _axes(use), lambda value: use.apply(Max(), value))


def _smallest(use: Use, x: Value) -> Value:
    return use.apply(Negate(), _largest(use, use.apply(Negate(), x)))


def _variance(use: Use, x: Value, axes: tuple[int, ...]) -> Value:
    def last(value: Value) -> Value:
        return use.chain(value, Center(), SQUARE, Mean((len(value.shape),)))

    return _over_last(use, x, axes, last)


def _over_last(
    use: Use, x: Value, axes: tuple[int, ...], function: Callable[[Value], Value]
) -> Value:
    """Add something that reduces the last axis, over other axes together."""
    kept = tuple(axis for axis in range(len(x.shape) + 1) if axis not in axes)
    if (*kept, *axes) != tuple(range(len(x.shape) + 1)):
        x = use.apply(Permute((*kept, *axes)), x)
    shape = (*x.shape[: len(kept) - 1], size_of(x.shape[len(kept) - 1 :]))
    found = function(x if x.shape == shape else use.apply(Reshape(shape), x))
    result = use.call.output_shape
    return found if found.shape == result else use.apply(Reshape(result), found)


def _diagonal(use: Use, x: Value) -> Value:
    rank = len(x.shape) + 1
    first, second = (use.axis(use.options[name], rank) for name in ("axis1", "axis2"))
    order = (*(axis for axis in range(rank) if axis not in (first, second)), first, second)
    height, width = x.shape[first - 1], x.shape[second - 1]
    positions = np.diagonal(
        np.arange(height * width).reshape(height, width), int(use.options["offset"])
    )
    if not positions.size:
        raise UnsupportedError(f"its offset {use.options['offset']} leaves nothing")
    moved = x if order == tuple(range(rank)) else use.apply(Permute(order), x)
    flat = use.apply(Reshape((*moved.shape[:-2], height * width)), moved)
    return use.apply(Gather(tuple(int(i) for i in positions), rank - 2), flat)
