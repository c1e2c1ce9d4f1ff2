"""The names of what has a certified rule, as users know them."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, cast, final

from decomon._backend import keras

# Operations whose class has another name than their function.
_RENAMED = {
    "BatchNorm": "batch_normalization",
    "LayerNorm": "layer_normalization",
    "RMSNorm": "rms_normalization",
}


@final
@dataclass(frozen=True)
class Supported:
    """The names of everything that has a certified rule, sorted.

    Iterating gives the layers; ``name in supported()`` looks among all of it.

    Attributes
    ----------
    layers : classes of ``keras.layers``, and layer classes of your own that were registered
    activations : functions of ``keras.activations``, and registered functions of your own
    operations : functions of ``keras.ops``, when they are called in a Functional model
    """

    layers: tuple[str, ...]
    activations: tuple[str, ...]
    operations: tuple[str, ...]

    def __iter__(self) -> Iterator[str]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    def __contains__(self, name: object) -> bool:
        return name in self.layers or name in self.activations or name in self.operations

    def __str__(self) -> str:
        kinds = {
            "Layers": self.layers,
            "Activations": self.activations,
            "Functions of keras.ops": self.operations,
        }
        return "\n".join(
            textwrap.fill(f"{kind}: {', '.join(names)}", 100, subsequent_indent="  ")
            for kind, names in kinds.items()
        )


def catalogue(classes: Iterable[type], functions: Iterable[Any]) -> Supported:
    """Sort registered classes and activation functions by kind, under their public names."""
    classes = list(classes)
    layers = [kind for kind in classes if issubclass(kind, keras.layers.Layer)]
    operations = {_operation_name(kind) for kind in classes if kind not in layers}
    return Supported(
        _sorted(_layer_name(kind) for kind in layers),
        _sorted(name for function in functions for name in _function_names(function)),
        _sorted(name for name in operations if name),
    )


def _layer_name(kind: type) -> str:
    """Return the name in ``keras.layers``; some classes have another one inside Keras."""
    public = cast("dict[str, Any]", vars(keras.layers))
    if public.get(kind.__name__) is kind:
        return kind.__name__
    return next((name for name, value in public.items() if value is kind), kind.__name__)


def _function_names(function: Any) -> list[str]:
    """Return all names of a function in ``keras.activations``, or its own name.

    TensorFlow's own functions go without saying: Keras has the same ones.
    """
    public = cast("dict[str, Any]", vars(keras.activations))
    found = [name for name, value in public.items() if value is function]
    if found or str(getattr(function, "__module__", "")).startswith("tensorflow."):
        return found
    return [str(getattr(function, "__name__", type(function).__name__))]


def _operation_name(kind: type) -> str:
    """Return which function of ``keras.ops`` makes operations of a class; empty if none does.

    Keras writes the functions in snake case, but not all of them with all underscores.
    """
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", kind.__name__).lower()
    if kind.__module__.partition(".")[0] != "keras":
        return snake
    wanted = _RENAMED.get(kind.__name__, snake).replace("_", "")
    for prefix, module in (("", keras.ops), ("image.", keras.ops.image), ("nn.", keras.ops.nn)):
        public = cast("dict[str, Any]", vars(module))
        for name in sorted(public, key=len, reverse=True):
            if name.replace("_", "") == wanted:
                return prefix + name
    return ""


def _sorted(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(names), key=lambda name: (name.lower(), name)))
