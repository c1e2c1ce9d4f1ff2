"""Searching for the point of a box with the largest margin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from decomon._backend import Tensor, tf
from decomon.domains import Domain
from decomon.inputs import Boxes
from decomon.refine import Leaves
from decomon.specs import Margins
from decomon.verifier import Verifier, as_tensor

_STEPS = 20
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


def attack(verifier: Verifier, boxes: Boxes, margins: Margins, leaves: Leaves | None) -> Found:
    """Search each box for the point with the largest margin.

    Candidates are the maximisers of the affine lower and upper bounds of every margin, the centre,
    random points and, if the box was split, the maximisers on its pieces.  The best of them are
    improved by projected gradient ascent (Madry et al. 2018) on the most promising margins.  As
    the maximiser of every affine lower bound is among the candidates, the margin returned is
    never below what that bound proves.
    """
    domain = boxes.nearest(verifier)
    rows = as_tensor(margins.rows, verifier.dtype)
    both = verifier.quick_bounds(boxes.outer(verifier), tf.concat([rows, -rows], axis=1))
    upper_weights, lower_weights = tf.split(both.weights, 2, axis=1)
    starts = [
        domain.maximizer(upper_weights),
        domain.maximizer(-lower_weights),
        domain.interval().center[:, None],
        domain.sample(_RANDOM_STARTS, seed=0),
    ]
    if leaves is not None:
        corners = np.where(
            leaves.weights.reshape(leaves.x_min.shape) >= 0, leaves.x_max, leaves.x_min
        )
        starts.append(domain.project(as_tensor(corners, verifier.dtype)))
    upper = np.where(margins.valid, both.upper.numpy()[:, : margins.valid.shape[1]], -np.inf)
    candidates = tf.concat(starts, axis=1)
    count = min(_TARGETS, upper.shape[1])
    promising = np.argsort(-upper, axis=1, kind="stable")[:, :count]
    chosen_rows = as_tensor(
        np.take_along_axis(margins.rows, promising[:, :, None], axis=1), verifier.dtype
    )
    begin = _best_start(verifier, candidates, chosen_rows)
    climbed = _climb(verifier, domain, begin, chosen_rows)
    candidates = tf.concat([candidates, climbed], axis=1)
    return _best(verifier, boxes, margins, candidates)


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


def _climb(verifier: Verifier, domain: Domain, points: Tensor, rows: Tensor) -> Tensor:
    """Follow the sign of each row's gradient, projected, with shrinking steps; keep the best.

    Returns the best point of each row's path, ``(batch, rows, *input shape)``.
    """
    best, best_value = points, None
    width = tf.reshape(domain.widths(), [tf.shape(points)[0], 1, *points.shape[2:]])
    for step in range(_STEPS + 1):
        value, gradient = verifier.gradient(points, rows)
        if best_value is None:
            best_value = value
        better = value > best_value
        best_value = tf.where(better, value, best_value)
        mask = tf.reshape(better, [*better.shape, *([1] * (len(points.shape) - 2))])
        best = tf.where(mask, points, best)
        rate = 0.25 * (1 - step / (_STEPS + 1))
        points = domain.project(points + rate * width * tf.sign(gradient))
    return best


def _best(verifier: Verifier, boxes: Boxes, margins: Margins, candidates: Tensor) -> Found:
    """Evaluate the candidates on the network and return the best of each sample."""
    values = margins.of(_logits(verifier, candidates).numpy())
    # NaN margins are never the best: they compare as minus infinity.
    chosen = np.where(np.isnan(values), -np.inf, values).argmax(axis=1)
    points = boxes.clip(candidates.numpy()[np.arange(len(chosen)), chosen])
    logits = verifier.logits(as_tensor(points, verifier.dtype)).numpy()
    return Found(margins.of(logits[:, None])[:, 0], points)
