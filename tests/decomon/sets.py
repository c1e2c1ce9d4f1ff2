"""Every kind of input sets around some samples, and exact optima over balls in the plane."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from decomon import BallDomain, BoxDomain, Domain
from decomon.domains.affine import AffineDomain
from decomon.domains.grid import GridDomain
from decomon.domains.vertex import VertexDomain
from tests.decomon.helpers import Array, rng_of, tf

Build = Callable[[Array, float], Domain]


def moves(x: Array, eps: float, count: int) -> Array:
    """Moves by at most ``eps``, which differ between samples but depend on nothing else."""
    phases = 7.0 * np.arange(count).reshape(1, count, *[1] * (x.ndim - 1))
    return (eps * np.sin(40 * x[:, None] + phases)).astype(x.dtype)


def cone(x: Array, eps: float) -> VertexDomain:
    """The hull of the sample and of three points near it."""
    return VertexDomain(np.concatenate([x[:, None], x[:, None] + moves(x, eps, 3)], axis=1))


def spanned(x: Array, eps: float) -> AffineDomain:
    """Two directions."""
    return AffineDomain(x, moves(x, eps, 2), -1, 0.5)


KINDS: dict[str, Build] = {
    "box": lambda x, eps: BoxDomain(x - eps, x + eps),
    "ball-1": lambda x, eps: BallDomain(x, eps, 1),
    "ball-2": lambda x, eps: BallDomain(x, eps, 2),
    "ball-inf": BallDomain,
    "clipped-ball-1": lambda x, eps: BallDomain(x, eps, 1, (0, 1)),
    "clipped-ball-2": lambda x, eps: BallDomain(x, eps, 2, (0, 1)),
    "grid": lambda x, eps: GridDomain(x - eps, x + eps, eps / 2),
    "vertex": cone,
    "affine": spanned,
}
"""Sets around points of [0, 1]; for boxes and balls, ``eps`` is the radius."""


def points_of(domain: Domain, shape: tuple[int, ...], count: int, seed: int = 0) -> Array:
    """Points of sets in float64, ``(2 count, batch, *shape)``: random ones and extreme ones."""
    precise = domain.shaped(shape).as_tensors(tf.float64)
    rows = tf.constant(rng_of(seed).normal(size=(len(domain), count, *shape)))
    found = np.concatenate([precise.sample(count, seed), precise.maximizer(rows)], axis=1)
    return np.moveaxis(found, 0, 1)


def planar_optimum(
    layers: Any, center: Array, eps: Array, p: float, clip: tuple[float, float] | None, row: Array
) -> float:
    """The largest ``row . output`` of a ReLU network of two inputs, over a ball cut by a box.

    Where the pattern of all ReLUs is fixed, the network is affine.  So the maximum is at a corner
    of the piece, where an edge of it leaves the ball, or, for p = 2, where the circle is
    tangent to a level line.  All these points are tried, for all patterns, in units of ``eps``.
    """
    lines: list[Array] = []  # a . z + b = 0
    gradients: list[Array] = []
    sizes = [len(bias) for _, bias in layers[:-1]]
    for pattern in itertools.product((0.0, 1.0), repeat=sum(sizes)):
        matrix, shift = np.diag(eps), center.astype(np.float64)
        parts = np.split(np.array(pattern), np.cumsum(sizes)[:-1])
        for (kernel, bias), on in zip(layers[:-1], parts, strict=True):
            matrix, shift = matrix @ kernel, shift @ kernel + bias
            lines += [np.array([*matrix[:, i], shift[i]]) for i in range(len(bias))]
            matrix, shift = matrix * on, shift * on
        gradients.append(matrix @ layers[-1][0] @ row)
    if clip is not None:
        lines += [np.array([*(eps * e), center @ e - end]) for e in np.eye(2) for end in clip]
    if p == 1:
        lines += [np.array([a, b, -1.0]) for a, b in itertools.product((-1, 1), repeat=2)]
    if p == np.inf:
        lines += [np.array([*e, -s]) for e in np.eye(2) for s in (-1, 1)]
    found = np.unique(np.round(np.array(lines), 14), axis=0)
    candidates = [np.zeros((1, 2)), _crossings(found)]
    if p == 2:
        steep = np.array([g / np.linalg.norm(g) for g in gradients if np.linalg.norm(g) > 0])
        candidates += [steep.reshape(-1, 2), _on_the_circle(found)]
    moves = np.concatenate(candidates)
    points = center + moves * eps
    slack = 1e-12
    inside = np.linalg.norm(moves, ord=p, axis=1) <= 1 + slack
    if clip is not None:
        inside &= ((points >= clip[0] - slack) & (points <= clip[1] + slack)).all(axis=1)
    hidden = points[inside]
    for kernel, bias in layers[:-1]:
        hidden = np.maximum(hidden @ kernel + bias, 0)
    return float(((hidden @ layers[-1][0] + layers[-1][1]) @ row).max())


def _crossings(lines: Array) -> Array:
    """Where lines ``a . z + b = 0``, rows ``(a, b)``, cross in pairs."""
    first, second = (lines[i] for i in np.triu_indices(len(lines), 1))
    crossed = np.cross(first, second)  # homogeneous coordinates
    kept = np.abs(crossed[:, 2]) > 1e-14
    return crossed[kept, :2] / crossed[kept, 2:]


def _on_the_circle(lines: Array) -> Array:
    """Where lines cross the unit circle."""
    length = np.linalg.norm(lines[:, :2], axis=1)
    normal = lines[length > 0, :2] / length[length > 0, None]
    distance = -lines[length > 0, 2] / length[length > 0]
    near = np.abs(distance) <= 1
    normal, distance = normal[near], distance[near]
    half = np.sqrt(1 - distance**2)[:, None]
    along = np.stack([-normal[:, 1], normal[:, 0]], axis=1)
    foot = normal * distance[:, None]
    return np.concatenate([foot + half * along, foot - half * along])
