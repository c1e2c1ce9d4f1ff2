"""Bounds on leaves that are cut at neurons, compiled once for each kind of input sets.

On a leaf, every neuron that a relaxation depends on lies in an interval: that of the whole set, as
far as splits above the leaf, or what follows from them, have not narrowed it.  A bound of the
goal's rows takes these intervals as they are, so it costs one backward substitution, and is
improved over the slopes of the relaxations and over multipliers of the cuts.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, NamedTuple, final

from decomon._backend import Tensor, tf
from decomon._tensors import flatten, flatten_rows
from decomon.bounds import AffineBound, Interval
from decomon.complete.clipped import Clipped
from decomon.complete.losses import losses
from decomon.complete.neuron_states import Ends, NeuronStates, Packed
from decomon.domains import Domain
from decomon.geometry import Compiled
from decomon.methods.alpha import Adam, Layout, Moments, Sets
from decomon.methods.rules import CrownRule
from decomon.verifier import Verifier

CANDIDATES = 48
_NARROWED = 64
LOWER_CUT, UPPER_CUT = 1, 2
_SLOPE_RATE = 0.25
_MULTIPLIER_RATE = 0.1
_DECAY = 0.94


class Problem(NamedTuple):
    """What is to be bounded on some leaves.

    Attributes
    ----------
    sets : parameters of the input set of each leaf
    lower, upper : ``(batch, neurons)``: where the neurons lie that relaxations depend on
    cuts : int8 ``(batch, neurons)``: which ends are cuts, ``LOWER_CUT`` and ``UPPER_CUT`` added
    rows : ``(batch, parts, *output shape)``
    offsets : ``(batch, parts)``: infinite for parts that do not count
    """

    sets: Packed
    lower: Tensor
    upper: Tensor
    cuts: Tensor
    rows: Tensor
    offsets: Tensor


class Found(NamedTuple):
    """What is known of some leaves.

    Attributes
    ----------
    upper : ``(batch,)``: of the smallest part
    slopes : ``(batch, parts, n)``: parameters of the relaxations
    multipliers : ``(batch, parts, neurons)``
    weights, offset : ``(batch, *input shape)`` and ``(batch,)``: ``weights . x + offset`` is an
        upper bound of the smallest part on the leaf
    sizes : ``(batch,)``: how large the terms are that ``upper`` is a difference of
    spread : ``(batch,)``: how much less than at most ``weights . x + offset`` is in the middle
    scores : ``(batch, candidates)``: how much the relaxations of the worst neurons lose
    neurons : int32 ``(batch, candidates)``: which these are
    places : ``(batch, candidates)``: where to cut them
    wanted : bool ``(batch, neurons)``: neurons whose intervals are worth to be narrowed
    """

    upper: Tensor
    slopes: Tensor
    multipliers: Tensor
    weights: Tensor
    offset: Tensor
    sizes: Tensor
    spread: Tensor
    scores: Tensor
    neurons: Tensor
    places: Tensor
    wanted: Tensor


class _Bounded(NamedTuple):
    """Bounds of all parts: numbers, affine functions, and the rows at nonlinear nodes."""

    upper: Tensor
    affine: AffineBound
    relaxed: Mapping[int, Tensor]


@final
class NeuronBounds:
    """The compiled bounds.

    Parameters
    ----------
    verifier : of the network; its graph, starting slopes and type count
    template : any sets of the kind that is bounded
    nodes : the nodes that :meth:`Engine.refined` finds intervals of

    Attributes
    ----------
    graph : the network, as sets of this kind are propagated through it
    """

    def __init__(self, verifier: Verifier, template: Domain, nodes: tuple[int, ...]) -> None:
        self._states = NeuronStates(verifier, template)
        self.graph = graph = self._states.graph
        dtype = verifier.dtype
        self._verifier = verifier
        self._template = template
        self._given = nodes
        sets = template.specs(graph.input_shape, dtype)
        ends = [tf.TensorSpec([None, *graph.nodes[i].shape], dtype) for i in nodes]
        wide = tf.TensorSpec([None, self.neurons], dtype)
        cuts = tf.TensorSpec([None, self.neurons], tf.int8)
        rows = tf.TensorSpec([None, None, *graph.output_shape], dtype)
        offsets = tf.TensorSpec([None, None], dtype)
        problem = Problem(sets, wide, wide, cuts, rows, offsets)
        slopes = tf.TensorSpec([None, None, self.parameters], dtype)
        multipliers = tf.TensorSpec([None, None, self.neurons], dtype)
        number = tf.TensorSpec([None], dtype)
        flags = tf.TensorSpec([None, self.neurons], tf.bool)
        count, places = tf.TensorSpec([], tf.int32), tf.TensorSpec([None], tf.int32)
        weights = tf.TensorSpec([None, *graph.input_shape], dtype)
        parameters = (slopes, multipliers)
        self._begin = Compiled(self._trace_begin, [sets, tuple((end, end) for end in ends)])
        self._improve = Compiled(self._trace_improve, [problem, parameters, count])
        self._probe = Compiled(self._trace_probe, [problem, parameters, (places, places, number)])
        self._clip = Compiled(self._trace_clip, [sets, wide, wide, weights, number, flags])
        self._points = Compiled(self._trace_points, [problem, parameters])

    @cached_property
    def neurons(self) -> int:
        """How many neurons relaxations depend on."""
        return sum(self._states.sizes)

    @cached_property
    def parameters(self) -> int:
        """How many parameters the relaxations of one row have."""
        return sum(size for _, size in self._layout.shapes)

    def begin(self, domain: Domain, known: Ends) -> tuple[Tensor, Tensor, Tensor]:
        """Return the intervals of all neurons on whole sets, and parameters to start from.

        Parameters
        ----------
        known : both ends of the intervals that :meth:`Engine.refined` found

        Returns
        -------
        lower and upper ends, ``(batch, neurons)``, and parameters ``(batch, n)``
        """
        return self._begin(domain.tensors(), known)

    def improve(self, problem: Problem, slopes: Any, multipliers: Any, steps: int) -> Found:
        """Bound leaves, better with every step; 0 steps take the parameters as they are."""
        return Found(*self._improve(problem, (slopes, multipliers), tf.constant(steps)))

    def probe(
        self, problem: Problem, slopes: Any, multipliers: Any, cut: tuple[Any, Any, Any]
    ) -> Tensor:
        """Bound both parts of leaves that are cut at some neuron, ``(cuts, 2)``.

        ``cut`` says which leaf is cut, at which neuron, and where, each ``(cuts,)``.
        """
        return self._probe(problem, (slopes, multipliers), cut)

    def clip(
        self, problem: Problem, weights: Any, offset: Any, wanted: Any
    ) -> tuple[Tensor, Tensor]:
        """Return tighter intervals of some neurons where ``weights . x + offset >= 0``.

        If that is an upper bound of a leaf's value, the value is negative everywhere else.
        """
        return self._clip(problem.sets, problem.lower, problem.upper, weights, offset, wanted)

    def points(self, problem: Problem, slopes: Any, multipliers: Any) -> Tensor:
        """Return where the bounds of leaves are attained, ``(batch, *input shape)``."""
        return self._points(problem, (slopes, multipliers))

    @cached_property
    def _layout(self) -> Layout:
        """Where the parameters of all relaxations lie that the output passes."""
        graph, output = self.graph, self.graph.output
        found: dict[tuple[int, int], Sets] = {}
        for index in sorted(graph.ancestors(output) & set(graph.nonlinear)):
            node = graph.nodes[index]
            shapes = [graph.nodes[i].shape for i in node.inputs]
            intervals = [Interval(tf.zeros([1, *s]), tf.ones([1, *s])) for s in shapes]
            values = node.nonlinear.initial(intervals, self._verifier.slopes)
            found[output, index] = Sets(None, tuple(tuple(v.shape[1:]) for v in values))
        return Layout(found)

    def _trace_begin(self, sets: Packed, known: Ends) -> Packed:
        state = self._states.given(sets, dict(zip(self._given, known, strict=True)), {})
        lower, upper = self._states.joined(state)
        output = self.graph.output
        initial = {pair: state.initial(output, pair[1], 1) for pair in self._layout.sets}
        packed = self._layout.pack(initial)
        slopes = packed[0][:, 0] if packed else tf.zeros([tf.shape(sets[0])[0], 0], lower.dtype)
        return lower, upper, slopes

    def _ends(self, problem: Problem) -> dict[int, tuple[Tensor, Tensor]]:
        return self._states.ends(problem.lower, problem.upper)

    def _bound(self, problem: Problem, slopes: Tensor, multipliers: Tensor) -> _Bounded:
        """Bound all parts.

        A neuron ``z`` that lies in ``[l, u]`` may be added to a row, times any number ``m``, if
        the largest value of ``-m z`` is added too: ``-m l`` for positive ``m`` and ``-m u`` for
        negative ones.  With the best ``m``, this tells a bound that otherwise looks at all inputs
        of the set that the neuron is cut on the leaf (Wang et al. 2021, beta-CROWN, theorem 3.1).
        """
        parameters = self._layout.unpack((slopes,)) if self.parameters else {}
        state = self._states.given(problem.sets, self._ends(problem), parameters)
        also = self._states.split(multipliers)
        affine, relaxed = state.bound_sum(self.graph.output, problem.rows, also, CrownRule())
        lower, upper, cuts = problem.lower[:, None], problem.upper[:, None], problem.cuts[:, None]
        above = (multipliers > 0) | ((multipliers == 0) & (cuts % 2 == LOWER_CUT))
        price = tf.reduce_sum(multipliers * tf.where(above, lower, upper), axis=2)
        affine = AffineBound(affine.weights, affine.offset - price + problem.offsets)
        return _Bounded(state.poison(state.concretize(affine)), affine, relaxed)

    def _project(self, problem: Problem, slopes: Tensor, multipliers: Tensor) -> Packed:
        """Return the nearest admissible parameters; only cuts have multipliers."""
        if self.parameters:
            values = self._layout.unpack((slopes,))
            projected = {
                pair: self.graph.nodes[pair[1]].nonlinear.project(value)
                for pair, value in values.items()
            }
            (slopes,) = self._layout.pack(projected)
        cuts = problem.cuts[:, None]
        zero = tf.zeros([], multipliers.dtype)
        positive = tf.where(cuts % 2 == LOWER_CUT, tf.nn.relu(multipliers), zero)
        negative = tf.where(cuts >= UPPER_CUT, tf.nn.relu(-multipliers), zero)
        return slopes, positive - negative

    def _trace_improve(self, problem: Problem, parameters: Packed, steps: Tensor) -> Packed:
        now = self._project(problem, *parameters)
        # Multipliers are measured in units of the coefficients that they compete with.
        scale = _mean_size(self._bound(problem, *now).relaxed, now[1])
        units = (tf.ones_like(scale), scale)
        adam = (Adam(_SLOPE_RATE, _DECAY), Adam(_MULTIPLIER_RATE, _DECAY))

        def unfinished(step: Tensor, *_: Any) -> Tensor:
            return step < steps

        def advance(
            step: Tensor, now: Packed, best: Packed, moments: tuple[Moments, ...]
        ) -> tuple[Any, ...]:
            with tf.GradientTape() as tape:
                tape.watch(now)
                upper = self._bound(problem, *now).upper
                finite = tf.where(tf.math.is_finite(upper), upper, tf.zeros_like(upper))
                objective = tf.reduce_sum(finite)
            gradients = tape.gradient(
                objective, now, unconnected_gradients=tf.UnconnectedGradients.ZERO
            )
            best = _better(upper, now, best)
            moved: list[Tensor] = []
            changed: list[Moments] = []
            for optimiser, value, gradient, unit, known in zip(
                adam, now, gradients, units, moments, strict=True
            ):
                (new,), means = optimiser.update((value / unit,), (gradient * unit,), known, step)
                moved.append(new * unit)
                changed.append(means)
            return step + 1, self._project(problem, *moved), best, tuple(changed)

        worst = tf.fill(tf.shape(problem.offsets), _infinity(problem.offsets))
        moments = tuple(a.initial((value,)) for a, value in zip(adam, now, strict=True))
        start = (tf.constant(0), now, (worst, *now), moments)
        _, now, best, _ = tf.while_loop(unfinished, advance, start, parallel_iterations=1)
        # The last parameters have not been tried yet.
        _, *chosen = _better(self._bound(problem, *now).upper, now, best)
        return self._describe(problem, *chosen)

    def _describe(self, problem: Problem, slopes: Tensor, multipliers: Tensor) -> Packed:
        """Bound leaves with given parameters, and say what the bounds depend on."""
        bounded = self._bound(problem, slopes, multipliers)
        part, upper, affine = _smallest(bounded)
        hull = self._template.rebuild(*problem.sets).interval()
        sizes = tf.reduce_sum(flatten(tf.abs(affine.weights) * hull.reach), axis=1)
        spread = tf.reduce_sum(flatten(tf.abs(affine.weights) * hull.radius), axis=1)
        own = tf.gather(slopes, part, batch_dims=1)
        parameters = self._layout.unpack((own,)) if self.parameters else {}
        chosen = {index: values for (_, index), values in parameters.items()}
        rows = {i: tf.gather(a, part, batch_dims=1)[:, 0] for i, a in bounded.relaxed.items()}
        lost = losses(self.graph, self._ends(problem), rows, chosen)
        scores, places = (
            tf.concat([flatten(found[i]) for i in self.graph.relaxed], axis=1) for found in lost
        )
        most = tf.math.top_k(scores, min(_NARROWED, self.neurons)).values[:, -1:]
        wanted = (scores > 0) & (scores >= most)
        scores, neurons = tf.math.top_k(scores, min(CANDIDATES, self.neurons))
        places = tf.gather(places, neurons, batch_dims=1)
        sizes += tf.abs(affine.offset)
        return (
            upper,
            slopes,
            multipliers,
            affine.weights,
            affine.offset,
            sizes,
            spread,
            scores,
            neurons,
            places,
            wanted,
        )

    def _trace_probe(self, problem: Problem, parameters: Packed, cut: Packed) -> Tensor:
        leaf, neurons, places = cut
        sets, *others = problem
        taken = tuple(tf.gather(values, leaf) for values in sets)
        chosen = Problem(taken, *(tf.gather(values, leaf) for values in others))
        slopes, multipliers = (tf.gather(values, leaf) for values in parameters)
        where = tf.one_hot(neurons, self.neurons, on_value=True, off_value=False)
        place = places[:, None]
        lower = tf.where(where, tf.maximum(chosen.lower, place), chosen.lower)
        upper = tf.where(where, tf.minimum(chosen.upper, place), chosen.upper)
        sides = [
            _smallest(self._bound(part, slopes, multipliers))[1]
            for part in (chosen._replace(upper=upper), chosen._replace(lower=lower))
        ]
        return tf.stack(sides, axis=1)

    def _trace_clip(
        self,
        sets: Packed,
        lower: Tensor,
        upper: Tensor,
        weights: Tensor,
        offset: Tensor,
        wanted: Tensor,
    ) -> tuple[Tensor, Tensor]:
        domain = Clipped(self._template.rebuild(*sets), weights, offset)
        lowers, uppers = self._states.split(lower), self._states.split(upper)
        known = {i: Interval(lowers[i], uppers[i]) for i in self.graph.relaxed}
        return self._states.joined(
            self._states.state(domain, {}, known, self._states.split(wanted))
        )

    def _trace_points(self, problem: Problem, parameters: Packed) -> Tensor:
        _, _, affine = _smallest(self._bound(problem, *parameters))
        domain = self._template.rebuild(*problem.sets)
        return domain.maximizer(affine.weights[:, None])[:, 0]


def _infinity(like: Tensor) -> Tensor:
    return tf.constant(float("inf"), like.dtype)


def _better(upper: Tensor, now: Packed, best: Packed) -> Packed:
    """Keep the parameters of each row that gave the best bound so far; NaN is never better."""
    better = upper < best[0]
    pairs = zip(now, best[1:], strict=True)
    kept = (tf.where(better[..., None], new, old) for new, old in pairs)
    return (tf.where(better, upper, best[0]), *kept)


def _smallest(bounded: _Bounded) -> tuple[Tensor, Tensor, AffineBound]:
    """Return the part with the smallest bound, ``(batch, 1)``, its bound, and its affine one."""
    upper = bounded.upper
    upper = tf.where(tf.math.is_finite(upper), upper, _infinity(upper))
    part = tf.argmin(upper, axis=1, output_type=tf.int32)[:, None]
    weights = tf.gather(bounded.affine.weights, part, batch_dims=1)[:, 0]
    offset = tf.gather(bounded.affine.offset, part, batch_dims=1)[:, 0]
    return part, tf.gather(upper, part, batch_dims=1)[:, 0], AffineBound(weights, offset)


def _mean_size(relaxed: Mapping[int, Tensor], multipliers: Tensor) -> Tensor:
    """Return the mean size of the coefficients at nonlinear nodes, ``(batch, parts, 1)``."""
    total, count = tf.zeros_like(multipliers[..., :1]), tf.zeros_like(multipliers[..., :1])
    if multipliers.shape[2] == 0:
        return tf.ones(tf.concat([tf.shape(multipliers)[:2], [1]], axis=0), multipliers.dtype)
    for rows in relaxed.values():
        sizes = tf.abs(flatten_rows(rows))
        total += tf.reduce_sum(sizes, axis=2, keepdims=True)
        count += tf.reduce_sum(tf.cast(sizes > 0, sizes.dtype), axis=2, keepdims=True)
    mean = tf.math.divide_no_nan(total, count)
    return tf.where(mean > 0, mean, tf.ones_like(mean))
