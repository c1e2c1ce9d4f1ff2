"""From an open question to an answer: attack, bounds, branch and bound."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np
from numpy.typing import NDArray

from decomon.complete.frontier import Splitter
from decomon.complete.goals import Goals
from decomon.complete.input_splits import InputSplitter
from decomon.complete.looking import Confirm, Looked, start_points
from decomon.complete.loop import Search
from decomon.complete.neuron_splits import ROUNDING, NeuronSplitter
from decomon.complete.pace import StoppedError
from decomon.inputs import Regions
from decomon.verifier import Verifier, as_tensor

if TYPE_CHECKING:
    from decomon.complete.clock import Clock

Array = NDArray[np.floating]

__all__ = ["DISAGREE", "Confirm", "Outcome", "solve"]

DISAGREE = "precision: bounds and the real model disagree, within their rounding errors"
"""Why a question is undecided that one of them decides."""

_SAMPLES = 64
_RESTARTS = 4
_LEAST = -1e-30
_FEW, _MANY = 10, 64


@final
@dataclass(frozen=True)
class Outcome:
    """What is known of each sample in the end.

    Attributes
    ----------
    upper, lower : ``(batch,)``: proven bounds of the margin
    points : ``(batch, *input shape)``: where ``lower`` is attained
    robust, falsified : bool ``(batch,)``
    reasons : why a sample is undecided: begins with "timeout", "memory", "precision", "cancelled"
        or "interrupted"; empty if it is decided
    n_domains : ``(batch,)``: how many parts of the set were bounded
    elapsed : ``(batch,)``: seconds until the sample was decided, or until the end
    """

    upper: Array
    lower: Array
    points: Array
    robust: NDArray[np.bool_]
    falsified: NDArray[np.bool_]
    reasons: tuple[str, ...]
    n_domains: NDArray[np.int64]
    elapsed: Array

    def finish(self, clock: Clock) -> None:
        """Report for the last time."""
        undecided = ~(self.robust | self.falsified)
        gaps = (self.upper - self.lower)[undecided]
        clock.finish(int((~undecided).sum()), float(gaps.max()) if gaps.size else None)


def solve(
    verifier: Verifier,
    regions: Regions,
    goals: Goals,
    *,
    clock: Clock,
    confirm: Confirm,
    below: Array,
    memory: int,
    gap: float | None = None,
) -> Outcome:
    """Decide for each sample whether its margin can be positive.

    Parameters
    ----------
    verifier : of the network, by ``crown``
    regions : the input sets
    goals : what would be a counterexample
    clock : how much time there is
    confirm : looks at a point with the real model
    below : ``(batch,)``, at most 0: a proof needs an upper bound that is smaller
    memory : how many bytes the leaves may take
    gap : None to stop when the sign is known; otherwise, upper and lower bounds come as near
    """
    looked = Looked(verifier, regions, goals, confirm)
    search = Search(goals, looked, clock, memory, np.minimum(below, _LEAST), gap)
    try:
        search.pulse()
        _open(search, verifier, regions)
        for splitter in _splitters(search, verifier, regions):
            search.run(splitter)
    except StoppedError:
        pass
    except KeyboardInterrupt:
        clock.interrupt()
    return _outcome(search, clock)


def _splitters(search: Search, verifier: Verifier, regions: Regions) -> Iterator[Splitter]:
    """Return the ways to split that suit the network, one after another.

    Cutting the input tightens all relaxations at once, but the number of parts grows exponentially
    with the dimensions.  Cutting neurons ends when all of them are cut; that decides every leaf if
    functions of several neurons, whose relaxations cuts do not make exact, are missing.
    """
    graph, domain = verifier.graph, regions.outer(verifier)
    hull = domain.interval()
    wide = np.asarray(hull.lower < hull.upper)
    varied = int(wide.reshape(len(wide), -1).sum(axis=1).max())
    neurons = sum(graph.nodes[i].size for i in graph.relaxed)
    if neurons and (varied > _FEW or neurons <= _MANY):
        yield NeuronSplitter(verifier, domain, search.goals, search.pulse)
        if graph.elementwise:
            return
    yield InputSplitter(verifier, domain, search.goals, search.pulse)


def _open(search: Search, verifier: Verifier, regions: Regions) -> None:
    """Bound all goals by plain CROWN, and attack those that are left."""
    goals, looked = search.goals, search.looked
    every = np.arange(len(regions))
    size = max(1, min(_SAMPLES, verifier.sample_limit))
    for begin in range(0, len(every), size):
        search.pulse()
        chosen = np.flatnonzero(np.isin(goals.samples, every[begin : begin + size]))
        asked = goals[chosen]
        upper, weights = _quick(verifier, regions, asked)
        search.settle(chosen, upper)
        search.pulse()
        left = ~search.decided[chosen] & ~search.given_up[chosen]
        if left.any():
            points = start_points(verifier, regions[asked.samples[left]], weights[left])
            looked.see(asked.samples[left], points)
            looked.climb(chosen[left], points, search.pulse)
            looked.attack(chosen[left], _RESTARTS, search.pulse)
            search.settle(chosen, upper)


def _quick(verifier: Verifier, regions: Regions, asked: Goals) -> tuple[Array, Array]:
    """Return upper bounds of goals, with room for rounding, and the weights they depend on."""
    outer = regions[asked.samples].outer(verifier)
    shape = (*asked.rows.shape[:2], *verifier.graph.output_shape)
    bounds = verifier.quick_bounds(outer, as_tensor(asked.rows.reshape(shape), verifier.dtype))
    upper = bounds.upper.numpy().astype(np.float64) + asked.offsets
    upper = np.where(np.isfinite(upper) & asked.valid, upper, np.inf)
    part = upper.argmin(axis=1)
    weights = np.nan_to_num(bounds.weights.numpy()[np.arange(len(asked)), part])
    reach = np.nan_to_num(np.asarray(outer.interval().reach))
    terms = (np.abs(weights) * reach).reshape(len(asked), -1)
    room = ROUNDING * float(np.finfo(verifier.dtype.as_numpy_dtype).eps) * terms.sum(axis=1)
    return upper.min(axis=1) + room, weights


def _outcome(search: Search, clock: Clock) -> Outcome:
    """Say what is known."""
    looked = search.looked
    falsified = looked.falsified.copy()
    upper = search.bound()
    robust = (upper <= search.below) & ~falsified
    lost = search.goals.largest(search.lost, len(upper)) > -np.inf
    # Where there was no room for some leaves, more time would not have helped.
    why = ["memory" if short else clock.stopped or "precision" for short in lost]
    reasons = tuple(
        "" if decided else f"{reason}: the largest margin lies between {low:.4g} and {high:.4g}"
        for decided, reason, low, high in zip(
            robust | falsified, why, looked.lower, upper, strict=True
        )
    )
    elapsed = np.where(np.isnan(search.finished), clock.elapsed, search.finished)
    return Outcome(
        upper,
        looked.lower,
        looked.points,
        robust,
        falsified,
        reasons,
        search.n_domains,
        elapsed,
    )
