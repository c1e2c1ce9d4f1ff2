"""What is asked of margins besides bounds, compiled as one function each.

Started one at a time, the small operations around the bounds would take longer than the bounds.
What is compiled elsewhere is called while these functions are traced, so nothing is traced twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from decomon._backend import Tensor, tf
from decomon.domains import Domain
from decomon.engine import Bounds
from decomon.geometry import Compiled

if TYPE_CHECKING:
    from decomon.verifier import Verifier

Packed: TypeAlias = tuple[Tensor, ...]

CORNERS = 32
_TARGETS = 3
_RANDOM_STARTS = 2
_LOOKS = 6


class Looked(NamedTuple):
    """What the network attains where bounds say that margins may be large.

    Attributes
    ----------
    sizes : ``(batch,)``: how large the terms are that the largest bound is a difference of
    points : ``(batch, 2, *input shape)``: the middle, and where that bound is attained
    logits : ``(batch, 2, *output shape)``: of the network at these points
    """

    sizes: Tensor
    points: Tensor
    logits: Tensor


class Sought(NamedTuple):
    """What a search came across.

    Attributes
    ----------
    rows : ``(batch, paths, *output shape)``: the most promising rows, which paths followed
    points : ``(batch, candidates, *input shape)``
    margins : ``(batch, candidates)``, in double precision: the largest margin at each point
    best : ``(batch, *input shape)``: the point where it is largest
    """

    rows: Tensor
    points: Tensor
    margins: Tensor
    best: Tensor


@final
class Questions:
    """The compiled questions of a verifier about one kind of input sets.

    Parameters
    ----------
    verifier : bounds the network
    outer : any sets of the kind that is bounded
    nearest : any sets of the kind that points are looked for in
    whole : where the model cuts decimals off, with a batch axis of 1; None if it never does
    """

    def __init__(
        self, verifier: Verifier, outer: Domain, nearest: Domain, whole: NDArray[np.bool_] | None
    ) -> None:
        self._verifier = verifier
        self._outer = outer
        self._nearest = nearest
        self._whole = whole
        graph, dtype = verifier.graph, verifier.dtype
        sets, inner = (domain.specs(graph.input_shape, dtype) for domain in (outer, nearest))
        rows = tf.TensorSpec([None, None, *graph.output_shape], dtype)
        points = tf.TensorSpec([None, None, *graph.input_shape], dtype)
        valid = tf.TensorSpec([None, None], tf.bool)
        upper = tf.TensorSpec([None, None], dtype)
        steps = tf.TensorSpec([], tf.int32)
        self._both = Compiled(self._trace_both, [sets, rows])
        self._margins = Compiled(self._trace_margins, [sets, inner, rows, valid])
        self._look = Compiled(self._trace_look, [sets, inner, upper, points, valid])
        self._seek = Compiled(
            self._trace_seek,
            [inner, rows, valid, (upper, upper), (points, points), points, steps],
        )
        self._rounding = Compiled(self._trace_rounding, [inner, points])

    @property
    def trace_count(self) -> int:
        """How often anything was traced."""
        return sum(
            e.trace_count
            for e in (self._both, self._margins, self._look, self._seek, self._rounding)
        )

    def both(self, outer: Domain, rows: Tensor) -> tuple[Bounds, Bounds]:
        """Bound rows and their negations with the starting relaxations, on the same intervals."""
        if self._verifier.steps:  # these bounds are of no further use, so less is compiled
            bounds = self._verifier.quick_bounds(outer, tf.concat([rows, -rows], axis=1))
            parts = (bounds.upper, bounds.weights, bounds.offset)
            upper, lower = zip(*(tf.split(part, 2, axis=1) for part in parts), strict=True)
        else:
            upper, lower = self._both(outer.tensors(), rows)
        return Bounds(*upper), Bounds(*lower)

    def margins(
        self, outer: Domain, nearest: Domain, rows: Tensor, valid: Tensor
    ) -> tuple[Tensor, Looked]:
        """Bound rows, and do :meth:`look`.

        Parameters
        ----------
        rows : ``(batch, spec, *output shape)``, no more than are bounded at once
        valid : ``(batch, spec)``: which rows count
        """
        if self._verifier.steps:
            bounds = self._verifier.bounds(outer, rows)
            return bounds.upper, self.look(outer, nearest, bounds, valid)
        upper, looked = self._margins(outer.tensors(), nearest.tensors(), rows, valid)
        return upper, Looked(*looked)

    def look(self, outer: Domain, nearest: Domain, bounds: Bounds, valid: Tensor) -> Looked:
        """Evaluate the network where bounds say that margins may be large.

        Parameters
        ----------
        bounds : of each row
        valid : ``(batch, spec)``: which rows count
        """
        sets = outer.tensors(), nearest.tensors()
        return self._look(*sets, bounds.upper, bounds.weights, valid)

    def search(
        self,
        nearest: Domain,
        rows: Tensor,
        valid: Tensor,
        both: tuple[Bounds, Bounds],
        starts: Tensor | None,
        steps: int,
    ) -> Sought:
        """Search each set for the point with the largest margin.

        Parameters
        ----------
        rows : ``(batch, spec, *output shape)``
        valid : ``(batch, spec)``: which rows count
        both : what :meth:`both` returned
        starts : ``(batch, count, *input shape)``: points of the sets to start from, besides others
        steps : number of gradient steps
        """
        if starts is None:
            starts = tf.zeros([len(nearest), 0, *self._verifier.graph.input_shape], rows.dtype)
        uppers, weights = zip(*((b.upper, b.weights) for b in both), strict=True)
        sets, count = nearest.tensors(), tf.constant(steps)
        return self._seek(sets, rows, valid, uppers, weights, starts, count)

    def rounding(self, nearest: Domain, points: Tensor) -> Tensor:
        """Say how far logits are from those of double precision.

        Parameters
        ----------
        points : ``(batch, count, *input shape)``: points to look at, besides the middle and others

        Returns
        -------
        tensor ``(batch, all points, *output shape)``, in double precision
        """
        return self._rounding(nearest.tensors(), points)

    def _trace_both(self, sets: Packed, rows: Tensor) -> tuple[Packed, Packed]:
        return self._verifier.engine(self._outer).both(sets, rows)

    def _trace_margins(
        self, sets: Packed, inner: Packed, rows: Tensor, valid: Tensor
    ) -> tuple[Tensor, Looked]:
        outer = self._outer.rebuild(*sets)
        bounds = self._verifier.engine(outer).quick_bounds(outer, rows)
        return bounds.upper, self._trace_look(sets, inner, bounds.upper, bounds.weights, valid)

    def _trace_look(
        self, sets: Packed, inner: Packed, upper: Tensor, weights: Tensor, valid: Tensor
    ) -> Looked:
        lowest = tf.constant(-np.inf, upper.dtype)
        # What is no number bounds nothing.
        known = tf.where(tf.math.is_finite(upper), upper, tf.constant(np.inf, upper.dtype))
        known = tf.where(valid, known, lowest)
        largest = tf.cast(known == tf.reduce_max(known, axis=1, keepdims=True), upper.dtype)
        outer, nearest = self._outer.rebuild(*sets), self._nearest.rebuild(*inner)
        _, corners, sizes = self._verifier.geometry(outer).cuts(outer, weights, largest)
        corners = self._verifier.geometry(nearest).project(nearest, corners)
        points = tf.concat([nearest.center()[:, None], corners], axis=1)
        return Looked(sizes, points, logits_at(self._verifier, points))

    def _trace_seek(
        self,
        inner: Packed,
        rows: Tensor,
        valid: Tensor,
        uppers: tuple[Tensor, Tensor],
        weights: tuple[Tensor, Tensor],
        starts: Tensor,
        steps: Tensor,
    ) -> Sought:
        nearest = self._nearest.rebuild(*inner)
        geometry = self._verifier.geometry(nearest)
        lowest = tf.constant(-np.inf, rows.dtype)
        order = tf.where(tf.math.is_nan(uppers[0]), tf.zeros_like(uppers[0]), uppers[0])
        order = tf.clip_by_value(order, rows.dtype.min, rows.dtype.max)
        order = tf.where(valid, order, lowest)
        count = tf.minimum(CORNERS, tf.shape(rows)[1])
        promising = tf.math.top_k(order, count).indices
        upper, lower = (tf.gather(w, promising, batch_dims=1) for w in weights)
        candidates = [
            geometry.maximizer(nearest, upper),
            geometry.maximizer(nearest, -lower),
            nearest.center()[:, None],
            geometry.sample(nearest, _RANDOM_STARTS, 0),
            starts,
        ]
        points = reachable(self._whole, tf.concat(candidates, axis=1))
        logits = logits_at(self._verifier, points)
        paths = tf.gather(rows, promising[:, :_TARGETS], batch_dims=1)
        values = tf.einsum("bkc,brc->brk", logits, paths)
        begin = tf.gather(points, tf.argmax(values, axis=2), batch_dims=1)
        climbed = self._verifier.climb(nearest, begin, paths, steps)
        climbed = reachable(self._whole, climbed)
        points = tf.concat([points, climbed], axis=1)
        logits = tf.concat([logits, logits_at(self._verifier, climbed)], axis=1)
        wide = tf.cast(rows, tf.float64), tf.cast(logits, tf.float64)
        margins = tf.einsum("bpc,bkc->bpk", *wide)
        margins = tf.where(valid[:, :, None], margins, tf.constant(-np.inf, tf.float64))
        finite = tf.reduce_all(tf.math.is_finite(logits), axis=2)
        nothing = tf.constant(np.nan, tf.float64)
        margins = tf.where(finite, tf.reduce_max(margins, axis=1), nothing)
        best = tf.gather(points, tf.argmax(margins, axis=1), batch_dims=1)
        return Sought(paths, points, margins, best)

    def _trace_rounding(self, inner: Packed, points: Tensor) -> Tensor:
        nearest = self._nearest.rebuild(*inner)
        sample = self._verifier.geometry(nearest).sample(nearest, _LOOKS, 0)
        looks = tf.concat([points, nearest.center()[:, None], sample], axis=1)
        looks = reachable(self._whole, looks)
        precise = self._verifier.precise
        exact = logits_at(precise, tf.cast(looks, precise.dtype))
        return tf.cast(logits_at(self._verifier, looks), exact.dtype) - exact


def all_of(parts: Sequence[Looked]) -> Looked:
    """Put together what was found for several pieces of the rows."""
    if len(parts) == 1:
        return parts[0]
    return Looked(
        tf.reduce_max(tf.stack([part.sizes for part in parts]), axis=0),
        tf.concat([part.points for part in parts], axis=1),
        tf.concat([part.logits for part in parts], axis=1),
    )


def logits_at(verifier: Verifier, points: Tensor) -> Tensor:
    """Evaluate ``(batch, count, *input shape)``; return ``(batch, count, *output shape)``."""
    outer = tf.shape(points)[:2]
    flat = tf.reshape(points, [-1, *points.shape[2:]])
    logits = verifier.logits(flat)
    return tf.reshape(logits, tf.concat([outer, logits.shape[1:]], axis=0))


def reachable(whole: NDArray[np.bool_] | None, points: Tensor) -> Tensor:
    """Return the nearest points that the model can see; ``points`` is ``(batch, count, ...)``.

    Sets are whole where decimals are cut off, so no point leaves its set.
    """
    return points if whole is None else tf.where(whole, tf.round(points), points)
