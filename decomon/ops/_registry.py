"""Which Keras layer is made of which ops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from decomon._backend import Shape, Tensor, keras, tf
from decomon.ops._base import Op


class UnsupportedError(Exception):
    """Raised by a rule that does not cover a layer's configuration; the text is the reason."""


@dataclass(frozen=True)
class Call:
    """One use of a layer in a model; shapes have no batch axis."""

    layer: Any
    input_shapes: tuple[Shape, ...]
    output_shape: Shape


Rule: TypeAlias = Callable[[Call], Sequence[Op]]

_RULES: dict[type, Rule] = {}
_ACTIVATIONS: dict[Any, tuple[Op, ...]] = {}


def register(*layers: type) -> Callable[[Rule], Rule]:
    """Register a rule for layer classes.

    The rule gets a :class:`Call` and returns the ops that the layer is made of, applied one after
    the other; the first takes all the layer's inputs.  It raises :class:`UnsupportedError` for a
    configuration that it does not cover.  Subclasses are not covered: they may compute
    something else.

    Examples
    --------
    >>> @register(MyScaling)
    ... def my_scaling(call):
    ...     return [Scale(call.layer.factor)]
    """

    def decorate(rule: Rule) -> Rule:
        for layer in layers:
            _RULES[layer] = rule
        return rule

    return decorate


def register_activation(function: Any) -> Callable[..., None]:
    """Register the ops of an activation function: ``register_activation(function)(*ops)``."""

    def assign(*ops: Op) -> None:
        _ACTIVATIONS[function] = ops

    return assign


def activation(function: Any) -> tuple[Op, ...]:
    """Return the ops of a layer's ``activation``: a function, a layer or None."""
    if function is None:
        return ()
    if isinstance(function, keras.layers.Layer):
        return tuple(rule_for(function)(Call(function, (), ())))
    if function in _ACTIVATIONS:
        return _ACTIVATIONS[function]
    name = getattr(function, "__name__", repr(function))
    raise UnsupportedError(f"its activation {name!r} has no certified rule")


def rule_for(layer: Any) -> Rule:
    """Return the rule of a layer's class, or raise :class:`UnsupportedError`."""
    if type(layer) not in _RULES:
        raise UnsupportedError("there is no rule for this class")
    return _RULES[type(layer)]


def supported() -> tuple[str, ...]:
    """Return the names of all layer classes that have a rule, sorted."""
    return tuple(sorted(layer.__name__ for layer in _RULES))


def read(variable: Any, dtype: Tensor) -> Tensor:
    """Read a layer's variable at run time, in the compute dtype."""
    return tf.cast(tf.convert_to_tensor(variable), dtype)
