"""The oracle itself: against the network, dense grids, another enumeration, and random points."""

from __future__ import annotations

import functools
import itertools
from typing import Any

import numpy as np
import pytest

from tests.decomon.complete.areas import Area, area, has_point, program
from tests.decomon.complete.cases import CLIP, REACH, rounding_of
from tests.decomon.complete.networks import NETWORKS, build, centres, dense, weigh
from tests.decomon.complete.pieces import read
from tests.decomon.complete.truth import largest, regions
from tests.decomon.helpers import Array, margin_rows, matrices, rng_of
from tests.decomon.sets import planar_optimum

NORMS = (1, 2, np.inf)
EXACT = 1e-9


@functools.cache
def network_named(name: str) -> Any:
    return build(name)


def distance(moves: Array, p: float) -> Array:
    return np.linalg.norm(moves, p, axis=-1)


def parts(count: int, seed: int) -> list[tuple[Area, Array, float, Array, Array, Array]]:
    """Balls, cut by half-spaces of which some leave nothing, and linear functions."""
    rng = rng_of(seed)
    found = []
    for p in NORMS * count:
        n = int(rng.integers(1, 6))
        x, eps = rng.uniform(size=n), float(rng.choice([0.05, 0.4, 1.0]))
        sides = rng.normal(size=(int(rng.integers(0, 6)), n))
        limits = sides @ (x + rng.uniform(-1, 1, n) * eps) + rng.uniform(-0.2, 0.3) * eps
        found.append((area(x, eps, p, CLIP), x, eps, rng.normal(size=n), sides, limits))
    return found


def test_maxima_are_attained_and_proven() -> None:
    empty = 0
    for kind, x, eps, row, sides, limits in parts(60, 0):
        found = kind.maximum(row, sides, limits)
        assert kind.feasible(sides, limits) == (found is not None)
        if found is None:
            empty += 1
            points = kind.sample(2000, rng_of(1))
            assert not (points @ sides.T <= limits - EXACT).all(axis=1).any()
            continue
        p = {"Box": np.inf, "Disc": 2, "Diamond": 1}[type(kind).__name__]
        point = found.point
        assert distance(point - x, p) <= eps + EXACT
        assert (point >= -EXACT).all()
        assert (point <= 1 + EXACT).all()
        assert (sides @ point <= limits + EXACT).all()
        assert abs(found.upper - row @ point) <= EXACT
        points = kind.sample(500, rng_of(2))
        points = points[(points @ sides.T <= limits).all(axis=1)]
        assert (points @ row <= found.upper + EXACT).all()
    assert 10 < empty < 150


def test_two_ways_to_see_that_a_polyhedron_is_empty() -> None:
    rng = rng_of(3)
    seen = []
    for case in range(150):
        n, count = int(rng.integers(1, 6)), int(rng.integers(1, 8))
        sides, limits = rng.normal(size=(count, n)), 0.7 * rng.normal(size=count) - 0.3
        if case % 2:  # parallel, repeated and missing sides
            sides, limits = np.round(sides), np.round(limits)
        low, high = np.zeros(n), np.ones(n)
        found = has_point(sides, limits, low, high)
        assert found == (program(np.zeros(n), sides, limits, low, high) is not None)
        seen.append(found)
    assert 0.1 < np.mean(seen) < 0.9


@pytest.mark.parametrize("name", list(NETWORKS))
def test_a_network_is_read_as_it_is(name: str) -> None:
    for whole in (False, True):
        model = weigh(network_named(name), 1, whole=whole)
        network, x = read(model), centres(model, 50, 0)
        flat = x.reshape(len(x), -1).astype(np.float64)
        error = np.abs(network.forward(flat) - np.asarray(model(x)))
        assert (error <= rounding_of(network, flat, flat)[:, None]).all()
        assert np.ptp(network.forward(flat).argmax(axis=1)) > 0  # classes differ


@pytest.mark.parametrize("p", NORMS)
@pytest.mark.parametrize("name", ["plane", "dense", "residual", "pooled", "absolute", "leaky"])
def test_regions_cover_the_set_and_the_network_is_affine_on_them(name: str, p: float) -> None:
    model = weigh(network_named(name), 2)
    network = read(model)
    kind = area(centres(model, 1, 1).ravel(), REACH[p], p, CLIP)
    points = kind.sample(300, rng_of(4))
    values = network.forward(points)
    covered = np.zeros(len(points), dtype=bool)
    found = list(regions(network, kind, kind.sample(100, rng_of(5))))
    for (matrix, offset), region in found:
        within = (points @ region.sides.T <= region.limits).all(axis=1)
        inside = points[within]
        assert np.allclose(inside @ matrix.T + offset, values[within], rtol=0, atol=EXACT)
        covered |= within
    assert covered.all()
    assert len(found) > 3


@pytest.mark.parametrize("p", NORMS)
def test_the_plane_by_another_enumeration(p: float) -> None:
    model = dense(2, 4, 3, 3)
    for seed in range(3):
        weigh(model, seed, whole=seed == 2)
        network = read(model)
        for x, eps in itertools.product(centres(model, 2, seed).astype(np.float64), (0.1, 0.5)):
            rows = margin_rows(3, np.array([seed]))[0]
            found = largest(network, area(x, eps, p, CLIP), rows)
            best = max(
                planar_optimum(matrices(model), x, np.full(2, eps), p, CLIP, row) for row in rows
            )
            assert found.lower - EXACT <= best <= found.upper + EXACT
            assert found.upper - found.lower <= EXACT


@pytest.mark.parametrize("p", NORMS)
def test_a_dense_grid_comes_close_from_below(p: float) -> None:
    model = weigh(dense(2, 6, 3), 7)
    network = read(model)
    row = margin_rows(3, np.array([0]))[0][:1]
    x, eps = np.array([0.4, 0.7]), 0.35
    kind = area(x, eps, p, CLIP)
    side = np.linspace(-eps, eps, 401)
    grid = x + np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    inside = (distance(grid - x, p) <= eps) & (grid >= 0).all(axis=1) & (grid <= 1).all(axis=1)
    best = (network.forward(grid[inside]) @ row.T).max()
    found = largest(network, kind, row)
    (first, _), (last, _) = matrices(model)
    steepest = np.abs(last @ row[0]) @ np.linalg.norm(first, axis=0)
    assert best <= found.upper + EXACT
    assert found.lower <= best + 2 * steepest * (side[1] - side[0])


@pytest.mark.parametrize("p", NORMS)
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow) if name == "overlapping" else name
        for name in NETWORKS
    ],
)
def test_no_point_is_better(name: str, p: float) -> None:
    model = weigh(network_named(name), 3)
    network = read(model)
    x = centres(model, 1, 2).ravel()
    kind = area(x, 0.25, p, CLIP)
    rows = margin_rows(len(model.get_weights()[-1]), np.array([0]))[0]
    found = largest(network, kind, rows)
    points = kind.sample(3000, rng_of(9))
    assert (network.forward(points) @ rows.T).max() <= found.upper + EXACT
    assert found.upper - found.lower <= EXACT
    assert distance(found.point - x, p) <= 0.25 + EXACT
    assert ((found.point >= 0) & (found.point <= 1)).all()
