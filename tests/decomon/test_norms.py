"""Normalisations: their images, and networks that contain them, in every method."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from decomon.ops.norms import Center, NormalizedImage
from tests.decomon.boxes import (
    WIDE,
    as_interval,
    check_network,
    points_of,
    vector_boxes,
    wide,
)
from tests.decomon.helpers import METHODS, Array, boxes, keras, layers, precision, randomise

DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])
SIZES = pytest.mark.parametrize("n", [1, 2, 3, 8])


def normalised(d: Any, count: int, epsilon: float, least: float) -> Any:
    squares = np.square(d).sum(axis=-1, keepdims=True)
    return d / np.sqrt(np.maximum(squares / count + epsilon, least))


def image_of(op: NormalizedImage, low: Array, high: Array) -> tuple[Any, Any]:
    found = op.image(as_interval(low, high))
    least, most = wide(found.lower, found.upper)
    assert np.isfinite(least).all()
    assert np.isfinite(most).all()
    return least, most


@SIZES
@DTYPES
@pytest.mark.parametrize("epsilon", [1e-6, 1e-3, 0.5])
def test_the_image_holds_and_is_attained(n: int, dtype: str, epsilon: float) -> None:
    low, high = vector_boxes(n, dtype)
    least, most = image_of(NormalizedImage(n, epsilon), low, high)
    value = normalised(points_of(low, high, 300), n, epsilon, 0.0)
    assert (value >= least).all()
    assert (value <= most).all()
    # The own argument at its upper end; the others as near to or as far from zero as they get.
    a, b = low.astype(WIDE), high.astype(WIDE)
    near = np.where((a <= 0) & (b >= 0), 0, np.where(np.abs(a) < np.abs(b), a, b))
    far = np.where(np.abs(a) < np.abs(b), b, a)
    eye = np.eye(n, dtype=bool)
    others = np.where(b[..., None] >= 0, near[:, None], far[:, None])
    corner = np.where(eye, b[:, None], others)
    highest = np.einsum("bii->bi", normalised(corner, n, epsilon, 0.0))
    # The sum of the others' squares is the difference of two sums, off by (2n + 6) u of them.
    share = (np.square(far).sum(axis=-1) + epsilon) / (
        np.square(corner).sum(axis=-1).min(axis=-1) + epsilon
    )
    room = 8 * (n + 8) * np.finfo(dtype).eps * np.sqrt(n) * np.maximum(share, 1)
    assert (most - highest <= room[:, None]).all()


@SIZES
@DTYPES
def test_the_image_of_centred_entries_holds_and_is_bounded(n: int, dtype: str) -> None:
    x_low, x_high = vector_boxes(n, dtype)
    x = points_of(x_low, x_high, 300)
    d = x - x.mean(axis=-1, keepdims=True)
    # The smallest box of this dtype around these points.
    low = np.nextafter(d.min(axis=0).astype(dtype), np.array(-np.inf, dtype))
    high = np.nextafter(d.max(axis=0).astype(dtype), np.array(np.inf, dtype))
    least, most = image_of(NormalizedImage(n, 1e-3, centered=True), low, high)
    value = normalised(d, n, 1e-3, 0.0)
    assert (value >= least).all()
    assert (value <= most).all()
    limit = np.sqrt(n - 1) if n > 1 else 1.0
    assert (np.maximum(np.abs(least), np.abs(most)) <= limit * (1 + 1e-5) + 1e-5).all()


@SIZES
@DTYPES
def test_the_image_of_unit_vectors_holds(n: int, dtype: str) -> None:
    low, high = vector_boxes(n, dtype)
    least, most = image_of(NormalizedImage(1, 0.0, least=1e-24), low, high)
    value = normalised(points_of(low, high, 300), 1, 0.0, 1e-24)
    assert (value >= least).all()
    assert (value <= most).all()
    assert (np.maximum(np.abs(least), np.abs(most)) <= 1 + 1e-5).all()


def test_centring_has_the_exact_range_of_independent_entries() -> None:
    low, high = vector_boxes(5, "float64")
    keep = np.maximum(np.abs(low), np.abs(high)).max(axis=-1) < 100
    low, high = low[keep], high[keep]
    found = Center().interval(as_interval(low, high))
    corner = np.where(np.eye(5, dtype=bool), high[:, None], low[:, None])
    highest = np.einsum("bii->bi", corner - corner.mean(axis=-1, keepdims=True))
    assert (np.abs(found.upper - highest) <= 1e-12).all()


NETWORKS: dict[str, tuple[tuple[int, ...], Callable[[], list[Any]]]] = {
    "layer": ((3,), lambda: [layers.Dense(4), layers.LayerNormalization(), layers.ReLU()]),
    "layer-axes": ((2, 3), lambda: [layers.LayerNormalization(axis=(1, 2)), layers.Flatten()]),
    "rms": ((3,), lambda: [layers.Dense(4, activation="tanh"), layers.RMSNormalization()]),
    "group": ((2, 4), lambda: [layers.GroupNormalization(2), layers.ReLU(), layers.Flatten()]),
    "unit": ((3,), lambda: [layers.Dense(4), layers.UnitNormalization()]),
}


def network(name: str) -> Any:
    shape, make = NETWORKS[name]
    with precision("float64"):
        return randomise(keras.Sequential([keras.Input(shape), *make(), layers.Dense(2)]), 3)


@pytest.mark.parametrize(
    ("name", "method"),
    [
        (name, method)
        if name == "layer" and method in ("forward-ibp", "forward-affine", "crown")
        else pytest.param(name, method, marks=pytest.mark.slow)
        for name in NETWORKS
        for method in METHODS
    ],
)
def test_networks_are_bounded(name: str, method: str) -> None:
    model = network(name)
    for radius in (1e-12, 0.05, 1.0):
        low, high = boxes(model, 3, radius, seed=2, dtype="float64")
        check_network(model, low, high, method, finetune=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("method", ["forward-affine", "crown"])
def test_optimised_networks_are_bounded(name: str, method: str) -> None:
    model = network(name)
    low, high = boxes(model, 3, 0.2, seed=2, dtype="float64")
    check_network(model, low, high, method, finetune=True)
