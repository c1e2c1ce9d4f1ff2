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
    losses, zero where a cut is of no use, and places, ``(batch, *node shape)`` by node
    """
    lost = {i: tf.zeros_like(lower) for i, (lower, _) in ends.items()}
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
        useful &= tf.math.is_finite(loss)
        lost[source] += tf.where(useful, loss, tf.zeros_like(loss))
        places[source] = place
    return lost, places


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
