"""Splitting at neurons: a relaxation is tighter, or exact, on both parts of its interval."""

from __future__ import annotations

from typing import Any, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from decomon._backend import Tensor, tf
from decomon.complete.exact import Leaf
from decomon.complete.frontier import Leaves, Splitter
from decomon.complete.goals import Goals
from decomon.complete.leaf_planes import LeafPlanes
from decomon.complete.neuron_bounds import LOWER_CUT, UPPER_CUT, Found, NeuronBounds, Problem
from decomon.complete.neuron_states import Ends
from decomon.complete.pace import Pace, Pulse
from decomon.domains import Domain
from decomon.verifier import Verifier

Array = NDArray[Any]
Data: TypeAlias = dict[str, Array]
Positions = NDArray[np.intp]

_ROOT_STEPS, _ROOT_RATE = 20, 0.5
_ROOT_ROUNDS, _ROUNDS = 8, 2
_STEPS = 5
_SAMPLES = 8
_SMALL = 64
_GAIN, _SHARE = 0.1, 0.9
_HALF = float(np.finfo(np.float16).min), float(np.finfo(np.float16).max)
# Bounds are off by a small multiple of the roundoff times the size of their terms.
ROUNDING = 128.0


@final
class NeuronSplitter(Splitter):
    """Cuts the interval of the neuron that a bound gains most from.

    All of the best candidates by :mod:`~decomon.complete.losses` are tried, with the parent's
    parameters, because a good choice saves whole subtrees (filtered smart branching, De Palma et
    al. 2021).  Children inherit intervals, slopes and multipliers.  Where a bound
    leaves something open, it also says that the rest of the leaf is of no interest; so the
    intervals of the neurons are bounded again on what is left (:class:`Clipped`), and all that
    follow are tighter.

    Parameters
    ----------
    verifier : of the network, by ``crown``
    domain : the input sets of all samples
    goals : what would be a counterexample
    pulse : called between two calls of TensorFlow
    """

    def __init__(self, verifier: Verifier, domain: Domain, goals: Goals, pulse: Pulse) -> None:
        self._verifier = verifier
        self._tuned = verifier.tuned(_ROOT_STEPS, _ROOT_RATE)
        self._domain = domain
        self._goals = goals
        self._pulse = pulse
        self._dtype = verifier.dtype.as_numpy_dtype
        self._unit = ROUNDING * float(np.finfo(self._dtype).eps)
        # Bounds are improved twice and clipped once, and time is looked at in between.
        graph = verifier.graph
        self._small = sum(graph.nodes[i].size for i in graph.relaxed) <= _SMALL
        self._improving = Pace(64, pulse, seconds=0.6, least=32)
        self._probing = Pace(64, pulse, most=512)
        self._looking = Pace(64, pulse)

    def roots(self, goals: Positions, threshold: Array) -> Leaves:
        found: list[Leaves] = []
        samples = np.unique(self._goals.samples[goals])
        size = max(1, min(_SAMPLES, self._tuned.sample_limit))
        for begin in range(0, len(samples), size):
            self._pulse()
            some = np.isin(self._goals.samples[goals], samples[begin : begin + size])
            found.append(self._some_roots(goals[some], threshold[some]))
        return Leaves.joined(found)

    def _some_roots(self, goals: Positions, threshold: Array) -> Leaves:
        """Optimise the bounds of all goals of some samples together, then those of each one."""
        asked = self._goals[goals]
        samples, sample = np.unique(asked.samples, return_inverse=True)
        rows = _by_sample(asked, sample)
        domain = self._domain.rebuild(*self._sets(samples))
        nodes, ends = self._intervals(domain, rows)
        lower, higher, slopes = (
            values.numpy()[sample] for values in self._bounds(nodes).begin(domain, ends)
        )
        lower, higher = self._widened(lower, higher)
        parts_each = asked.rows.shape[1]
        neurons = lower.shape[1]
        data: Data = {
            "low": lower,
            "high": higher,
            "cuts": np.zeros(lower.shape, np.int8),
            "slopes": np.repeat(slopes[:, None], parts_each, axis=1).astype(np.float16),
            "multipliers": np.zeros((len(goals), parts_each, neurons), np.float16),
        }
        depth = np.zeros(len(goals), np.int32)
        leaves = Leaves(goals, np.full(len(goals), np.inf), depth, data)
        return self._tightened(leaves, threshold, _ROOT_ROUNDS, _ROOT_STEPS)

    def _widened(self, lower: Array, higher: Array) -> tuple[Array, Array]:
        """Move ends outward by their rounding, but never across zero."""
        room = self._unit * (np.abs(lower) + np.abs(higher))
        low = np.where(lower >= 0, np.maximum(lower - room, 0.5 * lower), lower - room)
        high = np.where(higher <= 0, np.minimum(higher + room, 0.5 * higher), higher + room)
        return low, high

    def _intervals(self, domain: Domain, rows: Array) -> tuple[tuple[int, ...], Ends]:
        """Return nodes, and both ends of their intervals on whole sets.

        They are optimised, unless that takes longer to compile than to split some more.
        """
        if self._small:
            known = self._verifier.engine(domain).known(domain)
            ends = known.intervals.items()
            return tuple(i for i, _ in ends), tuple((v.lower, v.upper) for _, v in ends)
        engine = self._tuned.engine(domain)
        _, ends = engine.refined(domain, self._tensor(rows), pulse=self._pulse)
        return engine.bounded, ends

    def split(self, leaves: Leaves, threshold: Array) -> Leaves:
        chosen = self._choose(leaves, threshold)
        neurons = leaves.data["neurons"][np.arange(len(leaves)), chosen]
        places = leaves.data["places"][np.arange(len(leaves)), chosen]
        both = Leaves.joined([leaves, leaves])
        data = {name: both.data[name].copy() for name in ("low", "high", "cuts")}
        below = np.arange(len(leaves))
        above = below + len(leaves)
        data["high"][below, neurons] = np.minimum(data["high"][below, neurons], places)
        data["low"][above, neurons] = np.maximum(data["low"][above, neurons], places)
        data["cuts"][below, neurons] |= UPPER_CUT
        data["cuts"][above, neurons] |= LOWER_CUT
        children = Leaves(both.goal, both.upper, both.depth + 1, {**both.data, **data})
        return self._tightened(children, np.concatenate([threshold, threshold]), _ROUNDS, _STEPS)

    def exhausted(self, leaves: Leaves) -> NDArray[np.bool_]:
        return leaves.data["scores"][:, 0] <= 0

    def splittable(self, leaves: Leaves) -> NDArray[np.bool_]:
        return leaves.data["scores"][:, 0] > -np.inf

    def candidates(self, leaves: Leaves) -> Array:
        bounds = self._bounds()
        found = [np.zeros((0, *self._verifier.graph.input_shape), self._dtype)]
        for part in self._looking.parts(len(leaves)):
            some = leaves[part]
            problem = self._problem(some.goal, some.data, slice(None), np.zeros(len(some)))
            parameters = self._parameters(some.data, slice(None))
            found.append(bounds.points(problem, *parameters).numpy())
        return np.concatenate(found)

    def decide(self, leaves: Leaves) -> tuple[Array, Array]:
        if not self._verifier.graph.elementwise:
            return leaves.upper, self.candidates(leaves)
        precise = self._verifier.precise
        domain = self._domain.as_tensors(precise.dtype)
        bounds = precise.kept((LeafPlanes, domain.kind), lambda: LeafPlanes(precise, domain))
        upper = leaves.upper.astype(np.float64)
        points = np.zeros((len(leaves), *self._verifier.graph.input_shape))
        asked = self._goals[leaves.goal]
        for n in range(len(leaves)):
            self._pulse()
            one = domain.rebuild(*(v[asked.samples[n]][None] for v in domain.tensors()))
            cuts = leaves.data["cuts"][n][None]
            rows = asked.rows[n][asked.valid[n]].reshape(1, -1, *self._output_shape)
            problem = Problem(
                one.tensors(),
                tf.constant(leaves.data["low"][n][None], precise.dtype),
                tf.constant(leaves.data["high"][n][None], precise.dtype),
                tf.constant(cuts),
                tf.constant(rows),
                tf.constant(asked.offsets[n][asked.valid[n]][None]),
            )
            best, points[n] = Leaf(bounds, one, problem).solve()
            upper[n] = min(upper[n], best)
        return upper, points

    def _bounds(self, nodes: tuple[int, ...] = ()) -> NeuronBounds:
        """Return what is compiled for this kind of sets; it is kept with the verifier.

        The nodes whose intervals are known at first are always the same.
        """
        return self._verifier.kept(
            (NeuronBounds, self._domain.kind),
            lambda: NeuronBounds(self._verifier, self._domain, nodes),
        )

    def _sets(self, samples: Positions) -> tuple[Tensor, ...]:
        """Return the parameters of the sets of some samples."""
        places = tf.constant(samples)
        return tuple(tf.gather(values, places) for values in self._domain.tensors())

    def _tensor(self, values: Array) -> Tensor:
        return tf.constant(values.astype(self._dtype, copy=False))

    def _parameters(self, data: Data, places: Any) -> tuple[Tensor, Tensor]:
        return self._tensor(data["slopes"][places]), self._tensor(data["multipliers"][places])

    def _problem(self, goals: Positions, data: Data, places: Any, threshold: Array) -> Problem:
        """Return the question whether values of some leaves reach their thresholds."""
        asked = self._goals[goals]
        offsets = np.where(asked.valid, asked.offsets - threshold[:, None], np.inf)
        return Problem(
            self._sets(asked.samples),
            self._tensor(data["low"][places]),
            self._tensor(data["high"][places]),
            tf.constant(data["cuts"][places]),
            self._tensor(asked.rows.reshape(*asked.rows.shape[:2], *self._output_shape)),
            self._tensor(offsets),
        )

    @property
    def _output_shape(self) -> tuple[int, ...]:
        return self._verifier.graph.output_shape

    def _choose(self, leaves: Leaves, threshold: Array) -> Positions:
        """Return for each leaf which of its candidates is best cut."""
        useful: NDArray[np.bool_] = leaves.data["scores"] > 0
        leaf, candidate = np.nonzero(useful)
        gains = np.full(leaves.data["scores"].shape, -1.0)
        neurons, places = leaves.data["neurons"], leaves.data["places"]
        bounds = self._bounds()
        room = leaves.upper - threshold
        for part in self._probing.parts(len(leaves)):
            inside = (leaf >= part.start) & (leaf < part.stop)
            some, which = leaf[inside], candidate[inside]
            cut = (
                tf.constant((some - part.start).astype(np.int32)),
                tf.constant(neurons[some, which]),
                tf.constant(places[some, which]),
            )
            problem = self._problem(leaves.goal[part], leaves.data, part, threshold[part])
            parameters = self._parameters(leaves.data, part)
            sides = bounds.probe(problem, *parameters, cut).numpy()
            least = 1e-6 * room[some, None]
            gain = np.clip(room[some, None] - sides, least, room[some, None])
            gains[some, which] = gain[:, 0] * gain[:, 1]
        return gains.argmax(axis=1)

    def _tightened(self, leaves: Leaves, threshold: Array, rounds: int, steps: int) -> Leaves:
        """Bound leaves; narrow the intervals of the neurons, and bound again what is left open."""
        found: list[Leaves] = []
        for part in self._improving.parts(len(leaves)):
            found.append(self._few_tightened(leaves[part], threshold[part], rounds, steps))
        return Leaves.joined(found)

    def _few_tightened(self, leaves: Leaves, threshold: Array, rounds: int, steps: int) -> Leaves:
        bounds = self._bounds()
        names = ("low", "high", "slopes", "multipliers")
        data = {**leaves.data, **{name: leaves.data[name].copy() for name in names}}
        upper = leaves.upper.copy()
        active = np.arange(len(leaves))
        for count in range(rounds + 1):
            self._pulse()
            problem = self._problem(leaves.goal[active], data, active, threshold[active])
            result = bounds.improve(problem, *self._parameters(data, active), steps)
            before = upper[active] - threshold[active]
            after = np.minimum(before, self._outward(result))
            upper[active] = after + threshold[active]
            _put(data, active, result)
            # As long as more than half of the set is left, what is left is not much narrower.
            keep = (after >= 0) & (after < _SHARE * result.spread.numpy())
            if count:
                keep &= before - after > _GAIN * before
            if count == rounds or not keep.any():
                break
            active, kept = active[keep], np.flatnonzero(keep)
            self._pulse()
            problem = self._problem(leaves.goal[active], data, active, threshold[active])
            left = (result.weights, result.offset + self._unit * result.sizes, result.wanted)
            narrowed = bounds.clip(problem, *(tf.gather(values, kept) for values in left))
            data["low"][active], data["high"][active] = narrowed
        return Leaves(leaves.goal, upper, leaves.depth, data)

    def _outward(self, found: Found) -> Array:
        """Return bounds with room for their rounding; what is no number bounds nothing."""
        upper = found.upper.numpy().astype(np.float64)
        sizes = found.sizes.numpy().astype(np.float64)
        outward = upper + self._unit * sizes
        return np.where(np.isfinite(outward), outward, np.inf)


def _put(data: Data, places: Positions, found: Found) -> None:
    """Write what was found of some leaves to their places."""
    for name in ("slopes", "multipliers", "scores", "neurons", "places"):
        values = getattr(found, name).numpy()
        if name not in data or data[name].shape[1:] != values.shape[1:]:
            data[name] = np.zeros((len(data["low"]), *values.shape[1:]), values.dtype)
        if data[name].dtype == np.float16:
            values = np.clip(values, *_HALF)
        data[name][places] = values


def _by_sample(asked: Goals, sample: Positions) -> Array:
    """Lay the rows of all goals of each sample side by side.

    Parameters
    ----------
    sample : ``(goals,)``: position of each goal's sample, ascending

    Returns
    -------
    rows ``(samples, spec, n_outputs)``, filled up by repetition
    """
    parts = asked.rows.shape[1]
    begins = np.flatnonzero(np.diff(sample, prepend=-1))
    rank = np.arange(len(sample)) - begins[sample]
    rows = np.repeat(asked.rows[begins, :1], (rank.max() + 1) * parts, axis=1)
    for part in range(parts):
        rows[sample, rank * parts + part] = asked.rows[:, part]
    return rows
