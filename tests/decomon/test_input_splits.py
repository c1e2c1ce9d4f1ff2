"""Input splitting: leaves cover the sets, and bounds hold on them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from decomon.complete.frontier import Leaves
from decomon.complete.goals import Goals
from decomon.complete.input_cuts import Cuts
from decomon.complete.input_splits import InputSplitter, clip_boxes
from decomon.complete.pace import StoppedError
from decomon.conversion import SLOPES, method_named
from decomon.domains import BallDomain, BoxDomain
from decomon.graph import from_keras
from decomon.inputs import Regions
from decomon.verifier import Verifier

from .helpers import keras, layers, randomise, rng_of, tf

Array = Any

NEVER = -1e9


def nothing() -> None:
    """Let work go on."""


def verifier_for(activation: str, inputs: int = 3, outputs: int = 3) -> Verifier:
    model = keras.Sequential(
        [
            keras.Input((inputs,)),
            layers.Dense(12, activation),
            layers.Dense(12, activation),
            layers.Dense(outputs),
        ]
    )
    graph = from_keras(randomise(model, seed=3, scale=1.5))
    return Verifier(graph, method_named("crown"), SLOPES["volume-slope"])


@pytest.fixture(scope="module")
def relu() -> Verifier:
    return verifier_for("relu")


@pytest.fixture(scope="module")
def smooth() -> Verifier:
    return verifier_for("tanh")


@pytest.fixture(scope="module")
def line() -> Verifier:
    """The identity."""
    model = keras.Sequential([keras.Input((1,)), layers.Dense(1, use_bias=False)])
    model.set_weights([np.ones((1, 1))])
    return Verifier(from_keras(model), method_named("crown"), SLOPES["volume-slope"])


def boxes(count: int = 4, seed: int = 0) -> Regions:
    rng = rng_of(seed)
    lower = rng.uniform(-1, 0, (count, 3))
    return Regions(BoxDomain(lower, lower + rng.uniform(0.2, 1, (count, 3))))


def goals_of(samples: list[int], seed: int = 0) -> Goals:
    """Goals of one and of two parts, in turn."""
    rng = rng_of(seed)
    count = len(samples)
    valid = np.ones((count, 2), dtype=bool)
    valid[::2, 1] = False
    rows = rng.normal(size=(count, 2, 3))
    return Goals(rows, rng.normal(size=(count, 2)), valid, np.array(samples, np.intp))


def values_of(verifier: Verifier, goals: Goals, goal: Array, points: Array) -> Array:
    """Return the values of goals at points ``(n, count, *input shape)``."""
    n, count = points.shape[:2]
    flat = tf.constant(points.reshape(n * count, *points.shape[2:]), verifier.dtype)
    return goals[goal].of(verifier.logits(flat).numpy().reshape(n, count, -1))


def sets_of(leaves: Leaves, like: Any) -> Any:
    count = sum(name.startswith("set") for name in leaves.data)
    return like.rebuild(*(tf.constant(leaves.data[f"set{i}"]) for i in range(count)))


@pytest.mark.parametrize("name", ["relu", "smooth"])
@pytest.mark.parametrize("kind", ["box", "ball"])
def test_bounds_hold_on_leaves_that_cover_their_parents(
    name: str, kind: str, request: pytest.FixtureRequest
) -> None:
    verifier = request.getfixturevalue(name)
    regions = boxes()
    if kind == "ball":
        ball = BallDomain(rng_of(1).uniform(0, 1, (4, 3)), 0.3, p=2, clip=(0.0, 1.0))
        regions = Regions(ball.shaped((3,)))
    goals = goals_of([0, 0, 1, 3])
    like = regions.outer(verifier)
    splitter = InputSplitter(verifier, like, goals, nothing)
    roots = splitter.roots(np.arange(4), np.full(4, NEVER))
    for position in range(4):
        parent = roots[position : position + 1]
        for _ in range(3):
            children = splitter.split(parent, np.full(1, NEVER))
            assert (children.goal == position).all()
            assert (children.depth > parent.depth[0]).all()
            assert (children.upper <= parent.upper[0]).all()
            points = sets_of(parent, like).sample(200, 0).numpy()
            shared = np.repeat(points, len(children), axis=0)
            inside = sets_of(children, like).contains(tf.constant(shared)).numpy()
            assert inside.any(axis=0).all()
            own = sets_of(children, like).sample(50, 1).numpy()
            attained = values_of(verifier, goals, children.goal, own)
            assert (attained.max(axis=1) <= children.upper + 1e-4).all()
            candidates = splitter.candidates(children)[:, None]
            assert sets_of(children, like).contains(tf.constant(candidates)).numpy().all()
            worst = int(children.upper.argmax())
            parent = children[worst : worst + 1]


@pytest.mark.parametrize("below", [0.0, -0.5])
def test_clipping_loses_no_point_of_interest(relu: Verifier, below: float) -> None:
    regions, goals = boxes(), goals_of([0, 0, 1, 2, 3, 3], seed=4)
    like = regions.outer(relu)
    splitter = InputSplitter(relu, like, goals, nothing)
    points = like.sample(2000, 0).numpy()[goals.samples]
    wanted = values_of(relu, goals, np.arange(6), points) >= below
    assert 0 < wanted.sum() < wanted.size
    leaves = splitter.roots(np.arange(6), np.full(6, below))
    for _ in range(5):
        leaves = leaves[leaves.upper >= below]
        leaves = splitter.split(leaves, np.full(len(leaves), below))
        sets = sets_of(leaves, like)
        for goal in range(6):
            own = leaves.goal == goal
            if not own.any():
                assert not wanted[goal].any()
                continue
            kept = np.repeat(points[goal : goal + 1], own.sum(), axis=0)
            chosen = sets.rebuild(*(tf.boolean_mask(t, own) for t in sets.tensors()))
            held = chosen.contains(tf.constant(kept)).numpy().any(axis=0)
            assert held[wanted[goal]].all()
    volume = np.prod(np.maximum(leaves.data["set1"] - leaves.data["set0"], 0), axis=1).sum()
    hull = like.interval()
    whole = np.prod((hull.upper - hull.lower).numpy(), axis=1)[goals.samples].sum()
    assert volume < 0.9 * whole


def test_clipped_boxes_keep_every_point_of_the_half_spaces() -> None:
    rng = rng_of(0)
    lower = rng.uniform(-1, 0, (300, 4))
    upper = lower + rng.uniform(0, 1, (300, 4))
    weights = rng.normal(size=(300, 2, 4)) * rng.integers(0, 2, (300, 2, 4))
    offsets = rng.normal(size=(300, 2)) * 0.5
    offsets[::5, 1] = np.inf
    low, high, empty = clip_boxes(lower, upper, weights, offsets)
    points = lower[:, None] + rng.random((300, 500, 4)) * (upper - lower)[:, None]
    values = np.einsum("nki,npi->nkp", weights, points) + offsets[:, :, None]
    wanted = (values >= 1e-12).all(axis=1)
    inside: Array = ((points >= low[:, None]) & (points <= high[:, None])).all(axis=2)
    assert not wanted[empty].any()
    assert inside[wanted].all()
    assert 0 < empty.mean() < 1
    # One half-space: some point of it attains every side of the box around it.
    low, high, empty = clip_boxes(lower, upper, weights[:, :1], offsets[:, :1])
    side = (low > lower) & ~empty[:, None]
    w = weights[:, 0]
    rest = np.where(w > 0, upper, lower) * w
    attained = rest.sum(axis=1, keepdims=True) - rest + w * low + offsets[:, :1]
    assert side.any()
    assert np.abs(attained[side]).max() < 1e-9


def test_leaves_decide_a_smooth_network_in_the_limit(smooth: Verifier) -> None:
    regions, goals = boxes(1), goals_of([0])
    splitter = InputSplitter(smooth, regions.outer(smooth), goals, nothing)
    leaves = splitter.roots(np.array([0]), np.full(1, NEVER))

    def gap() -> float:
        points = splitter.candidates(leaves)[:, None]
        attained = values_of(smooth, goals, leaves.goal, points)
        return float(leaves.upper.max() - attained.max())

    first = gap()
    for _ in range(12):
        worst = np.argsort(-leaves.upper)
        chosen, rest = leaves[worst[:16]], leaves[worst[16:]]
        leaves = Leaves.joined([splitter.split(chosen, np.full(len(chosen), NEVER)), rest])
    assert -1e-5 <= gap() < 0.1 * first


@pytest.mark.parametrize(("offset", "proven"), [(-1 - 1e-6, True), (-1 + 1e-6, False)])
def test_no_sign_is_owed_to_rounding(line: Verifier, offset: float, proven: bool) -> None:
    rows, valid = np.ones((1, 1, 1)), np.ones((1, 1), dtype=bool)
    goals = Goals(rows, np.full((1, 1), offset), valid, np.zeros(1, np.intp))
    regions = Regions(BoxDomain(np.zeros((1, 1)), np.ones((1, 1))))
    splitter = InputSplitter(line, regions.outer(line), goals, nothing)
    leaves = splitter.roots(np.array([0]), np.zeros(1))
    assert (leaves.upper >= 0).all()  # single precision cannot tell
    for _ in range(8):
        leaves = leaves[leaves.upper >= 0]
        if not len(leaves):
            break
        leaves = splitter.split(leaves, np.zeros(len(leaves)))
    assert (len(leaves[leaves.upper >= 0]) == 0) == proven


def test_a_single_point_is_not_cut(relu: Verifier) -> None:
    corner = np.full((1, 3), 0.25)
    domain, goals = Regions(BoxDomain(corner, corner)).outer(relu), goals_of([0])
    splitter = InputSplitter(relu, domain, goals, nothing)
    leaves = splitter.roots(np.array([0]), np.full(1, NEVER))
    assert splitter.exhausted(leaves).all()
    attained = values_of(relu, goals, leaves.goal, corner[:, None])
    assert leaves.upper == pytest.approx(attained[0], abs=1e-4)


def test_other_numbers_of_leaves_are_not_traced_again(relu: Verifier) -> None:
    domain, goals = boxes().outer(relu), goals_of([0, 1, 2, 3])
    splitter = InputSplitter(relu, domain, goals, nothing)
    kept = relu.kept((Cuts, domain.kind), lambda: Cuts(relu, domain))
    leaves = splitter.roots(np.arange(1), np.full(1, NEVER))
    leaves = splitter.split(leaves, np.full(1, NEVER))
    traced = relu.trace_count, kept.trace_count
    other = InputSplitter(relu, domain, goals, nothing)
    leaves = Leaves.joined([leaves, other.roots(np.arange(3), np.full(3, NEVER))])
    for _ in range(3):
        leaves = other.split(leaves, np.full(len(leaves), NEVER))
    assert (relu.trace_count, kept.trace_count) == traced


def test_bounds_that_are_no_numbers_prove_nothing(relu: Verifier) -> None:
    domain = Regions(BoxDomain(np.full((1, 3), -3e38), np.full((1, 3), 3e38))).outer(relu)
    splitter = InputSplitter(relu, domain, goals_of([0]), nothing)
    leaves = splitter.roots(np.array([0]), np.zeros(1))
    assert np.isposinf(leaves.upper).all()
    assert (splitter.split(leaves, np.zeros(1)).upper >= 0).all()


def test_work_stops_when_the_pulse_says_so(relu: Verifier) -> None:
    def stop() -> None:
        raise StoppedError

    splitter = InputSplitter(relu, boxes().outer(relu), goals_of([0]), stop)
    with pytest.raises(StoppedError):
        splitter.roots(np.array([0]), np.zeros(1))
