"""For every registered layer, configurations to test and the shapes of its inputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.decomon.helpers import keras, layers, randomise

Shape = tuple[int, ...]


@dataclass(frozen=True)
class LayerCase:
    """One configuration of a layer."""

    label: str
    make: Callable[[], Any]
    shapes: tuple[Shape, ...]

    def model(self, seed: int = 0) -> Any:
        """A model that is only this layer, several inputs being slices of one flat input."""
        if len(self.shapes) == 1:
            x = keras.Input(self.shapes[0])
            return randomise(keras.Model(x, self.make()(x)), seed)
        inputs = [keras.Input(shape) for shape in self.shapes]
        return randomise(keras.Model(inputs, self.make()(inputs)), seed)


def _case(label: str, make: Callable[[], Any], *shapes: Shape) -> LayerCase:
    return LayerCase(label, make, shapes)


def _conv(label: str, *args: Any, shape: Shape = (7, 6, 4), **options: Any) -> LayerCase:
    return _case(label, lambda: layers.Conv2D(*args, **options), shape)


def _pool(label: str, *args: Any, shape: Shape = (7, 6, 2), **options: Any) -> LayerCase:
    return _case(label, lambda: layers.AveragePooling2D(*args, **options), shape)


def _norm(label: str, shape: Shape, **options: Any) -> LayerCase:
    return _case(label, lambda: layers.BatchNormalization(**options), shape)


def _same(make: Callable[[], Any], shape: Shape = (3, 2)) -> list[LayerCase]:
    return [_case("any", make, shape)]


CASES: dict[str, list[LayerCase]] = {
    "ActivityRegularization": _same(lambda: layers.ActivityRegularization(0.1)),
    "Add": [
        _case("two", layers.Add, (3, 2), (3, 2)),
        _case("three", layers.Add, (4,), (4,), (4,)),
        _case("broadcast", layers.Add, (3, 2), (1, 2), (3, 1)),
    ],
    "AlphaDropout": _same(lambda: layers.AlphaDropout(0.3)),
    "AveragePooling2D": [
        _pool("square", 2),
        _pool("oblong", (3, 2)),
        _pool("stride", (2, 3), strides=(3, 1)),
        _pool("overlap", 3, strides=2),
        _pool("same", (3, 2), strides=2, padding="same"),
        _pool("same-overlap", (2, 3), strides=1, padding="same"),
        _pool("first", (3, 2), strides=(2, 1), data_format="channels_first", shape=(2, 7, 6)),
        _pool("first-same", 2, padding="same", data_format="channels_first", shape=(2, 5, 3)),
    ],
    "BatchNormalization": [
        _norm("flat", (5,)),
        _norm("axis1", (3, 4, 2), axis=1),
        _norm("axis2", (3, 4, 2), axis=2),
        _norm("axis3", (3, 4, 2), axis=3),
        _norm("axis-1", (3, 4, 2), axis=-1),
        _norm("axis-3", (3, 4, 2), axis=-3),
        _norm("epsilon", (3, 2), epsilon=0.5),
        _norm("no-scale", (3, 2), scale=False),
        _norm("no-center", (3, 2), center=False),
        _norm("bare", (3, 2), center=False, scale=False),
    ],
    "Concatenate": [
        _case("flat", layers.Concatenate, (2,), (3,)),
        _case("last", layers.Concatenate, (2, 3, 1), (2, 3, 2)),
        _case("middle", lambda: layers.Concatenate(axis=2), (2, 3, 2), (2, 1, 2), (2, 2, 2)),
        _case("first", lambda: layers.Concatenate(axis=1), (2, 3), (4, 3)),
        _case("negative", lambda: layers.Concatenate(axis=-2), (2, 3), (4, 3)),
    ],
    "Conv2D": [
        _conv("plain", 3, 3),
        _conv("oblong", 3, (2, 3)),
        _conv("strides", 3, 3, strides=2),
        _conv("uneven-strides", 2, 3, strides=(2, 1)),
        _conv("dilation", 3, 2, dilation_rate=(2, 3)),
        _conv("groups", 6, 3, groups=2),
        _conv("depthwise", 4, 3, groups=4, use_bias=False),
        _conv("same", 3, 3, padding="same"),
        _conv("same-strides", 3, 3, padding="same", strides=(3, 2)),
        _conv("same-dilation", 3, 3, padding="same", dilation_rate=2),
        _conv("no-bias", 3, 2, use_bias=False),
        _conv("relu", 3, 2, activation="relu"),
        _case("leaky", lambda: layers.Conv2D(3, 2, activation=layers.LeakyReLU(0.3)), (7, 6, 4)),
        _conv("one", 3, 1),
        _conv("first", 3, (3, 2), data_format="channels_first", shape=(4, 7, 6)),
        _conv(
            "first-all",
            6,
            (3, 2),
            strides=(2, 1),
            groups=2,
            padding="same",
            data_format="channels_first",
            shape=(4, 7, 5),
        ),
    ],
    "Dense": [
        _case("plain", lambda: layers.Dense(4), (3,)),
        _case("no-bias", lambda: layers.Dense(4, use_bias=False), (3,)),
        _case("relu", lambda: layers.Dense(4, activation="relu"), (3,)),
        _case("leaky", lambda: layers.Dense(4, activation=layers.LeakyReLU(0.3)), (3,)),
        _case("last-axis", lambda: layers.Dense(4), (2, 5, 3)),
        _case("one", lambda: layers.Dense(1), (1,)),
    ],
    "Dropout": _same(lambda: layers.Dropout(0.5)),
    "Flatten": [
        _case("image", layers.Flatten, (3, 4, 2)),
        _case("flat", layers.Flatten, (3,)),
        _case("first", lambda: layers.Flatten(data_format="channels_first"), (3, 4, 2)),
    ],
    "GaussianDropout": _same(lambda: layers.GaussianDropout(0.5)),
    "GaussianNoise": _same(lambda: layers.GaussianNoise(0.5)),
    "Identity": _same(layers.Identity),
    "Permute": [
        _case("two", lambda: layers.Permute((2, 1)), (3, 4)),
        _case("cycle", lambda: layers.Permute((3, 1, 2)), (2, 3, 4)),
        _case("other", lambda: layers.Permute((2, 3, 1)), (2, 3, 4)),
    ],
    "Reshape": [
        _case("image", lambda: layers.Reshape((3, 4, 2)), (24,)),
        _case("wildcard", lambda: layers.Reshape((2, -1)), (3, 4)),
    ],
    "SpatialDropout1D": _same(lambda: layers.SpatialDropout1D(0.5), (4, 2)),
    "SpatialDropout2D": _same(lambda: layers.SpatialDropout2D(0.5), (3, 4, 2)),
    "SpatialDropout3D": _same(lambda: layers.SpatialDropout3D(0.5), (2, 3, 2, 2)),
    "ZeroPadding2D": [
        _case("one", lambda: layers.ZeroPadding2D(1), (3, 2, 2)),
        _case("pair", lambda: layers.ZeroPadding2D((2, 1)), (3, 2, 2)),
        _case("uneven", lambda: layers.ZeroPadding2D(((1, 0), (2, 3))), (3, 2, 2)),
        _case(
            "first",
            lambda: layers.ZeroPadding2D(((1, 0), (2, 3)), data_format="channels_first"),
            (2, 3, 2),
        ),
    ],
}
