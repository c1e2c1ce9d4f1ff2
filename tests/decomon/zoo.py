"""Small models of every shape that is supported; each entry builds a new one, randomly weighted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.decomon.helpers import keras, layers, precision, randomise, tf

Build = Callable[[], Any]


def sequential() -> Any:
    return keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(6, activation="relu"),
            layers.Dense(5, activation="relu"),
            layers.Dense(3),
        ]
    )


def with_softmax() -> Any:
    return keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(6),
            layers.ReLU(),
            layers.Dropout(0.5),
            layers.Dense(5, activation=tf.nn.relu, use_bias=False),
            layers.Dense(3, activation="softmax"),
        ]
    )


def with_softmax_layer() -> Any:
    return keras.Sequential(
        [keras.Input((4,)), layers.Dense(6, "relu"), layers.Dense(3), layers.Softmax()]
    )


def final_relu() -> Any:
    return keras.Sequential(
        [keras.Input((4,)), layers.Dense(6, activation="relu"), layers.Dense(3, activation="relu")]
    )


def linear() -> Any:
    return keras.Sequential([keras.Input((4,)), layers.Dense(5), layers.Dense(3)])


def no_weights() -> Any:
    return keras.Sequential([keras.Input((3,)), layers.ReLU()])


def identity() -> Any:
    x = keras.Input((3,))
    return keras.Model(x, layers.Dropout(0.1)(x))


def leaky() -> Any:
    return keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(6),
            layers.LeakyReLU(negative_slope=0.2),
            layers.Dense(5),
            layers.ReLU(negative_slope=0.5),
            layers.Dense(3),
        ]
    )


def nested_twice() -> Any:
    core = keras.Sequential([keras.Input((5,)), layers.Dense(4, activation="relu")], name="core")
    middle_in = keras.Input((5,))
    middle = keras.Model(middle_in, layers.Dense(5, activation="relu")(core(middle_in)))
    x = keras.Input((4,))
    y = middle(layers.Dense(5)(x))
    return keras.Model(x, layers.Dense(3)(middle(y)))  # the nested model is shared, too


def shared_layer() -> Any:
    shared = layers.Dense(4, activation="relu")
    x = keras.Input((4,))
    return keras.Model(x, layers.Dense(3)(shared(shared(x))))


def residual() -> Any:
    x = keras.Input((4,))
    y = layers.Dense(4, activation="relu")(x)
    z = layers.Add()([y, x, layers.Dense(4)(y)])
    z = layers.ReLU()(z)
    return keras.Model(x, layers.Dense(3)(layers.Add()([z, z])))


def concatenated() -> Any:
    x = keras.Input((4,))
    y = layers.Dense(3, activation="relu")(x)
    z = layers.Concatenate()([x, y, layers.Dense(2)(y)])
    z = layers.Dense(5, activation="relu")(z)
    return keras.Model(x, layers.Dense(3)(z))


def normalised() -> Any:
    return keras.Sequential(
        [
            keras.Input((4,)),
            layers.BatchNormalization(),
            layers.Dense(6),
            layers.BatchNormalization(),
            layers.Activation("relu"),
            layers.Dense(3),
        ]
    )


def image() -> Any:
    return keras.Sequential(
        [
            keras.Input((5, 4, 2)),
            layers.ZeroPadding2D(((1, 0), (0, 2))),
            layers.Conv2D(3, (2, 3), strides=2, activation="relu"),
            layers.BatchNormalization(),
            layers.Conv2D(2, 2, padding="same"),
            layers.AveragePooling2D(2, strides=1),
            layers.ReLU(),
            layers.Permute((3, 1, 2)),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )


def flat_image() -> Any:
    return keras.Sequential(
        [
            keras.Input((16,)),
            layers.Reshape((4, 4, 1)),
            layers.Conv2D(2, 2, activation="relu"),
            layers.Conv2D(2, 2),
            layers.Flatten(),
            layers.Dense(4, activation="relu"),
            layers.Dense(3),
        ]
    )


ZOO: dict[str, Build] = {
    build.__name__: build
    for build in (
        sequential,
        with_softmax,
        with_softmax_layer,
        final_relu,
        linear,
        no_weights,
        identity,
        leaky,
        nested_twice,
        shared_layer,
        residual,
        concatenated,
        normalised,
        image,
        flat_image,
    )
}


def build(name: str, seed: int = 0, dtype: str = "float64") -> Any:
    """A model of the zoo with random weights."""
    with precision(dtype):
        return randomise(ZOO[name](), seed)
