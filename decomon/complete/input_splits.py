"""Input splitting: sets of few dimensions are cut where their bounds depend most on the input."""

from __future__ import annotations

import time
from typing import Any, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from decomon._backend import tf
from decomon.complete.frontier import Leaves, Splitter
from decomon.complete.goals import Goals
from decomon.complete.input_cuts import Cuts, Packed
from decomon.complete.pace import Pace, Pulse
from decomon.domains import BoxDomain, Domain
from decomon.rounding import doubtful, round_down, round_up
from decomon.verifier import Verifier

Array = NDArray[Any]
Floats = NDArray[np.floating]
Positions = NDArray[np.intp]
Sets = tuple[Array, ...]

_PATIENCE = 3
"""How often a leaf whose sign may be owed to rounding is cut before it is bounded precisely."""

_LEAST_SECONDS = 0.02
_FIRST_LEAVES = 16
_MOST_LEAVES = 4096
_NEARLY_FREE = 64
_SHARE_OF_CALL = 6
"""Starting a call takes about as long as this part of what a call may bound, or these leaves."""


@final
class InputSplitter(Splitter):
    """Leaves are subsets of the input set, bounded from scratch and halved again and again.

    The error of the bounds vanishes with the size of the leaves, whatever the activations, so this
    decides every question in the limit; how many leaves it takes grows exponentially with the
    number of dimensions that matter.

    A set is cut by the score ``(sum over parts of |coefficient| + typical one) * width``.
    The typical coefficient is the mean over the leaves of the same goal that are bounded together:
    without it, dimensions that the relaxations of one leaf have lost sight of are never cut.

    Boxes are clipped: what lies outside the half-space where a part's affine bound reaches the
    threshold is no counterexample (the contraction of interval constraint propagation).

    Parameters
    ----------
    verifier : of the network, by ``crown``; starting relaxations are used
    domain : the input sets of all samples
    goals : what would be a counterexample
    pulse : called between two calls of TensorFlow
    """

    def __init__(self, verifier: Verifier, domain: Domain, goals: Goals, pulse: Pulse) -> None:
        self._verifier = verifier
        self._template = domain
        self._goals = goals
        self._whole = tuple(np.asarray(values) for values in domain.tensors())
        most = max(1, min(_MOST_LEAVES, verifier.sample_limit))
        self._pace = Pace(min(_FIRST_LEAVES, most), pulse, most=most)
        self._fastest = np.inf  # seconds of a leaf
        self._cuts = verifier.kept((Cuts, domain.kind), lambda: Cuts(verifier, domain))

    def roots(self, goals: Positions, threshold: Array) -> Leaves:
        samples = self._goals.samples[goals]
        sets = tuple(values[samples] for values in self._whole)
        nothing = np.zeros(len(goals), np.int32)
        data = self._named(sets) | {"doubts": nothing.astype(np.int8)}
        known = np.full(len(goals), np.inf)
        return self._bounded(Leaves(goals, known, nothing, data), threshold)

    def split(self, leaves: Leaves, threshold: Array) -> Leaves:
        """Halve every leaf, or cut it into more parts as long as these are nearly free."""
        sets, scores = self._sets(leaves), leaves.data["scores"]
        origin, cuts = np.arange(len(leaves)), 0
        room = min(_NEARLY_FREE, self._pace.count // _SHARE_OF_CALL)
        while not cuts or 2 * len(origin) <= room:
            halves = self._cuts.cut(_tensors(sets), tf.constant(scores))
            sets = tuple(
                np.concatenate([left.numpy(), right.numpy()])
                for left, right in zip(*halves, strict=True)
            )
            # What a cut halves has half as large a score.
            scores = scores.copy()
            scores[np.arange(len(scores)), scores.argmax(axis=1)] *= 0.5
            scores, origin = np.concatenate([scores, scores]), np.concatenate([origin, origin])
            cuts += 1
        parents = leaves[origin]
        depth = (parents.depth + cuts).astype(np.int32)
        data = self._named(sets) | {"doubts": parents.data["doubts"]}
        children = Leaves(parents.goal, parents.upper, depth, data)
        return self._bounded(children, threshold[origin])

    def decide(self, leaves: Leaves) -> tuple[Array, Array]:
        return leaves.upper, self.candidates(leaves)

    def exhausted(self, leaves: Leaves) -> NDArray[np.bool_]:
        """Say which leaves no cut makes smaller: floating-point numbers are not dense enough."""
        return ~(leaves.data["scores"].max(axis=1) > 0)

    def splittable(self, leaves: Leaves) -> NDArray[np.bool_]:
        return ~self.exhausted(leaves)

    def candidates(self, leaves: Leaves) -> Array:
        """Return the better one of the middle and of where the smallest bound is attained."""
        return leaves.data["point"]

    def _named(self, sets: Sets) -> dict[str, Array]:
        return {f"set{i}": values for i, values in enumerate(sets)}

    def _sets(self, leaves: Leaves) -> Sets:
        return tuple(leaves.data[f"set{i}"] for i in range(len(self._whole)))

    def _bounded(self, leaves: Leaves, threshold: Array) -> Leaves:
        """Bound leaves of which the sets are known, as many at once as there is time for."""
        found: list[Leaves] = []
        for part in self._pace.parts(len(leaves)):
            begin = time.perf_counter()
            found.append(self._few_bounded(leaves[part], threshold[part]))
            each = (time.perf_counter() - begin) / len(found[-1])
            self._fastest = min(self._fastest, each)
            # Few leaves at once take as long as some more on a busy machine, which would never end.
            self._pace.least = max(1, min(int(_LEAST_SECONDS / self._fastest), self._pace.most))
        return Leaves.joined(found)

    def _few_bounded(self, leaves: Leaves, threshold: Array) -> Leaves:
        verifier, about, sets = self._verifier, self._goals[leaves.goal], self._sets(leaves)
        found = self._rows(verifier, about, sets)
        upper, doubt = _signed(found, about, threshold, verifier.dtype.as_numpy_dtype)
        sets, empty = self._clipped(sets, found, threshold, verifier)
        scores, point = self._looked(sets, found, about, leaves.goal)
        doubts = np.where(doubt, leaves.data["doubts"] + 1, 0).astype(np.int8)
        last = ~(scores.max(axis=1) > 0)
        again = np.flatnonzero(((doubts >= _PATIENCE) | last) & ~empty & (upper >= threshold))
        if verifier.dtype.name != "float64" and again.size:
            self._pace.pulse()
            chosen, precise = tuple(values[again] for values in sets), verifier.precise
            rows = self._rows(precise, about[again], chosen)
            upper[again], _ = _signed(rows, about[again], threshold[again], np.float64)
            chosen, empty[again] = self._clipped(chosen, rows, threshold[again], precise)
            for values, value in zip(sets, chosen, strict=True):
                values[again] = value
        upper = np.where(empty, np.nextafter(threshold, -np.inf), upper)
        data = self._named(sets) | {"scores": scores, "point": point, "doubts": doubts}
        return Leaves(leaves.goal, np.minimum(upper, leaves.upper), leaves.depth, data)

    def _rows(self, verifier: Verifier, about: Goals, sets: Sets) -> _Rows:
        """Bound all parts of the goals on sets, one set for each goal."""
        rows = about.rows.reshape(*about.rows.shape[:2], *verifier.graph.output_shape)
        domain = self._template.rebuild(*(tf.cast(v, verifier.dtype) for v in _tensors(sets)))
        bounds = verifier.quick_bounds(domain, tf.constant(rows, verifier.dtype))
        upper, weights, offset = (
            values.numpy().astype(np.float64)
            for values in (bounds.upper, bounds.weights, bounds.offset)
        )
        weights = weights.reshape(*weights.shape[:2], -1)
        # What is no number bounds nothing.
        finite = np.isfinite(upper) & np.isfinite(offset) & np.isfinite(weights).all(axis=2)
        bounded = np.isfinite(upper) & about.valid
        lower, higher = self._hulls(sets)
        reach = np.maximum(np.abs(lower), np.abs(higher)).reshape(len(about), 1, weights.shape[2])
        weights = np.where(finite[:, :, None], weights, 0.0)
        return _Rows(
            np.where(bounded, upper + about.offsets, np.inf),
            weights,
            np.where(finite & about.valid, offset + about.offsets, np.inf),
            np.where(finite, (np.abs(weights) * reach).sum(axis=2), np.inf),
        )

    def _hulls(self, sets: Sets) -> Sets:
        """Return both corners of boxes around the sets."""
        if isinstance(self._template, BoxDomain):
            return sets
        return tuple(end.numpy() for end in self._cuts.hull(_tensors(sets)))

    def _clipped(
        self, sets: Sets, found: _Rows, threshold: Floats, verifier: Verifier
    ) -> tuple[Sets, NDArray[np.bool_]]:
        """Return copies of the sets without parts of no interest, and which ones are nothing else.

        An affine bound is relied on up to what its rounding may amount to.
        """
        sets = tuple(values.copy() for values in sets)
        count = len(threshold)
        if not isinstance(self._template, BoxDomain):
            return sets, np.zeros(count, dtype=bool)
        dtype = sets[0].dtype.type
        lower, upper = (values.reshape(count, -1) for values in sets)
        slack = np.sqrt(np.finfo(verifier.dtype.as_numpy_dtype).eps) * found.sizes
        offsets = found.offsets - threshold[:, None] + slack
        low, high, empty = clip_boxes(lower, upper, found.weights, offsets)
        low = np.where(empty[:, None], lower, round_down(low, dtype))
        high = np.where(empty[:, None], upper, round_up(high, dtype))
        shape = sets[0].shape
        return (low.reshape(shape), high.reshape(shape)), empty

    def _looked(
        self, sets: Sets, found: _Rows, about: Goals, goal: Positions
    ) -> tuple[Array, Array]:
        """Return the scores of all cuts, and the best of some points."""
        graph, dtype = self._verifier.graph, self._verifier.dtype
        own = np.where(about.valid[:, :, None], np.abs(found.weights), 0).sum(axis=1)
        _, which, count = np.unique(goal, return_inverse=True, return_counts=True)
        total = np.zeros((len(count), own.shape[1]))
        np.add.at(total, which, own)
        typical = (total / count[:, None])[which][:, None]
        weights = np.concatenate([found.weights, typical], axis=1)
        importance = np.concatenate([about.valid, np.ones((len(about), 1))], axis=1)
        scores, points, logits = self._cuts.look(
            _tensors(sets),
            tf.constant(weights.reshape(*weights.shape[:2], *graph.input_shape), dtype),
            tf.constant(importance, dtype),
            tf.constant(found.upper.argmin(axis=1), tf.int32),
        )
        scores, points = scores.numpy(), points.numpy()
        if isinstance(self._template, BoxDomain):
            lower, upper = (values.reshape(len(about), -1) for values in sets)
            scores = np.where(np.nextafter(lower, np.inf) < upper, scores, 0)
        values = about.of(logits.numpy().reshape(*points.shape[:2], -1))
        chosen = np.nan_to_num(values, nan=-np.inf).argmax(axis=1)
        return scores, points[np.arange(len(about)), chosen]


class _Rows(NamedTuple):
    """Bounds of the parts of goals, in double precision, whatever they were computed in.

    Attributes
    ----------
    upper : ``(n, parts)``: infinite for parts that do not exist or have no bound
    weights : ``(n, parts, inputs)``
    offsets : ``(n, parts)``: ``weights . x + offsets`` is an upper bound too
    sizes : ``(n, parts)``: how large the terms are that the bounds are differences of
    """

    upper: Floats
    weights: Floats
    offsets: Floats
    sizes: Floats


def _tensors(sets: Sets) -> Packed:
    return tuple(map(tf.constant, sets))


def _signed(
    found: _Rows, about: Goals, threshold: Floats, dtype: Any
) -> tuple[Floats, NDArray[np.bool_]]:
    """Return bounds of goals that are below the threshold only if rounding has no part in it.

    Returns
    -------
    bounds ``(n,)``, and for which of them rounding may be all that lacks
    """
    excess = found.upper - threshold[:, None]
    if dtype == np.float64:
        return about.least(found.upper), np.zeros(len(about), dtype=bool)
    near = doubtful(excess.astype(dtype), found.sizes)
    upper = about.least(np.where(near, threshold[:, None], found.upper))
    return upper, near.any(axis=1) & (upper >= threshold)


def clip_boxes(
    lower: Floats, upper: Floats, weights: Floats, offsets: Floats
) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Return boxes around the part of each box where all of some affine functions are >= 0.

    With the largest value ``t`` of ``w . x + c`` in the box, ``x_i >= upper_i - t / w_i``
    wherever the function is not negative, if ``w_i > 0``, and ``x_i <= lower_i - t / w_i`` if
    ``w_i < 0``.

    Parameters
    ----------
    lower, upper : ``(n, inputs)``
    weights : ``(n, parts, inputs)``
    offsets : ``(n, parts)``: infinite for functions that restrict nothing

    Returns
    -------
    corners ``(n, inputs)`` in double precision, and, ``(n,)``, where there is no such point: the
    corners mean nothing there
    """
    low, high = lower.astype(np.float64), upper.astype(np.float64)
    empty = np.zeros(len(low), dtype=bool)
    for w, c in zip(weights.swapaxes(0, 1), offsets.T, strict=True):
        slope = np.abs(w)
        top = (np.where(w > 0, high, low) * w).sum(axis=1) + c
        empty |= top < 0
        room = np.full_like(slope, np.inf)
        np.divide(top[:, None], slope, out=room, where=slope > 0)
        low, high = (
            np.where(w > 0, np.maximum(low, high - room), low),
            np.where(w < 0, np.minimum(high, low + room), high),
        )
        empty |= (low > high).any(axis=1)
    return low, high, empty
