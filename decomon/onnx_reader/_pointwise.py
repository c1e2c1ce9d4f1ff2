"""Operators that act on every entry, or on pairs of entries."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from decomon._backend import Shape, keras
from decomon.onnx_reader._values import (
    Array,
    Call,
    Handler,
    Operand,
    RefusalError,
    Value,
    inner,
    is_bare,
    single,
)

layers, ops = keras.layers, keras.ops


# One operand.


def relu(call: Call) -> Value:
    """Return the positive part."""
    x = call.value()
    return x.like(call.layer(layers.ReLU, x.tensor), nonnegative=True)


def activation(name: str, *, nonnegative: bool = False) -> Handler:
    """Return what applies an activation function of Keras without settings."""
    return lambda call: _activated(call, name, nonnegative=nonnegative)


def _activated(call: Call, name: str, *, nonnegative: bool = False) -> Value:
    x = call.value()
    made = call.layer(layers.Activation, x.tensor, activation=name)
    return x.like(made, nonnegative=nonnegative)


def function(name: str, *, nonnegative: bool = False) -> Handler:
    """Return what applies a function of ``keras.ops``."""

    def handler(call: Call) -> Value:
        x = call.value()
        return x.like(getattr(ops, name)(x.tensor), nonnegative=nonnegative)

    return handler


def leaky_relu(call: Call) -> Value:
    """Return a slope on each side of zero."""
    x, slope = call.value(), call.attribute("alpha", 0.01)
    return x.like(call.layer(layers.LeakyReLU, x.tensor, negative_slope=slope))


def prelu(call: Call) -> Value:
    """Return slopes of their own for the negative parts: of all entries, channels or features."""
    x, slope = call.value(), call.floats(1)
    if slope is None:
        raise RefusalError("no slopes")
    wide = np.broadcast_to(_arranged(slope, x), (1, *x.tensor.shape[1:]))[0]
    return x.like(call.layer(layers.PReLU, x.tensor, [wide]))


def elu(call: Call) -> Value:
    """Return an exponential for the negative part."""
    x = call.value()
    return x.like(call.layer(layers.ELU, x.tensor, alpha=call.attribute("alpha", 1.0)))


def celu(call: Call) -> Value:
    """Return an exponential, of another width, for the negative part."""
    x = call.value()
    return x.like(ops.celu(x.tensor, alpha=call.attribute("alpha", 1.0)))


def gelu(call: Call) -> Value:
    """Return the exact function, or the one with a hyperbolic tangent."""
    x, form = call.value(), call.attribute("approximate", "none")
    return x.like(ops.gelu(x.tensor, approximate=form == "tanh"))


def selu(call: Call) -> Value:
    """Return the function with its own two constants only."""
    for name, constant in (("alpha", 1.6732632), ("gamma", 1.0507010)):
        if abs(call.attribute(name, constant) - constant) > 1e-6:
            raise RefusalError(f"another {name} than {constant}, which is not supported")
    return _activated(call, "selu")


def hard_sigmoid(call: Call) -> Value:
    """Return ``max(0, min(1, alpha x + beta))``."""
    x = call.value()
    scale, offset = call.attribute("alpha", 0.2), call.attribute("beta", 0.5)
    line = call.named(layers.Rescaling, x.tensor, scale=scale, offset=offset)
    return x.like(call.layer(layers.ReLU, line, max_value=1.0), nonnegative=True)


def clip(call: Call) -> Value:
    """Return what is cut off at one or two ends."""
    x = call.value()
    low = single(call.constant(1), call.attribute("min", None))
    high = single(call.constant(2), call.attribute("max", None))
    # Older files say that there is no end by the largest numbers there are.
    largest = float(np.finfo(call.dtype).max)
    low = None if low is None or low <= -largest else low
    high = None if high is None or high >= largest else high
    if low is not None and high is not None and low >= high:
        raise RefusalError(f"min={low:g} that is not below max={high:g}")
    if low == 0:
        return x.like(call.layer(layers.ReLU, x.tensor, max_value=high), nonnegative=True)
    cut = x.tensor
    if low is not None and high is not None:
        cut = ops.clip(cut, low, high)
    elif low is not None:
        cut = ops.maximum(cut, np.asarray(low, call.dtype))
    elif high is not None:
        cut = ops.minimum(cut, np.asarray(high, call.dtype))
    return x.like(cut, nonnegative=x.nonnegative or (low is not None and low >= 0))


def identity(call: Call) -> Value:
    """Return the operand: at inference, nothing is dropped."""
    training = call.constant(2)
    if training is not None and training.any():
        raise RefusalError("training_mode on")
    return call.value()


def cast(call: Call) -> Value:
    """Return the operand, if it has the wanted type already."""
    from onnx import helper

    wanted = np.dtype(helper.tensor_dtype_to_np_dtype(call.attribute("to", 1))).name
    if wanted != call.dtype:
        raise RefusalError(f"to={wanted}, and the network is of type {call.dtype}")
    return call.value()


# Several operands.


def add(call: Call) -> Value:
    """Return a sum."""
    return functools.reduce(functools.partial(_sum, call), _all(call), _NOTHING)


def _sum(call: Call, x: Any, y: Operand) -> Any:
    return y if x is _NOTHING else _combined(call, x, y, ops.add, layers.Add, 0.0)


def subtract(call: Call) -> Value:
    """Return a difference."""
    x, y = _pair(call)
    idle = 0.0 if isinstance(x, Value) else None
    return _combined(call, x, y, ops.subtract, layers.Subtract, idle)


def multiply(call: Call) -> Value:
    """Return a product."""
    return _combined(call, *_pair(call), ops.multiply, layers.Multiply, 1.0)


def divide(call: Call) -> Value:
    """Return a quotient."""
    x, y = _pair(call)
    return _combined(call, x, y, ops.divide, None, 1.0 if isinstance(x, Value) else None)


def expand(call: Call) -> Value:
    """Return the operand, repeated along axes of length 1."""
    x, wanted = call.value(), call.integers("shape", 1)
    if wanted is None:
        raise RefusalError("no shape")
    if _broadcast(x.shape, wanted) == x.shape:
        return x
    return _with_constant(call, x, np.zeros(wanted), ops.add)


def power(call: Call) -> Value:
    """Return a power with a constant exponent."""
    x = call.value()
    exponent = single(call.floats(1))
    if exponent is None:
        raise RefusalError("no exponent")
    even = exponent == 2
    return x.like(ops.square(x.tensor) if even else ops.power(x.tensor, exponent), nonnegative=even)


def largest(call: Call) -> Value:
    """Return the largest of several operands."""
    return _extreme(call, ops.maximum, layers.Maximum)


def smallest(call: Call) -> Value:
    """Return the smallest of several operands."""
    return _extreme(call, ops.minimum, layers.Minimum)


def _extreme(call: Call, operation: Any, layer: Any) -> Value:
    first, *others = _all(call)
    for other in others:
        first = _combined(call, first, other, operation, layer)
    if not isinstance(first, Value):
        raise RefusalError("only constants as operands")
    return first


def mean(call: Call) -> Value:
    """Return the mean of several operands."""
    total = add(call)
    return total.like(ops.divide(total.tensor, np.asarray(len(call.operands), call.dtype)))


_NOTHING: Any = object()


def _all(call: Call) -> list[Operand]:
    """Return the operands, those that depend on the input first."""
    found = [operand for operand in call.operands if operand is not None]
    return sorted(found, key=lambda operand: not isinstance(operand, Value))


def _pair(call: Call) -> tuple[Operand, Operand]:
    x, y = call.operand(0), call.operand(1)
    if x is None or y is None:
        raise RefusalError("fewer than two operands")
    return x, y


def _combined(
    call: Call,
    x: Operand,
    y: Operand,
    operation: Callable[[Any, Any], Any],
    layer: Any,
    idle: float | None = None,
) -> Value:
    """Apply a function of two operands.

    Parameters
    ----------
    operation : of ``keras.ops``
    layer : that does the same with values of one shape, or None
    idle : a constant that changes nothing, or None
    """
    if isinstance(x, Value) and isinstance(y, Value):
        return _joined(call, x, y, operation, layer)
    return _with_constant(call, x, y, operation, idle)


def _joined(
    call: Call, x: Value, y: Value, operation: Callable[[Any, Any], Any], layer: Any
) -> Value:
    """Apply a function of two values that depend on the input."""
    nonnegative = x.nonnegative and y.nonnegative and layer is not layers.Subtract
    if x.shape == y.shape:
        both = (x.tensor, y.tensor)
        last = x.last and y.last
        if not last:
            both = call.plain(x), call.plain(y)
        made = operation(*both) if layer is None else call.layer(layer, list(both))
        return Value(made, x.shape, last, nonnegative)
    shape = _broadcast(x.shape, y.shape)
    first, second = (_ranked(call, value, shape).tensor for value in (x, y))
    return Value(operation(first, second), shape, nonnegative=nonnegative)


def _with_constant(
    call: Call,
    x: Operand,
    y: Operand,
    operation: Callable[[Any, Any], Any],
    idle: float | None = None,
) -> Value:
    """Apply a function of a value and a constant; ``idle`` is a constant that changes nothing."""
    value = x if isinstance(x, Value) else y
    given = y if isinstance(x, Value) else x
    if not isinstance(value, Value) or isinstance(given, Value):
        raise RefusalError("only constants as operands")
    constant = given.astype(call.dtype)
    shape = _broadcast(value.shape, constant.shape)
    if shape == value.shape and idle is not None and (constant == idle).all():
        return value
    if shape != value.shape:
        value = _ranked(call, value, shape)
    arranged = constant if constant.size == 1 else _arranged(constant, value)
    arranged = arranged.reshape(()) if constant.size == 1 else arranged
    if isinstance(x, Value):
        made = operation(value.tensor, arranged)
    else:
        made = operation(arranged, value.tensor)
    return Value(made, shape, value.last)


def _ranked(call: Call, value: Value, shape: Shape) -> Value:
    """Give a value as many axes as a shape that it broadcasts to."""
    lead = (1,) * (len(shape) - len(value.shape))
    wide = Value(call.plain(value), value.shape)
    wanted = (*lead, *value.shape)
    if is_bare(shape):
        # All axes of the result are those of one sample, also where this value has a leading 1.
        return Value(call.shaped(wide.tensor, wanted), shape)
    return Value(call.shaped(wide.tensor, wanted[1:]), wanted)


def _arranged(constant: Array, value: Value) -> Array:
    """Return a constant with the axes of a value's tensor, that of the samples first."""
    rank = len(value.shape)
    wide = constant.reshape((1,) * (rank - constant.ndim) + constant.shape)
    if value.bare:
        return wide[None]
    return np.moveaxis(wide, 1, -1) if value.last else wide


def _broadcast(first: Shape, second: Sequence[int]) -> Shape:
    try:
        shape = tuple(int(n) for n in np.broadcast_shapes(tuple(first), tuple(second)))
    except ValueError:
        raise RefusalError(f"operands of shapes {first} and {tuple(second)}") from None
    if not inner(shape):
        raise RefusalError(f"a result of shape {shape}")
    return shape


POINTWISE: dict[str, Handler] = {
    "Abs": function("abs", nonnegative=True),
    "Add": add,
    "Cast": cast,
    "Celu": celu,
    "Clip": clip,
    "Cos": function("cos"),
    "Div": divide,
    "Dropout": identity,
    "Elu": elu,
    "Erf": function("erf"),
    "Exp": function("exp", nonnegative=True),
    "Expand": expand,
    "Gelu": gelu,
    "HardSigmoid": hard_sigmoid,
    "HardSwish": activation("hard_silu"),
    "Identity": identity,
    "LeakyRelu": leaky_relu,
    "Log": function("log"),
    "Max": largest,
    "Mean": mean,
    "Min": smallest,
    "Mish": activation("mish"),
    "Mul": multiply,
    "Neg": function("negative"),
    "PRelu": prelu,
    "Pow": power,
    "Reciprocal": function("reciprocal"),
    "Relu": relu,
    "Selu": selu,
    "Sigmoid": activation("sigmoid", nonnegative=True),
    "Sin": function("sin"),
    "Softplus": activation("softplus", nonnegative=True),
    "Softsign": activation("softsign"),
    "Sqrt": function("sqrt", nonnegative=True),
    "Sub": subtract,
    "Sum": add,
    "Tanh": activation("tanh"),
}
"""By the name of the operator."""
