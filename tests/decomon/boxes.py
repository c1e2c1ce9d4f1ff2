"""Boxes of vectors for ops along an axis, and exact points in them."""

from __future__ import annotations

from typing import Any

import numpy as np

import decomon
from decomon.bounds import Interval
from decomon.rounding import gamma
from tests.decomon.helpers import Array, ascend, evaluate, rng_of, sample, tf

WIDE = np.longdouble
"""Has eleven bits more than double precision: errors of the tests' own are far below its ulp."""

# Scale of the centre and of the radius.
SCALES = [
    (1, 0),
    (1, 1e-30),
    (1, 1e-12),
    (1, 1e-6),
    (1, 0.1),
    (1, 1),
    (3, 3),
    (5, 20),
    (0, 1),
    (30, 2),
    (300, 300),
    (0, 1e4),
    (1e4, 0),
    (1e4, 1e-12),
    (1e4, 1),
    (1e4, 1e4),
]


def vector_boxes(n: int, dtype: str, seed: int = 0) -> tuple[Array, Array]:
    """Boxes ``(count, n)``: degenerate, partly degenerate, tiny, huge, one-sided, from zero."""
    rng = rng_of(seed)
    pairs: list[tuple[Array, Array]] = []
    for scale, radius in SCALES:
        for kind in range(4):
            center = scale * rng.normal(size=n)
            half = radius * rng.uniform(size=n)
            if kind == 1:
                half = half * (rng.uniform(size=n) > 0.4)
            if kind == 2:
                center = half
            if kind == 3:
                center = -half
            pairs.append((center - half, center + half))
    pairs.append((np.zeros(n), np.zeros(n)))
    ends = np.array(pairs).astype(dtype)
    return np.minimum(ends[:, 0], ends[:, 1]), np.maximum(ends[:, 0], ends[:, 1])


def as_interval(low: Array, high: Array) -> Interval:
    return Interval(tf.constant(low), tf.constant(high))


def points_of(low: Array, high: Array, count: int, seed: int = 1) -> Any:
    """Numbers of the boxes' dtype, in extended precision, corners among them."""
    rng = rng_of(seed)
    ratio = rng.uniform(size=(count, *low.shape))
    corner = rng.integers(0, 2, size=ratio.shape)
    ratio = np.where(rng.uniform(size=(count, *[1] * low.ndim)) < 0.5, corner, ratio)
    between = low.astype(WIDE) * (1 - ratio) + high.astype(WIDE) * ratio
    return np.clip(between.astype(low.dtype), low, high).astype(WIDE)


def wide(*tensors: Any) -> tuple[Any, ...]:
    """Tensors as arrays in extended precision."""
    return tuple(np.asarray(t).astype(WIDE) for t in tensors)


def random_parameters(initial: tuple[Any, ...], sets: int, seed: int = 2) -> tuple[Any, ...]:
    """Parameters far beyond what is admissible, a different set for each of some rows."""
    rng = rng_of(seed)
    return tuple(
        tf.constant(rng.uniform(-0.5, 1.5, (p.shape[0], sets, *p.shape[1:])).astype(p.dtype.name))
        for p in initial
    )


def check_network(model: Any, low: Array, high: Array, method: str, *, finetune: bool) -> None:
    """Nothing that sampling or gradient ascent finds leaves the bounds of a float64 network.

    Bounds and network are sums of products of the nodes' values; with S the largest end of their
    intervals (or 1) and n the number of neurons, rounding is below ``gamma_n n S``.
    """
    bound = decomon.clone(
        model, method=method, finetune=finetune, finetune_steps=4, rm_last_softmax=False
    )
    upper, lower = decomon.get_range_box(bound, low, high)
    assert np.isfinite(upper).all()
    assert np.isfinite(lower).all()
    intervals = [as_interval(low, high)]
    for node in bound.graph.nodes[1:]:
        intervals.append(node.evaluate.interval(*(intervals[i] for i in node.inputs)))
    ends = [np.abs(end).max() for i in intervals for end in (i.lower, i.upper)]
    neurons = sum(node.size for node in bound.graph.nodes)
    room = gamma(neurons, "float64") * neurons * max(1.0, *ends)
    values = evaluate(model, sample(low, high, 300))
    assert (values <= upper + room).all()
    assert (values >= lower - room).all()
    # Maximise the first output and its negative.
    flat = upper.reshape(len(upper), -1)
    rows = np.zeros((2, *flat.shape))
    rows[0, :, 0], rows[1, :, 0] = 1.0, -1.0
    twice_low, twice_high = (np.concatenate([side, side]) for side in (low, high))
    found, _ = ascend(
        model, twice_low, twice_high, rows.reshape(-1, *upper.shape[1:]), steps=20, restarts=2
    )
    limit = np.concatenate([flat[:, 0], -lower.reshape(flat.shape)[:, 0]])
    assert (found <= limit + room).all()
