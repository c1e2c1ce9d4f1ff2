"""What a model is made of: its layers, those inside them, and their settings."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, cast, final

import numpy as np
from numpy.typing import NDArray

from decomon._backend import keras, tf

# What Keras notes when weights are loaded; it says nothing about what a layer computes.
_NOTES = frozenset({"is_awq_calibrated", "is_gptq_calibrated"})


def all_layers(model: Any) -> tuple[Any, ...]:
    """Return the layers and operations of a model and everything inside them.

    Inside are the layers of nested models, the wrapped layers of wrappers, the cells of recurrent
    layers and the projections of attention.
    """
    if isinstance(model, keras.Sequential):
        parts = list(model.layers)
    elif isinstance(model, keras.Function):
        parts = list(model.operations)
    elif isinstance(model, keras.layers.Layer):
        parts = list(model._layers)
    else:
        parts = []
    found: list[Any] = []
    for part in parts:
        found.extend((part, *all_layers(part)))
    return tuple(found)


def layer_settings(layer: Any) -> tuple[tuple[str, Any], ...]:
    """Return the public settings of a layer that say what it computes, as they are now.

    Numbers, names and functions are themselves; lists, dicts and arrays are copied into tuples and
    bytes that compare by value.  Variables are left out: bounds read them when they are computed.
    """
    settings = [
        (name, _frozen(value))
        for name, value in cast("dict[str, Any]", vars(layer)).items()
        if not name.startswith("_") and name not in _NOTES
    ]
    precision = layer.compute_dtype if isinstance(layer, keras.layers.Layer) else ""
    return (*((name, value) for name, value in settings if value != ()), ("", precision))


def _frozen(value: Any) -> Any:
    """Return something that compares by value, or an empty tuple for what is no setting."""
    if value is None or isinstance(value, bool | int | float | str | bytes) or callable(value):
        return value
    if isinstance(value, keras.Variable):
        return ()
    if isinstance(value, Mapping):
        items = cast("Mapping[Any, Any]", value).items()
        return ("dict", *((key, _frozen(item)) for key, item in items))
    if isinstance(value, list | tuple | set | frozenset):
        return ("items", *(_frozen(item) for item in cast("Collection[Any]", value)))
    if isinstance(value, np.generic | np.ndarray) or tf.is_tensor(value):
        array: NDArray[Any] = np.asarray(cast("Any", value))
        return ("array", array.shape, array.dtype.str, array.tobytes())
    return ()


@final
@dataclass(frozen=True, eq=False)
class Fingerprint:
    """What a conversion depends on, apart from the values of variables.

    It keeps the layers alive, so that the identity of one of them cannot be used again.
    """

    layers: tuple[Any, ...]
    settings: tuple[tuple[Any, ...], ...]

    @classmethod
    def of(cls, model: Any) -> Fingerprint:
        """Describe a model as it is now."""
        layers = all_layers(model)
        return cls(layers, tuple(layer_settings(layer) for layer in layers))

    def same(self, other: Fingerprint) -> bool:
        """Say whether a conversion of one is a conversion of the other."""
        ours, theirs = (tuple(map(id, print_.layers)) for print_ in (self, other))
        return ours == theirs and self.settings == other.settings
