"""One-dimensional functions in ball arithmetic, written independently of the library.

``arb`` is a real number with a rigorous error bound (Johansson 2017); its precision is the
context's.  Comparisons are true only if they hold for every number in the ball.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from flint import arb as _arb
from flint import ctx as _ctx

from tests.decomon.helpers import Array, keras

arb: Any = _arb
ctx: Any = _ctx
Ball = Any
Function = Callable[[Ball], Ball]
INF = math.inf
# Enough for the exact product and sum of doubles of similar size; more is asked for when needed.
PRECISIONS = (192, 768, 3072)
# Two numbers that still cannot be told apart at the highest precision, and differ by less than
# this, are equal for every float (the smallest double is 5e-324).
ZERO = "1e-400"


@contextmanager
def bits(count: int) -> Iterator[None]:
    """Compute with that many bits."""
    before, ctx.prec = ctx.prec, count
    try:
        yield
    finally:
        ctx.prec = before


def nonnegative(difference: Callable[[], Ball]) -> bool:
    """Whether a number is at least zero, decided rigorously at whatever precision it takes."""
    found = arb(0)
    for count in PRECISIONS:
        with bits(count):
            found = difference()
            if found >= 0:
                return True
            if found < 0:
                return False
    if not abs(found) < arb(ZERO):
        raise ArithmeticError(f"The sign of {found} is not known.")
    return True


@dataclass(frozen=True)
class Oracle:
    """A function, what computes it in Keras, and where anything happens.

    ``points``: kinks, jumps, inflections and extrema.  ``domain``: where it is defined.
    ``open_ends``: whether the domain's ends are excluded; ``pole``: another excluded point.
    """

    value: Function
    keras: Callable[[Any], Any]
    points: tuple[float, ...] = (0.0,)
    domain: tuple[float, float] = (-INF, INF)
    open_ends: bool = False
    jumps: bool = False
    periodic: bool = False
    pole: float | None = None

    @property
    def partial(self) -> bool:
        """Whether there are numbers that the function is not defined for."""
        return self.domain != (-INF, INF) or self.pole is not None

    def defined(self, low: Array, high: Array) -> Array:
        """On which intervals the function is defined."""
        first, last = self.domain
        if self.open_ends:
            inside = (low > first) & (high < last)
        else:
            inside = (low >= first) & (high <= last)
        if self.pole is not None:
            inside &= (low > self.pole) | (high < self.pole)
        return inside

    def slope(self, x: Ball) -> Ball:
        """The derivative by a symmetric difference: right to dozens of digits off the kinks."""
        with bits(4000):
            h = (abs(x) if x != 0 else arb(1)) * arb(10) ** -60
            return (self.value(x + h) - self.value(x - h)) / (2 * h)


def sign(x: Ball) -> Ball:
    return arb(1) if x > 0 else arb(-1) if x < 0 else arb(0)


def relu(slope: float = 0.0, most: float = INF, threshold: float = 0.0) -> Function:
    def value(x: Ball) -> Ball:
        if not x > arb(threshold):
            return (x - arb(threshold)) * arb(slope)
        if most == INF:
            return x
        return arb(0) if x < 0 else arb(most) if x > arb(most) else x

    return value


def clip(low: float, high: float) -> Function:
    return lambda x: arb(low) if x < arb(low) else arb(high) if x > arb(high) else x


def elu(alpha: float = 1.0) -> Function:
    return lambda x: x if x > 0 else arb(alpha) * x.expm1()


def celu(alpha: float = 1.0) -> Function:
    return lambda x: x if x > 0 else arb(alpha) * (x / arb(alpha)).expm1()


def selu(x: Ball) -> Ball:
    scale, alpha = arb("1.0507009873554804934193349852946"), arb("1.67326324235437728481704")
    return scale * (x if x > 0 else alpha * x.expm1())


def sigmoid(x: Ball) -> Ball:
    return 1 / (1 + (-x).exp())


def softplus(x: Ball) -> Ball:
    return x.exp().log1p() if x < 0 else x + (-x).exp().log1p()


# TensorFlow rounds these constants to single precision, whatever it computes in.
INVERSE_ROOT, CUBIC = float(np.float32(0.5**0.5)), float(np.float32(0.044715))
ROOT = 1 / INVERSE_ROOT


def gelu(x: Ball) -> Ball:
    return x * (-x * arb(INVERSE_ROOT)).erfc() / 2


def gelu_tanh(x: Ball) -> Ball:
    """With ``(1 + tanh(t)) / 2 = sigmoid(2 t)``."""
    return x * sigmoid(2 * (2 / arb.pi()).sqrt() * (x + arb(CUBIC) * x * x * x))


def silu(x: Ball) -> Ball:
    return x * sigmoid(x)


def mish(x: Ball) -> Ball:
    """``x tanh(log(1 + e))``, and the tanh is ``((1 + e)^2 - 1) / ((1 + e)^2 + 1)``."""
    if x < 0:
        e = x.exp()
        return x * (e * (2 + e)) / (2 + e * (2 + e))
    e = (-x).exp()
    return x * (1 + 2 * e) / (1 + 2 * e + 2 * e * e)


def tanh(x: Ball) -> Ball:
    if x < 0:
        return -tanh(-x)
    e = (-2 * x).expm1()
    return -e / (2 + e)


def hard_sigmoid(x: Ball) -> Ball:
    return clip(0, 6)(x + 3) / 6


def soft_shrink(threshold: float = 0.5) -> Function:
    t = threshold
    return lambda x: x - arb(t) if x > arb(t) else x + arb(t) if x < -arb(t) else arb(0)


def hard_shrink(threshold: float = 0.5) -> Function:
    return lambda x: x if abs(x) > arb(threshold) else arb(0)


def threshold(at: float, default: float) -> Function:
    return lambda x: x if x > arb(at) else arb(default)


def sparse_plus(x: Ball) -> Ball:
    return arb(0) if not x > -1 else x if not x < 1 else (x + 1) * (x + 1) / 4


def squareplus(b: float = 4.0) -> Function:
    def value(x: Ball) -> Ball:
        root = (x * x + arb(b)).sqrt()
        return arb(b) / (root - x) / 2 if x < 0 else (x + root) / 2

    return value


def power(exponent: int) -> Function:
    return lambda x: x**exponent


k, act = keras.ops, keras.activations
DTYPES = ("float32", "float64")


def _oracles(dtype: str) -> dict[str, Oracle]:
    """All functions; their constants are the numbers that a layer of that dtype computes with."""

    def c(value: float) -> float:
        return float(np.dtype(dtype).type(value))

    half, fifth, tenth, limit = 0.5, c(0.2), c(0.1), c(0.3)
    leak = float(np.float32(0.2))  # TensorFlow keeps this slope in single precision
    found = {
        "relu": Oracle(relu(), act.relu),
        "leaky_relu": Oracle(relu(leak), act.leaky_relu),
        "relu6": Oracle(relu(most=6), act.relu6, (0.0, 6.0)),
        "relu(0.1, 4, 1)": Oracle(
            relu(tenth, 4, 1), lambda x: act.relu(x, 0.1, 4.0, 1.0), (0.0, 1.0, 4.0), jumps=True
        ),
        "relu(2, None, 0)": Oracle(relu(2), lambda x: act.relu(x, 2.0)),
        "abs": Oracle(abs, k.abs),
        "selu": Oracle(selu, act.selu),
        "gelu": Oracle(
            gelu, _exact_gelu, (-1 / INVERSE_ROOT, -0.7517915375599286, 0.0, 1 / INVERSE_ROOT)
        ),
        "gelu_tanh": Oracle(
            gelu_tanh,
            lambda x: act.gelu(x, approximate=True),
            (-1.4185040120597931, -0.7524614234773090, 0.0, 1.4185040120597931),
        ),
        "silu": Oracle(silu, act.silu, (-2.3993572805154, -1.27846454276107, 0.0, 2.3993572805154)),
        "mish": Oracle(
            mish, act.mish, (-2.256376396360793, -1.1924312145154952, 0.0, 1.4905711794854285)
        ),
        "sigmoid": Oracle(sigmoid, act.sigmoid),
        "log_sigmoid": Oracle(lambda x: -softplus(-x), act.log_sigmoid),
        "hard_sigmoid": Oracle(hard_sigmoid, act.hard_sigmoid, (-3.0, 0.0, 3.0)),
        "hard_silu": Oracle(lambda x: x * hard_sigmoid(x), act.hard_silu, (-3.0, -1.5, 0.0, 3.0)),
        "tanh": Oracle(tanh, act.tanh),
        "hard_tanh": Oracle(clip(-1, 1), act.hard_tanh, (-1.0, 1.0)),
        "clip(-0.5, 2)": Oracle(clip(-half, 2), lambda x: k.clip(x, -0.5, 2.0), (-half, 2.0)),
        "tanh_shrink": Oracle(lambda x: x - tanh(x), act.tanh_shrink),
        "softplus": Oracle(softplus, act.softplus),
        "softsign": Oracle(lambda x: x / (1 + abs(x)), act.softsign),
        "soft_shrink(0.5)": Oracle(soft_shrink(half), act.soft_shrink, (-half, half)),
        "hard_shrink(0.5)": Oracle(hard_shrink(half), act.hard_shrink, (-half, half), jumps=True),
        "threshold(0.3, -0.2)": Oracle(
            threshold(limit, -fifth), lambda x: act.threshold(x, 0.3, -0.2), (limit,), jumps=True
        ),
        "sparse_plus": Oracle(sparse_plus, act.sparse_plus, (-1.0, 1.0)),
        "sparse_sigmoid": Oracle(
            lambda x: (clip(-1, 1)(x) + 1) / 2, act.sparse_sigmoid, (-1.0, 1.0)
        ),
        "squareplus": Oracle(squareplus(), act.squareplus),
        "exp": Oracle(lambda x: x.exp(), k.exp),
        "expm1": Oracle(lambda x: x.expm1(), k.expm1),
        "log": Oracle(lambda x: x.log(), k.log, (1.0,), (0.0, INF), open_ends=True),
        "log1p": Oracle(lambda x: x.log1p(), k.log1p, (0.0,), (-1.0, INF), open_ends=True),
        "sqrt": Oracle(lambda x: x.sqrt(), k.sqrt, (0.0,), (0.0, INF)),
        "rsqrt": Oracle(lambda x: x.rsqrt(), k.rsqrt, (1.0,), (0.0, INF), open_ends=True),
        "reciprocal": Oracle(lambda x: 1 / x, k.reciprocal, (-1.0, 1.0), pole=0.0),
        "square": Oracle(lambda x: x * x, k.square),
        "sin": Oracle(lambda x: x.sin(), k.sin, (-math.pi / 2, math.pi / 2), periodic=True),
        "cos": Oracle(lambda x: x.cos(), k.cos, (0.0, math.pi), periodic=True),
        "arctan": Oracle(lambda x: x.atan(), k.arctan),
        "erf": Oracle(lambda x: x.erf(), k.erf),
        "sign": Oracle(sign, k.sign, jumps=True),
        "floor": Oracle(lambda x: x.floor(), k.floor, (0.0, 1.0, -1.0, 2.0), jumps=True),
    }
    for alpha in (0.5, 1.0, 2.0):
        found[f"elu({alpha:g})"] = Oracle(elu(alpha), partial(act.elu, alpha=alpha))
        found[f"celu({alpha:g})"] = Oracle(celu(alpha), partial(act.celu, alpha=alpha))
    for n in (-2, -1, 2, 3, 4, 5):
        found[f"power({n})"] = Oracle(
            power(n),
            partial(k.power, x2=n),
            (-1.0, 0.0, 1.0) if n > 0 else (-1.0, 1.0),
            pole=None if n > 0 else 0.0,
        )
    return found


def _exact_gelu(x: Any) -> Any:
    return act.gelu(x, approximate=False)


ORACLES: dict[str, dict[str, Oracle]] = {dtype: _oracles(dtype) for dtype in DTYPES}
