"""Attacks: the best point of a set and its margin in the real model."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import decomon
from decomon import BallDomain, BoxDomain
from tests.decomon.helpers import (
    Array,
    dense_net,
    keras,
    largest_margin,
    layers,
    precision,
    randomise,
    rng_of,
)
from tests.decomon.sets import KINDS, points_of

CLOSE = 1e-9
"""Room for rounding: values here are of order 1, in float64, and sums are short."""


@functools.cache
def wavy() -> Any:
    """A network whose margins have many local maxima."""
    with precision("float64"):
        net = keras.Sequential(
            [
                keras.Input((4,)),
                layers.Dense(12, activation="tanh"),
                layers.Dense(8, activation="tanh"),
                layers.Dense(3),
            ]
        )
    return randomise(net, 2, scale=4.0)


def samples(count: int = 5, shape: tuple[int, ...] = (4,)) -> Array:
    return rng_of(0).uniform(0.2, 0.8, size=(count, *shape))


kinds = pytest.mark.parametrize("kind", KINDS)


@kinds
def test_points_lie_in_their_sets_and_have_their_margins(kind: str) -> None:
    model, x = wavy(), samples()
    domain, labels = KINDS[kind](x, 0.3), np.arange(5) % 3
    found = decomon.attack(model, domain, labels, steps=10, restarts=1)
    assert isinstance(found, decomon.Attacked)
    assert found.points.shape == x.shape
    assert found.margin.shape == (5,)
    shaped = domain.shaped((4,))
    assert np.asarray(shaped.contains(found.points[:, None])).all()
    real = largest_margin(np.asarray(model(found.points)), labels)
    np.testing.assert_allclose(found.margin, real, atol=CLOSE)
    assert (found.margin <= decomon.get_adv(model, domain, labels) + CLOSE).all()
    center = largest_margin(np.asarray(model(x)), labels)
    if kind not in ("vertex", "grid"):  # whose middles are other points
        assert (found.margin >= center - CLOSE).all()
    sampled = largest_margin(
        np.asarray(model(points_of(domain, (4,), 20, seed=5).reshape(-1, 4))).reshape(-1, 5, 3),
        labels,
    )
    assert (found.margin >= np.median(sampled, axis=0)).all()


@kinds
def test_restarts_never_lose_and_sometimes_win(kind: str) -> None:
    """The search without restarts is that of ``check_adv``; all of its points count, too."""
    model, x = wavy(), samples(8)
    domain = KINDS[kind](x, 0.6)
    checked = decomon.check_adv(model, domain, 0)
    margins = [
        decomon.attack(model, domain, 0, restarts=n, seed=seed).margin
        for n, seed in ((0, 0), (0, 8), (1, 0), (2, 0), (2, 10**12))
    ]
    for same in margins[:2]:
        np.testing.assert_allclose(same, checked, atol=CLOSE)
    for more in margins[2:]:
        assert (more >= checked - CLOSE).all()
    assert (margins[3] >= margins[2] - CLOSE).all()


def test_restarts_win_where_there_are_many_maxima() -> None:
    model, x = wavy(), samples(20)
    for p in (1, 2, np.inf):
        once = decomon.attack_noise(model, x, 1.5, 0, p=p, restarts=0).margin
        often = decomon.attack_noise(model, x, 1.5, 0, p=p, restarts=6).margin
        assert (often >= once - CLOSE).all()
        assert (often > once + 1e-3).any()


@pytest.mark.parametrize("kind", ["box", "clipped-ball-2", "vertex"])
def test_the_seed_decides(kind: str) -> None:
    model, x = wavy(), samples(8)
    domain = KINDS[kind](x, 1.0)
    first = decomon.attack(model, domain, 0, steps=3, restarts=2, seed=3)
    keras.utils.set_random_seed(1)
    again = decomon.attack(model, domain, 0, steps=3, restarts=2, seed=3)
    np.testing.assert_array_equal(first.points, again.points)
    np.testing.assert_array_equal(first.margin, again.margin)
    others = [
        decomon.attack(model, domain, 0, steps=3, restarts=2, seed=seed).points
        for seed in (4, 5, 6, 7)
    ]
    assert any((other != first.points).any() for other in others)


def test_more_steps_climb_higher() -> None:
    model, x = wavy(), samples(20)
    totals = [
        decomon.attack_noise(model, x, 0.5, 0, p=2, restarts=0, steps=n).margin.sum()
        for n in (1, 5, 40)
    ]
    assert totals[0] < totals[1] < totals[2]


def test_an_attack_on_a_linear_network_is_exact() -> None:
    with precision("float64"):
        model = randomise(keras.Sequential([keras.Input((4,)), layers.Dense(3)]), 1)
    x = samples()
    kernel, bias = (np.asarray(w, np.float64) for w in model.get_weights())
    for p, dual in ((1, np.inf), (2, 2), (np.inf, 1)):
        expected = np.max(
            [
                (x @ kernel + bias)[:, j]
                - (x @ kernel + bias)[:, 0]
                + 0.4 * np.linalg.norm(kernel[:, j] - kernel[:, 0], ord=dual)
                for j in (1, 2)
            ],
            axis=0,
        )
        found = decomon.attack_noise(model, x, 0.4, 0, p=p, restarts=0).margin
        np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_targets_and_batches() -> None:
    model, x = wavy(), samples(5)
    targets = np.array([1, 2, 1, 2, 2])
    domain = BallDomain(x, 0.3, 2)
    whole = decomon.attack(model, domain, 0, targets, restarts=1)
    logits = np.asarray(model(whole.points))
    real = logits[np.arange(5), targets] - logits[:, 0]
    np.testing.assert_allclose(whole.margin, real, atol=CLOSE)
    for batch_size in (1, 2, 3):
        parts = decomon.attack(model, domain, 0, targets, batch_size, restarts=1)
        logits = np.asarray(model(parts.points))
        real = logits[np.arange(5), targets] - logits[:, 0]
        np.testing.assert_allclose(parts.margin, real, atol=CLOSE)


@kinds
def test_batches_find_the_same(kind: str) -> None:
    """A sample's random starts do not depend on its place in the batch."""
    model, x = wavy(), samples(8)
    domain = KINDS[kind](x, 1.0)
    checked = decomon.check_adv(model, domain, 0)
    attacked = decomon.attack(model, domain, 0, restarts=1).margin
    for batch_size in (1, 3):
        parts = decomon.check_adv(model, domain, 0, None, batch_size)
        np.testing.assert_allclose(parts, checked, atol=1e-6)
        parts = decomon.attack(model, domain, 0, None, batch_size, restarts=1).margin
        np.testing.assert_allclose(parts, attacked, atol=1e-6)


def test_boxes_are_attacked_as_sets() -> None:
    model, x = wavy(), samples()
    found = decomon.attack_box(model, x - 0.2, x + 0.3, 0, restarts=1)
    expected = decomon.attack(model, BoxDomain(x - 0.2, x + 0.3), 0, restarts=1)
    np.testing.assert_array_equal(found.points, expected.points)
    np.testing.assert_array_equal(found.margin, expected.margin)


def test_several_inputs_and_a_softmax() -> None:
    """Points come in the form of the corners; margins are those of the logits."""
    with precision("float64"):
        left, right = keras.Input((3,), name="left"), keras.Input((2, 2), name="right")
        h = layers.Concatenate()([left, layers.Flatten()(right)])
        logits = layers.Dense(3)(layers.Dense(6, activation="tanh")(h))
        model = keras.Model([left, right], layers.Softmax()(logits))
        bare = keras.Model([left, right], logits)
    randomise(model, 3, scale=2.0)
    low = {"right": samples(4, (2, 2)), "left": samples(4, (3,))}
    high = {name: value + 0.5 for name, value in low.items()}
    found = decomon.attack_box(model, low, high, 0, restarts=1)
    assert isinstance(found.points, dict)
    for name, part in found.points.items():
        assert (part >= low[name]).all()
        assert (part <= high[name]).all()
    points = [found.points["left"], found.points["right"]]
    real = largest_margin(np.asarray(bare(points)), np.zeros(4, int))
    np.testing.assert_allclose(found.margin, real, atol=CLOSE)
    kept = decomon.clone(model, rm_last_softmax=False)
    found = decomon.attack_box(kept, low, high, 0, restarts=1)
    points = [found.points["left"], found.points["right"]]
    real = largest_margin(np.asarray(model(points)), np.zeros(4, int))
    np.testing.assert_allclose(found.margin, real, atol=CLOSE)


ASKS: dict[str, Callable[..., Any]] = {
    "attack": lambda m, x, **o: decomon.attack(m, BoxDomain(x, x + 1), **o),
    "attack_box": lambda m, x, **o: decomon.attack_box(m, x, x + 1, **o),
    "attack_noise": lambda m, x, **o: decomon.attack_noise(m, x, 1, **o),
}


@pytest.mark.parametrize("ask", ASKS.values(), ids=ASKS.keys())
@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"steps": 0}, "steps must be a positive integer"),
        ({"steps": 2.0}, "steps must be a positive integer"),
        ({"restarts": -1}, "restarts must be an integer that is at least 0"),
        ({"restarts": True}, "restarts must be an integer"),
        ({"seed": -1}, "seed must be an integer that is at least 0"),
        ({"seed": None}, "seed must be an integer"),
        ({"batch_size": 0}, "batch_size"),
        ({"source_labels": 3}, "source_labels must lie between 0 and 2"),
        ({"target_labels": 0}, "Every sample needs a target"),
    ],
)
def test_wrong_options(ask: Callable[..., Any], options: dict[str, Any], match: str) -> None:
    model = unused()
    with pytest.raises(ValueError, match=f"{match}.*Received"):
        ask(model, np.zeros((2, 4)), **{"source_labels": 0, **options})
    assert decomon.models.verifier_of(model).trace_count == 0


@functools.cache
def unused() -> Any:
    return dense_net([4, 5, 3])
