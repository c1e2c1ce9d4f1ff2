"""Tiny piecewise linear networks, whose pieces can be enumerated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.decomon.helpers import Array, keras, layers, precision, rng_of

Build = Callable[[], Any]


def dense(*widths: int) -> Any:
    """A ReLU network; ``widths`` are inputs, hidden layers, classes."""
    hidden = [layers.Dense(width, activation="relu") for width in widths[1:-1]]
    return keras.Sequential([keras.Input((widths[0],)), *hidden, layers.Dense(widths[-1])])


def convolutional() -> Any:
    return keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            layers.Conv2D(2, 2, strides=2, activation="relu"),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )


def overlapping() -> Any:
    """Windows that overlap, channels, and a hidden dense layer."""
    return keras.Sequential(
        [
            keras.Input((3, 3, 2)),
            layers.Conv2D(2, 2),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dense(2, activation="relu"),
            layers.Dense(3),
        ]
    )


def leaky() -> Any:
    return keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(5),
            layers.LeakyReLU(0.125),
            layers.Dense(4),
            layers.LeakyReLU(0.5),
            layers.Dense(3),
        ]
    )


def residual() -> Any:
    x = keras.Input((3,))
    first = layers.Dense(4, activation="relu")(x)
    second = layers.Dense(4, activation="relu")(first)
    both = layers.Add()([first, second])
    return keras.Model(x, layers.Dense(3)(layers.ReLU()(both)))


def pooled() -> Any:
    return keras.Sequential(
        [
            keras.Input((3, 3, 1)),
            layers.Conv2D(2, 2),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(4, activation="relu"),
            layers.Dense(3),
        ]
    )


def absolute() -> Any:
    x = keras.Input((4,))
    hidden = keras.ops.abs(layers.Dense(4)(x))
    return keras.Model(x, layers.Dense(3)(layers.ReLU()(layers.Dense(4)(hidden))))


NETWORKS: dict[str, Build] = {
    "dense": lambda: dense(4, 6, 4, 3),
    "conv": convolutional,
    "plane": lambda: dense(2, 9, 8, 8, 3),
    "wide": lambda: dense(6, 8, 4),
    "deep": lambda: dense(3, 4, 3, 3, 2),
    "overlapping": overlapping,
    "leaky": leaky,
    "residual": residual,
    "pooled": pooled,
    "absolute": absolute,
}


def build(name: str) -> Any:
    """Build a network in single precision; its weights are those of :func:`weigh`."""
    with precision("float32"):
        return NETWORKS[name]()


def weigh(model: Any, seed: int, *, whole: bool = False) -> Any:
    """Give a network random weights whose neurons bend within the unit cube.

    Each neuron is zero near a random point of the cube, so that many of them change their piece in
    a set.  With ``whole``, weights are eighths: neurons then bend in the same places.
    """
    rng = rng_of(seed)
    weights: list[Array] = []
    kernel = np.zeros(0)
    for old in model.get_weights():
        if old.ndim > 1:
            kernel = rng.normal(size=old.shape) * 1.5 / np.sqrt(np.prod(old.shape[:-1]))
            value = np.round(8 * kernel) / 8 if whole else kernel
        else:
            flat = kernel.reshape(-1, len(old))
            value = -np.einsum("fc,fc->c", rng.uniform(0.2, 0.8, flat.shape), flat)
            value = np.round(8 * value) / 8 if whole else value
        weights.append(value.astype(np.float32))
    model.set_weights(weights)
    points = rng.uniform(size=(64, *model.input_shape[1:])).astype(np.float32)
    balance = np.asarray(model(points)).mean(axis=0)  # no class wins everywhere
    weights[-1] = weights[-1] - (np.round(8 * balance) / 8 if whole else balance)
    model.set_weights(weights)
    return model


def centres(model: Any, count: int, seed: int) -> Array:
    """Samples within the unit cube; some pixels are at its sides."""
    rng = rng_of(seed)
    x = rng.uniform(-0.1, 1.1, size=(count, *model.input_shape[1:]))
    return np.clip(x, 0, 1).astype(np.float32)
