"""Complete real architectures convert, and no point of a box ever beats their bounds."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest

import decomon
from decomon.graph import from_keras
from tests.decomon.architectures import ARCHITECTURES, build
from tests.decomon.helpers import Array, ascend, keras, rng_of, sample, tf

SMALL = [(name, method, False) for name in ARCHITECTURES for method in ("forward-ibp", "crown")]
# Unrolled for many steps, or with many layers; other tests ask for few.
LONGEST = [
    (name, "crown", False) for name in ("recurrent", "mixer", "mobilenet", "vision_transformer")
]
SLOW = [*LONGEST, *((name, method, True) for name, method, _ in SMALL)]
SMALL = [case for case in SMALL if case not in LONGEST]
CASES = [*SMALL, *(pytest.param(*case, marks=pytest.mark.slow) for case in SLOW)]


@pytest.fixture(autouse=True)
def _logits() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", decomon.LogitsWarning)
        yield


class Flat:
    """A model of several inputs as a function of one flat input, up to its logits."""

    def __init__(self, model: Any) -> None:
        self.model = logits_of(model)
        self.shapes = [tuple(port.shape[1:]) for port in model.inputs]
        self.sizes = [int(np.prod(shape)) for shape in self.shapes]

    def join(self, parts: list[Array]) -> Array:
        return np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)

    def split(self, x: Any) -> list[Any]:
        parts = tf.split(x, self.sizes, axis=-1)
        return [tf.reshape(p, [-1, *shape]) for p, shape in zip(parts, self.shapes, strict=True)]

    def __call__(self, x: Any, training: bool = False) -> Any:
        parts = self.split(x)
        outputs = self.model(parts if len(parts) > 1 else parts[0], training=training)
        return tf.reshape(outputs, [-1, int(np.prod(outputs.shape[1:]))])


def logits_of(model: Any) -> Any:
    """The same network without a final softmax or sigmoid; weights are shared."""
    last = model.layers[-1]
    if isinstance(last, keras.layers.Softmax):
        return keras.Model(model.inputs, last.input)
    activation = getattr(last, "activation", None)
    if activation not in (keras.activations.softmax, keras.activations.sigmoid):
        return model
    bare = type(last).from_config({**last.get_config(), "activation": "linear"})
    outputs = bare(last.input)
    bare.set_weights(last.get_weights())
    return keras.Model(model.inputs, outputs)


class Case:
    """An architecture, boxes of two sizes, and the largest and least outputs found in them."""

    def __init__(self, name: str, large: bool) -> None:
        self.model = build(name, large=large)
        self.flat = Flat(self.model)
        rng = rng_of(1)
        shape = (2, sum(self.flat.sizes))
        center = rng.uniform(size=shape)
        radius = np.array([[0.005], [0.05]]) * rng.uniform(0.5, 1.0, size=shape)
        self.x_min = (center - radius).astype(np.float32)
        self.x_max = (center + radius).astype(np.float32)
        points = sample(self.x_min, self.x_max, 60)
        outputs = np.asarray(self.flat(tf.constant(points.reshape(-1, shape[1]))))
        outputs = outputs.reshape(*points.shape[:2], -1)
        self.high, self.low = outputs.max(axis=0), outputs.min(axis=0)
        self._attack(rng)

    def _attack(self, rng: Any) -> None:
        """Follow the gradient of an output, and of a random combination, both ways."""
        size = self.high.shape[1]
        one = np.eye(size)[rng.integers(size)]
        rows = np.repeat([one, -one, rng.normal(size=size)], len(self.x_min), axis=0)
        x_min, x_max = (np.tile(x, (3, 1)) for x in (self.x_min, self.x_max))
        _, points = ascend(self.flat, x_min, x_max, rows, steps=10, restarts=2)
        outputs = np.asarray(self.flat(tf.constant(points))).reshape(3, *self.high.shape)
        self.high = np.maximum(self.high, outputs.max(axis=0))
        self.low = np.minimum(self.low, outputs.min(axis=0))

    def corners(self) -> list[Any]:
        """The boxes as users pass them."""
        sides = [[p.numpy() for p in self.flat.split(x)] for x in (self.x_min, self.x_max)]
        return [side if len(side) > 1 else side[0] for side in sides]


@cache
def case_of(name: str, large: bool) -> Case:
    return Case(name, large)


@pytest.mark.parametrize(("name", "method", "large"), CASES)
def test_no_point_beats_a_bound(name: str, method: str, large: bool) -> None:
    """Bounds are finite, and wide enough for whatever sampling and gradients find."""
    case = case_of(name, large)
    verified = decomon.clone(case.model, method=method)
    upper, lower = decomon.get_range_box(verified, *case.corners())
    upper, lower = (side.reshape(case.high.shape) for side in (upper, lower))
    assert np.isfinite(upper).all()
    assert np.isfinite(lower).all()
    assert (case.high <= upper).all(), (case.high - upper).max()
    assert (case.low >= lower).all(), (lower - case.low).max()


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_graph_computes_what_keras_computes(name: str) -> None:
    case = case_of(name, False)
    x = tf.constant((case.x_min + case.x_max) / 2)
    graph = from_keras(case.model)
    start = x if len(case.flat.sizes) > 1 else case.flat.split(x)[0]
    found = np.asarray(graph(start)).reshape(case.high.shape)
    expected = np.asarray(case.flat(x))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_crown_is_tighter_than_intervals_where_it_matters() -> None:
    """On a network with skips, following dependencies pays."""
    case = case_of("resnet", False)
    widths = {}
    for method in ("forward-ibp", "crown"):
        upper, lower = decomon.get_range_box(
            decomon.clone(case.model, method=method), *case.corners()
        )
        widths[method] = upper - lower
    assert (widths["crown"] <= widths["forward-ibp"]).all()
    assert widths["crown"].mean() < 0.5 * widths["forward-ibp"].mean()
