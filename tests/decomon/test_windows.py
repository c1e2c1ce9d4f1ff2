"""Rows that are zero but for a window give the same bounds as whole rows, with less work."""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import decomon
from decomon import budget
from decomon.methods import propagation
from decomon.methods.local import views
from decomon.methods.windows import View, Windows
from decomon.ops._base import Stencil
from tests.decomon.helpers import Array, boxes, keras, layers, randomise

Model = Any


def plain(x: Any) -> Any:
    x = layers.Conv2D(3, 3, activation="relu")(x)
    x = layers.Conv2D(4, 2, activation="relu")(x)
    return layers.Conv2D(2, 2, activation="relu")(x)


def padded(x: Any) -> Any:
    x = layers.Conv2D(3, 3, padding="same", strides=2, activation="relu")(x)
    x = layers.Conv2D(4, 3, padding="same", activation="leaky_relu")(x)
    return layers.ReLU()(x)


def uneven(x: Any) -> Any:
    x = layers.Conv2D(9, (2, 3), strides=(2, 1), activation="relu")(x)
    x = layers.BatchNormalization(gamma_initializer="uniform")(x)
    x = layers.Conv2D(4, (1, 2), dilation_rate=(1, 2), activation="relu")(x)
    return layers.ReLU()(layers.Conv2D(3, 2, padding="same", use_bias=False)(x))


def grouped(x: Any) -> Any:
    x = layers.Conv2D(4, 2, activation="relu")(x)
    x = layers.Conv2D(4, 2, groups=2, activation="relu")(x)
    return layers.PReLU(alpha_initializer="uniform")(layers.Conv2D(2, 2)(x))


def residual(x: Any) -> Any:
    x = layers.Conv2D(3, 2, padding="same", activation="relu")(x)
    long = layers.Conv2D(3, 3, padding="same", strides=2, activation="relu")(x)
    long = layers.Conv2D(3, 3, padding="same")(long)
    short = layers.Conv2D(3, 1, strides=2)(x)
    x = layers.ReLU()(layers.Add()([long, short]))
    return layers.ReLU()(layers.Add()([layers.Conv2D(3, 2, padding="same")(x), x]))


def smooth(x: Any) -> Any:
    x = layers.Conv2D(2, 3, activation="tanh")(x)
    x = layers.Rescaling(0.5, 0.1)(x)
    x = layers.Conv2D(3, 3, activation="sigmoid")(x)
    return layers.Conv2D(2, 2, activation="relu")(x)


def pooled(x: Any) -> Any:
    x = layers.Conv2D(3, 2, activation="relu")(x)
    x = layers.MaxPooling2D(2)(x)
    x = layers.Conv2D(3, 2, activation="relu")(x)
    return layers.Conv2D(2, 2, padding="same", activation="relu")(x)


def mixed(x: Any) -> Any:
    """One branch has windows and the other one has none."""
    a = layers.Conv2D(2, 3, padding="same", activation="relu")(x)
    b = layers.Reshape((7, 8, 2))(layers.Dense(112)(layers.Flatten()(x)))
    return layers.ReLU()(layers.Conv2D(2, 2)(layers.ReLU()(layers.Add()([a, b]))))


def line(x: Any) -> Any:
    x = layers.Reshape((28, 4))(x)
    x = layers.Conv1D(3, 3, padding="causal", activation="relu")(x)
    x = layers.Conv1D(3, 4, strides=2, activation="relu")(x)
    return layers.Conv1D(2, 2, activation="relu")(x)


def solid(x: Any) -> Any:
    x = layers.Reshape((4, 4, 7, 1))(x)
    x = layers.Conv3D(2, 2, activation="relu")(x)
    return layers.Conv3D(2, (1, 2, 3), padding="same", activation="relu")(x)


def network(body: Any, seed: int) -> Model:
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((112,))
    x = body(layers.Reshape((7, 8, 2))(inputs))
    outputs = layers.Dense(3)(layers.Flatten()(x))
    model = keras.Model(inputs, outputs)
    rng = np.random.default_rng(seed)
    model.set_weights([w + 0.1 * rng.normal(size=w.shape) for w in model.get_weights()])
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.moving_variance.assign(np.abs(layer.moving_variance) + 0.5)
    return model


def chained(x: Any) -> Any:
    """Padding hides what lies around the output of the first of two convolutions in a row."""
    x = layers.Conv2D(2, 3, padding="same")(x)
    x = layers.Conv2D(3, 3, padding="same", activation="relu")(x)
    x = layers.Conv2D(2, 2, padding="same")(x)
    x = layers.Conv2D(2, 3, padding="same", strides=2)(x)
    return layers.ReLU()(x)


QUICK = (chained, padded, uneven, residual)
SLOW = (plain, grouped, smooth, pooled, mixed, line, solid)


@pytest.mark.parametrize(
    "body",
    [*QUICK, *(pytest.param(body, marks=pytest.mark.slow) for body in SLOW)],
    ids=lambda body: body.__name__,
)
def test_bounds_are_those_of_whole_rows(body: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    compare(body, monkeypatch, box)


@pytest.mark.slow
@pytest.mark.parametrize("body", [*QUICK, *SLOW], ids=lambda body: body.__name__)
def test_bounds_over_balls_are_those_of_whole_rows(
    body: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    compare(body, monkeypatch, ball)


@pytest.mark.slow
@pytest.mark.parametrize("body", [chained, padded, uneven, plain], ids=lambda body: body.__name__)
def test_optimised_bounds_are_those_of_whole_rows(
    body: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = network(body, seed=5)
    x_min, x_max = boxes(model, 3, 0.3, dtype="float64")
    options: dict[str, Any] = {"finetune": True, "finetune_steps": 4, "dtype": "float64"}
    windowed = decomon.get_adv_box(decomon.clone(model, **options), x_min, x_max, np.arange(3))
    for module in (propagation, budget):
        monkeypatch.setattr(module, "optimised_views", lambda *_: MappingProxyType({}))
    whole = decomon.get_adv_box(decomon.clone(model, **options), x_min, x_max, np.arange(3))
    # Sums of a few hundred products, in another order.
    assert np.abs(windowed - whole).max() <= 1e-12 * max(1.0, float(np.abs(whole).max()))
    start = decomon.get_adv_box(decomon.clone(model, dtype="float64"), x_min, x_max, np.arange(3))
    assert (windowed < start).all()


def box(x_min: Array, x_max: Array) -> Any:
    return decomon.BoxDomain(x_min, x_max)


def ball(x_min: Array, x_max: Array) -> Any:
    return decomon.BallDomain(0.5 * (x_min + x_max), 0.3, p=2)


def compare(body: Any, monkeypatch: pytest.MonkeyPatch, sets: Any) -> None:
    """Intervals of all nodes with windows and without, once the output is a relaxed node too."""
    model = network(body, seed=3)
    model = keras.Model(model.inputs, layers.ReLU()(model.outputs[0]))
    x_min, x_max = boxes(model, 3, 0.3, dtype="float64")
    domain = sets(x_min, x_max).as_tensors(tf.float64)
    windowed = decomon.clone(model, dtype="float64")
    graph = windowed.verifier.graph
    seen = [views(graph, index) for index in range(len(graph.nodes))]
    assert any(len(found) > 1 for found in seen), "no windows are used"
    inner = windowed.verifier.intervals(domain)
    monkeypatch.setattr(propagation, "views", lambda *_: MappingProxyType({}))
    whole = decomon.clone(model, dtype="float64").verifier.intervals(domain)
    # Sums of a few hundred products, in another order.
    for one, other in zip(inner, whole, strict=True):
        scale = 1e-12 * max(1.0, float(np.abs(other.lower).max()), float(np.abs(other.upper).max()))
        assert np.abs(one.lower - other.lower).max() <= scale
        assert np.abs(one.upper - other.upper).max() <= scale


def brute(view: View, values: Array, place: tuple[int, ...]) -> Array:
    """Cut one window out by its definition."""
    found = np.zeros((*view.sides, view.channels))
    for offset in np.ndindex(*view.sides):
        at = tuple(
            p * stride + shift + o
            for p, stride, shift, o in zip(place, view.stride, view.shift, offset, strict=True)
        )
        if all(0 <= a < side for a, side in zip(at, view.frame[:-1], strict=True)):
            found[offset] = values[at]
    return found


def test_outputs_of_a_convolution_can_be_optimised() -> None:
    """Rows that are asked for are whole, though neurons of their node would have windows."""
    inputs = keras.Input((112,))
    outputs = layers.Conv2D(2, 2)(plain(layers.Reshape((7, 8, 2))(inputs)))
    model = randomise(keras.Model(inputs, outputs), 0)
    x_min, x_max = boxes(model, 2, 0.2, dtype="float64")
    verified = decomon.clone(model, finetune=True, finetune_steps=2, dtype="float64")
    tuned = decomon.get_range_box(verified, x_min, x_max)
    start = decomon.get_range_box(decomon.clone(model, dtype="float64"), x_min, x_max)
    attained = verified.verifier.logits(tf.constant(0.5 * (x_min + x_max))).numpy()
    # Sums of a few hundred products, in another order.
    error = 1e-12 * max(1.0, float(np.abs(start.upper).max()))
    assert (tuned.upper <= start.upper + error).all()
    assert (tuned.upper < start.upper - error).any()
    assert (tuned.lower - error <= attained).all()
    assert (attained <= tuned.upper + error).all()


VIEWS = (
    View((3, 4), (5, 7, 2), (2, 3), (1, 1), (0, 0)),
    View((3, 2), (5, 4, 1), (3, 3), (2, 2), (-1, -2)),
    View((4,), (6, 3), (2,), (2,), (-1,)),
    View((2, 2, 2), (3, 3, 3, 2), (2, 1, 3), (1, 2, 1), (0, 0, -1)),
)


@pytest.mark.parametrize("view", VIEWS)
def test_patches_and_whole_rows(view: View) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(2, *view.frame))
    patches = view.patches(tf.constant(values)).numpy()
    grid = list(np.ndindex(*view.grid))
    for batch in range(2):
        for number, place in enumerate(grid):
            expected = brute(view, values[batch], place).ravel()
            assert (patches[batch, number] == expected).all()
    # A whole row times the node's values is the window times its patch.
    places = rng.integers(len(grid), size=(2, 5))
    rows = Windows(
        view, tf.constant(places, tf.int32), tf.constant(rng.normal(size=(2, 10, view.size)))
    )
    whole = rows.dense(view.frame).numpy()
    assert whole.shape == (2, 10, *view.frame)
    own = np.take_along_axis(patches, places[:, :, None], axis=1)
    expected = (rows.values.numpy() * np.concatenate([own, own], axis=1)).sum(axis=2)
    found = (whole * values[:, None]).reshape(2, 10, -1).sum(axis=2)
    assert np.abs(found - expected).max() <= 1e-12 * view.size


def test_larger_windows_hold_the_same_rows() -> None:
    small = View((3, 3), (6, 6, 2), (2, 2), (1, 1), (0, 1))
    other = View((3, 3), (6, 6, 2), (1, 4), (1, 1), (-1, 0))
    both = small.joined(other)
    assert both is not None
    assert (both.shift, both.sides) == ((-1, 0), (3, 4))
    rng = np.random.default_rng(1)
    places = tf.constant(rng.integers(9, size=(1, 4)), tf.int32)
    rows = Windows(small, places, tf.constant(rng.normal(size=(1, 4, small.size))))
    assert (rows.widened(both).dense((6, 6, 2)).numpy() == rows.dense((6, 6, 2)).numpy()).all()
    assert small.joined(View((3, 3), (6, 6, 2), (2, 2), (2, 1), (0, 0))) is None


def test_windows_follow_the_receptive_field() -> None:
    stencil = Stencil((3, 2), (2, 1), (-1, 0), lambda rows: rows)
    first = View.start((4, 5, 8)).before(stencil, (7, 6, 3))
    assert (first.sides, first.stride, first.shift) == ((3, 2), (2, 1), (-1, 0))
    second = first.before(stencil, (13, 7, 1))
    assert (second.sides, second.stride, second.shift) == ((7, 3), (4, 1), (-3, 0))
    assert second.size == math.prod(second.sides)


def test_only_where_they_are_smaller() -> None:
    """A window that covers most of a node, and nodes that mix everything, take whole rows."""
    model = network(plain, seed=0)
    graph = decomon.clone(model).verifier.graph
    for index in range(len(graph.nodes)):
        for seen, view in views(graph, index).items():
            assert seen == index or view.size <= math.prod(view.frame)
    output = graph.output
    assert not views(graph, output)
