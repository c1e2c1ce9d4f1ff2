"""Input splitting: a set is cut where its bound depends most on the input, worst piece first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import final

import numpy as np
from numpy.typing import NDArray

from decomon._backend import Tensor, tf
from decomon.diagnosis import explain
from decomon.domains import Domain
from decomon.verifier import Verifier

Array = NDArray[np.floating]
Positions = NDArray[np.intp]


@final
@dataclass(frozen=True)
class Leaves:
    """The pieces of each sample's set.

    Attributes
    ----------
    sets : the parameters of the pieces, each ``(batch, leaves, ...)``; together they cover the set
    upper : ``(batch, leaves, spec)``: valid on the leaf
    scores : ``(batch, leaves, cuts)``: what each cut of the leaf would halve
    corners : ``(batch, leaves, *input shape)``: where the bound of the row that matters most is
        attained
    sizes : ``(batch, leaves)``: how large the terms are that this bound is a difference of
    """

    sets: tuple[Array, ...]
    upper: Array
    scores: Array
    corners: Array
    sizes: Array

    def magnitude(self) -> Array:
        """Return how large the terms are that the bounds are differences of, ``(batch,)``."""
        return self.sizes.max(axis=1)

    def root(self) -> Array:
        """Return bounds of each row over the whole set, ``(batch, spec)``."""
        return self.upper.max(axis=1)

    def piece(self, like: Domain, samples: Positions, leaf: Positions) -> Domain:
        """Return one leaf of each of some samples."""
        return like.rebuild(*(tf.constant(values[samples, leaf]) for values in self.sets))


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


def split_sets(
    verifier: Verifier,
    domain: Domain,
    rows: Tensor,
    n_sub_boxes: int,
    worst: Worst,
    first: int = 0,
    *,
    quick: bool = False,
) -> Leaves:
    """Bound rows on each set, cut into ``n_sub_boxes`` leaves.

    Every round halves, for each sample, the leaf whose weighted bounds are largest, by the cut
    with the largest score.  A child's bound is intersected with its parent's, so the result is
    never looser than without splitting.  A leaf without finite bounds comes first, and is halved
    where it is widest.

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
        parent = leaves.piece(domain, samples, chosen)
        known = leaves.upper[samples, chosen]
        halves = parent.split(tf.constant(leaves.scores[samples, chosen]))
        left, right = (_evaluate(verifier, half, rows, known, worst, quick) for half in halves)
        leaves = _replace(leaves, chosen, left, right)
    _check_leaves(leaves, verifier, domain, first)
    return leaves


def _check_leaves(leaves: Leaves, verifier: Verifier, domain: Domain, first: int) -> None:
    """Raise if some leaf has no finite bounds: nothing is proven then."""
    wrong = np.argwhere(~np.isfinite(leaves.upper))
    if wrong.size:
        sample, leaf, _ = (int(i) for i in wrong[0])
        piece = leaves.piece(domain, np.array([sample]), np.array([leaf]))
        count = leaves.upper.shape[1]
        part = "" if count == 1 else f"one of the {count} pieces of "
        value = float(leaves.upper[tuple(wrong[0])])
        raise explain(verifier, piece, f"{part}the input set of sample {first + sample}", value)


def worst_of(upper: Array, worst: Worst) -> Array:
    """Weigh the rows of every leaf, ``(batch, leaves, spec)``."""
    return np.stack([worst(upper[:, leaf]) for leaf in range(upper.shape[1])], axis=1)


def _evaluate(
    verifier: Verifier,
    domain: Domain,
    rows: Tensor,
    known: Array | None,
    worst: Worst,
    quick: bool,
) -> Leaves:
    """Bound one set per sample; return it as a single leaf."""
    bounds = (verifier.quick_bounds if quick else verifier.bounds)(domain, rows)
    upper = bounds.upper.numpy()
    upper = np.where(np.isfinite(upper), upper, np.inf)  # what is no number bounds nothing
    if known is not None:
        upper = np.minimum(upper, known)
    importance = worst(upper)
    geometry = verifier.geometry(domain)
    scores, corners, sizes = geometry.cuts(domain, bounds.weights, tf.constant(importance))
    scores = np.nan_to_num(scores.numpy())  # they only choose where to cut
    unbounded = np.flatnonzero(~np.isfinite(upper).all(axis=1))
    if unbounded.size:
        ones = tf.ones_like(bounds.weights), tf.ones_like(bounds.upper)
        scores[unbounded] = geometry.cuts(domain, *ones)[0].numpy()[unbounded]
    return Leaves(
        tuple(np.asarray(values)[:, None] for values in domain.tensors()),
        upper[:, None],
        scores[:, None],
        corners.numpy(),
        np.nan_to_num(sizes.numpy(), nan=np.inf, posinf=np.inf)[:, None],
    )


def _replace(leaves: Leaves, chosen: NDArray[np.intp], left: Leaves, right: Leaves) -> Leaves:
    """Put the left half where its parent was and append the right half."""
    samples = np.arange(len(chosen))

    def merge(old: Array, first: Array, second: Array) -> Array:
        merged = np.concatenate([old, second], axis=1)
        merged[samples, chosen] = first[:, 0]
        return merged

    sets = tuple(map(merge, leaves.sets, left.sets, right.sets))
    return Leaves(
        sets,
        *(
            merge(
                getattr(leaves, field.name), getattr(left, field.name), getattr(right, field.name)
            )
            for field in fields(Leaves)
            if field.name != "sets"
        ),
    )
