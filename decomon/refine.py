"""Input splitting: a box is cut where its bound depends most on the input, worst piece first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from decomon._backend import Tensor, tf
from decomon.diagnosis import explain
from decomon.domains import BoxDomain
from decomon.verifier import Verifier

Array = NDArray[np.floating]


@final
@dataclass(frozen=True)
class Leaves:
    """The pieces of each sample's box.

    Attributes
    ----------
    x_min, x_max : ``(batch, leaves, *input shape)``; together the leaves cover the box
    upper : ``(batch, leaves, spec)``: valid on the leaf
    scores : ``(batch, leaves, n)``: |coefficient| x width of each input coordinate
    weights : ``(batch, leaves, n)``: coefficients of the row that matters most
    """

    x_min: Array
    x_max: Array
    upper: Array
    scores: Array
    weights: Array

    def magnitude(self) -> Array:
        """Return how large the terms are that the bounds are differences of, ``(batch,)``."""
        reach = np.maximum(np.abs(self.x_min), np.abs(self.x_max)).reshape(self.weights.shape)
        with np.errstate(invalid="ignore", over="ignore"):
            sizes = (np.abs(self.weights) * reach).sum(axis=2).max(axis=1)
        return np.nan_to_num(sizes, nan=np.inf, posinf=np.inf)

    def corners(self) -> Array:
        """Return the corner of each leaf where its most important row's bound is attained."""
        up = self.weights.reshape(self.x_min.shape) >= 0
        return np.where(up, self.x_max, self.x_min)

    def root(self) -> Array:
        """Return bounds of each row over the whole box, ``(batch, spec)``."""
        return self.upper.max(axis=1)


Worst = Callable[[Array], Array]
"""Maps bounds ``(n, spec)`` to how much each row matters, ``(n, spec)``, nonnegative."""


def most_violated(valid: NDArray[np.bool_]) -> Worst:
    """Weigh only the row with the largest bound: margins are decided by it."""

    def weigh(upper: Array) -> Array:
        masked = np.where(valid, upper, -np.inf)
        return (masked == masked.max(axis=1, keepdims=True)).astype(upper.dtype)

    return weigh


def all_rows(upper: Array) -> Array:
    """Weigh all rows alike: every output counts."""
    return np.ones_like(upper)


def split_boxes(
    verifier: Verifier,
    domain: BoxDomain,
    rows: Tensor,
    n_sub_boxes: int,
    worst: Worst,
    first: int = 0,
    *,
    quick: bool = False,
) -> Leaves:
    """Bound rows on each box, cut into ``n_sub_boxes`` leaves.

    Every round halves, for each sample, the leaf whose weighted bounds are largest, along the
    coordinate with the largest |coefficient| x width.  A child's bound is intersected with its
    parent's, so the result is never looser than without splitting.  A leaf without finite bounds
    comes first, and is halved along its widest side.

    Parameters
    ----------
    rows : ``(batch or 1, spec, *output shape)``
    worst : weighs the rows
    first : number of the first sample, for error messages
    quick : keep the starting relaxations, whatever the verifier's number of steps

    Raises
    ------
    NonFiniteBoundError
        If the bounds of a leaf are not finite in the end.
    """
    leaves = _evaluate(verifier, domain, rows, None, worst, quick)
    for _ in range(n_sub_boxes - 1):
        value = np.where(worst_of(leaves.upper, worst) > 0, leaves.upper, -np.inf).max(axis=2)
        chosen = value.argmax(axis=1)
        samples = np.arange(len(chosen))
        parent = BoxDomain(
            tf.constant(leaves.x_min[samples, chosen]), tf.constant(leaves.x_max[samples, chosen])
        )
        known = leaves.upper[samples, chosen]
        halves = parent.split(tf.constant(leaves.scores[samples, chosen]))
        left, right = (_evaluate(verifier, half, rows, known, worst, quick) for half in halves)
        leaves = _replace(leaves, chosen, left, right)
    _check_leaves(leaves, verifier, first)
    return leaves


def _check_leaves(leaves: Leaves, verifier: Verifier, first: int) -> None:
    """Raise if some leaf has no finite bounds: nothing is proven then."""
    wrong = np.argwhere(~np.isfinite(leaves.upper))
    if wrong.size:
        sample, leaf, _ = (int(i) for i in wrong[0])
        corners = (side[sample, leaf][None] for side in (leaves.x_min, leaves.x_max))
        box = BoxDomain(*(tf.constant(corner) for corner in corners))
        count = leaves.upper.shape[1]
        piece = "" if count == 1 else f"one of the {count} pieces of "
        value = float(leaves.upper[tuple(wrong[0])])
        raise explain(verifier, box, f"{piece}the box of sample {first + sample}", value)


def worst_of(upper: Array, worst: Worst) -> Array:
    """Weigh the rows of every leaf, ``(batch, leaves, spec)``."""
    return np.stack([worst(upper[:, leaf]) for leaf in range(upper.shape[1])], axis=1)


def _evaluate(
    verifier: Verifier,
    domain: BoxDomain,
    rows: Tensor,
    known: Array | None,
    worst: Worst,
    quick: bool,
) -> Leaves:
    """Bound one box per sample; return it as a single leaf."""
    bounds = (verifier.quick_bounds if quick else verifier.bounds)(domain, rows)
    upper = bounds.upper.numpy()
    upper = np.where(np.isfinite(upper), upper, np.inf)  # what is no number bounds nothing
    if known is not None:
        upper = np.minimum(upper, known)
    weights = bounds.weights.numpy().reshape(*upper.shape, -1)
    importance = worst(upper)
    widths = domain.widths().numpy()
    with np.errstate(invalid="ignore", over="ignore"):  # scores only choose where to cut
        scores = np.nan_to_num(np.einsum("bs,bsn->bn", importance, np.abs(weights)) * widths)
    unbounded = np.flatnonzero(~np.isfinite(upper).all(axis=1))
    scores[unbounded] = widths[unbounded]
    direction = np.take_along_axis(weights, importance.argmax(axis=1)[:, None, None], axis=1)[:, 0]
    return Leaves(
        domain.x_min.numpy()[:, None],
        domain.x_max.numpy()[:, None],
        upper[:, None],
        scores[:, None],
        direction[:, None],
    )


def _replace(leaves: Leaves, chosen: NDArray[np.intp], left: Leaves, right: Leaves) -> Leaves:
    """Put the left half where its parent was and append the right half."""
    samples = np.arange(len(chosen))

    def merge(old: Array, first: Array, second: Array) -> Array:
        merged = np.concatenate([old, second], axis=1)
        merged[samples, chosen] = first[:, 0]
        return merged

    return Leaves(
        *(
            merge(getattr(leaves, name), getattr(left, name), getattr(right, name))
            for name in ("x_min", "x_max", "upper", "scores", "weights")
        )
    )
