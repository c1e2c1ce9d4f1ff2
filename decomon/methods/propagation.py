"""From a domain to certified bounds: intervals of all nodes, then bounds of the rows asked for."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from dataclasses import dataclass, field
from inspect import cleandoc
from typing import TYPE_CHECKING, TypeAlias, final

from decomon._backend import Tensor, tf
from decomon._tensors import column_product, flatten, flatten_rows, rise
from decomon.bounds import AffineBound, AffineBounds, Interval
from decomon.domains import BoxDomain, Domain
from decomon.known import KnownInterval, known_intervals
from decomon.methods.backward import AtCorner, Stretches, Substituted, passed, substitute
from decomon.methods.compiled import Compiled
from decomon.methods.cuts import Cuts
from decomon.methods.local import (
    Local,
    LocalPassage,
    inner,
    localize,
    optimised_views,
    own_lines,
    views,
)
from decomon.methods.passages import Passage, Units, through_affine, through_relaxation
from decomon.methods.windows import View, Windows, own_patches
from decomon.nodes import Graph
from decomon.ops._base import AffineOp, NonlinearOp, Relaxer, SlopeRule

Parameters: TypeAlias = Mapping[tuple[int, int], tuple[Tensor, ...]]
"""Optimised relaxation parameters, by (node that is bounded, nonlinear node).

Those of the nodes that are bounded on the way may also be common to all, under ``COMMON``.
"""

COMMON = -1

if TYPE_CHECKING:
    from decomon.budget import Budget


class Rule(abc.ABC):
    """How the rows of one node are bounded."""

    @abc.abstractmethod
    def improves(self, state: State, index: int) -> bool:
        """Whether the interval of a node is worth more than interval arithmetic."""

    @abc.abstractmethod
    def ends(self, state: State) -> frozenset[int]:
        """Nodes where the substitution stops."""

    @abc.abstractmethod
    def tighten(self, state: State, index: int, interval: Interval) -> Interval:
        """Return the interval of a node, given the one from interval arithmetic."""


@final
@dataclass(frozen=True)
class Method:
    """A rule for the inputs of nonlinear nodes and a rule for the rows asked of the output.

    Parameters
    ----------
    name : full name
    intermediate : bounds the inputs of nonlinear nodes
    final : bounds the rows
    text : what the method computes, what it costs and when to choose it
    """

    name: str
    intermediate: Rule
    final: Rule
    text: str = field(default="", compare=False, repr=False)

    @property
    def description(self) -> str:
        """What the method computes, what it costs and when to choose it."""
        return cleandoc(self.text)


@final
@dataclass
class State:
    """What is known of one graph on one batch of domains, while it grows in topological order.

    ``budget`` says how much is substituted at once; it bounds memory, never the result.
    ``passed`` collects the nodes that were bounded, each with the nonlinear nodes that its
    substitutions may pass.  ``unmixed`` holds the intervals of a rule before they are intersected
    with interval arithmetic: starting slopes are chosen from those, because the choice jumps with
    the interval, and a tighter interval that makes it jump may give looser bounds.  ``passages``
    keeps how rows pass each node, as far as that is the same for all substitutions, and
    ``relaxers`` what relaxations with other parameters have in common.  ``known`` holds intervals
    that other relaxations have proven; what is found of these nodes is intersected with them.
    """

    graph: Graph
    domain: Domain
    method: Method
    slopes: SlopeRule
    parameters: Parameters
    budget: Budget
    known: Mapping[int, Interval] = field(default_factory=dict[int, Interval])
    wanted: Mapping[int, Tensor] = field(default_factory=dict[int, Tensor])
    intervals: dict[int, Interval] = field(default_factory=dict[int, Interval])
    affine: dict[int, AffineBounds] = field(default_factory=dict[int, AffineBounds])
    unmixed: dict[int, Interval] = field(default_factory=dict[int, Interval])
    passed: dict[int, tuple[int, ...]] = field(default_factory=dict[int, tuple[int, ...]])
    relaxers: dict[int, Relaxer] = field(default_factory=dict[int, Relaxer])
    passages: dict[int, Passage] = field(default_factory=dict[int, Passage])
    local: dict[tuple[int, View], LocalPassage] = field(
        default_factory=dict[tuple[int, "View"], "LocalPassage"]
    )
    cuts: Cuts = field(init=False)
    stretches: Stretches = field(init=False)
    compiled: Compiled = field(init=False)

    def __post_init__(self) -> None:
        self.stretches = Stretches(self.graph)
        self.compiled = Compiled(self.slopes)
        self.cuts = Cuts(self.graph, self.intervals)

    def propagate(self) -> None:
        """Bound every node up to the output, but for those whose intervals are given."""
        graph, bounded = self.graph, self.method.intermediate
        given = known_intervals(self.domain)
        self.intervals[0] = self.recall(0, given.get(0, self.domain.interval()))
        for index, node in enumerate(graph.nodes[1:], start=1):
            if index in given:
                interval = given[index]
                if isinstance(interval, KnownInterval):
                    self.unmixed[index] = interval.own
                self.intervals[index] = interval
                continue
            sources = [self.intervals[i] for i in node.inputs]
            interval = self.compiled.interval(node.evaluate, sources)
            improvable = bounded.improves(self, index)
            if improvable:
                interval = bounded.tighten(self, index, interval)
            self.intervals[index] = interval

    def poison(self, values: Tensor) -> Tensor:
        """Turn the bounds of samples for which some interval overflowed into NaN.

        A relaxation of a NaN or infinite interval means nothing, and may look harmless.
        """
        nothing = tf.constant(float("nan"), values.dtype)
        return tf.where(self.finite()[:, None], values, nothing)

    def finite(self) -> Tensor:
        """Say for which samples no interval that something rests on overflowed, ``(batch,)``."""
        known = [self.intervals[i] for i in {*self.graph.relaxed, *self.graph.ends, 0}]
        ends = [end for interval in known for end in (interval.lower, interval.upper)]
        return tf.reduce_all(tf.stack([_all_finite(end) for end in ends]), axis=0)

    def recall(self, index: int, interval: Interval) -> Interval:
        """Intersect the interval of a node with what is known of it."""
        return interval.intersect(self.known[index]) if index in self.known else interval

    def narrowed(self, index: int, own: Interval, interval: Interval) -> Interval:
        """Intersect the interval of a node with what is known of it, with the gradient of its own.

        Where another interval is tighter, a small change of the rule's own one has no effect, yet
        its parameters, which nothing else depends on, have to move for it to become the
        tighter one.  So they get the gradient of the intersection (a straight-through estimator).
        """
        if index not in self.known:
            return interval
        both = self.recall(index, interval)
        return Interval(_replaced(own.lower, both.lower), _replaced(own.upper, both.upper))

    def proven(self) -> dict[int, Interval]:
        """Return what is known now of the nodes that were bounded, to start from another time.

        Nothing new is learnt of a sample for which some interval overflowed.
        """
        finite = self.finite()
        return {
            i: _chosen(finite, self.intervals[i], self.known.get(i, self.intervals[i]))
            for i in self.unmixed
        }

    def passage(self, start: int, index: int, neurons: Tensor | None = None) -> Passage:
        """Return how rows pass node ``index`` in the substitution that starts at ``start``.

        ``neurons`` are the positions of the neurons of ``start`` that are bounded, ``(batch or 1,
        n)``, from both sides; parameters are then either shared by all of them or one per
        neuron and side.
        """
        if (start, index) in self.parameters:
            return self._relaxed(index, self._chosen(start, index, neurons))
        if index not in self.passages:
            self.passages[index] = self._common(index)
        return self.passages[index]

    def prepare(self, start: int) -> None:
        """Compute what substitutions from ``start`` need and do not compute themselves."""
        for index in self.graph.ancestors(start) - {0}:
            if (start, index) in self.parameters:
                self._relaxer(index)
            else:
                self.passage(start, index)
        seen = self.views(start)
        for index in (self.graph.ancestors(start) & self.graph.linear) - {0}:
            self.cuts.corner(index)
            if index in seen:
                self.cuts.corner_windows(index, seen[index])
        for index, view in seen.items():
            if index == 0:
                self.cuts.width_windows(view)
            elif (start, index) in self.parameters:
                self.cuts.end_windows(index, view)
            else:
                self._local(start, index, view)

    def views(self, start: int) -> Mapping[int, View]:
        """Return the windows that neurons of a node have on others."""
        own = any(key[0] == start for key in self.parameters)
        return (optimised_views if own else views)(self.graph, start)

    def _local(
        self, start: int, index: int, view: View, neurons: Tensor | None = None
    ) -> LocalPassage:
        """Return how windows pass a node."""
        values = self.parameters.get((start, index), ())
        if neurons is not None and any(value.shape[1] != 1 for value in values):
            places = neurons // self.graph.nodes[start].shape[-1]
            lower, upper = (own_patches(cut, places) for cut in self.cuts.end_windows(index, view))
            chosen = self._chosen(start, index, neurons)
            return own_lines(self.graph.nodes[index].nonlinear, (lower, upper), chosen)
        if values:
            return self._localized(start, index, view)
        if (index, view) not in self.local:
            self.local[index, view] = self._localized(start, index, view)
        return self.local[index, view]

    def _localized(self, start: int, index: int, view: View) -> LocalPassage:
        shapes = [self.graph.nodes[i].shape for i in self.graph.nodes[index].inputs]
        return localize(self.passage(start, index), view, shapes)

    def _common(self, index: int) -> Passage:
        """Prepare the passage through a node that is the same for all substitutions."""
        node = self.graph.nodes[index]
        if isinstance(node.op, NonlinearOp):
            if (COMMON, index) in self.parameters:
                return self._relaxed(index, self._chosen(COMMON, index, None))
            intervals = [self.intervals[i] for i in node.inputs]
            own = self._own_intervals(index)
            return through_relaxation(self.compiled.relax(node.op, intervals, own))
        if isinstance(node.op, AffineOp):
            shapes = [self.graph.nodes[i].shape for i in node.inputs]
            return through_affine(node.op, shapes, node.shape, self.intervals[0].lower.dtype)
        raise TypeError(f"Node {node.name!r} is neither affine nor nonlinear: {node.op!r}")

    def _relaxed(self, index: int, parameters: tuple[Tensor, ...]) -> Passage:
        return through_relaxation(self._relaxer(index)(parameters))

    def _relaxer(self, index: int) -> Relaxer:
        if index not in self.relaxers:
            node = self.graph.nodes[index]
            intervals = [self.intervals[i] for i in node.inputs]
            self.relaxers[index] = node.nonlinear.relaxer(intervals)
        return self.relaxers[index]

    def _chosen(self, start: int, index: int, neurons: Tensor | None) -> tuple[Tensor, ...]:
        """Return the given parameters of a nonlinear node, those of some neurons only."""
        chosen = self.parameters[start, index]
        if neurons is None:
            return chosen
        both = tf.concat([neurons, neurons + self.graph.nodes[start].size], axis=1)
        return tuple(value if value.shape[1] == 1 else _picked(value, both) for value in chosen)

    def initial(self, start: int, index: int, sets: int | Tensor) -> tuple[Tensor, ...]:
        """Return the starting parameters of a nonlinear node, each ``(batch, sets, *shape)``.

        Where every neuron of ``start``, from both sides, has parameters of its own, it has them for
        its window alone.
        """
        op = self.graph.nodes[index].nonlinear
        values = op.project(op.initial(self._own_intervals(index), self.slopes))
        view = optimised_views(self.graph, start).get(index)
        if view is None or start == self.graph.output or (isinstance(sets, int) and sets == 1):
            return tuple(
                tf.tile(value[:, None], [1, sets, *[1] * (len(value.shape) - 1)])
                for value in values
            )
        node = self.graph.nodes[start]
        places = tf.range(2 * node.size) % node.size // node.shape[-1]
        return tuple(tf.gather(view.patches(value), places, axis=1) for value in values)

    def _own_intervals(self, index: int) -> list[Interval]:
        """Return what the method alone knows of a node's inputs."""
        sources = self.graph.nodes[index].inputs
        return [self.unmixed.get(i, self.intervals[i]) for i in sources]

    def project(self, index: int, parameters: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return the nearest admissible parameters of a nonlinear node."""
        return self.graph.nodes[index].nonlinear.project(parameters)

    def bound(self, start: int, rows: Tensor, rule: Rule) -> AffineBound:
        """Bound ``rows . z_start`` from above by a function that is affine in the input."""
        return self._close(self._substitute(start, rows, rule, None))

    def bound_sum(
        self, start: int, rows: Tensor, also: Mapping[int, Tensor], rule: Rule
    ) -> tuple[AffineBound, Mapping[int, Tensor]]:
        """Bound ``rows . z_start + sum_i also_i . z_i`` from above.

        Returns
        -------
        the bound, and the rows that arrived at each nonlinear node on the way, ``(batch, spec,
        *node shape)``
        """
        done = self._substitute(start, rows, rule, None, also=also)
        return self._close(done), done.relaxed

    def bound_neurons(self, start: int, neurons: Tensor, rule: Rule) -> AffineBound:
        """Bound neurons of a node, and, stacked below, their negatives, from above.

        ``neurons`` are positions, ``(batch or 1, n)``.
        """
        return self._close(self._substitute(start, self._units(start, neurons), rule, neurons))

    def bound_values(self, start: int, neurons: Tensor, rule: Rule) -> Tensor:
        """Return the largest values of neurons and, behind them, of their negatives.

        ``neurons`` is ``(batch, n)`` and the result ``(batch, 2 n)``.
        """
        units = self._units(start, neurons)
        if not self.domain.separable or rule.ends(self):
            return self.concretize(self._close(self._substitute(start, units, rule, neurons)))
        done = self._substitute(start, units, rule, neurons, self._at_corner)
        rows = done.coefficients.get(0)
        if rows is None:
            return done.offset
        if isinstance(rows, Windows):
            return done.offset + rows.rise(self.cuts.width_windows(rows.view))
        return done.offset + rise(flatten_rows(rows), flatten(self.cuts.width))

    def _at_corner(self, index: int, rows: Tensor | Windows) -> Tensor:
        """Evaluate rows of a node that is affine in the input at the input's lower corner."""
        if isinstance(rows, Windows):
            return inner(rows, self.cuts.corner_windows(index, rows.view))
        column = flatten(self.cuts.corner(index))[..., None]
        return column_product(flatten_rows(rows), column)

    def _units(self, start: int, neurons: Tensor) -> Units:
        return Units(neurons, self.graph.nodes[start].shape, self.intervals[0].lower.dtype)

    def _substitute(
        self,
        start: int,
        rows: Tensor | Units,
        rule: Rule,
        neurons: Tensor | None,
        at_corner: AtCorner | None = None,
        also: Mapping[int, Tensor] | None = None,
    ) -> Substituted:
        ends = rule.ends(self)
        through = passed(self.graph, start, ends)
        self.passed[start] = tuple(dict.fromkeys((*self.passed.get(start, ()), *through)))
        own = any((start, index) in self.parameters for index in through)
        seen: Mapping[int, View] = {}
        if isinstance(rows, Units) and not ends:
            seen = self.views(start)
        return substitute(
            self.graph,
            start,
            rows,
            lambda index: self.passage(start, index, neurons),
            ends,
            stretches=None if ends or own or also else self.stretches,
            at_corner=at_corner,
            also=also,
            local=Local(seen, lambda index: self._local(start, index, seen[index], neurons)),
        )

    def turn(self, index: int) -> Tensor:
        """Return how many neurons of each sample to bound at once."""
        batch = tf.shape(self.intervals[0].lower)[0]
        return tf.maximum(self.budget.pairs(index) // tf.maximum(batch, 1), 1)

    def concretize(self, bound: AffineBound) -> Tensor:
        """Maximise an affine bound over the domain."""
        return self.domain.concretize(bound)

    def _close(self, done: Substituted) -> AffineBound:
        """Express what the substitution stopped at in terms of the input."""
        weights, offset = done.coefficients.get(0), done.offset
        if isinstance(weights, Windows):
            weights = weights.dense(self.graph.input_shape)
        for index, rows in done.coefficients.items():
            if index in self.affine:
                part = compose(rows, self.affine[index], self.graph.input_shape)
                weights = part.weights if weights is None else weights + part.weights
                offset = offset + part.offset
            elif index != 0:
                interval = self.intervals[index]
                box = BoxDomain(interval.lower, interval.upper)
                offset = box.concretize(AffineBound(rows, offset))
        if weights is None:
            weights = tf.zeros([1, 1, *self.graph.input_shape], offset.dtype)
        return AffineBound(weights, offset)

    def largest(self, start: int, rows: Tensor, rule: Rule) -> Tensor:
        """Bound ``rows . z_start`` from above by a number."""
        done = self._substitute(start, rows, rule, None)
        bound = self._close(done)
        depends = any(i == 0 or i in self.affine for i in done.coefficients)
        return self.concretize(bound) if depends else bound.offset


def _all_finite(values: Tensor) -> Tensor:
    """Say for which samples all entries are finite."""
    return tf.reduce_all(tf.math.is_finite(values), axis=list(range(1, len(values.shape))))


def _chosen(where: Tensor, first: Interval, second: Interval) -> Interval:
    """Take the first interval for some samples and the second one for the others."""
    mask = tf.reshape(where, [-1, *[1] * (len(first.lower.shape) - 1)])
    return Interval(
        tf.where(mask, first.lower, second.lower), tf.where(mask, first.upper, second.upper)
    )


def _replaced(own: Tensor, value: Tensor) -> Tensor:
    """Return ``value``, with the gradient of ``own``."""

    def replace(_: Tensor) -> Tensor:
        return value

    return tf.grad_pass_through(replace)(own)


def compose(rows: Tensor, known: AffineBounds, shape: tuple[int, ...]) -> AffineBound:
    """Bound ``rows . z`` given affine bounds of ``z``.

    ``A . z = A+ . z + A- . z <= A+ . U(x) + |A-| . N(x)`` with ``z <= U`` and ``-z <= N``.
    """
    flat = flatten_rows(rows)
    positive = tf.nn.relu(flat)
    negative = positive - flat
    weights = tf.matmul(positive, flatten_rows(known.upper.weights)) + tf.matmul(
        negative, flatten_rows(known.negated.weights)
    )
    offset = tf.linalg.matvec(positive, known.upper.offset) + tf.linalg.matvec(
        negative, known.negated.offset
    )
    return AffineBound(
        tf.reshape(weights, tf.concat([tf.shape(weights)[:2], shape], axis=0)), offset
    )


def _picked(values: Tensor, places: Tensor) -> Tensor:
    """Pick sets of parameters ``(batch or 1, sets, *shape)``; places are ``(batch or 1, n)``."""
    if places.shape[0] == 1:
        return tf.gather(values, places[0], axis=1)
    return tf.gather(values, places, axis=1, batch_dims=1)


def split_signs(bound: AffineBound) -> AffineBounds:
    """Undo the stacking of a two-sided bound."""
    upper_weights, negated_weights = tf.split(bound.weights, 2, axis=1)
    upper_offset, negated_offset = tf.split(bound.offset, 2, axis=1)
    return AffineBounds(
        AffineBound(upper_weights, upper_offset), AffineBound(negated_weights, negated_offset)
    )
