"""Branch and bound: the leaves that are most in doubt are split until nothing is left open."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import NDArray

from decomon.complete.frontier import Frontier, Leaves, Splitter
from decomon.complete.goals import Goals
from decomon.complete.looking import Looked
from decomon.complete.pace import StoppedError

if TYPE_CHECKING:
    from decomon.complete.clock import Clock

Array = NDArray[Any]
Positions = NDArray[np.intp]

_LOOKS = 32
_CLIMBS = 8
_ROUND_SECONDS = 0.4
_FIRST, _LEAST, _MOST = 64, 16, 4096


@final
@dataclass
class Search:
    """The state of a search, whatever way sets are split.

    Parameters
    ----------
    goals : what would be a counterexample
    looked : the points that were seen
    clock : how much time there is
    memory : how many bytes the leaves may take
    below : ``(batch,)``, negative: a proof needs an upper bound that is smaller
    gap : None to stop when the sign is known; otherwise, upper and lower bounds come as near

    Attributes
    ----------
    upper : ``(goals,)``: bounds of the goals, as far as they do not follow from open leaves
    decided : ``(goals,)``: goals of which no leaf is open
    lost : ``(goals,)``: the largest bound of a leaf that there was no room for
    stuck : ``(goals,)``: the largest bound of a leaf that cannot be split
    closed : ``(goals,)``: the largest threshold that a leaf was below when it was closed
    given_up : ``(goals,)``: goals of samples that another goal refutes
    """

    goals: Goals
    looked: Looked
    clock: Clock
    memory: int
    below: Array
    gap: float | None
    upper: Array = field(init=False)
    decided: NDArray[np.bool_] = field(init=False)
    lost: Array = field(init=False)
    stuck: Array = field(init=False)
    closed: Array = field(init=False)
    given_up: NDArray[np.bool_] = field(init=False)
    n_domains: NDArray[np.int64] = field(init=False)
    finished: Array = field(init=False)
    frontier: Frontier = field(init=False)

    def __post_init__(self) -> None:
        count, samples = len(self.goals), len(self.below)
        self.upper = np.full(count, np.inf)
        self.decided, self.given_up = np.zeros(count, dtype=bool), np.zeros(count, dtype=bool)
        self.lost, self.stuck = np.full(count, -np.inf), np.full(count, -np.inf)
        self.closed = np.full(count, -np.inf)
        self.n_domains = np.zeros(samples, np.int64)
        self.finished = np.full(samples, np.nan)
        self.frontier = Frontier(self.memory)

    def threshold(self, goals: Positions) -> Array:
        """Return the values that are of no interest: less proves, or is near enough."""
        samples = self.goals.samples[goals]
        below = self.below[samples]
        if self.gap is None:
            return below
        # A little less, so that rounding of the sum does not count.
        near = self.looked.lower[samples] + (1 - 2**-10) * self.gap
        return np.where(self.looked.falsified[samples], near, np.minimum(below, near))

    def pulse(self) -> None:
        """Go on, or raise :class:`StoppedError`."""
        solved = self.solved

        def worst_gap() -> float:
            return float((self.bound() - self.looked.lower)[~solved].max(initial=0.0))

        if not self.clock.tick(int(solved.sum()), len(self.frontier), worst_gap):
            raise StoppedError

    @property
    def solved(self) -> NDArray[np.bool_]:
        """Which samples are done."""
        known = np.zeros(len(self.below), np.int64)
        np.add.at(known, self.goals.samples, ~self.decided)
        solved = known == 0
        return solved if self.gap is not None else solved | self.looked.falsified

    def bound(self) -> Array:
        """Return the upper bound of each sample's margin, ``(batch,)``."""
        each = np.maximum(self.lost, self.stuck)
        goal, upper = self.frontier.upper()
        np.maximum.at(each, goal, upper)
        # Of a goal that was given up, some leaves are gone.
        partial = self.given_up | np.isneginf(each)
        known = np.minimum(np.maximum(each, self.closed), self.upper)
        each = np.where(self.decided | partial, self.upper, known)
        return self.goals.largest(each, len(self.below))

    def settle(self, goals: Positions, upper: Array) -> None:
        """Note bounds of goals over their whole sets."""
        self.upper[goals] = np.minimum(self.upper[goals], upper)
        self.decided[goals] |= self.upper[goals] < self.threshold(goals)
        self._note()

    def _note(self) -> None:
        """Note when samples were done, and drop what belongs to them."""
        solved = self.solved
        self.finished[solved & np.isnan(self.finished)] = self.clock.elapsed
        self.given_up |= solved[self.goals.samples] & ~self.decided
        self.frontier.drop(self.given_up | self.decided)

    def run(self, splitter: Splitter) -> None:
        """Split until everything is decided, or time or memory are over."""
        goals = np.flatnonzero(~self.decided & ~self.given_up)
        if not goals.size:
            return
        self.frontier = Frontier(self.memory)  # another splitter knows other things of its leaves
        roots = splitter.roots(goals, self.threshold(goals))
        known = np.maximum(roots.upper, self.threshold(roots.goal))
        self.upper[roots.goal] = np.minimum(self.upper[roots.goal], known)
        self.lost[goals], self.stuck[goals] = -np.inf, -np.inf
        self._receive(splitter, roots, goals)
        count = _FIRST
        while len(self.frontier):
            begin = time.perf_counter()
            chosen = self.frontier.fair(self.goals.samples, count)
            taken = self.frontier.take(chosen)
            try:
                children = splitter.split(taken, self.threshold(taken.goal))
                self._receive(splitter, children, np.unique(taken.goal))
            except BaseException:
                self._keep(taken)
                raise
            each = (time.perf_counter() - begin) / len(taken)
            count = int(np.clip(_ROUND_SECONDS / each, max(count // 2, _LEAST), 2 * count))
            count = min(count, _MOST)
            self.pulse()

    def _receive(self, splitter: Splitter, leaves: Leaves, goals: Positions) -> None:
        """Take bounded leaves, which may be all that is left of some goals."""
        np.add.at(self.n_domains, self.goals.samples[leaves.goal], 1)
        threshold = self.threshold(leaves.goal)
        np.maximum.at(self.closed, leaves.goal, threshold)
        open_leaves = leaves[leaves.upper >= threshold]
        self._look(splitter, open_leaves)
        self._keep(self._decided(splitter, open_leaves))
        left = np.zeros(len(self.goals), dtype=bool)
        left[self.frontier.upper()[0]] = True
        left |= np.maximum(self.lost, self.stuck) > -np.inf
        done = goals[~left[goals] & ~self.given_up[goals]]
        self.upper[done] = np.minimum(self.upper[done], self.threshold(done))
        self.decided[done] = True
        self._note()

    def _keep(self, leaves: Leaves) -> None:
        """Keep leaves, as far as there is room."""
        lost = self.frontier.put(leaves)
        np.maximum.at(self.lost, lost.goal, lost.upper)

    def _decided(self, splitter: Splitter, leaves: Leaves) -> Leaves:
        """Return the leaves that can be split; decide the others, or note that they are stuck."""
        dead = splitter.exhausted(leaves)
        if not dead.any():
            return leaves
        some = leaves[dead]
        upper, points = splitter.decide(some)
        self.looked.see(self.goals.samples[some.goal], points)
        left = upper >= self.threshold(some.goal)
        again = left & splitter.splittable(some)
        stuck = left & ~again
        np.maximum.at(self.stuck, some.goal[stuck], upper[stuck])
        known = Leaves(some.goal, np.minimum(some.upper, upper), some.depth, some.data)
        return Leaves.joined([leaves[~dead], known[again]])

    def _look(self, splitter: Splitter, leaves: Leaves) -> None:
        """Look for counterexamples where the bounds of leaves are attained."""
        left = np.flatnonzero(~self._refuted(leaves.goal))
        if not left.size:
            return
        order = left[np.argsort(-leaves.upper[left], kind="stable")[:_LOOKS]]
        some = leaves[order]
        points = splitter.candidates(some)
        values = self.looked.see(self.goals.samples[some.goal], points)
        best = np.argsort(-values, kind="stable")[:_CLIMBS]
        best = best[~self._refuted(some.goal[best])]
        if best.size:
            self.looked.climb(some.goal[best], points[best], self.pulse)

    def _refuted(self, goals: Positions) -> NDArray[np.bool_]:
        """Say for which goals no further point is looked for."""
        return self.looked.falsified[self.goals.samples[goals]] & (self.gap is None)
