"""Functions of each entry alone, and activations along axes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from decomon.ops._base import ElementwiseOp, Op
from decomon.ops._registry import UnsupportedError, Value
from decomon.ops.axes import along
from decomon.ops.elementwise import curves
from decomon.ops.elementwise.hinge import Hinge
from decomon.ops.keras_ops._use import Use, number, rule
from decomon.ops.linear import Negate, Scale, Shift
from decomon.ops.simplex import add_glu, add_log_softmax, add_softmax
from decomon.ops.sparsemax import add_sparsemax

_CURVES: dict[str, ElementwiseOp] = {
    "activations.Mish": curves.MISH,
    "math.Erf": curves.ERF,
    "math.Rsqrt": curves.RSQRT,
    "nn.HardSigmoid": curves.HARD_SIGMOID,
    "nn.HardSilu": curves.HARD_SILU,
    "nn.HardTanh": curves.HARD_TANH,
    "nn.LogSigmoid": curves.LOG_SIGMOID,
    "nn.Relu": Hinge(),
    "nn.Relu6": curves.RELU6,
    "nn.Selu": curves.SELU,
    "nn.Sigmoid": curves.SIGMOID,
    "nn.Silu": curves.SILU,
    "nn.Softplus": curves.SOFTPLUS,
    "nn.Softsign": curves.SOFTSIGN,
    "nn.SparsePlus": curves.SPARSE_PLUS,
    "nn.SparseSigmoid": curves.SPARSE_SIGMOID,
    "nn.TanhShrink": curves.TANH_SHRINK,
    "numpy.Absolute": curves.ABS,
    "numpy.Abs": curves.ABS,
    "numpy.Fabs": curves.ABS,
    "numpy.Arctan": curves.ARCTAN,
    "numpy.Cos": curves.COS,
    "numpy.Exp": curves.EXP,
    "numpy.Expm1": curves.EXPM1,
    "numpy.Floor": curves.FLOOR,
    "numpy.Log": curves.LOG,
    "numpy.Log1p": curves.LOG1P,
    "numpy.Reciprocal": curves.RECIPROCAL,
    "numpy.Sign": curves.SIGN,
    "numpy.Sin": curves.SIN,
    "numpy.Sqrt": curves.SQRT,
    "numpy.Square": curves.SQUARE,
    "numpy.Tanh": curves.TANH,
}


def _register(name: str, curve: ElementwiseOp) -> None:
    @rule(name)
    def function(use: Use) -> Sequence[Op]:
        use.tensor("x")
        return [curve]


for _name, _curve in _CURVES.items():
    _register(_name, _curve)


@rule("activations.ReLU", "negative_slope", "max_value", "threshold")
def relu(use: Use) -> Sequence[Op]:
    """The rectifier with its options."""
    use.tensor("x")
    most = use.options["max_value"]
    most = None if most is None else number(most, "max_value", use.dtype)
    threshold = number(use.options["threshold"], "threshold", use.dtype)
    slope = number(use.options["negative_slope"], "negative_slope", use.dtype)
    if most is not None and most < threshold:
        raise UnsupportedError(f"its max_value {most} lies below its threshold {threshold}")
    if most is None and threshold == 0:
        slope = float(np.float32(slope))  # TensorFlow keeps it in single precision here
    return [curves.relu(slope, most, threshold)]


@rule("nn.LeakyRelu", "negative_slope")
def leaky_relu(use: Use) -> Sequence[Op]:
    """Two linear pieces; TensorFlow keeps this slope in single precision."""
    use.tensor("x")
    return [curves.relu(_option(use, "negative_slope", "float32"), None, 0.0)]


@rule("nn.Elu", "alpha")
def elu(use: Use) -> Sequence[Op]:
    """Exponential to the left of zero."""
    use.tensor("x")
    return [curves.elu(_option(use, "alpha", least=0.0))]


@rule("nn.Celu", "alpha")
def celu(use: Use) -> Sequence[Op]:
    """Exponential to the left of zero, smooth there."""
    use.tensor("x")
    return [curves.celu(_positive(use, "alpha"))]


@rule("nn.Gelu", "approximate")
def gelu(use: Use) -> Sequence[Op]:
    """With the error function or its approximation."""
    use.tensor("x")
    return [curves.GELU_TANH if use.options["approximate"] else curves.GELU]


@rule("nn.Squareplus", "b")
def squareplus(use: Use) -> Sequence[Op]:
    """A smooth rectifier."""
    use.tensor("x")
    return [curves.squareplus(_positive(use, "b"))]


@rule("nn.SoftShrink", "threshold")
def soft_shrink(use: Use) -> Sequence[Op]:
    """Entries moved towards zero."""
    use.tensor("x")
    return [curves.soft_shrink(_option(use, "threshold", least=0.0))]


@rule("nn.HardShrink", "threshold")
def hard_shrink(use: Use) -> Sequence[Op]:
    """Small entries set to zero."""
    use.tensor("x")
    return [curves.hard_shrink(_option(use, "threshold", least=0.0))]


@rule("nn.Threshold", "threshold", "default_value")
def threshold(use: Use) -> Sequence[Op]:
    """Entries that are not large enough replaced."""
    use.tensor("x")
    return [curves.threshold(_option(use, "threshold"), _option(use, "default_value"))]


@rule("nn.Softmax", "axis")
def softmax(use: Use) -> Value:
    """Along one axis or over several."""
    return add_softmax(use.call.builder, use.tensor("x"), _axes(use))


@rule("nn.LogSoftmax", "axis")
def log_softmax(use: Use) -> Value:
    """Along one axis or over several."""
    return add_log_softmax(use.call.builder, use.tensor("x"), _axes(use))


@rule("nn.Sparsemax", "axis")
def sparsemax(use: Use) -> Value:
    """Along one axis."""
    builder, x = use.call.builder, use.tensor("x")
    return along(builder, x, _axes(use), lambda value: add_sparsemax(builder, value))


@rule("nn.Glu", "axis")
def glu(use: Use) -> Value:
    """One half of an axis times the sigmoid of the other."""
    (axis,) = _axes(use)
    return add_glu(use.call.builder, use.tensor("x"), axis)


@rule("numpy.Log2")
def log2(use: Use) -> Sequence[Op]:
    """A multiple of the natural logarithm."""
    use.tensor("x")
    return [curves.LOG, Scale(1 / math.log(2))]


@rule("numpy.Log10")
def log10(use: Use) -> Sequence[Op]:
    """A multiple of the natural logarithm."""
    use.tensor("x")
    return [curves.LOG, Scale(1 / math.log(10))]


@rule("numpy.Exp2")
def exp2(use: Use) -> Sequence[Op]:
    """The exponential of a multiple."""
    use.tensor("x")
    return [Scale(math.log(2)), curves.EXP]


@rule("math.Erfc")
def erfc(use: Use) -> Sequence[Op]:
    """One minus the error function."""
    use.tensor("x")
    return [curves.ERF, Negate(), Shift(1.0)]


@rule("numpy.Ceil")
def ceil(use: Use) -> Sequence[Op]:
    """Minus the floor of the negated entry."""
    use.tensor("x")
    return [Negate(), curves.FLOOR, Negate()]


def _axes(use: Use) -> tuple[int, ...]:
    return use.axes(use.options["axis"], len(use.tensor("x").shape) + 1)


def _option(use: Use, name: str, dtype: str | None = None, least: float = -math.inf) -> float:
    """Return an option that is a number, rounded as TensorFlow rounds it."""
    value = number(use.options[name], name, dtype or use.dtype)
    if value < least:
        raise UnsupportedError(f"its option {name}={value} is below {least:g}")
    return value


def _positive(use: Use, name: str) -> float:
    value = _option(use, name)
    if value <= 0:
        raise UnsupportedError(f"its option {name}={value} is not positive")
    return value
