"""Layers that multiply, compare or pool by maxima, and the trained rectifier."""

from __future__ import annotations

from functools import partial
from typing import Any

from tests.decomon.helpers import keras, layers
from tests.decomon.layer_cases import LayerCase

Shape = tuple[int, ...]

BETWEEN = keras.initializers.RandomUniform(-2.0, 3.0, seed=1)


def _case(label: str, make: Any, *shapes: Shape) -> LayerCase:
    return LayerCase(label, make, shapes)


def _pools(kind: Any, shape: Shape, first: Shape, **sizes: Any) -> list[LayerCase]:
    """Every padding and data format of windows that are not square."""
    oblong, overlap = sizes["oblong"], sizes["overlap"]
    found = [
        _case("plain", partial(kind, 2), shape),
        _case("oblong", partial(kind, oblong), shape),
        _case("gaps", partial(kind, overlap, strides=oblong), shape),
        _case("overlap", partial(kind, oblong, strides=overlap), shape),
        _case("one", partial(kind, oblong, strides=1), shape),
        _case("same", partial(kind, oblong, padding="same"), shape),
        _case("same-overlap", partial(kind, oblong, strides=overlap, padding="same"), shape),
        _case("same-one", partial(kind, oblong, strides=1, padding="same"), shape),
    ]
    channels_first = {"data_format": "channels_first"}
    for padding in ("valid", "same"):
        make = partial(kind, oblong, strides=overlap, padding=padding, **channels_first)
        found.append(_case(f"first-{padding}", make, first))
    return found


def _adaptive(kind: Any, shape: Shape, first: Shape, sizes: Any) -> list[LayerCase]:
    return [
        _case("usual", partial(kind, sizes), shape),
        _case("first", partial(kind, sizes, data_format="channels_first"), first),
    ]


def _global(kind: Any, shape: Shape) -> list[LayerCase]:
    return [
        _case(f"{order}-{keep}", partial(kind, data_format=order, keepdims=keep), shape)
        for order in ("channels_last", "channels_first")
        for keep in (False, True)
    ]


def _merges(kind: Any) -> list[LayerCase]:
    return [
        _case("two", kind, (3, 2), (3, 2)),
        _case("broadcast", kind, (3, 2), (1, 2)),
        _case("both-ways", kind, (3, 1), (1, 2)),
        _case("ranks", kind, (2, 3, 2), (2,)),
        _case("three", kind, (4,), (4,), (4,)),
        _case("three-ranks", kind, (3, 2), (2,), (3, 1)),
        _case("four", kind, (3,), (3,), (3,), (3,)),
    ]


CASES: dict[str, list[LayerCase]] = {
    "AdaptiveMaxPooling1D": [
        *_adaptive(layers.AdaptiveMaxPooling1D, (7, 2), (2, 7), 3),
        _case("even", lambda: layers.AdaptiveMaxPooling1D(2), (6, 2)),
        _case("more", lambda: layers.AdaptiveMaxPooling1D(5), (3, 2)),
    ],
    "AdaptiveMaxPooling2D": _adaptive(layers.AdaptiveMaxPooling2D, (7, 5, 2), (2, 7, 5), (4, 2)),
    "AdaptiveMaxPooling3D": _adaptive(
        layers.AdaptiveMaxPooling3D, (3, 4, 5, 1), (1, 3, 4, 5), (2, 3, 2)
    ),
    "Dot": [
        _case("vectors", lambda: layers.Dot(1), (3,), (3,)),
        _case("last", lambda: layers.Dot(-1), (2, 3), (4, 3)),
        _case("matrices", lambda: layers.Dot((2, 1)), (2, 3), (3, 4)),
        _case("first", lambda: layers.Dot((1, 2)), (3, 2), (4, 3)),
        _case("vector-matrix", lambda: layers.Dot((1, 1)), (3,), (3, 4)),
        _case("matrix-vector", lambda: layers.Dot((2, 1)), (4, 3), (3,)),
        _case("higher", lambda: layers.Dot((2, 1)), (2, 3, 2), (3, 2)),
        _case("normalize", lambda: layers.Dot(1, normalize=True), (3,), (3,)),
        _case("normalize-axes", lambda: layers.Dot((2, 1), normalize=True), (2, 3), (3, 2)),
    ],
    "GlobalMaxPooling1D": _global(layers.GlobalMaxPooling1D, (4, 3)),
    "GlobalMaxPooling2D": _global(layers.GlobalMaxPooling2D, (4, 3, 2)),
    "GlobalMaxPooling3D": _global(layers.GlobalMaxPooling3D, (2, 3, 2, 3)),
    "MaxPooling1D": _pools(layers.MaxPooling1D, (7, 2), (2, 7), oblong=3, overlap=2),
    "MaxPooling2D": _pools(
        layers.MaxPooling2D, (7, 6, 2), (2, 7, 6), oblong=(3, 2), overlap=(2, 1)
    ),
    "MaxPooling3D": _pools(
        layers.MaxPooling3D, (5, 4, 3, 1), (1, 5, 4, 3), oblong=(3, 2, 2), overlap=(2, 1, 2)
    ),
    "Maximum": _merges(layers.Maximum),
    "Minimum": _merges(layers.Minimum),
    "Multiply": _merges(layers.Multiply),
    "PReLU": [
        _case("zero", layers.PReLU, (3, 2)),
        _case("trained", lambda: layers.PReLU(alpha_initializer=BETWEEN), (5,)),
        _case(
            "shared", lambda: layers.PReLU(alpha_initializer=BETWEEN, shared_axes=[1, 2]), (3, 2, 4)
        ),
        _case("shared-one", lambda: layers.PReLU(BETWEEN, shared_axes=2), (3, 2)),
    ],
}
