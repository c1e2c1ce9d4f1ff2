"""Intervals of the neurons of one node that are worth a rule's effort."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias, final

from decomon._backend import Tensor, tf
from decomon._tensors import flatten
from decomon.bounds import Interval
from decomon.methods.propagation import Rule, State

Ends: TypeAlias = tuple[Tensor, Tensor]
"""Lower and upper ends of all neurons of a node, ``(batch, n)``."""

Update: TypeAlias = Callable[[Tensor, Tensor, Tensor, Tensor], Ends]
"""Bounds some neurons: positions, where their ends belong, and all ends so far, to new ends."""


def neuron_interval(
    state: State, index: int, interval: Interval, rule: Rule, wanted: Tensor
) -> Interval:
    """Bound some neurons of a node by a rule.

    Parameters
    ----------
    interval : what is known of all neurons, ``(batch, *shape)``
    wanted : bool tensor of the same shape: the neurons worth the effort

    Returns
    -------
    the rule's own interval for those neurons and the known one for all others

    Notes
    -----
    Every sample has a list of its own, filled up to the length of the longest one by neurons
    whose bounds are not used.  Lists are taken a piece at a time, so that memory does not grow with
    their length.
    """
    chosen = _Chosen.of(flatten(wanted))
    # What is found of the neurons that fill up goes to a column that is cut off.
    known = _widened(flatten(interval.lower)), _widened(flatten(interval.upper))

    def update(taken: Tensor, targets: Tensor, lowers: Tensor, uppers: Tensor) -> Ends:
        upper, negated = tf.split(state.bound_values(index, taken, rule), 2, axis=1)
        return (
            tf.tensor_scatter_nd_update(lowers, targets, -negated),
            tf.tensor_scatter_nd_update(uppers, targets, upper),
        )

    if state.parameters and state.budget.inner:
        # As few samples are optimised at once as leave room for all that their gradients need.
        lowers, uppers = update(chosen.neurons, chosen.targets, *known)
    else:
        lowers, uppers = _in_turns(state, index, chosen, update, known)
    shape = tf.shape(interval.lower)
    return Interval(tf.reshape(lowers[:, :-1], shape), tf.reshape(uppers[:, :-1], shape))


@final
@dataclass(frozen=True)
class _Chosen:
    """Neurons of each sample: as many as the one that has most, and at least one.

    ``neurons`` are positions, ``(batch, count)``, and ``targets`` where their bounds belong,
    ``(batch, count, 2)``.
    """

    count: Tensor
    neurons: Tensor
    targets: Tensor

    @classmethod
    def of(cls, wanted: Tensor) -> _Chosen:
        """List the neurons that are wanted, ``(batch, n)``."""
        batch, size = tf.shape(wanted)[0], wanted.shape[1]
        places = tf.cumsum(tf.cast(wanted, tf.int32), axis=1)
        count = tf.maximum(tf.reduce_max(places), 1)
        pairs = tf.cast(tf.where(wanted), tf.int32)
        slots = tf.stack([pairs[:, 0], tf.gather_nd(places, pairs) - 1], axis=1)
        # One more than the position, so that what fills up is found by its zero.
        found = tf.scatter_nd(slots, pairs[:, 1] + 1, tf.stack([batch, count]))
        samples = tf.broadcast_to(tf.range(batch)[:, None], tf.shape(found))
        targets = tf.where(found > 0, found - 1, size)
        return cls(count, tf.maximum(found - 1, 0), tf.stack([samples, targets], axis=2))


def _widened(values: Tensor) -> Tensor:
    """Add a column."""
    return tf.concat([values, values[:, :1]], axis=1)


def _in_turns(state: State, index: int, chosen: _Chosen, update: Update, known: Ends) -> Ends:
    """Update as many neurons at a time as fit in memory."""
    limit, total = state.turn(index), chosen.count
    state.prepare(index)

    def unfinished(begin: Tensor, *_: Tensor) -> Tensor:
        return begin < total

    def advance(begin: Tensor, lowers: Tensor, uppers: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        end = tf.minimum(begin + limit, total)
        taken, targets = chosen.neurons[:, begin:end], chosen.targets[:, begin:end]
        return end, *update(taken, targets, lowers, uppers)

    start = (tf.constant(0), *known)
    _, lowers, uppers = tf.while_loop(unfinished, advance, start, parallel_iterations=1)
    return lowers, uppers


def all_neurons(state: State, index: int) -> Tensor:
    """Positions of all neurons of a node, the same for all samples."""
    return tf.range(state.graph.nodes[index].size)[None]
