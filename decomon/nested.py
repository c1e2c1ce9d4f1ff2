"""Balls of every radius around the same samples, and which radius to look at next."""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from decomon._tensors import size_of
from decomon.balls import balls, clips_of
from decomon.complete.replay import contains
from decomon.domains import BallDomain
from decomon.inputs import Regions, check_domain, check_inputs
from decomon.rounding import round_down, round_up
from decomon.signature import Signature

Array = NDArray[np.float64]
Positions = NDArray[np.intp]

_ROOM = 2.0**-40
_STEPS = 8  # how many radii are tried, from the computed distance of a point on


@final
@dataclass(frozen=True)
class Nested:
    """The balls of every radius around some samples, as sets of the flat input of a model.

    Attributes
    ----------
    signature : of the model
    x : ``(batch, *input shape)``: the centres
    low, high : of the same shape: the valid range, infinite where there is none
    p : 1, 2 or infinity
    """

    signature: Signature
    x: Array
    low: Array
    high: Array
    p: float

    @classmethod
    def of(cls, signature: Signature, x: Any, p: Any, clip: Any) -> Nested:
        """Check what users pass; see :func:`decomon.balls.balls`."""
        # This says what is wrong, in the order that users know.
        check_domain(balls(signature, x, 0.0, p, clip), signature)
        points = [part.astype(np.float64) for part in check_inputs("x", x, signature)]
        free = (np.array(-np.inf), np.array(np.inf))
        clips = [free if c is None else c for c in clips_of(clip, len(points[0]), signature.inputs)]
        low, high = (
            signature.join(
                [
                    np.broadcast_to(c[side], part.shape)
                    for c, part in zip(clips, points, strict=True)
                ]
            )
            for side in (0, 1)
        )
        return cls(signature, signature.join(points), low, high, float(p))

    def __len__(self) -> int:
        return len(self.x)

    def regions(self, samples: Positions, radii: Array) -> Regions:
        """Return the balls of radii ``(n,)`` around samples ``(n,)``."""
        clip = self.low[samples], self.high[samples]
        return check_domain(BallDomain(self.x[samples], radii, self.p, clip), self.signature)

    def everything(self) -> Array:
        """Return radii ``(batch,)`` of balls that hold all that the valid range allows.

        Where there is no valid range, a feature moves by at most twice the largest size of the
        sample's features, and by at most 1 if that is less.
        """
        axes = tuple(range(1, self.x.ndim))
        sizes = np.abs(self.x).max(axis=axes, initial=0.5, keepdims=True)
        moves = np.maximum(self.x - self.low, self.high - self.x)
        return self._length(np.where(np.isfinite(moves), moves, 2 * sizes))

    def radii_of(self, samples: Positions, points: Array, enough: Array, dtype: Any) -> Array:
        """Return radii ``(n,)`` of a float type, whose balls contain the points.

        They are the distances as nearly as the type allows; balls of radii ``enough`` are known
        to contain the points.
        """
        distance = self._length(np.abs(points - self.x[samples]))
        radii = np.minimum(round_down(distance, dtype), enough)
        for _ in range(_STEPS):
            outside = (radii < enough) & ~contains(
                self.regions(samples, radii), np.arange(len(samples)), points
            )
            if not outside.any():
                return radii.astype(np.float64)
            further = np.nextafter(radii.astype(dtype), dtype(np.inf)).astype(np.float64)
            radii = np.where(outside, np.minimum(further, enough), radii)
        within = contains(self.regions(samples, radii), np.arange(len(samples)), points)
        return np.where(within, radii, enough)

    def within(self, samples: Positions, points: Array, radii: Array) -> Array:
        """Move points ``(n, *shape)`` that are outside of their balls towards the centres.

        They are moved a little further than to the boundary, for rounding.
        """
        x = self.x[samples]
        moves = np.clip(points, self.low[samples], self.high[samples]) - x
        distance = self._length(np.abs(moves))
        outside = distance > radii
        parts = np.where(outside, radii / np.where(outside, distance, 1) * (1 - _ROOM), 1)
        return x + parts.reshape(-1, *[1] * (x.ndim - 1)) * moves

    def rounded(self, samples: Positions, points: Array, dtype: Any) -> Array:
        """Round points ``(n, *shape)`` to a float type, not away from their centres.

        So they stay in every ball that they are in.  Where no number of this type is left between
        point and centre, that is the centre's own coordinate.
        """
        x = self.x[samples]
        down = np.maximum(round_down(points, dtype).astype(np.float64), x)
        up = np.minimum(round_up(points, dtype).astype(np.float64), x)
        return np.where(points > x, down, up)

    def _length(self, moves: Array) -> Array:
        flat = moves.reshape(len(moves), size_of(moves.shape[1:]))
        return np.linalg.norm(flat, ord=self.p, axis=1) if flat.size else np.zeros(len(moves))


class Ladder(abc.ABC):
    """Which radii there are between two."""

    @abc.abstractmethod
    def gaps(self, samples: Positions, low: Array, high: Array) -> Array:
        """Return how far ``low`` and ``high`` are apart; 0 where no radius between is wanted."""

    @abc.abstractmethod
    def between(self, samples: Positions, low: Array, high: Array, part: Array) -> Array:
        """Return radii above ``low`` and below ``high``, at a part in (0, 1] of the way.

        The part 1 leads to the largest radius of all, if ``high`` is infinite.
        """

    @abc.abstractmethod
    def counts(self, samples: Positions, radii: Array) -> NDArray[np.bool_]:
        """Say which radii are not larger than all that are wanted."""


@final
@dataclass(frozen=True)
class Continuum(Ladder):
    """All float32 numbers up to a limit, so that a radius is the same in single precision.

    Attributes
    ----------
    limit : ``(batch,)``: the largest radius of each sample
    tolerance : how near two radii have to come
    """

    limit: Array
    tolerance: float

    def gaps(self, samples: Positions, low: Array, high: Array) -> Array:
        end = np.minimum(high, self.limit[samples])
        gap = end - np.maximum(low, 0)
        next_one = np.nextafter(np.maximum(low, 0).astype(np.float32), np.float32(np.inf))
        return np.where((gap > self.tolerance) & (next_one < end), gap, 0.0)

    def between(self, samples: Positions, low: Array, high: Array, part: Array) -> Array:
        begin, limit = np.maximum(low, 0), self.limit[samples]
        end = np.minimum(high, limit)
        wide = begin + part * (end - begin)
        first = np.nextafter(begin.astype(np.float32), np.float32(np.inf))
        last = np.nextafter(round_up(end, np.float32), np.float32(-np.inf))
        inner = np.clip(wide.astype(np.float32), first, np.maximum(first, last))
        # What is proven at the limit has to hold for its neighbour in single precision, too.
        top = (part == 1) & (high > limit)
        return np.where(top, round_up(limit, np.float32), inner).astype(np.float64)

    def counts(self, samples: Positions, radii: Array) -> NDArray[np.bool_]:
        return radii <= self.limit[samples]


@final
@dataclass(frozen=True)
class Grid(Ladder):
    """Given radii ``(count,)``, ascending, the same ones for all samples."""

    radii: Array

    def gaps(self, samples: Positions, low: Array, high: Array) -> Array:
        first, last = self._ends(low, high)
        top = self.radii[np.clip(last, 0, None)]
        return np.where(first <= last, np.maximum(top - np.maximum(low, 0), np.spacing(top)), 0.0)

    def between(self, samples: Positions, low: Array, high: Array, part: Array) -> Array:
        first, last = self._ends(low, high)
        return self.radii[first + np.rint(part * (last - first)).astype(np.intp)]

    def counts(self, samples: Positions, radii: Array) -> NDArray[np.bool_]:
        return radii <= self.radii[-1]

    def _ends(self, low: Array, high: Array) -> tuple[Positions, Positions]:
        """Return the positions of the first radius above ``low`` and the last below ``high``."""
        return (
            np.searchsorted(self.radii, low, side="right"),
            np.searchsorted(self.radii, high, side="left") - 1,
        )
