"""Reference networks and bounds, kept next to the checkout; see their README."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np

from tests.decomon.helpers import Array, keras, layers

FOLDER = Path(__file__).parents[3] / "shared" / "reference"
NETWORKS = ("mlp_tuto3", "mlp_2x256", "conv_small")


@functools.cache
def network(name: str) -> tuple[Any, Array, Array]:
    """The Keras model, its images ``(100, 784)`` and their labels."""
    with np.load(FOLDER / f"{name}.npz", allow_pickle=False) as data:
        described = json.loads(str(data["layers"]))
        weights = [np.asarray(data[key]) for key in ordered(list(data))]
        x, y = data["x"], data["y"]
    parts: list[Any] = [keras.Input((784,))]
    kernels = iter(weights[::2])
    for layer in described:
        kind = layer["type"]
        if kind == "dense":
            parts.append(layers.Dense(next(kernels).shape[1]))
        elif kind == "conv2d":
            shape = next(kernels).shape
            parts.append(layers.Conv2D(shape[3], shape[:2], layer["strides"]))
        elif kind == "relu":
            parts.append(layers.ReLU())
        elif kind == "flatten":
            parts.append(layers.Flatten())
        elif kind == "reshape":
            parts.append(layers.Reshape(layer["shape"]))
        else:
            raise ValueError(f"unknown layer {kind}")
    model = keras.Sequential(parts)
    model.set_weights(weights)
    return model, x, y


def ordered(keys: list[str]) -> list[str]:
    """``W0, b0, W1, b1, ...``."""
    count = sum(key.startswith("W") for key in keys)
    return [f"{letter}{i}" for i in range(count) for letter in "Wb"]


def stored(name: str) -> dict[tuple[str, float, int], Array]:
    """Largest margin bounds by (method, epsilon, number of images)."""
    found = {}
    with np.load(FOLDER / f"{name}_bounds.npz") as data:
        for key in data:
            method, epsilon, count = key.split("|")
            found[method, float(epsilon), int(count)] = np.asarray(data[key])
    return found
