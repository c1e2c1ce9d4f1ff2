"""Searching for the point of a box with the largest margin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from decomon._backend import Tensor, tf
from decomon.diagnosis import check_bounds, explain
from decomon.domains import BoxDomain
from decomon.inputs import Boxes
from decomon.refine import Leaves
from decomon.specs import Margins
from decomon.verifier import Verifier, as_tensor

_CORNERS = 32
_TARGETS = 3
_RANDOM_STARTS = 2


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


def attack(
    verifier: Verifier, boxes: Boxes, margins: Margins, leaves: Leaves | None, first: int = 0
) -> Found:
    """Search each box for the point with the largest margin.

    Candidates are the maximisers of the affine lower and upper bounds of the most promising
    margins (all of them, up to 32 a sample), the centre, random points and, if the box was split,
    the maximisers on its pieces.  The best of them are improved by projected gradient ascent
    (Madry et al. 2018).  As maximisers of affine lower bounds are among the candidates, the
    margin returned is never below what those bounds prove.
    """
    domain = boxes.nearest(verifier)
    rows = as_tensor(margins.rows, verifier.dtype)
    outer = boxes.outer(verifier)
    both = verifier.quick_bounds(outer, tf.concat([rows, -rows], axis=1))
    known = both.upper.numpy()
    if leaves is None:  # else the bounds on the pieces are finite, which is enough
        check_bounds(known, verifier, outer, first)
    known = np.nan_to_num(known, nan=0.0)  # only an order
    upper = np.where(margins.valid, known[:, : margins.valid.shape[1]], -np.inf)
    promising = np.argsort(-upper, axis=1, kind="stable")[:, :_CORNERS]
    starts = [
        *(
            domain.maximizer(tf.gather(weights, promising, batch_dims=1))
            for weights in _upper_and_lower(both.weights)
        ),
        domain.interval().center[:, None],
        domain.sample(_RANDOM_STARTS, seed=0),
    ]
    if leaves is not None:
        starts.append(domain.project(as_tensor(leaves.corners(), verifier.dtype)))
    candidates = boxes.reachable(tf.concat(starts, axis=1))
    chosen_rows = tf.gather(rows, promising[:, :_TARGETS], batch_dims=1)
    begin = _best_start(verifier, candidates, chosen_rows)
    climbed = verifier.climb(*domain.tensors(), begin, chosen_rows)
    candidates = tf.concat([candidates, boxes.reachable(climbed)], axis=1)
    return _best(verifier, boxes, margins, candidates, first)


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
        place = f"a point of the box of sample {first + sample}"
        raise explain(verifier, BoxDomain(point, point), place, float(values[sample, count]))
    return values


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
    verifier: Verifier, boxes: Boxes, margins: Margins, candidates: Tensor, first: int
) -> Found:
    """Evaluate the candidates on the network and return the best of each sample."""
    chosen = margins_at(verifier, margins, candidates, first).argmax(axis=1)
    points = boxes.clip(candidates.numpy()[np.arange(len(chosen)), chosen])
    seen = as_tensor(boxes.seen(points), verifier.dtype)
    return Found(margins_at(verifier, margins, seen[:, None], first)[:, 0], points)
