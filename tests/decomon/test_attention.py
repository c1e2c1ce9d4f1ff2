"""Attention: averages with weights on the simplex, refusals, networks in every method."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import decomon
from decomon.bounds import Interval
from decomon.ops.contraction import AverageImage
from tests.decomon.boxes import WIDE, as_interval, check_network, wide
from tests.decomon.helpers import (
    METHODS,
    Array,
    boxes,
    keras,
    layers,
    precision,
    randomise,
    rng_of,
    tf,
)

DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])


def weight_boxes(count: int, n: int, width: float, dtype: str) -> tuple[Array, Array]:
    """Boxes that contain weights that add up to one."""
    rng = rng_of(n)
    inside = rng.dirichlet(np.full(n, 0.5), size=count)
    low = np.clip(inside - width * rng.uniform(size=inside.shape), 0, 1).astype(dtype)
    high = np.clip(inside + width * rng.uniform(size=inside.shape), 0, 1).astype(dtype)
    ulp = np.finfo(dtype).eps
    return np.maximum(low - ulp, 0), high + ulp


def largest_average(low: Any, high: Any, values: Any) -> Any:
    """By the vertices of the box's part of the simplex: all weights but one are at an end."""
    n = len(values)
    best = -np.inf
    slack = 8 * n * np.finfo(WIDE).eps
    for free in range(n):
        for corner in itertools.product((False, True), repeat=n):
            weights = np.where(corner, high, low)
            weights[free] = 1 - np.delete(weights, free).sum()
            if low[free] - slack <= weights[free] <= high[free] + slack:
                best = max(best, (weights * values).sum())
    return best


@DTYPES
@pytest.mark.parametrize("n", [1, 2, 4])
@pytest.mark.parametrize("width", [0.0, 1e-7, 0.2, 1.0])
@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e4])
def test_averages_have_their_exact_range(n: int, width: float, scale: float, dtype: str) -> None:
    low, high = weight_boxes(6, n, width, dtype)
    ends = np.sort(scale * rng_of(7).normal(size=(2, 6, n)), axis=0).astype(dtype)
    found = AverageImage(1).image(as_interval(low, high), as_interval(*ends))
    least, most = wide(found.lower, found.upper)
    room = 16 * (n + 4) * np.finfo(dtype).eps * np.abs(ends).max(axis=(0, 2))
    for i in range(6):
        limits = low[i].astype(WIDE), np.minimum(high[i], 1).astype(WIDE)
        highest = largest_average(*limits, ends[1, i].astype(WIDE))
        lowest = -largest_average(*limits, -ends[0, i].astype(WIDE))
        assert highest <= most[i] <= highest + room[i]
        assert lowest - room[i] <= least[i] <= lowest


def test_averages_never_leave_the_values() -> None:
    rng = rng_of(0)
    values = np.sort(rng.normal(size=(2, 4, 1, 3, 5)), axis=0)
    weights = np.stack([np.zeros((4, 2, 1, 5)), np.ones((4, 2, 1, 5))])
    found = AverageImage(1).image(
        Interval(*(tf.constant(w) for w in weights)), Interval(*(tf.constant(v) for v in values))
    )
    assert found.upper.shape == (4, 2, 3)
    np.testing.assert_allclose(found.upper[:, 0], values[1].max(axis=-1)[:, 0], atol=1e-12)
    np.testing.assert_allclose(found.lower[:, 1], values[0].min(axis=-1)[:, 0], atol=1e-12)


def _attention(x: Any) -> Any:
    return layers.Attention(use_scale=True)([layers.Dense(3)(x), x])


def _additive(x: Any) -> Any:
    return layers.AdditiveAttention()([x, x], use_causal_mask=True)


def _heads(x: Any) -> Any:
    return layers.MultiHeadAttention(2, 2)(x, x)


def _grouped(x: Any) -> Any:
    return layers.GroupQueryAttention(2, 2, 1)(x, x, use_causal_mask=True)


def _softmax(x: Any) -> Any:
    return layers.Softmax(axis=1)(layers.Dense(3)(x))


def _log_softmax(x: Any) -> Any:
    return layers.Activation("log_softmax")(layers.Dense(3)(x))


def _sparsemax(x: Any) -> Any:
    return layers.Activation("sparsemax")(x)


def _glu(x: Any) -> Any:
    return keras.activations.glu(layers.Dense(4)(x))


def _block(x: Any) -> Any:
    """A transformer block."""
    y = layers.LayerNormalization()(x)
    x = layers.Add()([x, layers.MultiHeadAttention(2, 2)(y, y)])
    y = layers.Dense(4, activation="gelu")(layers.LayerNormalization()(x))
    return layers.Add()([x, layers.Dense(3)(y)])


PARTS: dict[str, Callable[[Any], Any]] = {
    "attention": _attention,
    "additive": _additive,
    "heads": _heads,
    "grouped": _grouped,
    "softmax": _softmax,
    "log-softmax": _log_softmax,
    "sparsemax": _sparsemax,
    "glu": _glu,
    "block": _block,
}
FAST = (("heads", "forward-ibp"), ("heads", "crown"), ("softmax", "forward-hybrid"))
SELECTED = [
    (name, method) if (name, method) in FAST else pytest.param(name, method, marks=pytest.mark.slow)
    for name in PARTS
    for method in METHODS
]


def network(name: str) -> Any:
    with precision("float64"):
        x = keras.Input((2, 3))
        y = layers.Dense(2)(layers.Flatten()(PARTS[name](x)))
        return randomise(keras.Model(x, y), 1)


@pytest.mark.parametrize(("name", "method"), SELECTED)
def test_networks_are_bounded(name: str, method: str) -> None:
    model = network(name)
    low, high = boxes(model, 3, 0.1, seed=4, dtype="float64")
    check_network(model, low, high, method, finetune=False)


@pytest.mark.slow
@pytest.mark.parametrize("radius", [0.0, 1e-12, 1.0])
@pytest.mark.parametrize("name", PARTS)
def test_networks_are_bounded_on_small_and_large_boxes(name: str, radius: float) -> None:
    model = network(name)
    low, high = boxes(model, 3, radius, seed=4, dtype="float64")
    check_network(model, low, high, "crown", finetune=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", PARTS)
def test_optimised_networks_are_bounded(name: str) -> None:
    model = network(name)
    low, high = boxes(model, 3, 0.1, seed=4, dtype="float64")
    check_network(model, low, high, "crown", finetune=True)


def _constant_masks(x: Any) -> Any:
    return layers.Softmax()(x, mask=np.array([[[True, False, True]], [[True, True, True]]]))


def _hidden(x: Any) -> Any:
    return layers.MultiHeadAttention(1, 2)(x, x, attention_mask=np.array([[1, 1], [0, 0]]))


def _graded(x: Any) -> Any:
    return layers.Softmax()(x, mask=np.array([[0.3, 0.7, 1.0]]))


def _query_mask(x: Any) -> Any:
    return layers.MultiHeadAttention(1, 2)(x, x, query_mask=np.array([[True, False]]))


def _perturbed_mask(x: Any) -> Any:
    return layers.Softmax()(x, mask=x)


def _fused_glu(x: Any) -> Any:
    return layers.Activation("glu")(layers.Dense(4)(x))


REFUSED: dict[str, tuple[Callable[[Any], Any], str]] = {
    "sample masks": (_constant_masks, "not the same for every sample"),
    "hidden rows": (_hidden, "hides all keys from some query"),
    "graded masks": (_graded, "values other than 0 and 1"),
    "query mask": (_query_mask, "query_mask"),
    "perturbed mask": (_perturbed_mask, "computed by the model"),
    "fused glu": (_fused_glu, "halves the last axis"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_covered_is_refused_with_the_reason(name: str) -> None:
    make, reason = REFUSED[name]
    x = keras.Input((2, 3))
    model = keras.Model(x, make(x))
    with pytest.raises(decomon.UnsupportedModelError, match=reason):
        decomon.clone(model)
