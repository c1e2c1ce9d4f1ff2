"""What holds for every answer of complete verification."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

import decomon
from decomon import Verdict, Verification
from decomon.specs import margins
from tests.decomon.helpers import Array, dense_net, randomise, rng_of, strip, tf

KNOWN = {"robust", "non_robust", "unknown"}
REASONS = ("timeout", "memory", "precision", "cancelled", "interrupted")
PATIENCE = 120.0  # seconds: tests wait for an answer, however busy the machine is


@cache
def in_the_plane() -> tuple[Any, Array, Array]:
    """A network, samples, and what it says of them, but for the last two, where it is wrong."""
    model = randomise(dense_net([2, 8, 8, 3]), 3, scale=2.0)
    x = rng_of(1).uniform(-1, 1, size=(12, 2)).astype(np.float32)
    labels = np.asarray(model(x)).argmax(axis=1)
    labels[-2:] = (labels[-2:] + 1) % 3
    for shared in (x, labels):
        shared.setflags(write=False)
    return model, x, labels


def logits(model: Any, points: Array) -> Array:
    return np.asarray(strip(model)(tf.constant(points), training=False), np.float64)


def check(
    model: Any,
    domain: decomon.Domain,
    sources: Any,
    targets: Any,
    found: Verification,
    points: Array,
) -> None:
    """What holds for every answer about a model with one input.

    ``points`` are some of the sets, ``(count, batch, *input shape)``.
    """
    batch = len(domain)
    n_classes = model.output_shape[-1]
    asked = margins(sources, targets, batch, n_classes)
    lengths = (found.status, found.upper, found.lower, found.counterexample, found.points)
    lengths += (found.n_domains, found.elapsed, found.reason, found.detail, found)
    assert {len(value) for value in lengths} == {batch}
    assert set(found.status) <= KNOWN
    assert sum(found.counts.values()) == batch
    assert (found.lower <= found.upper).all()
    assert (found.n_domains >= 0).all()
    assert (found.elapsed >= 0).all()
    assert (found.elapsed <= found.seconds).all()
    wins = np.zeros(batch, dtype=bool)
    for each in points:
        wins |= asked.of(logits(model, each)[:, None])[:, 0] > 0
    for s, status in enumerate(found.status):
        assert isinstance(status, Verdict)
        assert (found.reason[s] == "") == (status != "unknown")
        assert (found.counterexample[s] is not None) == (status == "non_robust")
        if status == "robust":
            assert found.upper[s] < 0
            assert not wins[s]
        if status == "non_robust":
            point = found.counterexample[s][None]
            assert point.shape[1:] == model.input_shape[1:]
            assert bool(domain[s : s + 1].contains(tf.constant(point[:, None])).numpy().all())
            outputs = np.asarray(model(point, training=False))[0]
            pairs = asked.rows[s][asked.valid[s]]
            beaten = [
                outputs[row.argmax()] > outputs[row.argmin()]
                or (outputs[row.argmax()] == outputs[row.argmin()] and row.argmax() < row.argmin())
                for row in pairs
            ]
            assert any(beaten)
        if status == "unknown":
            assert found.reason[s] in REASONS


def grid(low: Array, high: Array, side: int = 60) -> Array:
    """Points ``(side ** 2, batch, 2)`` of boxes in the plane."""
    steps = np.linspace(0, 1, side)
    ratio = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 1, 2)
    return (low * (1 - ratio) + high * ratio).astype(low.dtype)


def corners(x: Array, radius: float) -> tuple[Array, Array]:
    return x - np.float32(radius), x + np.float32(radius)
