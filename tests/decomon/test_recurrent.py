"""Recurrent networks: every option evaluates as in Keras, and no method's bound is ever beaten."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import decomon
from decomon.errors import UnsupportedModelError
from decomon.graph import from_keras
from tests.decomon.helpers import (
    METHODS,
    Array,
    ascend,
    boxes,
    evaluate,
    keras,
    layers,
    precision,
    randomise,
    sample,
    tf,
)

Make = Callable[[], Any]
# Networks are computed in double precision and have a few hundred operations on values of size 1.
_ROUNDING = 1e-12


def _last(layer: Make, *shape: int) -> Make:
    """A sequence goes through a layer and then to three classes."""

    def build() -> Any:
        x = keras.Input(shape)
        y = layer()(x)
        return keras.Model(x, layers.Dense(3)(layers.Flatten()(y)))

    return build


def _with_initial_states() -> Any:
    x = keras.Input((3, 2))
    h = layers.Dense(2, activation="tanh")(layers.Flatten()(x))
    c = layers.Dense(2)(layers.Flatten()(x))
    y = layers.LSTM(2)(x, initial_state=[h, c])
    z = layers.GRU(2)(x, initial_state=h)
    return keras.Model(x, layers.Dense(3)(layers.Concatenate()([y, z])))


def _with_returned_states() -> Any:
    x = keras.Input((3, 2))
    y, h, c = layers.LSTM(2, return_state=True, return_sequences=True)(x)
    y = layers.SimpleRNN(2)(y, initial_state=c)
    return keras.Model(x, layers.Dense(3)(layers.Concatenate()([y, h])))


def _bidirectional_states() -> Any:
    x = keras.Input((3, 2))
    first, second, h, s = layers.Bidirectional(layers.GRU(2, return_state=True), merge_mode=None)(x)
    y = layers.Bidirectional(layers.GRU(2, reset_after=False), merge_mode="mul")(
        x, initial_state=[h, s]
    )
    return keras.Model(x, layers.Dense(3)(layers.Concatenate()([first, second, y])))


def _stacked_states() -> Any:
    x = keras.Input((3, 2))
    cells = [layers.LSTMCell(2), layers.GRUCell(3)]
    y, (h, c), s = layers.RNN(cells, return_state=True)(x)
    return keras.Model(x, layers.Dense(3)(layers.Concatenate()([y, h, c, s])))


def _two_layers() -> Any:
    x = keras.Input((4, 2))
    y = layers.Bidirectional(layers.LSTM(2, return_sequences=True))(x)
    y = layers.TimeDistributed(layers.Dense(2, activation="relu"))(y)
    return keras.Model(x, layers.Dense(3)(layers.GRU(2)(y)))


def _shared() -> Any:
    x = keras.Input((3, 2))
    shared = layers.GRU(2, return_sequences=True)
    return keras.Model(x, layers.Dense(3)(layers.Flatten()(shared(shared(x)))))


NETWORKS: dict[str, Make] = {
    "simple": _last(lambda: layers.SimpleRNN(3), 4, 2),
    "gru": _last(lambda: layers.GRU(3), 3, 2),
    "gru-before": _last(lambda: layers.GRU(3, reset_after=False), 3, 2),
    "lstm": _last(lambda: layers.LSTM(3), 4, 2),
    "relu-lstm": _last(
        lambda: layers.LSTM(2, activation="relu", recurrent_activation="hard_sigmoid"), 3, 2
    ),
    "convolutional": _last(lambda: layers.ConvLSTM1D(2, 2), 3, 3, 1),
    "initial-states": _with_initial_states,
    "returned-states": _with_returned_states,
    "bidirectional-states": _bidirectional_states,
    "stacked-states": _stacked_states,
    "two-layers": _two_layers,
    "shared": _shared,
}
QUICK = {"lstm", "gru"}
EACH = pytest.mark.parametrize("name", NETWORKS)
SLOW = pytest.mark.slow


def build(name: str, seed: int = 0, dtype: str = "float64") -> Any:
    with precision(dtype):
        return randomise(NETWORKS[name](), seed, scale=1.5)


@EACH
def test_evaluates_as_keras_does(name: str) -> None:
    model = build(name)
    x = np.random.default_rng(0).normal(size=(20, *model.input_shape[1:])) * 3
    values = from_keras(model)(tf.constant(x)).numpy()
    np.testing.assert_allclose(values, np.asarray(model(x)), rtol=0, atol=_ROUNDING)


def questions(model: Any) -> tuple[Array, Array]:
    """Boxes of three sizes, one of them without any width."""
    x_min, x_max = boxes(model, 3, 1.0, dtype="float64")
    center, radius = (x_min + x_max) / 2, (x_max - x_min) / 2
    scale = np.array([0.0, 0.05, 1.0]).reshape(3, *[1] * (x_min.ndim - 1))
    return center - scale * radius, center + scale * radius


def check(model: Any, verified: decomon.DecomonModel) -> Array:
    """No sample and no attack leaves the bounds; return their width."""
    x_min, x_max = questions(model)
    high, low = decomon.get_range_box(verified, x_min, x_max)
    values = evaluate(model, sample(x_min, x_max, 200))
    assert (values <= high + _ROUNDING).all()
    assert (values >= low - _ROUNDING).all()
    for unit in np.eye(3):
        rows = np.tile(unit, (3, 1))
        best, _ = ascend(model, x_min, x_max, rows, steps=20, restarts=2)
        worst, _ = ascend(model, x_min, x_max, -rows, steps=20, restarts=2)
        assert (best <= high @ unit + _ROUNDING).all()
        assert (-worst >= low @ unit - _ROUNDING).all()
    assert (high[0] - low[0] <= 1e-9).all()  # a box without width is one point
    return high - low


@pytest.mark.parametrize(
    "name",
    [name if name in {*QUICK, "simple"} else pytest.param(name, marks=SLOW) for name in NETWORKS],
)
def test_intervals_are_never_beaten(name: str) -> None:
    check(build(name), decomon.clone(build(name), "forward-ibp"))


@pytest.mark.parametrize(
    ("name", "method"),
    [
        pytest.param(
            name,
            method,
            marks=[] if name == "lstm" and method == "crown" else pytest.mark.slow,
        )
        for name in NETWORKS
        for method in METHODS
        if method != "forward-ibp"
    ],
)
def test_no_point_beats_a_bound(name: str, method: str) -> None:
    model = build(name)
    width = check(model, decomon.clone(model, method))
    if method in ("crown", "forward-hybrid"):
        plain = check(model, decomon.clone(model, "forward-ibp"))
        assert (width <= plain + _ROUNDING).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["simple", "lstm", "gru"])
def test_tuned_relaxations_are_sound_and_no_looser(name: str) -> None:
    model = build(name)
    tuned = check(model, decomon.clone(model, finetune=True, finetune_steps=4))
    plain = check(model, decomon.clone(model))
    assert (tuned <= plain + _ROUNDING).all()
    assert (tuned[2] < plain[2] - _ROUNDING).any()


def test_gated_units_stay_between_their_states() -> None:
    """A blend of values in [-1, 1] is one: interval arithmetic of the rewriting is far wider."""
    with precision("float64"):
        model = randomise(
            keras.Sequential([keras.Input((12, 2)), layers.GRU(3)]), seed=1, scale=3.0
        )
    x_min, x_max = boxes(model, 4, 5.0, dtype="float64")
    high, low = decomon.get_range_box(decomon.clone(model, "forward-ibp"), x_min, x_max)
    assert (np.abs(high) <= 1 + 1e-9).all()
    assert (np.abs(low) <= 1 + 1e-9).all()


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda x: layers.LSTM(2)(layers.Masking()(x)), "mask"),
        (lambda x: layers.LSTM(2)(x, mask=keras.ops.any(x > 0, axis=-1)), "mask"),
        (lambda x: layers.RNN(_Strange(2))(x), "its cell, _Strange"),
    ],
)
def test_what_is_not_covered_is_refused(make: Callable[[Any], Any], reason: str) -> None:
    x = keras.Input((3, 2))
    with pytest.raises(UnsupportedModelError, match=reason):
        decomon.clone(keras.Model(x, layers.Dense(2)(make(x))))


def test_stateful_layers_are_refused() -> None:
    x = keras.Input((3, 2), batch_size=2)
    with pytest.raises(UnsupportedModelError, match="stateful"):
        decomon.clone(keras.Model(x, layers.GRU(2, stateful=True)(x)))


class _Strange(layers.SimpleRNNCell):
    """A subclass may compute something else."""
