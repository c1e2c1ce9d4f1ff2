"""The largest margin of a tiny piecewise linear network over a set, by enumeration.

Where every unit of a piecewise linear network has chosen its piece, the network is affine, and it
has done so on a polyhedron.  The polyhedra that meet the set are enumerated, unit by unit, and
the margin is maximised over each of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from tests.decomon.complete.areas import Area
from tests.decomon.complete.pieces import Affine, Array, Choice, Map, Network, Option, Sum

_POINTS = 512


@final
@dataclass(frozen=True)
class Truth:
    """The largest margin lies between the value at a point of the set, and a proven bound."""

    lower: float
    upper: float
    point: Array


@final
@dataclass(frozen=True)
class Region:
    """A part of the set, ``sides @ x <= limits``, and some points of it."""

    sides: Array
    limits: Array
    points: Array

    def within(self, option: Option) -> Region:
        """Cut it further."""
        kept = (self.points @ option.sides.T <= option.limits).all(axis=1)
        return Region(
            np.concatenate([self.sides, option.sides]),
            np.concatenate([self.limits, option.limits]),
            self.points[kept],
        )


def largest(network: Network, area: Area, rows: Array, seed: int = 0) -> Truth:
    """Return the largest ``row . output`` over the set, of any of the rows ``(count, classes)``."""
    points = area.sample(_POINTS, np.random.default_rng(seed))
    values = (network.forward(points) @ rows.T).max(axis=1)
    best = float(values.max())
    point = points[values.argmax()]
    waiting: list[tuple[float, Array, float, Region]] = []
    for (matrix, offset), region in regions(network, area, points):
        goals, constants = rows @ matrix, rows @ offset
        for goal, constant, most in zip(
            goals, constants, area.most(goals) + constants, strict=True
        ):
            waiting.append((float(most), goal, float(constant), region))
    upper = best
    for most, goal, constant, region in sorted(waiting, key=lambda entry: -entry[0]):
        if most <= best:
            continue  # nothing better here
        found = area.maximum(goal, region.sides, region.limits)
        if found is None:
            continue
        upper = max(upper, found.upper + constant)
        moved = area.inside(found.point[None])
        value = float((network.forward(moved) @ rows.T).max())
        if value > best:
            best, point = value, moved[0]
    return Truth(best, max(upper, best), point)


def regions(network: Network, area: Area, points: Array) -> Iterator[tuple[Map, Region]]:
    """Enumerate the output's affine functions and where they hold; together, they cover the set."""
    n = network.inputs
    whole = Region(np.zeros((0, n)), np.zeros(0), points)
    yield from _unfold(network, area, [(np.eye(n), np.zeros(n))], [], whole)


def _unfold(
    network: Network, area: Area, nodes: Sequence[Map], chosen: Sequence[Option], region: Region
) -> Iterator[tuple[Map, Region]]:
    """Go on after some nodes, and the first units of the next one."""
    if len(nodes) > len(network.steps):
        yield nodes[-1], region
        return
    step = network.steps[len(nodes) - 1]
    found = [nodes[source] for source in step.sources]
    if isinstance(step, Affine):
        yield from _unfold(network, area, [*nodes, step.after(found[0])], [], region)
    elif isinstance(step, Sum):
        matrices, offsets = zip(*found, strict=True)
        total = np.sum(matrices, axis=0), np.sum(offsets, axis=0)
        yield from _unfold(network, area, [*nodes, total], [], region)
    elif isinstance(step, Choice):
        if len(chosen) == step.units(found[0]):
            rows = np.array([option.row for option in chosen])
            offsets = np.array([option.offset for option in chosen])
            yield from _unfold(network, area, [*nodes, (rows, offsets)], [], region)
            return
        options = step.options(found[0], len(chosen))
        for option, part in possible(area, options, region):
            yield from _unfold(network, area, nodes, [*chosen, option], part)
    else:
        raise TypeError(f"unknown step {step}")


def possible(area: Area, options: Sequence[Option], region: Region) -> list[tuple[Option, Region]]:
    """Return the options that some point of the region takes."""
    left = [option for option in options if (-area.most(-option.sides) <= option.limits).all()]
    if len(left) == 1:  # it holds everywhere
        return [(left[0], region)]
    parts = [(option, region.within(option)) for option in left or options]
    kept = [
        (option, part)
        for option, part in parts
        if len(part.points) or area.feasible(part.sides, part.limits)
    ]
    return kept or parts
