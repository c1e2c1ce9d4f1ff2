"""Which Keras layer is made of which ops."""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast, final

from decomon._backend import Shape, Tensor, keras, tf
from decomon.ops._base import Op
from decomon.ops.catalogue import Supported, catalogue
from decomon.ops.refusals import why_unsupported


class UnsupportedError(Exception):
    """Raised by a rule that does not cover a layer's configuration; the text is the reason."""


@final
@dataclass(frozen=True)
class Value:
    """A result inside a network that is being read: its node, and its shape without batch axis."""

    index: int
    shape: Shape


class Builder(abc.ABC):
    """What rules add the nodes of a network with."""

    @property
    @abc.abstractmethod
    def precision(self) -> str:
        """What the layer that is being read computes in: "float32" or "float64"."""

    @abc.abstractmethod
    def apply(self, op: Op, *inputs: Value) -> Value:
        """Add one op; its output shape is found by tracing it."""

    @abc.abstractmethod
    def layer(self, layer: Any, *inputs: Value) -> Value:
        """Add a whole (built) Keras layer by its rule."""

    def activation(self, function: Any, value: Value) -> Value:
        """Add a layer's ``activation``: a function, a layer or None."""
        if function is None:
            return value
        if isinstance(function, keras.layers.Layer):
            return self.layer(function, value)
        if function in _ACTIVATIONS:
            return _ACTIVATIONS[function](self, value)
        # Reading op graphs needs this module.
        from decomon.ops._calls import build_traced

        return build_traced(function, value, self)


@final
@dataclass(frozen=True)
class Call:
    """One use of a layer or operation in a model; shapes have no batch axis.

    Attributes
    ----------
    layer : the Keras layer or operation
    inputs : the tensors that it was called on, flattened in the order of its arguments
    output_shapes : one shape per output
    builder : adds nodes
    args, kwargs : everything it was called with, every tensor being replaced by its
        :class:`Value`; only rules that are registered with ``arguments=True`` see calls with more
        than tensors
    """

    layer: Any
    inputs: tuple[Value, ...]
    output_shapes: tuple[Shape, ...]
    builder: Builder
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        """The shape of each input."""
        return tuple(value.shape for value in self.inputs)

    @property
    def output_shape(self) -> Shape:
        """The shape of the first output."""
        return self.output_shapes[0]

    def apply(self, op: Op, *inputs: Value) -> Value:
        """Add one op."""
        return self.builder.apply(op, *inputs)

    def chain(self, value: Value, *ops: Op) -> Value:
        """Add ops, one after the other."""
        for op in ops:
            value = self.builder.apply(op, value)
        return value

    def activation(self, function: Any, value: Value) -> Value:
        """Add an activation function, an activation layer or nothing."""
        return self.builder.activation(function, value)


Rule: TypeAlias = Callable[[Call], "Value | Sequence[Value] | Sequence[Op]"]
ActivationRule: TypeAlias = Callable[[Builder, Value], Value]


@final
@dataclass(frozen=True)
class Entry:
    """A rule, and whether it looks at arguments that are not tensors."""

    rule: Rule
    arguments: bool


_RULES: dict[type, Entry] = {}
_ACTIVATIONS: dict[Any, ActivationRule] = {}


def register(*layers: type, arguments: bool = False) -> Callable[[Rule], Rule]:
    """Register a rule for layer (or operation) classes.

    The rule gets a :class:`Call`.  It returns either the ops that the layer is made of, applied one
    after the other (the first takes all the layer's inputs), or, for anything less simple, the
    values that it built with ``call.apply``: one, or one per output of the layer.  It
    raises :class:`UnsupportedError` for a configuration that it does not cover.  Subclasses are
    not covered: they may compute something else.

    Parameters
    ----------
    layers : classes
    arguments : bool
        Whether the rule handles calls with arguments that are not tensors (``call.args`` and
        ``call.kwargs``).  Other rules never see such calls: they are refused.

    Examples
    --------
    >>> @register(MyScaling)
    ... def my_scaling(call):
    ...     return [Scale(call.layer.factor)]
    """

    def decorate(rule: Rule) -> Rule:
        for layer in layers:
            _RULES[layer] = Entry(rule, arguments)
        return rule

    return decorate


def register_activation(*functions: Any) -> Callable[[ActivationRule], ActivationRule]:
    """Register the rule of activation functions; it gets a builder and the value it acts on.

    Examples
    --------
    >>> @register_activation(my_function)
    ... def my_activation(builder, value):
    ...     return builder.apply(MyCurve(), value)
    """

    def decorate(rule: ActivationRule) -> ActivationRule:
        for function in functions:
            _ACTIVATIONS[function] = rule
        return rule

    return decorate


def register_like(known: type, *layers: type) -> None:
    """Register the rule of one class for others that compute exactly the same.

    A subclass of a supported layer is not covered by its rule, because it may compute something
    else; this says that it does not.

    Examples
    --------
    >>> register_like(keras.layers.Dense, MyDense)
    """
    if known not in _RULES:
        raise ValueError(f"There is no rule for this class. Received: {known!r}")
    for layer in layers:
        _RULES[layer] = _RULES[known]


def entry_for(layer: Any) -> Entry:
    """Return the rule of a layer's class, or raise :class:`UnsupportedError`."""
    kind = cast("type[object]", type(layer))
    if kind not in _RULES:
        raise UnsupportedError(why_unsupported(kind, _RULES))
    return _RULES[kind]


def build(call: Call) -> tuple[Value, ...]:
    """Add a layer by its rule; return one value per output."""
    result = entry_for(call.layer).rule(call)
    if isinstance(result, Value):
        return (result,)
    given = cast("Any", result)  # whatever the rule of a custom layer returned
    items = cast("list[Any]", [*given] if isinstance(given, list | tuple) else [given])
    if items and all(isinstance(item, Value) for item in items):
        return tuple(items)
    if not all(isinstance(item, Op) for item in items):
        raise TypeError(
            f"The rule of {type(call.layer).__qualname__} (layer {call.layer.name!r}) must return "
            "a list of ops, a Value, or one Value per output of the layer. "
            f"Received: {result!r}"
        )
    values = call.inputs
    for op in items:
        values = (call.apply(op, *values),)
    if len(values) != 1:
        raise UnsupportedError(f"it was called on {len(values)} tensors, not one")
    return values


def supported() -> Supported:
    """Return the names of everything that has a rule.

    Examples
    --------
    >>> print(supported())
    >>> "LayerNormalization" in supported()
    True
    """
    return catalogue(_RULES, _ACTIVATIONS)


def read(variable: Any, dtype: Tensor) -> Tensor:
    """Read a layer's variable at run time, in the compute dtype."""
    return tf.cast(tf.convert_to_tensor(variable), dtype)
