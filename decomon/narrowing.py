"""Proofs for ever larger balls, counterexamples in ever smaller ones, until they meet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from decomon.complete.clock import Clock, interruptible
from decomon.complete.goals import Goals
from decomon.complete.pace import Pace, StoppedError
from decomon.complete.replay import confirm_margins
from decomon.complete.solve import Outcome, solve
from decomon.errors import NonFiniteBoundError
from decomon.nested import Array, Ladder, Positions
from decomon.pursuit import Pursuit
from decomon.replay import real_outputs
from decomon.robustness import Question, bound_margins
from decomon.search import check_margins, room_for_rounding

Mask: TypeAlias = NDArray[np.bool_]

_ATTACKS = 24  # rounds, at most
_SHRINKINGS = 7  # of balls in which nothing was found
# In which part of what is open to ask next, after nothing was found out: nearer to what is proven,
# where proofs are easier, then nearer to what is refuted, where counterexamples are.
_PARTS = (0.5, 0.25, 0.75, 0.1)
_SLICE = 0.25  # seconds per sample, doubled after every turn
_TOGETHER = 16  # samples that share a slice
_FIRST, _SECONDS = 8, 0.1  # samples of the first call, and how long one should take


@final
@dataclass(frozen=True)
class Bracket:
    """Between which radii the answer of each sample changes.

    Attributes
    ----------
    proven : ``(batch,)``: the largest radius with a proof; -inf if there is none
    refuted : ``(batch,)``: the smallest radius with a counterexample; inf if there is none
    points : ``(batch, *input shape)``: the counterexamples
    doubts : why a sample is given up, else empty
    elapsed : ``(batch,)``: seconds until the radii were as near as wanted
    """

    proven: Array
    refuted: Array
    points: Array
    doubts: tuple[str, ...]
    elapsed: Array


@final
class Narrowing:
    """Narrows the bracket of every sample of a batch.

    What is proven holds for all smaller balls and what is refuted for all larger ones, so every
    answer removes a part of the radii.

    Parameters
    ----------
    pursuit : what is asked of the model
    ladder : which radii are asked about
    clock : how much time there is; it is told how many samples are solved, how many are open, and
        the widest gap
    memory : how many bytes the parts of sets may take
    """

    def __init__(self, pursuit: Pursuit, ladder: Ladder, clock: Clock, memory: int) -> None:
        self._pursuit = pursuit
        self._ladder = ladder
        self._clock = clock
        self._memory = memory
        batch = len(pursuit.nested)
        self._every = np.arange(batch)
        self._proven = np.full(batch, -np.inf)
        self._refuted = np.full(batch, np.inf)
        self._points = pursuit.nested.x.copy()
        self._doubts = [""] * batch
        self._elapsed = np.full(batch, np.inf)

    def run(self) -> Bracket:
        """Narrow until everything is solved, the time is over, or the user stops it."""
        try:
            with interruptible(self._clock):
                self._look()
                # By turns, so that little time leaves something on both sides.
                for _ in zip_longest(self._attack(), self._bound()):
                    pass
                self._solve()
        except StoppedError:
            pass
        except KeyboardInterrupt:
            self._clock.interrupt()
        self._note_time()
        gaps = self._gaps()
        widest = float(gaps.max(initial=0.0))
        self._clock.finish(int((gaps == 0).sum()), widest if widest > 0 else None)
        return Bracket(
            self._proven,
            self._refuted,
            self._points,
            tuple(self._doubts),
            np.minimum(self._elapsed, self._clock.elapsed),
        )

    def _look(self) -> None:
        """Look at the samples themselves."""
        nested, asked = self._pursuit.nested, self._pursuit.asked
        outputs = real_outputs(self._pursuit.model, nested.signature.split(nested.x))
        if len(outputs):
            margins = asked.of(outputs[:, None])
            check_margins(self._pursuit.verifier, margins, nested.x[:, None], 0)
        nothing = np.zeros(len(nested))
        wrong = self._pursuit.confirmed(self._every, nothing, nested.x)
        self._refuted[wrong] = 0.0
        self._proven[~wrong] = 0.0

    def _attack(self) -> Iterator[None]:
        """Attack balls of all radii; halve the distance to the largest one that withstood.

        While nothing is refuted, balls become smaller: attacks on large ones can miss what is near.
        It stops after every turn.
        """
        withstood, pace = self._proven.copy(), self._pace()
        for turn in range(_ATTACKS):
            refuted = np.isfinite(self._refuted)
            low = np.where(refuted & (withstood < self._refuted), withstood, self._proven)
            wanted = (self._ladder.gaps(self._every, low, self._refuted) > 0) & (self._gaps() > 0)
            wanted &= refuted | (turn < _SHRINKINGS)
            part = np.where(refuted, 0.5, 0.5**turn)
            order = self._widest(np.flatnonzero(wanted))
            for some in pace.parts(len(order)):
                samples = order[some]
                radii = self._between(samples, low, self._refuted, part)
                wrong, points = self._pursuit.attack(samples, radii, self._points[samples], turn)
                self._refute(samples[wrong], points[wrong], radii[wrong])
                withstood[samples[~wrong]] = radii[~wrong]
            yield

    def _bound(self) -> Iterator[None]:
        """Bound balls of all radii; halve the distance to the smallest one that is too large.

        It stops after every turn.
        """
        too_large = self._refuted.copy()
        pace = self._pace()
        while True:
            too_large = np.minimum(too_large, self._refuted)
            part = np.where(np.isfinite(too_large), 0.5, 1.0)
            gaps = self._ladder.gaps(self._every, self._proven, too_large)
            wanted = np.flatnonzero((gaps > 0) & (self._gaps() > 0))
            if not wanted.size:
                return
            order = self._widest(wanted)
            for some in pace.parts(len(order)):
                samples = order[some]
                radii = self._between(samples, self._proven, too_large, part)
                proven = self._guarded(samples, radii)
                self._prove(samples[proven], radii[proven])
                too_large[samples[~proven]] = radii[~proven]
            yield

    def _guarded(self, samples: Positions, radii: Array) -> Mask:
        """Say which balls are proven; a ball without finite bounds is not, and spoils no others."""
        try:
            return self._proofs(samples, radii)
        except NonFiniteBoundError:
            if len(samples) == 1:
                return np.zeros(1, dtype=bool)
        middle = len(samples) // 2
        halves = (slice(0, middle), slice(middle, None))
        return np.concatenate([self._guarded(samples[h], radii[h]) for h in halves])

    def _proofs(self, samples: Positions, radii: Array) -> Mask:
        regions, asked = self._pursuit.nested.regions(samples, radii), self._pursuit.asked[samples]
        upper = bound_margins(Question(self._pursuit.verifier, regions, asked), -1, 1, None)
        hopeful = np.flatnonzero(upper < 0)
        proven = np.zeros(len(samples), dtype=bool)
        room = self._room(samples[hopeful], radii[hopeful])
        proven[hopeful] = upper[hopeful] < -room
        return proven

    def _room(self, samples: Positions, radii: Array) -> NDArray[np.floating]:
        """Return how far proofs must be from zero."""
        if not len(samples):
            return np.zeros(0)
        pursuit = self._pursuit
        regions = pursuit.nested.regions(samples, radii)
        points = pursuit.nested.within(samples, self._points[samples], radii)
        return room_for_rounding(pursuit.verifier, regions, pursuit.asked.rows[samples], points)

    def _solve(self) -> None:
        """Decide by branch and bound, in slices of time that grow."""
        turns = np.zeros(len(self._every), dtype=np.intp)
        stuck, parts = turns.copy(), np.array(_PARTS)
        while True:
            self._pulse()
            gaps = self._gaps()
            wanted = np.flatnonzero(gaps > 0)
            if not wanted.size:
                return
            rounds = turns // len(parts)
            order = np.lexsort((-gaps[wanted], rounds[wanted]))
            samples = np.sort(wanted[order][:_TOGETHER])
            part = parts[turns % len(parts)]
            part[~np.isfinite(self._refuted) & (turns == 0)] = 1.0
            radii = self._between(samples, self._proven, self._refuted, part)
            seconds = _SLICE * len(samples) * 2.0 ** rounds[samples].max()
            decided, doubts = self._settle(samples, radii, seconds)
            turns[samples] = np.where(decided, 0, turns[samples] + 1)
            hopeless = np.array([bool(doubt) for doubt in doubts])
            stuck[samples] = np.where(hopeless & ~decided, stuck[samples] + 1, 0)
            for sample, doubt in zip(samples, doubts, strict=True):
                # More time changes nothing, wherever one asks.
                if stuck[sample] >= len(parts):
                    self._doubts[sample] = doubt

    def _settle(
        self, samples: Positions, radii: Array, seconds: float
    ) -> tuple[Mask, tuple[str, ...]]:
        """Ask for answers in some seconds; say what was decided, and what can not be decided."""
        try:
            outcome = self._outcome(samples, radii, seconds)
        except NonFiniteBoundError as error:
            if len(samples) == 1:
                return np.zeros(1, dtype=bool), (f"precision: {error}",)
        else:
            return self._learn(samples, radii, outcome)
        middle = len(samples) // 2
        found = [
            self._settle(samples[half], radii[half], seconds / 2)
            for half in (slice(0, middle), slice(middle, None))
        ]
        decided, doubts = zip(*found, strict=True)
        return np.concatenate(decided), sum(doubts, ())

    def _outcome(self, samples: Positions, radii: Array, seconds: float) -> Outcome:
        pursuit = self._pursuit
        regions, asked = pursuit.nested.regions(samples, radii), pursuit.asked[samples]
        outcome = solve(
            pursuit.verifier,
            regions,
            Goals.from_margins(asked),
            clock=Clock(min(seconds, max(self._clock.remaining, 1e-3)), self._relay),
            confirm=confirm_margins(pursuit.model, regions, asked),
            below=-self._room(samples, radii),
            memory=self._memory,
        )
        if any(reason.startswith("interrupted") for reason in outcome.reasons):
            self._clock.interrupt()
        return outcome

    def _relay(self, *_: object) -> bool:
        """Report how far the radii have come; False stops the search."""
        return self._goes_on()

    def _learn(
        self, samples: Positions, radii: Array, outcome: Outcome
    ) -> tuple[Mask, tuple[str, ...]]:
        pursuit = self._pursuit
        given = outcome.points.astype(np.float64)
        points = pursuit.nested.rounded(samples, given, pursuit.grid)
        kept = pursuit.confirmed(samples, radii, points)
        points[~kept] = given[~kept]  # rounding may undo a counterexample
        wrong = outcome.falsified & (kept | pursuit.confirmed(samples, radii, points))
        robust = outcome.robust & (outcome.upper < 0) & ~wrong
        nearer = pursuit.approach(samples[wrong], radii[wrong], points[wrong])
        before = self._refuted[samples]
        self._refute(samples[wrong], nearer, radii[wrong])
        self._prove(samples[robust], radii[robust])
        doubts = tuple(
            reason if reason.startswith(("precision", "memory")) else ""
            for reason in outcome.reasons
        )
        return robust | (self._refuted[samples] < before), doubts

    def _prove(self, samples: Positions, radii: Array) -> None:
        """Take proofs into account."""
        self._proven[samples] = np.maximum(self._proven[samples], radii)
        self._distrust(samples)

    def _refute(self, samples: Positions, points: Array, radii: Array) -> None:
        """Take counterexamples, which lie in the balls of these radii, into account."""
        if not len(samples):
            return
        nested, single = self._pursuit.nested, np.float32
        distance = nested.radii_of(samples, points, radii, single)
        nearer = (distance < self._refuted[samples]) & self._ladder.counts(samples, distance)
        chosen = samples[nearer]
        # In this order, an interruption leaves counterexamples that lie in their balls.
        self._points[chosen] = points[nearer]
        self._refuted[chosen] = distance[nearer]
        self._distrust(chosen)

    def _distrust(self, samples: Positions) -> None:
        """Drop proofs that a point contradicts: it was run through the real model."""
        for sample in samples[self._proven[samples] >= self._refuted[samples]]:
            self._doubts[sample] = (
                f"precision: bounds prove the ball of radius {self._proven[sample]:.6g}, but the "
                "model, in its own arithmetic, has a counterexample in the ball of radius "
                f"{self._refuted[sample]:.6g}"
            )
            self._proven[sample] = 0.0 if self._refuted[sample] > 0 else -np.inf

    def _gaps(self) -> Array:
        gaps = self._ladder.gaps(self._every, self._proven, self._refuted)
        given_up = np.array([bool(doubt) for doubt in self._doubts], dtype=bool)
        return np.where(given_up, 0.0, gaps)

    def _between(self, samples: Positions, low: Array, high: Array, part: float | Array) -> Array:
        parts = np.broadcast_to(part, len(self._every))[samples]
        return self._ladder.between(samples, low[samples], high[samples], parts)

    def _widest(self, samples: Positions) -> Positions:
        """Put samples with the widest gaps first."""
        return samples[np.argsort(-self._gaps()[samples], kind="stable")]

    def _note_time(self) -> None:
        done = (self._gaps() == 0) & np.isinf(self._elapsed)
        self._elapsed[done] = self._clock.elapsed

    def _goes_on(self) -> bool:
        self._note_time()
        gaps = self._gaps()
        open_samples = int((gaps > 0).sum())
        widest = float(gaps.max(initial=0))
        return self._clock.tick(len(gaps) - open_samples, open_samples, lambda: widest)

    def _pulse(self) -> None:
        """Go on, or raise :class:`StoppedError`."""
        if not self._goes_on():
            raise StoppedError

    def _pace(self) -> Pace:
        return Pace(_FIRST, self._pulse, seconds=_SECONDS)
