"""Optimised slopes: samples drop out when they are done, and never influence each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import decomon
from decomon.domains import BoxDomain
from decomon.methods.descent import Descent
from decomon.verifier import Verifier, as_tensor
from tests.decomon.helpers import Array, boxes, dense_net, rng_of, tf

METHODS = [
    "crown",
    "forward-affine",
    *(pytest.param(name, marks=pytest.mark.slow) for name in ("hybrid", "crown-hybrid")),
]


class Scripted:
    """Bounds that fall as a table ``(steps, batch, spec)`` says; every sample carries its name."""

    def __init__(self, table: Any, names: Any = None) -> None:
        self.table = np.asarray(table, np.float64)
        self.seen: list[list[int]] = []

    def start(self) -> tuple[tuple[Any], Any]:
        return (tf.constant(self.table[0]),), tf.range(self.table.shape[1])

    def __call__(self, problem: Any, best: Any, names: Any, step: Any) -> Any:
        shared, own = problem
        assert shared.shape[0] == 1
        np.testing.assert_array_equal(own, names)
        self.seen.append(names.numpy().tolist())
        return (tf.minimum(best[0], self.table[int(step) + 1][names.numpy()]),), names


def run(script: Scripted, **options: Any) -> Array:
    best, names = script.start()
    steps = len(script.table) - 1
    (upper,) = Descent(script, steps, **options).run((tf.zeros([1, 2]), names), best, names)
    return upper.numpy()


def test_a_sample_without_progress_drops_out_and_keeps_its_best() -> None:
    falling = np.linspace(5, -5, 13)
    stuck = np.full(13, 3.0)
    nothing = np.full(13, np.nan)
    late = np.concatenate([np.full(9, 2.0), np.full(4, 1.0)])
    script = Scripted(np.stack([stuck, falling, nothing, late], axis=1)[..., None])
    upper = run(script, patience=4)[:, 0]
    assert script.seen == [[0, 1, 2, 3]] * 4 + [[1]] * 8
    np.testing.assert_array_equal(upper, [3.0, -5.0, np.nan, 2.0])


def test_slow_progress_counts_once_it_adds_up() -> None:
    slow = 1 - 2e-5 * np.arange(21)
    script = Scripted(slow[:, None, None])
    assert run(script, patience=5)[0, 0] == slow[-1]
    script = Scripted(slow[:, None, None])
    run(script, patience=2)
    assert len(script.seen) == 2


def test_a_sample_is_done_when_all_its_bounds_are_good_enough() -> None:
    steps = np.arange(7.0)
    one = np.stack([2 - steps, 5 - steps], axis=1)
    other = np.stack([-1 - steps, -3 - steps], axis=1)
    script = Scripted(np.stack([one, other], axis=1))
    upper = run(script, enough=0.0)
    assert script.seen == [[0]] * 6
    np.testing.assert_array_equal(upper, [[-4, -1], [-1, -3]])
    done = Scripted(np.stack([other, other], axis=1))
    run(done, enough=0.0)
    assert done.seen == []


def asked(verifier: Verifier, x_min: Array, x_max: Array, **options: Any) -> Array:
    rows = as_tensor(np.array([[[-1, 1, 0], [-1, 0, 1.0]]]), verifier.dtype)
    domain = BoxDomain(as_tensor(x_min, verifier.dtype), as_tensor(x_max, verifier.dtype))
    return verifier.bounds(domain, rows, **options).upper.numpy()


def mixed_boxes(model: Any) -> tuple[Array, Array]:
    """Boxes of very different sizes, so that samples are done after different numbers of steps."""
    x_min, x_max = boxes(model, 6, 1.0)
    sizes = np.array([0, 1e-3, 0.03, 0.1, 0.3, 1.0]).reshape(-1, 1)
    center, radius = (x_min + x_max) / 2, (x_max - x_min) / 2
    return center - sizes * radius, center + sizes * radius


@pytest.mark.parametrize("method", METHODS)
def test_samples_do_not_influence_each_other(method: str) -> None:
    model = dense_net([4, 8, 8, 3], seed=3)
    verifier = decomon.clone(model, method, finetune=True, dtype="float64").verifier
    x_min, x_max = mixed_boxes(model)
    together = asked(verifier, x_min, x_max)
    alone = [asked(verifier, x_min[i : i + 1], x_max[i : i + 1])[0] for i in range(len(x_min))]
    np.testing.assert_allclose(together, alone, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_optimised_bounds_hold_and_are_never_looser(method: str) -> None:
    model = dense_net([4, 10, 10, 10, 3], seed=5)
    tuned = decomon.clone(model, method, finetune=True, dtype="float64").verifier
    x_min, x_max = mixed_boxes(model)
    upper = asked(tuned, x_min, x_max)
    plain = asked(decomon.clone(model, method, dtype="float64").verifier, x_min, x_max)
    assert (upper <= plain + 1e-9).all()
    assert (upper < plain - 1e-4).any()
    ratio = rng_of(0).uniform(size=(2000, *x_min.shape))
    ratio[1000:] = ratio[1000:] < 0.5
    points = x_min + ratio * (x_max - x_min)
    logits = tuned.logits(points.reshape(-1, 4)).numpy().reshape(2000, -1, 3)
    attained = (logits[..., 1:] - logits[..., :1]).max(axis=0)
    assert (attained <= upper + 1e-9).all()


def test_what_is_proven_already_is_not_optimised_further() -> None:
    model = dense_net([4, 8, 8, 3], seed=3)
    verified = decomon.clone(model, finetune=True, dtype="float64")
    x_min, x_max = mixed_boxes(model)
    full = asked(verified.verifier, x_min, x_max)
    start = asked(decomon.clone(model, dtype="float64").verifier, x_min, x_max)
    level = float(np.median(start.max(axis=1)))
    early = asked(verified.verifier, x_min, x_max, enough=level)
    below = start.max(axis=1) < level
    assert below.any()
    assert not below.all()
    np.testing.assert_allclose(early[below], start[below], atol=1e-9)
    np.testing.assert_array_equal((early < level).all(axis=1), (full < level).all(axis=1))
