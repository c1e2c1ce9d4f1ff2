"""Reading the op graph of a Keras model: what is called on what, with which arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from decomon._backend import keras
from decomon._tensors import size_of
from decomon.ops._registry import Builder, Call, UnsupportedError, Value, build, entry_for

Known: TypeAlias = dict[int, Value]
"""The values of symbolic tensors, by identity."""


def is_model(operation: Any) -> bool:
    """Whether an operation is a Sequential or Functional model."""
    return isinstance(operation, keras.Sequential | keras.Function)


def functional(model: Any) -> Any:
    """Return the op graph inside a Sequential or Functional model.

    Raises
    ------
    ValueError
        If it is not built.
    UnsupportedError
        If a subclass computes something else than its graph says.
    """
    for kind in type(model).__mro__:
        if kind.__module__.partition(".")[0] == "keras":
            break
        if "call" in vars(kind):
            raise UnsupportedError(
                f"{kind.__qualname__} has a call method of its own, so its graph does not say what "
                "it computes. Build it with the Functional API or as keras.Sequential"
            )
    if not isinstance(model, keras.Sequential):
        return model
    # A Sequential that knows its input shape keeps a Functional twin of itself.
    if model._functional is None:
        raise ValueError(
            f"Model {model.name!r} is not built, so its input shape is unknown. Add a "
            "keras.Input as its first layer, or call model.build((None, ...)) before. "
            f"Received: {model!r}"
        )
    return model._functional


def walk(
    function: Any, starts: Sequence[Value], visit: Callable[[Any, Known], Sequence[Value]]
) -> list[Value]:
    """Visit all calls that the outputs of an op graph need, in order; return the outputs."""
    known = {id(t): v for t, v in zip(function.inputs, starts, strict=True)}
    for depth in sorted(function._nodes_by_depth, reverse=True):
        for node in function._nodes_by_depth[depth]:
            if node.is_input or any(id(t) in known for t in node.output_tensors):
                continue
            if not all(id(t) in known for t in node.input_tensors):
                continue  # hangs on something that no output needs
            values = visit(node, known)
            for tensor, value in zip(node.output_tensors, values, strict=True):
                known[id(tensor)] = value
    return [known[id(t)] for t in function.outputs]


def read_call(node: Any, known: Known, builder: Builder) -> Call:
    """Return a call as rules see it; refuse arguments that the rule does not look at."""
    operation = node.operation
    if is_model(operation) or not entry_for(operation).arguments:
        _check_arguments(node)
    else:
        _check_training(node)

    def value_of(leaf: Any) -> Any:
        return known.get(id(leaf), leaf)

    given: tuple[tuple[Any, ...], Mapping[str, Any]] = (node.arguments.args, node.arguments.kwargs)
    args, kwargs = keras.tree.map_structure(value_of, given)
    inputs = tuple(known[id(t)] for t in node.input_tensors)
    shapes = tuple(tuple(t.shape[1:]) for t in node.output_tensors)
    if not isinstance(operation, keras.layers.Layer) and any(None in shape for shape in shapes):
        raise UnsupportedError(
            "it moves the batch axis or mixes samples: outputs have the shapes "
            f"{[tuple(t.shape) for t in node.output_tensors]}. Keep the batch axis first, as it is"
        )
    return Call(operation, inputs, shapes, builder, args, kwargs)


def build_model(model: Any, inputs: Sequence[Value], builder: Builder) -> list[Value]:
    """Add a whole model with a builder."""
    return _build_function(functional(model), inputs, builder)


def _build_function(function: Any, inputs: Sequence[Value], builder: Builder) -> list[Value]:
    """Add the calls of an op graph."""

    def visit(node: Any, known: Known) -> Sequence[Value]:
        call = read_call(node, known, builder)
        if is_model(call.layer):
            return build_model(call.layer, call.inputs, builder)
        try:
            return build(call)
        except UnsupportedError as reason:
            raise UnsupportedError(f"in its layer {call.layer.name!r}, {reason}") from reason

    return walk(function, inputs, visit)


def build_layer(layer: Any, inputs: tuple[Value, ...], builder: Builder) -> Value:
    """Add a layer, or a whole model, that another layer uses."""
    if is_model(layer):
        return build_model(layer, inputs, builder)[0]
    shapes = [(None, *value.shape) for value in inputs]
    output = layer.compute_output_shape(shapes[0] if len(shapes) == 1 else shapes)
    return build(Call(layer, inputs, (tuple(output[1:]),), builder, args=inputs))[0]


def build_traced(function: Any, value: Value, builder: Builder) -> Value:
    """Add an activation function without a rule of its own by the operations that it calls."""
    name = getattr(function, "__name__", type(function).__name__)
    way_out = (
        "Write it with keras.ops, use one of decomon.ops.supported().activations, or add a rule "
        "with decomon.ops.register_activation"
    )
    symbol = keras.KerasTensor((None, *value.shape), dtype=builder.precision)
    probe = np.linspace(-1, 1, 2 * size_of(value.shape)).reshape(2, *value.shape)
    try:
        result = function(symbol)
        values = [np.asarray(function(keras.ops.cast(probe, builder.precision))) for _ in range(2)]
    except Exception as error:
        raise UnsupportedError(
            f"its activation {name!r} is not made of keras.ops ({type(error).__name__}). {way_out}"
        ) from error
    if not isinstance(result, keras.KerasTensor) or not np.array_equal(*values, equal_nan=True):
        raise UnsupportedError(
            f"its activation {name!r} does not compute the same from the same input. {way_out}"
        )
    if result is symbol:
        return value
    try:
        (built,) = _build_function(keras.Function([symbol], [result]), [value], builder)
    except UnsupportedError as reason:
        raise UnsupportedError(f"in its activation {name!r}, {reason}") from reason
    if built.shape != value.shape:
        raise UnsupportedError(f"its activation {name!r} changes the shape. {way_out}")
    return built


def _check_training(node: Any) -> None:
    """Refuse calls that ask for training; some layers say so by default and do not mean it."""
    chosen = node.arguments.kwargs.get("training")
    if chosen and chosen != _default(node.operation, "training"):
        raise UnsupportedError(
            "it was called with training=True: what it then computes is random, or depends on the "
            "other samples of the batch. Leave that argument out"
        )


def _default(operation: Any, argument: str) -> Any:
    """Return the default of an argument of a layer's call, None if it has none."""
    parameter = inspect.signature(operation.call).parameters.get(argument)
    return None if parameter is None else parameter.default


def _check_arguments(node: Any) -> None:
    """Refuse calls whose extra arguments change what the layer computes."""
    _check_training(node)
    flags = {
        key: value
        for key, value in node.arguments.kwargs.items()
        if value is not None and key != "training"
    }
    extra = [
        leaf
        for leaf in keras.tree.flatten((node.arguments.args, flags))
        if leaf is not None and not isinstance(leaf, keras.KerasTensor)
    ]
    if extra or flags:
        raise UnsupportedError(
            f"it was called with arguments other than tensors: {node.arguments.args} {flags}"
        )
