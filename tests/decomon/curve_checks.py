"""How a line or an image is compared with its function: exactly, in ball arithmetic."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest

from decomon.bounds import Interval, Lines
from decomon.models import SLOPES
from decomon.ops.elementwise.curves import CURVES
from tests.decomon.curve_oracles import INF, ORACLES, Oracle, arb, bits, nonnegative
from tests.decomon.helpers import Array, rng_of, tf

EACH = pytest.mark.parametrize("name", CURVES)
DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])
PARTIAL = [n for n, oracle in ORACLES["float64"].items() if oracle.partial and n in CURVES]
LD = np.longdouble
SCALES = (1e-30, 1e-6, 1e-3, 0.1, 0.5, 1.0, 2.0, 5.0, 12.0, 50.0, 1e3, 1e4)


# --- intervals -----------------------------------------------------------------------------------


def pairs_of(oracle: Oracle, dtype: str) -> list[tuple[float, float]]:
    """Degenerate, tiny, huge, one-sided, lopsided; across and starting at all special points."""
    info = np.finfo(dtype)
    tiny = float(info.tiny)
    rng = rng_of(0)
    pairs = [(-5.0, 50.0), (-50.0, 5.0), (0.0, 50.0), (-50.0, 0.0), (-1e4, 1e4), (0.0, 1e4)]
    pairs += [(-1e4, 0.0), (9e3, 1e4), (-1e4, -9e3), (-1e-30, 1e4), (-1e4, 1e-30), (-0.0, 0.0)]
    pairs += [(-1e30, 1e30), (-1e30, 1.0), (-1.0, 1e30), (1e29, 1e30), (-1e30, -1e29)]
    pairs += [(-tiny, tiny), (0.0, tiny), (-tiny, 0.0), (-tiny, 1.0), (-1.0, tiny), (tiny, 1.0)]
    pairs += [(0.0, tiny / 8), (-tiny / 8, 1.0), (-1.0, tiny / 8)]
    for center in {0.0, *oracle.points, max(oracle.domain[0], -1e4)}:
        above, below = (float(np.nextafter(np.dtype(dtype).type(center), s * INF)) for s in (1, -1))
        pairs += [(center, center), (center, above), (below, center), (below, above)]
        pairs += [(center - 1e-12, center + 1e-12), (center, center + 1e-12)]
        for scale in SCALES:
            s, t = scale * rng.uniform(0.5, 1, 2)
            pairs += [(center, center + s), (center - s, center), (center - s, center + t)]
            pairs += [(center - s, center + t * 100), (center - s * 100, center + t)]
    for scale in SCALES:
        s, t = scale * rng.uniform(0.5, 1, 2)
        for x in (s, -s):
            next_up = float(np.nextafter(np.dtype(dtype).type(x), INF))
            pairs += [(x, x), (x, next_up), (x, x + 1e-12), (x, x + t), (x, x + 0.01 * t)]
            pairs += [(x, x + 7 * t)]
    if oracle.periodic:
        for start in (0.0, 1.0, 2.5, 1e2, -1e3, 1e4, -1e4, 1e6):
            for length in (0.0, 1e-3, 0.5, 1.5, 3.0, 3.2, 4.0, 4.8, 6.0, 6.3, 7.0, 9.5, 30.0):
                pairs.append((start + rng.uniform(0, 6.3), start + 6.3 + length))
                a = start + rng.uniform(0, 6.3)
                pairs.append((a, a + length))
    return pairs


@dataclass(frozen=True)
class Samples:
    """Intervals, points in each, and the function there, rounded to extended precision."""

    low: Array
    high: Array
    points: Array
    values: Array

    def only(self, chosen: Array) -> Samples:
        return Samples(
            self.low[chosen], self.high[chosen], self.points[chosen], self.values[chosen]
        )

    @property
    def interval(self) -> Interval:
        return Interval(tf.constant(self.low[None]), tf.constant(self.high[None]))


def to_longdouble(value: Any) -> Any:
    """Round the middle of a ball; what is too large for a double becomes infinite."""
    head = float(value.mid())
    if not math.isfinite(head):
        return LD(head)
    return LD(head) + LD(float((value - arb(head)).mid()))


def grid(oracle: Oracle, low: Array, high: Array, count: int = 33) -> Array:
    """Points of every interval: evenly spaced, near both ends, and all special ones inside."""
    a, b = low.astype(np.float64)[:, None], high.astype(np.float64)[:, None]
    ratio = np.unique(
        np.concatenate([np.linspace(0, 1, count), [1e-9, 1e-4, 1e-2, 1 - 1e-2, 1 - 1e-4]])
    )
    found = [np.clip(a * (1 - ratio) + b * ratio, a, b)]
    for point in {0.0, *oracle.points}:
        for near in (point, np.nextafter(point, INF), np.nextafter(point, -INF)):
            for shift in (0.0, 0.5, -0.5, 4.0, -4.0):
                found.append(np.clip(np.full_like(a, near + shift), a, b))
    points = np.sort(np.concatenate(found, axis=1), axis=1)
    # TensorFlow's threads read subnormal numbers as zero, so the function is not asked for there.
    tiny = float(np.finfo(low.dtype).tiny)
    return np.where(np.abs(points) < tiny, 0.0, points)


def sample(oracle: Oracle, low: Array, high: Array) -> Samples:
    points = grid(oracle, low, high)
    known, where = np.unique(points, return_inverse=True)
    with bits(192):
        found = [to_longdouble(oracle.value(arb(float(x)))) for x in known]
    values = np.array(found, dtype=LD)[where].reshape(points.shape)
    return Samples(low, high, points, values)


@cache
def samples_of(name: str, dtype: str) -> Samples:
    oracle = ORACLES[dtype][name]
    with np.errstate(over="ignore"):
        low, high = np.array(pairs_of(oracle, dtype)).T.astype(dtype)
    low, high = np.minimum(low, high), np.maximum(low, high)
    inside = oracle.defined(low, high) & np.isfinite(low) & np.isfinite(high)
    return sample(oracle, low[inside], high[inside])


# --- exact comparison ----------------------------------------------------------------------------


def residual(oracle: Oracle, side: int, slope: float, offset: float, x: Any) -> Any:
    """How far the line lies on its own side of the function, as a ball."""
    return side * (arb(slope) * x + arb(offset) - oracle.value(x))


def violations(
    oracle: Oracle, found: Samples, side: int, slope: Array, offset: Array, *, refine: bool = True
) -> list[str]:
    """Points where the line is on the wrong side (+1: it has to lie above, -1: below).

    What is clear in extended precision is not computed again.  Around the closest point of each
    interval a second and a third, finer grid are looked at in ball arithmetic.
    """
    wrong: list[str] = []
    unit = LD(np.finfo(LD).eps)
    with np.errstate(all="ignore"):
        a, b = slope.astype(LD)[:, None], offset.astype(LD)[:, None]
        product = a * found.points
        gap = side * (product + b - found.values)
        clear = gap > 8 * unit * (abs(product) + abs(b) + abs(found.values))
        # the closest point, in units of what can be resolved: NaN means not clear
        closest = np.where(np.isfinite(gap), gap, LD(np.inf)).argmin(axis=1)
    for i, j in zip(*np.nonzero(~clear), strict=True):
        x = float(found.points[i, j])
        if not holds(oracle, side, slope[i], offset[i], arb(x)):
            wrong.append(describe(found, i, x, side, slope[i], offset[i]))
    if refine and not wrong:
        ordinary = (
            np.maximum(np.abs(found.low), np.abs(found.high)) >= np.finfo(found.low.dtype).tiny
        )
        for i, j in enumerate(closest):
            if not ordinary[i]:
                continue
            x = refined(oracle, found, i, int(j), side, slope[i], offset[i])
            if x is not None:
                wrong.append(describe(found, i, float(x), side, slope[i], offset[i]))
    return wrong


def holds(oracle: Oracle, side: int, slope: Any, offset: Any, x: Any) -> bool:
    """Whether the line is valid at a point.

    One that overflowed has to be useless in floating point, too: NaN or infinite.
    """
    slope, offset = float(slope), float(offset)
    if math.isfinite(slope) and math.isfinite(offset):
        return nonnegative(lambda: residual(oracle, side, slope, offset, x))
    value = (0.0 if slope == 0 or x == 0 else slope * float(x)) + offset
    return math.isnan(value) or value * side == INF


def refined(
    oracle: Oracle, found: Samples, i: int, j: int, side: int, slope: Any, offset: Any
) -> Any:
    """Search the neighbourhood of a point for one where the line fails; None if there is none."""
    row = found.points[i]
    if not (math.isfinite(slope) and math.isfinite(offset)):
        return None
    slope, offset = float(slope), float(offset)
    with bits(256):
        left, right = arb(float(row[max(j - 1, 0)])), arb(float(row[min(j + 1, len(row) - 1)]))
        for _ in range(3):
            step = ((right - left) / 12).mid()
            if not step > 0:
                return None
            points = [left + step * m for m in range(1, 12)]
            points = [x.mid() for x in points if x < right]
            gaps = [residual(oracle, side, slope, offset, x) for x in points]
            for x, gap in zip(points, gaps, strict=True):
                if gap < 0:
                    return x
            best = min(range(len(gaps)), key=lambda m: gaps[m].mid())
            left, right = points[max(best - 1, 0)], points[min(best + 1, len(points) - 1)]
    return None


def describe(found: Samples, i: int, x: float, side: int, slope: Any, offset: Any) -> str:
    line = "upper" if side > 0 else "lower"
    low, high = float(found.low[i]), float(found.high[i])
    return f"{line} line {slope!r} z + {offset!r} on [{low!r}, {high!r}] fails at z={x!r}"


def both(lines: Lines) -> tuple[Array, Array, Array, Array]:
    """Lower slope and offset, upper slope and offset, each ``(spec, n)``."""
    parts = [lines.lower_slope, lines.lower_offset, lines.upper_slope, lines.upper_offset]
    if parts[1] is None:
        parts[1] = tf.zeros_like(parts[0])
    arrays = [np.asarray(part)[0] for part in parts]
    shape = np.broadcast_shapes(*(a.shape for a in arrays))
    lower_slope, lower_offset, upper_slope, upper_offset = (
        np.broadcast_to(a, shape) for a in arrays
    )
    return lower_slope, lower_offset, upper_slope, upper_offset


def failures(oracle: Oracle, found: Samples, lines: Lines, *, refine: bool = True) -> list[str]:
    wrong: list[str] = []
    lower_slope, lower_offset, upper_slope, upper_offset = both(lines)
    with np.errstate(all="ignore"):
        total = sum(abs(part) for part in both(lines))
    lost = ~np.isfinite(total).all(axis=0) & ~overflows(oracle, found)
    wrong += [
        f"infinite lines on [{found.low[i]!r}, {found.high[i]!r}]" for i in np.nonzero(lost)[0]
    ]
    for s in range(len(lower_slope)):
        wrong += violations(oracle, found, -1, lower_slope[s], lower_offset[s], refine=refine)
        wrong += violations(oracle, found, 1, upper_slope[s], upper_offset[s], refine=refine)
    return wrong


def overflows(oracle: Oracle, found: Samples) -> Array:
    """Where terms of a line may be beyond the largest number of the dtype.

    Next to a pole, or an infinite derivative, the derivative is about the value over the distance.
    """
    low, high = found.low.astype(np.float64), found.high.astype(np.float64)
    info = np.finfo(found.low.dtype)
    with np.errstate(all="ignore"):
        value = np.abs(found.values).max(axis=1).astype(np.float64)
        size = np.maximum(np.abs(low), np.abs(high))
        distance = np.ones_like(low)
        for edge in (oracle.pole, oracle.domain[0]):
            if edge is not None and math.isfinite(edge):
                near = np.minimum(np.abs(low - edge), np.abs(high - edge))
                distance = np.minimum(distance, near)
        distance = np.where(distance == 0, high - low, distance)
        terms = np.maximum(value, float(info.tiny)) / distance * (1 + size)
        return ~(np.maximum(terms, size**2) < float(info.max) / 1e3)


def start(name: str, interval: Interval, slope: str = "volume-slope") -> tuple[Any, ...]:
    return tuple(v[:, None] for v in CURVES[name].initial([interval], SLOPES[slope]))


def relax(name: str, interval: Interval, parameters: tuple[Any, ...]) -> Lines:
    found = CURVES[name].relax([interval], parameters)
    if not isinstance(found, Lines):
        raise TypeError(f"{name} is not bounded by lines: {found!r}")
    return found


def report(wrong: list[str]) -> str:
    return f"{len(wrong)} wrong:\n" + "\n".join(wrong[:: max(1, len(wrong) // 8)])
