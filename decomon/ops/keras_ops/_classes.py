"""The classes behind ``keras.ops``: the only module here that imports Keras internals.

In a Functional model, ``keras.ops.sum(x, axis=1)`` or ``x * 2.0`` is an ``Operation`` object.  Its
options are attributes and its other arguments are those of its call.  Keras exports neither these
classes nor the nodes they are used in.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from importlib import import_module
from typing import Any

_HOMES: Mapping[str, Mapping[str, Any]] = {
    home: vars(import_module(f"keras.src.{path}"))
    for home, path in {
        "activations": "activations.activations",
        "core": "ops.core",
        "linalg": "ops.linalg",
        "math": "ops.math",
        "nn": "ops.nn",
        "numpy": "ops.numpy",
    }.items()
}


def find(names: str) -> tuple[type, ...]:
    """Return the classes with the names ``home.Class``, separated by spaces.

    Those that the installed version of Keras does not have are left out.
    """
    pairs = [name.split(".") for name in names.split()]
    return tuple(_HOMES[home][kind] for home, kind in pairs if kind in _HOMES[home])


def options(operation: Any) -> dict[str, tuple[Any, Any]]:
    """Return the value and the default of every argument an operation was made with.

    Keras keeps each in an attribute of the same name; :class:`LookupError` if it does not.
    """
    parameters = inspect.signature(type(operation).__init__).parameters
    return {
        name: (vars(operation)[name], parameter.default)
        for name, parameter in parameters.items()
        if name not in ("self", "name")
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    }


def arguments(operation: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a call by name, defaults included."""
    bound = inspect.signature(operation.call).bind(*args, **kwargs)
    bound.apply_defaults()
    return dict(bound.arguments)


def input_dtypes(operation: Any) -> frozenset[str]:
    """Return the types of all tensors that an operation is called on, wherever it is used."""
    nodes = operation._inbound_nodes
    return frozenset(str(t.dtype) for node in nodes for t in node.input_tensors)


def output_dtypes(operation: Any) -> frozenset[str]:
    """Return the types of all tensors that an operation gives, wherever it is used."""
    nodes = operation._inbound_nodes
    return frozenset(str(t.dtype) for node in nodes for t in node.output_tensors)


def batch_sizes(operation: Any) -> frozenset[int | None]:
    """Return the sizes of the first axis of all tensors that an operation is called on."""
    nodes = operation._inbound_nodes
    return frozenset(t.shape[0] for node in nodes for t in node.input_tensors if t.shape)
