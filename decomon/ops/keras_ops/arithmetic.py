"""Sums, differences, products, quotients, powers and choices of tensors and constants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from decomon._backend import Shape, Tensor, tf
from decomon.bounds import Interval, Lines
from decomon.ops import extremes
from decomon.ops._base import AffineOp, ElementwiseOp, Op, SlopeRule
from decomon.ops._registry import UnsupportedError, Value, read
from decomon.ops.elementwise import curves
from decomon.ops.elementwise.curves import EXP, RECIPROCAL, RSQRT, SQRT
from decomon.ops.elementwise.hinge import Hinge
from decomon.ops.keras_ops._use import Fixed, Operand, Use, constant, rule, touches_batch
from decomon.ops.linear import Constant, Negate, Scale, Shift, Subtract, evaluate
from decomon.ops.merging import Add, check_sum
from decomon.ops.products import multiply
from decomon.ops.shaping import BroadcastTo


@final
@dataclass(frozen=True, eq=False)
class Ratio(AffineOp):
    """``x / c`` for a constant without zeros that broadcasts against ``x`` and never enlarges it.

    A product with ``1 / c`` would be rounded differently.
    """

    divisor: Any

    @property
    def diagonal(self) -> bool:
        return True

    def __call__(self, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        return x / evaluate(self.divisor, x.dtype)

    def absolute(self, *radii: Tensor) -> Tensor:
        (radius,) = radii
        return radius / tf.abs(evaluate(self.divisor, radius.dtype))

    def interval(self, *inputs: Interval) -> Interval:
        (x,) = inputs
        ends = self(x.lower), self(x.upper)
        return Interval(tf.minimum(*ends), tf.maximum(*ends))

    def transpose(self, rows: Tensor, shapes: Sequence[Shape]) -> tuple[Tensor, ...]:
        return (rows / evaluate(self.divisor, rows.dtype),)

    def offset(self, shapes: Sequence[Shape], dtype: Tensor) -> Tensor | None:
        return None


@final
@dataclass(frozen=True, eq=False)
class Choice(AffineOp):
    """Entries of one tensor where a constant mask says so, of another or of a constant elsewhere.

    Without ``other``, it takes two tensors.  All broadcast to the shape of the first, which is
    taken where the mask equals ``wanted``.
    """

    mask: Any
    other: Any = None
    wanted: bool = True

    @property
    def diagonal(self) -> bool:
        return True

    def __call__(self, *inputs: Tensor) -> Tensor:
        x = inputs[0]
        other = inputs[1] if self.other is None else evaluate(self.other, x.dtype)
        return self._choose(x, other)

    def absolute(self, *radii: Tensor) -> Tensor:
        first = radii[0]
        return self._choose(first, radii[1] if self.other is None else tf.zeros_like(first))

    def interval(self, *inputs: Interval) -> Interval:
        return Interval(self(*(x.lower for x in inputs)), self(*(x.upper for x in inputs)))

    def offset(self, shapes: Sequence[Shape], dtype: Tensor) -> Tensor | None:
        return None if self.other is None else super().offset(shapes, dtype)

    def _choose(self, x: Tensor, other: Tensor) -> Tensor:
        mask = read(self.mask, tf.bool)
        return tf.where(mask, x, other) if self.wanted else tf.where(mask, other, x)


@final
@dataclass(frozen=True)
class SelfRatio(ElementwiseOp):
    """``z / z``: one everywhere but at zero, where it has no value."""

    def __call__(self, *inputs: Tensor) -> Tensor:
        (z,) = inputs
        return z / z

    def interval(self, *inputs: Interval) -> Interval:
        """Return [1, 1], as exact in floating point, where the reciprocal has an interval."""
        one = 1 + 0 * RECIPROCAL.interval(*inputs).lower
        return Interval(one, one)

    def unstable(self, *intervals: Interval) -> tuple[Tensor, ...]:
        return (tf.zeros_like(intervals[0].lower, dtype=tf.bool),)

    def initial(self, intervals: Sequence[Interval], rule: SlopeRule) -> tuple[Tensor, ...]:
        return ()

    def relax(self, intervals: Sequence[Interval], parameters: tuple[Tensor, ...]) -> Lines:
        """Bound a constant function by itself."""
        one = self.interval(*intervals).lower[:, None]
        return Lines(tf.zeros_like(one), one, tf.zeros_like(one), one)


@rule("numpy.Add")
def add(use: Use) -> Value:
    """Tensors of one rank, or a tensor and a constant."""
    x, y = use.operand("x1"), use.operand("x2")
    if isinstance(x, Value) and isinstance(y, Value):
        if x.shape != y.shape:
            check_sum(*(value.shape for value in same_rank(x, y)))
        return use.apply(Add(), x, y)
    value, fixed = tell_apart(x, y)
    if not broadcasts(sides(x), sides(y)):
        raise UnsupportedError(
            f"its second operand, of shape {sides(y)}, looks like a bias of the channels of the "
            f"first, of shape {sides(x)}, and Keras on TensorFlow then adds it along those instead "
            "of broadcasting. Swap the operands, or give both their full shapes"
        )
    return use.apply(Shift(fixed.source), room(use, value, fixed))


@rule("numpy.Subtract")
def subtract(use: Use) -> Value:
    """A tensor minus itself is zero; a constant may stand on either side."""
    x, y = use.operand("x1"), use.operand("x2")
    if isinstance(x, Value) and isinstance(y, Value):
        if x == y:
            return use.apply(Constant(np.zeros(x.shape, use.dtype)), x)
        return use.apply(Subtract(), *same_rank(x, y))
    value, fixed = tell_apart(x, y)
    wide = room(use, value, fixed)
    if isinstance(x, Fixed):
        return use.chain(wide, Negate(), Shift(x.source))
    return use.apply(Shift(minus(fixed)), wide)


@rule("numpy.Multiply")
def product(use: Use) -> Value:
    """Two tensors by McCormick planes, a tensor and itself as a square."""
    return times(use, use.operand("x1"), use.operand("x2"))


@rule("numpy.Divide numpy.TrueDivide")
def divide(use: Use) -> Value:
    """By a constant it is linear; by a tensor, a product with its reciprocal."""
    x, y = use.operand("x1"), use.operand("x2")
    if isinstance(x, Value) and x == y:
        return use.apply(SelfRatio(), x)
    if isinstance(y, Value):
        if isinstance(x, Value):
            same_rank(x, y)
        return times(use, x, use.apply(RECIPROCAL, y))
    value, fixed = tell_apart(x, y)
    return use.apply(Ratio(divisor(fixed)), room(use, value, fixed))


@rule("numpy.Negative")
def negative(use: Use) -> Sequence[Op]:
    """Minus the identity."""
    use.tensor("x")
    return [Negate()]


@rule("numpy.Power")
def power(use: Use) -> Value:
    """A tensor to a constant integer (or 1/2, -1/2), or a positive constant to a tensor."""
    base, exponent = use.operand("x1"), use.operand("x2")
    if isinstance(base, Value) and isinstance(exponent, Value):
        raise UnsupportedError(
            "its base and its exponent both depend on the input. Write it as "
            "exp(exponent * log(base))"
        )
    value, fixed = tell_apart(base, exponent)
    values = steady(fixed, "exponent" if isinstance(base, Value) else "base")
    if isinstance(exponent, Value):
        if not (values > 0).all():
            raise UnsupportedError("its base must be positive to be raised to any power")
        log = np.log(values.astype(np.float64))
        return use.chain(room(use, value, fixed), Scale(log), EXP)
    if values.min() != values.max():
        raise UnsupportedError("its exponents differ; it covers one exponent for all entries")
    return to_power(use, room(use, value, fixed), float(values.flat[0]))


@rule("numpy.Where")
def where(use: Use) -> Value:
    """A constant mask chooses between tensors and constants."""
    if use.arguments["x1"] is None or use.arguments["x2"] is None:
        raise UnsupportedError("it gives the positions of entries, which are integers")
    mask = use.arguments["condition"]
    if isinstance(mask, Value):
        raise UnsupportedError(
            "its condition depends on the input, so it is not continuous; only a fixed mask is "
            "covered"
        )
    chosen = use.as_operand(mask, "condition", "bool")
    _, mask = tell_apart(use.call.inputs[0], chosen)
    x, y = use.operand("x1"), use.operand("x2")
    shape = use.call.output_shape
    check_rank(mask, len(shape) + 1)
    if isinstance(x, Value) and isinstance(y, Value):
        both = [widen(use, value, shape) for value in same_rank(x, y)]
        return both[0] if x == y else use.apply(Choice(mask.source), *both)
    value, fixed = tell_apart(x, y)
    check_rank(fixed, len(shape) + 1)
    wide = widen(use, value, shape)
    return use.apply(Choice(mask.source, fixed.source, isinstance(x, Value)), wide)


@rule("numpy.Maximum")
def maximum(use: Use) -> Value:
    """The larger of two tensors, or of a tensor and a constant."""
    x, y = use.operand("x1"), use.operand("x2")
    if isinstance(x, Value) and isinstance(y, Value):
        return extremes.maximum(use.call, *same_rank(x, y))
    value, fixed = tell_apart(x, y)
    return at_least(use, room(use, value, fixed), fixed)


@rule("numpy.Minimum")
def minimum(use: Use) -> Value:
    """The smaller of two tensors, or of a tensor and a constant."""
    x, y = use.operand("x1"), use.operand("x2")
    if isinstance(x, Value) and isinstance(y, Value):
        return extremes.minimum(use.call, *same_rank(x, y))
    value, fixed = tell_apart(x, y)
    return at_most(use, room(use, value, fixed), fixed)


@rule("numpy.Clip", "x_min", "x_max")
def clip(use: Use) -> Value:
    """Numbers, or arrays that do not enlarge the tensor, as limits."""
    x = use.tensor("x")
    low, high = (constant(use.options[name], name).astype(use.dtype) for name in ("x_min", "x_max"))
    if (low > high).any():
        raise UnsupportedError(f"its x_min exceeds its x_max: {low} and {high}")
    if low.size == high.size == 1 and np.isfinite([low, high]).all():
        return use.apply(curves.clip(float(low.reshape(())), float(high.reshape(()))), x)
    if not np.all(low == -np.inf):
        x = at_least(use, x, use.fit(low, "x_min", x))
    if not np.all(high == np.inf):
        x = at_most(use, x, use.fit(high, "x_max", x))
    return x


def times(use: Use, x: Operand, y: Operand) -> Value:
    """Add the product of two tensors, or of a tensor and a constant."""
    if isinstance(x, Value) and isinstance(y, Value):
        return multiply(use.call, *same_rank(x, y))
    value, fixed = tell_apart(x, y)
    return use.apply(Scale(fixed.source), room(use, value, fixed))


def to_power(use: Use, x: Value, exponent: float) -> Value:
    """Add a constant power of a tensor."""
    roots = {0.5: SQRT, -0.5: RSQRT}
    if exponent in roots:
        return use.apply(roots[exponent], x)
    if exponent != int(exponent):
        raise UnsupportedError(
            f"its exponent {exponent} is neither an integer nor 1/2 or -1/2. For a positive base, "
            f"write it as exp({exponent} * log(x))"
        )
    if exponent == 0:
        return use.apply(Constant(np.ones(x.shape, use.dtype)), x)
    return x if exponent == 1 else use.apply(curves.power(int(exponent)), x)


def at_least(use: Use, x: Value, fixed: Fixed) -> Value:
    """Add the larger of a tensor and a constant: a rectifier whose kink is moved there."""
    source = fixed.source
    return use.chain(x, Shift(minus(fixed)), Hinge(), Shift(source))


def at_most(use: Use, x: Value, fixed: Fixed) -> Value:
    """Add the smaller of a tensor and a constant."""
    return use.chain(x, Negate(), Shift(fixed.source), Hinge(), Negate(), Shift(fixed.source))


def minus(fixed: Fixed) -> Any:
    """Return a constant with the opposite sign."""
    source = fixed.source
    return (lambda: -tf.convert_to_tensor(source)) if fixed.is_variable else -source


def same_rank(x: Value, y: Value) -> tuple[Value, Value]:
    """Refuse tensors whose batch axes do not meet when they are broadcast."""
    if len(x.shape) != len(y.shape):
        raise touches_batch(
            f"its operands of shapes {sides(x)} and {sides(y)} are aligned at their last axes, so "
            "the batch axis of one meets another axis of the other"
        )
    return x, y


def sides(operand: Operand) -> tuple[int | None, ...]:
    """Return the size of each axis; None for the batch axis."""
    return (None, *operand.shape) if isinstance(operand, Value) else operand.shape


def broadcasts(first: Sequence[int | None], second: Sequence[int | None]) -> bool:
    """Whether ``keras.ops.add`` on TensorFlow broadcasts, for batches of every size.

    It takes a second operand with a single side longer than 1 for a bias, if the first one
    has two axes or more and is as long at its last axis, or else at its second one: then it adds
    it there, wherever that axis is.
    """
    if len(first) < 2:
        return True
    for batch in {1, 2, *(side for side in (first[1], first[-1]) if side)}:
        given = [batch if side is None else side for side in second]
        long = [axis - len(given) for axis, side in enumerate(given) if side > 1]
        if len(long) != 1 or given[long[0]] not in (first[1], first[-1]):
            continue
        axis = -1 if first[-1] == given[long[0]] else 1 - len(first)
        if axis != long[0]:
            return False
    return True


def tell_apart(x: Operand, y: Operand) -> tuple[Value, Fixed]:
    """Return the tensor and the constant, whichever comes first."""
    if isinstance(x, Value) and isinstance(y, Fixed):
        return x, y
    if isinstance(y, Value) and isinstance(x, Fixed):
        return y, x
    raise UnsupportedError("it does not have one tensor and one constant as operands")


def room(use: Use, x: Value, fixed: Fixed) -> Value:
    """Broadcast a tensor to the shape that it has with a constant."""
    check_rank(fixed, len(x.shape) + 1)
    inner = fixed.shape[1:] if len(fixed.shape) == len(x.shape) + 1 else fixed.shape
    return widen(use, x, tuple(np.broadcast_shapes(x.shape, inner)))


def widen(use: Use, x: Value, shape: Shape) -> Value:
    """Broadcast a tensor."""
    return x if x.shape == shape else use.apply(BroadcastTo(shape), x)


def divisor(fixed: Fixed) -> Any:
    """Refuse a constant that has zeros now; a variable that gets some later gives no bounds."""
    if (constant(fixed.source, "x2") == 0).any():
        raise UnsupportedError("it divides by a constant that contains zeros")
    return fixed.source


def steady(fixed: Fixed, name: str) -> NDArray[Any]:
    """Refuse a variable where the kind of function depends on the constant's value."""
    if fixed.is_variable:
        raise UnsupportedError(f"its {name} is a variable; it must be a constant")
    return fixed.source


def check_rank(fixed: Fixed, rank: int) -> None:
    """Refuse a constant that has something else than 1 where the tensor has its batch axis."""
    if len(fixed.shape) > rank or (len(fixed.shape) == rank and fixed.shape[0] != 1):
        raise touches_batch(
            f"its constant of shape {fixed.shape} gives different samples different values"
        )
