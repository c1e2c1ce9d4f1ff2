"""What input splitting asks of sets and of the network besides bounds, compiled."""

from __future__ import annotations

from typing import TypeAlias, final

from decomon._backend import Tensor, tf
from decomon.domains import Domain
from decomon.geometry import Compiled
from decomon.questions import logits_at
from decomon.verifier import Verifier

Packed: TypeAlias = tuple[Tensor, ...]


@final
class Cuts:
    """What is compiled for one kind of input sets, besides bounds.

    Parameters
    ----------
    verifier : of the network
    template : any sets of that kind
    """

    def __init__(self, verifier: Verifier, template: Domain) -> None:
        self._verifier = verifier
        self._template = template
        graph, dtype = verifier.graph, verifier.dtype
        sets = template.specs(graph.input_shape, dtype)
        rows = tf.TensorSpec([None, None, *graph.input_shape], dtype)
        numbers = tf.TensorSpec([None, None], dtype)
        best = tf.TensorSpec([None], tf.int32)
        self._hull = Compiled(self._trace_hull, [sets])
        self._look = Compiled(self._trace_look, [sets, rows, numbers, best])
        self._cut = Compiled(self._trace_cut, [sets, numbers])

    @property
    def trace_count(self) -> int:
        """How often anything was traced."""
        return sum(each.trace_count for each in (self._hull, self._look, self._cut))

    def hull(self, sets: Packed) -> Packed:
        """Return both corners of boxes around the sets."""
        return self._hull(sets)

    def look(
        self, sets: Packed, weights: Tensor, importance: Tensor, best: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Say how sets should be cut, and what the network makes of some of their points.

        Parameters
        ----------
        weights : ``(n, rows, *input shape)``
        importance : ``(n, rows)``: how much each row matters
        best : ``(n,)``: the row whose largest value is looked at

        Returns
        -------
        scores ``(n, cuts)``, points ``(n, 2, *input shape)`` and logits ``(n, 2, *output shape)``
        """
        return self._look(sets, weights, importance, best)

    def cut(self, sets: Packed, scores: Tensor) -> tuple[Packed, Packed]:
        """Return both parts of sets that are cut where the score is largest."""
        return self._cut(sets, scores)

    def _trace_hull(self, sets: Packed) -> tuple[Tensor, Tensor]:
        hull = self._template.rebuild(*sets).interval()
        return hull.lower, hull.upper

    def _trace_look(
        self, sets: Packed, weights: Tensor, importance: Tensor, best: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        domain: Domain = self._template.rebuild(*sets)
        scores = domain.scores(weights, importance)
        # Where bounds depend on nothing, or are no numbers, the widest side is cut.
        plain = domain.scores(tf.ones_like(weights[:, :1]), tf.ones_like(importance[:, :1]))
        known = tf.reduce_all(tf.math.is_finite(scores), axis=1, keepdims=True)
        known &= tf.reduce_max(scores, axis=1, keepdims=True) > 0
        corner = domain.maximizer(tf.gather(weights, best[:, None], batch_dims=1))
        points = tf.concat([domain.center()[:, None], corner], axis=1)
        return tf.where(known, scores, plain), points, logits_at(self._verifier, points)

    def _trace_cut(self, sets: Packed, scores: Tensor) -> tuple[Packed, Packed]:
        left, right = self._template.rebuild(*sets).split(scores)
        return left.tensors(), right.tensors()
