"""Random questions about tiny networks, most of them close calls, with their true answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from tests.decomon.complete.areas import area
from tests.decomon.complete.pieces import Affine, Array, Network, Sum, read
from tests.decomon.complete.truth import Truth, largest
from tests.decomon.helpers import rng_of

CLIP = (0.0, 1.0)
REACH = {np.inf: 0.6, 2: 0.8, 1: 1.2}
"""The largest radius that is asked about."""

_STEPS = 5


@final
@dataclass(frozen=True)
class Question:
    """Whether a target can win over the source within ``eps`` of ``x``; ``targets`` is a mask."""

    x: NDArray[np.float32]
    eps: float
    source: int
    targets: NDArray[np.bool_]
    truth: Truth


def questions(
    model: Any, x: NDArray[np.float32], p: float, seed: int, *, some: bool
) -> list[Question]:
    """Ask about several radii around each of the samples ``x``.

    A search for the radius where the largest margin is zero asks about ever closer calls; then
    come one on either side of it.

    Parameters
    ----------
    some : whether only some of the labels are targets
    """
    network, rng = read(model), rng_of(seed)
    found: list[Question] = []
    for sample in x:
        flat = sample.ravel().astype(np.float64)
        logits = network.forward(flat[None])[0]
        source = int(logits.argmax() if rng.uniform() < 0.9 else rng.integers(len(logits)))
        others = np.flatnonzero(np.arange(len(logits)) != source)
        size = int(rng.integers(1, len(others))) if some and len(others) > 1 else len(others)
        targets = np.isin(np.arange(len(logits)), rng.choice(others, size, replace=False))
        rows = np.eye(len(logits))[targets] - np.eye(len(logits))[source]
        begin = float((rows @ logits).max())
        for eps, truth in close_calls(network, flat, p, rows, begin, rng):
            found.append(Question(sample, eps, source, targets, truth))
    return found


def close_calls(
    network: Network, x: Array, p: float, rows: Array, begin: float, rng: np.random.Generator
) -> Iterator[tuple[float, Truth]]:
    """Search for the radius where the margin is zero; ``begin`` is the margin at the sample.

    This is the method of false position with the Illinois modification.
    """

    def at(eps: float) -> Truth:
        return largest(network, area(x, eps, p, CLIP), rows)

    reach = REACH[p]
    if begin >= 0:
        yield (eps := reach * rng.uniform()), at(eps)
        return
    truth = at(reach)
    yield reach, truth
    if truth.upper < 0:
        yield (eps := reach * rng.uniform()), at(eps)
        return
    (low, below), (high, above) = (0.0, begin), (reach, truth.upper)
    middle = reach
    for _ in range(_STEPS):
        middle = (low * above - high * below) / (above - below)
        truth = at(middle)
        yield middle, truth
        if truth.upper < 0:
            low, below, above = middle, truth.upper, above / 2
        else:
            high, above, below = middle, truth.upper, below / 2
    for side in (-1, 1):
        yield (eps := middle * (1 + side * 10 ** rng.uniform(-4, -1))), at(eps)


def rounding_of(network: Network, low: Array, high: Array) -> Array:
    """How far single precision can move a margin anywhere in the boxes ``(count, inputs)``.

    With all weights replaced by their sizes, the network at the largest ``|x|`` bounds every
    partial sum, so that a logit is off by at most gamma_n times that, for n operations in a row
    (Higham 2002, section 3); a margin has two logits.
    """
    unit = np.finfo(np.float32).eps / 2
    values: list[Array] = [np.maximum(np.abs(low), np.abs(high))]
    operations = [1]  # inputs are rounded
    for step in network.steps:
        given = [values[source] for source in step.sources]
        longest = max(operations[source] for source in step.sources)
        if isinstance(step, Affine):
            terms = int((step.matrix != 0).sum(axis=1).max())
            values.append(given[0] @ np.abs(step.matrix).T + np.abs(step.bias))
            operations.append(longest + terms + 1)
        else:  # slopes of bends are at most 1
            values.append(np.abs(step.forward(*given)))
            operations.append(longest + (len(given) if isinstance(step, Sum) else 1))
    gamma = operations[-1] * unit / (1 - operations[-1] * unit)
    return 2 * gamma * values[-1].max(axis=1)
