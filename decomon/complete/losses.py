"""How much a bound loses at each neuron, and where the neuron is best cut."""

from __future__ import annotations

from collections.abc import Mapping

from decomon._backend import Tensor, tf
from decomon.bounds import Interval, Lines
from decomon.nodes import Graph
from decomon.ops._base import ElementwiseOp


def losses(
    graph: Graph,
    ends: Mapping[int, tuple[Tensor, Tensor]],
    rows: Mapping[int, Tensor],
    parameters: Mapping[int, tuple[Tensor, ...]],
) -> tuple[dict[int, Tensor], dict[int, Tensor]]:
    """Say how much is lost at each neuron, and where it is best cut.

    A bound puts a line in place of a function, so it loses at most the coefficient times the
    largest gap between them (after BaBSR, Bunel et al. 2020, section 4.2).

    Parameters
    ----------
    ends : both ends of the intervals of neurons, ``(batch, *node shape)``, by node
    rows : the coefficients at each nonlinear node, ``(batch, *node shape)``
    parameters : of the relaxation of each nonlinear node, ``(batch, 1, *shape)``

    Returns
    -------
    losses and places, ``(batch, *node shape)`` by node: negative where a bound loses nothing
    although there is a gap, and minus infinity where a cut is of no use
    """
    lost = {i: tf.zeros_like(lower) for i, (lower, _) in ends.items()}
    gaps = {i: tf.zeros_like(lower) for i, (lower, _) in ends.items()}
    places = {i: 0.5 * lower + 0.5 * upper for i, (lower, upper) in ends.items()}
    for index, coefficients in rows.items():
        node = graph.nodes[index]
        if not isinstance(node.op, ElementwiseOp):
            continue
        (source,) = node.inputs
        interval = Interval(*ends[source])
        place = node.op.cut(interval)
        lines = node.op.relax([interval], parameters.get(index, ()))
        if not isinstance(lines, Lines):
            continue
        over, under = _gaps(node.op, lines, interval, place)
        loss = tf.nn.relu(coefficients) * over + tf.nn.relu(-coefficients) * under
        (unstable,) = node.op.unstable(interval)
        useful = unstable & (place > interval.lower) & (place < interval.upper)
        nothing = tf.zeros_like(loss)
        lost[source] += tf.where(useful & tf.math.is_finite(loss), loss, nothing)
        gap = tf.where(tf.math.is_finite(loss), over + under, nothing + loss.dtype.max)
        gaps[source] += tf.where(useful, gap, nothing)
        places[source] = place
    return {i: _scores(loss, gaps[i]) for i, loss in lost.items()}, places


def _scores(loss: Tensor, gap: Tensor) -> Tensor:
    """Put first where something is lost, then where there is a gap."""
    useless = tf.fill(tf.shape(loss), tf.constant(float("-inf"), loss.dtype))
    return tf.where(loss > 0, loss, tf.where(gap > 0, -1 / (1 + gap), useless))


def _gaps(
    op: ElementwiseOp, lines: Lines, interval: Interval, place: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the largest gaps above and below the function, at a few arguments."""
    lower, upper = interval.lower, interval.upper
    over, under = tf.zeros_like(lower), tf.zeros_like(lower)
    for z in (lower, 0.5 * lower + 0.5 * place, place, 0.5 * place + 0.5 * upper, upper):
        value = op(z)
        over = tf.maximum(over, lines.upper_slope[:, 0] * z + lines.upper_offset[:, 0] - value)
        below = lines.lower_slope[:, 0] * z
        if lines.lower_offset is not None:
            below += lines.lower_offset[:, 0]
        under = tf.maximum(under, value - below)
    return over, under
