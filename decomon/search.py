"""Searching for the point of an input set with the largest margin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from decomon._backend import Tensor, tf
from decomon.diagnosis import check_bounds, explain
from decomon.domains import BoxDomain, Domain
from decomon.engine import Bounds
from decomon.inputs import Regions, batches
from decomon.questions import CORNERS, Sought, logits_at
from decomon.refine import Leaves
from decomon.specs import Margins
from decomon.verifier import Verifier, as_tensor

STEPS = 20
_LOOKED_AT = 64  # samples at once
_MARGIN_OF_NOISE = 4.0


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
    outer, nearest, questions = regions.sets(verifier)
    asked = margins
    if margins.rows.shape[1] > verifier.row_limit:
        margins = _promising(verifier, outer, margins, first)
    rows = as_tensor(margins.rows, verifier.dtype)
    both, starts = questions.both(outer, rows), None
    if leaves is not None:
        corners = as_tensor(leaves.corners, verifier.dtype)
        starts = verifier.geometry(nearest).project(nearest, corners)
    else:  # the bounds on pieces are finite, which is enough
        check_both(both, verifier, outer, first)
    valid = tf.constant(margins.valid)
    sought = questions.search(nearest, rows, valid, both, starts, steps)
    if not restarts:
        return found(verifier, regions, asked, sought, first)
    geometry = verifier.geometry(nearest)
    points = [sought.points]
    for restart in range(1, restarts + 1):
        begin = geometry.sample(nearest, 1, _stream(seed, restart))
        begin = tf.repeat(begin, sought.rows.shape[1], axis=1)
        climbed = verifier.climb(nearest, begin, sought.rows, steps)
        points.append(regions.reachable(climbed))
    candidates = tf.concat(points, axis=1)
    chosen = margins_at(verifier, asked, candidates, first).argmax(axis=1)
    best = tf.gather(candidates, chosen, batch_dims=1)
    return _attained(verifier, regions, asked, best.numpy(), first)


def _promising(verifier: Verifier, outer: Domain, margins: Margins, first: int) -> Margins:
    """Return the margins with the largest bounds, as many as are bounded at once."""
    domain = verifier.prepared(outer, margins.rows.shape[1])
    pieces = verifier.pieces(margins.rows)
    upper = np.concatenate(
        [
            verifier.quick_bounds(domain, as_tensor(piece, verifier.dtype)).upper.numpy()
            for piece in pieces
        ],
        axis=1,
    )
    check_bounds(upper, verifier, domain, first)
    order = np.argsort(np.where(margins.valid, -upper, np.inf), axis=1, kind="stable")
    best = order[:, : min(CORNERS, verifier.row_limit)]
    return Margins(
        np.take_along_axis(margins.rows, best[:, :, None], axis=1),
        np.take_along_axis(margins.valid, best, axis=1),
    )


def check_both(
    both: tuple[Bounds, Bounds], verifier: Verifier, outer: Domain, first: int = 0
) -> None:
    """Raise if a bound of a row or of its negation is not finite."""
    upper = np.concatenate([bounds.upper.numpy() for bounds in both], axis=1)
    check_bounds(upper, verifier, outer, first)


def found(
    verifier: Verifier, regions: Regions, margins: Margins, sought: Sought, first: int = 0
) -> Found:
    """Return the best points of a search, as they are in the sets that were given."""
    check_margins(verifier, sought.margins.numpy(), sought.points, first)
    return _attained(verifier, regions, margins, sought.best.numpy(), first)


def _attained(
    verifier: Verifier,
    regions: Regions,
    margins: Margins,
    points: NDArray[np.floating],
    first: int,
) -> Found:
    """Move points into the sets that were given, and evaluate the network there."""
    points = regions.inside(points)
    seen = regions.seen(points).astype(verifier.dtype.as_numpy_dtype)
    values = margins.of(verifier.logits(tf.constant(seen)).numpy()[:, None])
    return Found(check_margins(verifier, values, seen[:, None], first)[:, 0], points)


def _stream(seed: int, restart: int) -> int:
    """Return a seed of its own for each restart; those of another ``seed`` are all different."""
    return int(np.random.SeedSequence((seed, restart)).generate_state(1)[0] >> 1)  # fits int32


def margins_at(
    verifier: Verifier, margins: Margins, points: Tensor, first: int
) -> NDArray[np.floating]:
    """Return the largest margin at each of the points ``(batch, count, *input shape)``."""
    values = margins.of(logits_at(verifier, points).numpy())
    return check_margins(verifier, values, points, first)


def check_margins(
    verifier: Verifier, values: NDArray[np.floating], points: Any, first: int
) -> NDArray[np.floating]:
    """Raise if a margin ``(batch, count)`` is not finite at its point of a set."""
    wrong = np.argwhere(~np.isfinite(values))
    if wrong.size:
        sample, count = (int(i) for i in wrong[0])
        point = points[sample : sample + 1, count]
        place = f"a point of the input set of sample {first + sample}"
        raise explain(verifier, BoxDomain(point, point), place, float(values[sample, count]))
    return values


def room_for_rounding(
    verifier: Verifier, regions: Regions, rows: NDArray[np.floating], points: NDArray[np.floating]
) -> NDArray[np.floating]:
    """Return how far proofs must be from zero, so that the model's own rounding cannot undo them.

    Networks whose large values cancel round more than others.  Four times what is seen at some
    points is a safeguard, not a bound of it.

    Parameters
    ----------
    rows : ``(batch, spec, *output shape)``: what is proven about the outputs
    points : ``(batch, *input shape)``: points to look at, besides the middle and random ones

    Returns
    -------
    array ``(batch,)``, in the unit of the outputs
    """
    seen = np.zeros(len(regions))
    if verifier.graph.dtype == "float64":  # far more digits than bounds can tell apart
        return seen
    for part in batches(len(regions), _LOOKED_AT, _LOOKED_AT):
        seen[part] = _rounding_seen(verifier, regions[part], rows[part], points[part])
    return _MARGIN_OF_NOISE * seen


def _rounding_seen(
    verifier: Verifier, regions: Regions, rows: NDArray[np.floating], points: NDArray[np.floating]
) -> NDArray[np.floating]:
    """Measure how far the arithmetic of a float32 network is off, ``(batch,)``.

    Bounds hold for exact arithmetic.  The largest difference between margins in float32 and in
    float64, at some points of each set, says on which scale the model itself rounds.
    """
    single = verifier.single
    _, nearest, questions = regions.sets(single)
    seen = as_tensor(regions.seen(points), single.dtype)[:, None]
    off = questions.rounding(nearest, seen).numpy()
    return np.abs(np.einsum("bpc,bkc->bkp", rows, off)).max(axis=(1, 2))
