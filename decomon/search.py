"""Searching for the point of an input set with the largest margin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from decomon._backend import Tensor, tf
from decomon.diagnosis import check_bounds, explain
from decomon.domains import BoxDomain
from decomon.inputs import Regions
from decomon.refine import Leaves
from decomon.specs import Margins
from decomon.verifier import Verifier, as_tensor

_CORNERS = 32
_TARGETS = 3
_RANDOM_STARTS = 2
STEPS = 20
_LOOKS = 6


@final
@dataclass(frozen=True)
class Found:
    """The best points that an attack came across.

    Attributes
    ----------
    margin : ``(batch,)``: the largest margin of the real network at the point
    points : ``(batch, *input shape)``
    """

    margin: NDArray[np.floating]
    points: NDArray[np.floating]


def search(
    verifier: Verifier,
    regions: Regions,
    margins: Margins,
    leaves: Leaves | None,
    first: int = 0,
    *,
    steps: int = STEPS,
    restarts: int = 0,
    seed: int = 0,
) -> Found:
    """Search each set for the point with the largest margin.

    Candidates are the maximisers of the affine lower and upper bounds of the most promising
    margins (all of them, up to 32 a sample), the centre, random points and, if the set was split,
    the maximisers on its pieces.  The best of them are improved by projected gradient ascent
    (Madry et al. 2018).  As maximisers of affine lower bounds are among the candidates, the
    margin returned is never below what those bounds prove.

    Parameters
    ----------
    leaves : pieces of the sets, if they were split
    first : number of the first sample, for error messages
    steps : number of gradient steps
    restarts : how many more ascents start from a random point each, for each promising margin
    seed : of those random points; all the others are always the same
    """
    domain = regions.nearest(verifier)
    geometry = verifier.geometry(domain)
    rows = as_tensor(margins.rows, verifier.dtype)
    outer = regions.outer(verifier)
    both = verifier.quick_bounds(outer, tf.concat([rows, -rows], axis=1))
    known = both.upper.numpy()
    if leaves is None:  # else the bounds on the pieces are finite, which is enough
        check_bounds(known, verifier, outer, first)
    known = np.nan_to_num(known, nan=0.0)  # only an order
    upper = np.where(margins.valid, known[:, : margins.valid.shape[1]], -np.inf)
    promising = np.argsort(-upper, axis=1, kind="stable")[:, :_CORNERS]
    starts = [
        *(
            geometry.maximizer(domain, tf.gather(weights, promising, batch_dims=1))
            for weights in _upper_and_lower(both.weights)
        ),
        domain.center()[:, None],
        geometry.sample(domain, _RANDOM_STARTS, 0),
    ]
    if leaves is not None:
        starts.append(geometry.project(domain, as_tensor(leaves.corners, verifier.dtype)))
    candidates = regions.reachable(tf.concat(starts, axis=1))
    chosen_rows = tf.gather(rows, promising[:, :_TARGETS], batch_dims=1)
    begin = _best_start(verifier, candidates, chosen_rows)
    climbed = verifier.climb(domain, begin, chosen_rows, steps)
    found = [candidates, regions.reachable(climbed)]
    for restart in range(1, restarts + 1):
        begin = geometry.sample(domain, 1, _stream(seed, restart))
        begin = tf.repeat(begin, chosen_rows.shape[1], axis=1)
        climbed = verifier.climb(domain, begin, chosen_rows, steps)
        found.append(regions.reachable(climbed))
    return _best(verifier, regions, margins, tf.concat(found, axis=1), first)


def _stream(seed: int, restart: int) -> int:
    """Return a seed of its own for each restart; those of another ``seed`` are all different."""
    return int(np.random.SeedSequence((seed, restart)).generate_state(1)[0] >> 1)  # fits int32


def _upper_and_lower(weights: Tensor) -> tuple[Tensor, Tensor]:
    """Return the coefficients of the upper and of the lower bound of each row."""
    upper, negated = tf.split(weights, 2, axis=1)
    return upper, -negated


def margins_at(
    verifier: Verifier, margins: Margins, points: Tensor, first: int
) -> NDArray[np.floating]:
    """Return the largest margin at each of the points ``(batch, count, *input shape)``."""
    values = margins.of(_logits(verifier, points).numpy())
    wrong = np.argwhere(~np.isfinite(values))
    if wrong.size:
        sample, count = (int(i) for i in wrong[0])
        point = points[sample : sample + 1, count]
        place = f"a point of the input set of sample {first + sample}"
        raise explain(verifier, BoxDomain(point, point), place, float(values[sample, count]))
    return values


def rounding_seen(
    verifier: Verifier, regions: Regions, margins: Margins, points: NDArray[np.floating]
) -> NDArray[np.floating]:
    """Measure how far the arithmetic of a float32 network is off, ``(batch,)``.

    Bounds hold for exact arithmetic.  The largest difference between margins in float32 and in
    float64, at some points of each set, says on which scale the model itself rounds.

    Parameters
    ----------
    points : ``(batch, *input shape)``: points to look at, besides the middle and random ones
    """
    if verifier.graph.dtype == "float64":
        return np.zeros(len(regions))
    single = verifier.single
    domain = regions.nearest(single)
    seen = as_tensor(regions.seen(points), single.dtype)[:, None]
    sample = single.geometry(domain).sample(domain, _LOOKS, 0)
    looks = regions.reachable(tf.concat([seen, domain.center()[:, None], sample], axis=1))
    precise = verifier.single.precise
    exact = _logits(precise, tf.cast(looks, precise.dtype)).numpy()
    off = _logits(single, looks).numpy().astype(np.float64) - exact
    return np.abs(np.einsum("bpc,bkc->bkp", margins.rows, off)).max(axis=(1, 2))


def _logits(verifier: Verifier, points: Tensor) -> Tensor:
    """Evaluate ``(batch, count, *input shape)``; return ``(batch, count, n_classes)``."""
    outer = tf.shape(points)[:2]
    flat = tf.reshape(points, [-1, *points.shape[2:]])
    logits = verifier.logits(flat)
    return tf.reshape(logits, tf.concat([outer, logits.shape[1:]], axis=0))


def _best_start(verifier: Verifier, candidates: Tensor, rows: Tensor) -> Tensor:
    """Return, for each row, the candidate where it is largest."""
    values = tf.einsum("bkc,brc->brk", _logits(verifier, candidates), rows)
    return tf.gather(candidates, tf.argmax(values, axis=2), batch_dims=1)


def _best(
    verifier: Verifier, regions: Regions, margins: Margins, candidates: Tensor, first: int
) -> Found:
    """Evaluate the candidates on the network and return the best of each sample."""
    chosen = margins_at(verifier, margins, candidates, first).argmax(axis=1)
    points = regions.inside(candidates.numpy()[np.arange(len(chosen)), chosen])
    seen = as_tensor(regions.seen(points), verifier.dtype)
    return Found(margins_at(verifier, margins, seen[:, None], first)[:, 0], points)
