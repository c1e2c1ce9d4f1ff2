"""The smooth and the piecewise-linear functions that Keras knows, as data.

Derivatives are written so that they keep their relative accuracy in the tails.
"""

from __future__ import annotations

import math

import numpy as np

from decomon._backend import Tensor, keras, tf
from decomon.ops._base import ElementwiseOp
from decomon.ops.elementwise.hinge import Hinge
from decomon.ops.elementwise.periodic import COS, SIN
from decomon.ops.elementwise.piecewise import Floor, Jump, PiecewiseLinear
from decomon.ops.elementwise.smooth import Smooth
from decomon.rounding import units

_INF = math.inf


def _inverse_cosh_squared(z: Tensor) -> Tensor:
    """``1 / cosh(z)^2`` without overflow."""
    decay = tf.exp(-2 * tf.abs(z))
    return 4 * decay / tf.square(1 + decay)


def _logistic_slope(z: Tensor) -> Tensor:
    decay = tf.exp(-tf.abs(z))
    return decay / tf.square(1 + decay)


# TensorFlow rounds these constants of the GELU to single precision, whatever it computes in.
_ERF_SCALE = float(np.float32(math.sqrt(0.5)))
_CUBIC = float(np.float32(0.044715))
_TANH_SCALE = math.sqrt(2 / math.pi)


def _gelu_slope(z: Tensor) -> Tensor:
    scaled = _ERF_SCALE * z
    return 0.5 * tf.math.erfc(-scaled) + scaled * tf.exp(-scaled * scaled) / math.sqrt(math.pi)


def _gelu_terms(z: Tensor) -> Tensor:
    # The complementary error function is off by its argument's rounding, times about z^2.
    size = tf.abs(keras.activations.gelu(z, approximate=False))
    return tf.where(z < 0, size * (1 + tf.minimum(z * z, 1e4)), tf.abs(z))


def _gelu_tanh_slope(z: Tensor) -> Tensor:
    # tanh is +-1 in double precision well before the clip
    z = tf.clip_by_value(z, -30.0, 30.0)
    inner = _TANH_SCALE * (z + _CUBIC * z * z * z)
    growth = _TANH_SCALE * (1 + 3 * _CUBIC * z * z)
    return 0.5 * (1 + tf.tanh(inner)) + 0.5 * z * _inverse_cosh_squared(inner) * growth


def _silu_slope(z: Tensor) -> Tensor:
    return tf.sigmoid(z) + z * _logistic_slope(z)


def _mish_slope(z: Tensor) -> Tensor:
    soft = tf.math.softplus(z)
    return tf.tanh(soft) + z * _inverse_cosh_squared(soft) * tf.sigmoid(z)


SIGMOID = Smooth("sigmoid", keras.activations.sigmoid, _logistic_slope, last=0.0, image=(0.0, 1.0))
TANH = Smooth("tanh", keras.activations.tanh, _inverse_cosh_squared, last=0.0, image=(-1.0, 1.0))
ERF = Smooth(
    "erf",
    tf.math.erf,
    lambda z: (2 / math.sqrt(math.pi)) * tf.exp(-z * z),
    last=0.0,
    image=(-1.0, 1.0),
)
ARCTAN = Smooth("arctan", tf.math.atan, lambda z: 1 / (1 + z * z), last=0.0)
SOFTSIGN = Smooth(
    "softsign",
    keras.activations.softsign,
    lambda z: 1 / tf.square(1 + tf.abs(z)),
    last=0.0,
    image=(-1.0, 1.0),
)
EXP = Smooth("exp", tf.exp, tf.exp, image=(0.0, _INF))
EXPM1 = Smooth("expm1", tf.math.expm1, tf.exp, image=(-1.0, _INF))
SOFTPLUS = Smooth("softplus", keras.activations.softplus, tf.sigmoid, image=(0.0, _INF))
SPARSE_PLUS = Smooth(
    "sparse_plus",
    keras.activations.sparse_plus,
    lambda z: tf.clip_by_value(0.5 * (z + 1), 0.0, 1.0),
    image=(0.0, _INF),
    terms=lambda z: tf.where(tf.abs(z) < 1, tf.ones_like(z), tf.nn.relu(z)),
    slope_terms=1.0,
)
SQUARE = Smooth("square", tf.square, lambda z: 2 * z, turns=(0.0,), image=(0.0, _INF))
LOG = Smooth("log", tf.math.log, lambda z: 1 / z, first=_INF, domain=(0.0, _INF), open=True)
LOG1P = Smooth(
    "log1p", tf.math.log1p, lambda z: 1 / (1 + z), first=_INF, domain=(-1.0, _INF), open=True
)
LOG_SIGMOID = Smooth(
    "log_sigmoid",
    keras.activations.log_sigmoid,
    lambda z: tf.sigmoid(-z),
    first=_INF,
    image=(-_INF, 0.0),
)
SQRT = Smooth(
    "sqrt",
    tf.sqrt,
    # Finite at zero: the terms make up for the difference.
    lambda z: 0.5 * tf.math.rsqrt(tf.maximum(z, units(z)[1])),
    first=_INF,
    domain=(0.0, _INF),
    image=(0.0, _INF),
    terms=lambda z: tf.sqrt(z) + 1e-12,
)
RSQRT = Smooth(
    "rsqrt",
    tf.math.rsqrt,
    lambda z: -0.5 * tf.math.rsqrt(z) / z,
    domain=(0.0, _INF),
    open=True,
    image=(0.0, _INF),
)
RECIPROCAL = Smooth(
    "reciprocal",
    tf.math.reciprocal,
    lambda z: -1 / (z * z),
    first=0.0,
    pole=0.0,
)
TANH_SHRINK = Smooth(
    "tanh_shrink",
    keras.activations.tanh_shrink,
    lambda z: tf.square(tf.tanh(z)),
    first=0.0,
    terms=lambda z: tf.abs(z) + tf.abs(tf.tanh(z)),
    slope_terms=1.0,
)
GELU = Smooth(
    "gelu",
    lambda z: keras.activations.gelu(z, approximate=False),
    _gelu_slope,
    first=-1.41421358657632967198,
    last=1.41421358657632967198,
    turns=(-0.7517915375599285936796,),
    terms=_gelu_terms,
    slope_terms=1.0,
)
GELU_TANH = Smooth(
    "gelu_tanh",
    lambda z: keras.activations.gelu(z, approximate=True),
    _gelu_tanh_slope,
    first=-1.418504012059793035547,
    last=1.418504012059793035547,
    turns=(-0.7524614234773089467595,),
    terms=tf.abs,
    slope_terms=1.0,
)
SILU = Smooth(
    "silu",
    keras.activations.silu,
    _silu_slope,
    first=-2.3993572805154676678,
    last=2.3993572805154676678,
    turns=(-1.2784645427610737951,),
    slope_terms=1.0,
)
MISH = Smooth(
    "mish",
    keras.activations.mish,
    _mish_slope,
    first=-2.256376396360793120006,
    last=1.490571179485428459294,
    turns=(-1.192431214515495212138,),
    slope_terms=1.0,
)
HARD_SILU = Smooth(
    "hard_silu",
    keras.activations.hard_silu,
    lambda z: tf.where(z < -3, tf.zeros_like(z), tf.where(z > 3, tf.ones_like(z), (2 * z + 3) / 6)),
    first=-3.0,
    last=3.0,
    kinks=((0.0, -0.5), (1.5, 1.0)),
    turns=(-1.5,),
    terms=lambda z: tf.where(z > -3, tf.abs(z), tf.zeros_like(z)),
    slope_terms=1.0,
)


def elu(alpha: float) -> Smooth:
    """``z`` for positive z, else ``alpha (e^z - 1)``: convex up to ``alpha = 1``, then S-shaped."""
    return Smooth(
        f"elu({alpha:g})",
        lambda z: keras.activations.elu(z, alpha=alpha),
        lambda z: tf.where(z > 0, tf.ones_like(z), alpha * tf.exp(tf.minimum(z, 0.0))),
        last=0.0 if alpha > 1 else _INF,
        kinks=(None, (alpha, 1.0) if alpha > 1 else None),
        terms=lambda z: tf.where(z > 0, z, alpha * tf.ones_like(z)),
    )


def celu(alpha: float) -> Smooth:
    """``z`` for positive z, else ``alpha (e^(z / alpha) - 1)``: convex."""
    return Smooth(
        f"celu({alpha:g})",
        lambda z: keras.activations.celu(z, alpha=alpha),
        lambda z: tf.exp(tf.minimum(z, 0.0) / alpha),
    )


_SELU_SCALE = 1.0507009873554804934193349852946
_SELU_ALPHA = 1.6732632423543772848170429916717

SELU = Smooth(
    "selu",
    keras.activations.selu,
    lambda z: (
        _SELU_SCALE * tf.where(z > 0, tf.ones_like(z), _SELU_ALPHA * tf.exp(tf.minimum(z, 0.0)))
    ),
    last=0.0,
    kinks=(None, (_SELU_SCALE * _SELU_ALPHA, _SELU_SCALE)),
    terms=lambda z: _SELU_SCALE * tf.where(z > 0, z, _SELU_ALPHA * tf.ones_like(z)),
)


def squareplus(b: float, name: str | None = None) -> Smooth:
    """``(z + sqrt(z^2 + b)) / 2``: convex.  Its terms add up to at most ``|z| + sqrt(b) / 2``."""
    return Smooth(
        name or f"squareplus({b:g})",
        lambda z: keras.activations.squareplus(z, b=b),
        lambda z: 0.5 * (1 + z / tf.sqrt(z * z + b)),
        image=(0.0, _INF),
        terms=lambda z: tf.abs(z) + 0.5 * math.sqrt(b),
        slope_terms=1.0,
    )


SQUAREPLUS = squareplus(4, "squareplus")


def power(exponent: int) -> Smooth:
    """``z`` to an integer power other than 0 and 1.

    Even powers are convex (negative ones, on either side of the pole), odd ones are concave, then
    convex.
    """
    if exponent in (0, 1):
        raise ValueError(f"A power must not be trivial. Received: exponent={exponent}")

    def of(z: Tensor, n: int) -> Tensor:
        return tf.pow(z, tf.constant(n, z.dtype))

    even = exponent % 2 == 0
    return Smooth(
        f"power({exponent})",
        lambda z: of(z, exponent),
        lambda z: exponent * of(z, exponent - 1),
        first=-_INF if even else 0.0,
        turns=(0.0,) if even and exponent > 0 else (),
        image=(0.0, _INF) if even else (-_INF, _INF),
        pole=None if exponent > 0 else 0.0,
        ulps=8.0,
    )


ABS = Hinge(-1.0, 1.0)


def clip(low: float, high: float) -> PiecewiseLinear:
    """``min(max(z, low), high)``."""
    return PiecewiseLinear(
        f"clip({low:g}, {high:g})",
        lambda z: tf.clip_by_value(z, low, high),
        jumps=(Jump(low, low, low), Jump(high, high, high)),
        slopes=(0.0, 1.0, 0.0),
    )


RELU6 = PiecewiseLinear(
    "relu6",
    keras.activations.relu6,
    jumps=(Jump(0.0, 0.0, 0.0), Jump(6.0, 6.0, 6.0)),
    slopes=(0.0, 1.0, 0.0),
)
HARD_SIGMOID = PiecewiseLinear(
    "hard_sigmoid",
    keras.activations.hard_sigmoid,
    jumps=(Jump(-3.0, 0.0, 0.0), Jump(3.0, 1.0, 1.0)),
    slopes=(0.0, 1 / 6, 0.0),
    rounding=1.0,
)
HARD_TANH = PiecewiseLinear(
    "hard_tanh",
    keras.activations.hard_tanh,
    jumps=(Jump(-1.0, -1.0, -1.0), Jump(1.0, 1.0, 1.0)),
    slopes=(0.0, 1.0, 0.0),
)
SPARSE_SIGMOID = PiecewiseLinear(
    "sparse_sigmoid",
    keras.activations.sparse_sigmoid,
    jumps=(Jump(-1.0, 0.0, 0.0), Jump(1.0, 1.0, 1.0)),
    slopes=(0.0, 0.5, 0.0),
    rounding=1.0,
)


def relu(negative_slope: float, max_value: float | None, threshold: float) -> ElementwiseOp:
    """The rectifier of Keras with all its options.

    ``z`` above the threshold, else 0, clipped to ``[0, max_value]`` if there is one, minus
    ``negative_slope`` times how far ``z`` lies below the threshold.
    """
    if max_value is None and threshold == 0 and negative_slope <= 1:
        return Hinge(negative_slope, 1.0)
    corners = [Jump(threshold, 0.0, threshold)]
    slopes = [negative_slope, 1.0]
    if max_value is not None:
        if threshold < 0:  # what lies between is clipped to zero
            corners = [Jump(threshold, 0.0, 0.0), Jump(0.0, 0.0, 0.0)]
            slopes = [negative_slope, 0.0, 1.0]
        corners.append(Jump(max_value, max_value, max_value))
        slopes.append(0.0)
    return PiecewiseLinear(
        f"relu({negative_slope:g}, {max_value}, {threshold:g})",
        lambda z: keras.activations.relu(z, negative_slope, max_value, threshold),
        jumps=tuple(corners),
        slopes=tuple(slopes),
        rounding=abs(negative_slope * threshold),
    )


def soft_shrink(threshold: float) -> PiecewiseLinear:
    """``z`` moved towards zero by the threshold."""
    return PiecewiseLinear(
        f"soft_shrink({threshold:g})",
        lambda z: keras.activations.soft_shrink(z, threshold=threshold),
        jumps=(Jump(-threshold, 0.0, 0.0), Jump(threshold, 0.0, 0.0)),
        slopes=(1.0, 0.0, 1.0),
        rounding=threshold,
    )


def hard_shrink(threshold: float) -> PiecewiseLinear:
    """``z`` where it is larger than the threshold in size, else zero."""
    return PiecewiseLinear(
        f"hard_shrink({threshold:g})",
        lambda z: keras.activations.hard_shrink(z, threshold=threshold),
        jumps=(Jump(-threshold, -threshold, 0.0), Jump(threshold, 0.0, threshold)),
        slopes=(1.0, 0.0, 1.0),
    )


def threshold(limit: float, default: float) -> PiecewiseLinear:
    """``z`` above the limit, the default value elsewhere."""
    return PiecewiseLinear(
        f"threshold({limit:g}, {default:g})",
        lambda z: keras.activations.threshold(z, limit, default),
        jumps=(Jump(limit, default, limit),),
        slopes=(0.0, 1.0),
    )


SIGN = PiecewiseLinear("sign", tf.sign, jumps=(Jump(0.0, -1.0, 1.0),), slopes=(0.0, 0.0))
FLOOR = Floor()

CURVES: dict[str, ElementwiseOp] = {
    **{
        curve.name: curve
        for curve in (
            SIGMOID,
            TANH,
            ERF,
            ARCTAN,
            SOFTSIGN,
            EXP,
            EXPM1,
            SOFTPLUS,
            SQUAREPLUS,
            SPARSE_PLUS,
            SQUARE,
            LOG,
            LOG1P,
            LOG_SIGMOID,
            SQRT,
            RSQRT,
            RECIPROCAL,
            TANH_SHRINK,
            GELU,
            GELU_TANH,
            SILU,
            MISH,
            HARD_SILU,
            SELU,
            *(elu(alpha) for alpha in (0.5, 1.0, 2.0)),
            *(celu(alpha) for alpha in (0.5, 1.0, 2.0)),
            *(power(n) for n in (-2, -1, 2, 3, 4, 5)),
            RELU6,
            HARD_SIGMOID,
            HARD_TANH,
            SPARSE_SIGMOID,
            soft_shrink(0.5),
            hard_shrink(0.5),
            threshold(0.3, -0.2),
            clip(-0.5, 2.0),
            SIGN,
            SIN,
            COS,
        )
    },
    "relu": Hinge(),
    "leaky_relu": Hinge(float(np.float32(0.2)), 1.0),
    "abs": ABS,
    "relu(0.1, 4, 1)": relu(0.1, 4.0, 1.0),
    "relu(2, None, 0)": relu(2.0, None, 0.0),
    "floor": FLOOR,
}
"""Examples of every curve, by name."""
