"""Searching for the point of a box with the largest margin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from decomon._backend import Tensor, tf
from decomon.inputs import Boxes, check_bounds
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
    both = verifier.quick_bounds(boxes.outer(verifier), tf.concat([rows, -rows], axis=1))
    known = check_bounds(both.upper.numpy(), first)
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
    candidates = tf.concat(starts, axis=1)
    chosen_rows = tf.gather(rows, promising[:, :_TARGETS], batch_dims=1)
    begin = _best_start(verifier, candidates, chosen_rows)
    climbed = verifier.climb(*domain.tensors(), begin, chosen_rows)
    candidates = tf.concat([candidates, climbed], axis=1)
    return _best(verifier, boxes, margins, candidates, first)


def _upper_and_lower(weights: Tensor) -> tuple[Tensor, Tensor]:
    """Return the coefficients of the upper and of the lower bound of each row."""
    upper, negated = tf.split(weights, 2, axis=1)
    return upper, -negated


def margins_at(
    verifier: Verifier, margins: Margins, points: Tensor, first: int
) -> NDArray[np.floating]:
    """Return the largest margin at each of the points ``(batch, count, *input shape)``."""
    return check_bounds(margins.of(_logits(verifier, points).numpy()), first)


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
    logits = verifier.logits(as_tensor(points, verifier.dtype)).numpy()
    return Found(check_bounds(margins.of(logits[:, None])[:, 0], first), points)
