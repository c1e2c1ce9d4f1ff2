"""Backward substitution: the one traversal that every affine method shares.

Starting from rows ``A`` at a node, ``A . z`` is rewritten node by node in terms of earlier nodes:
through an affine op by its transpose, through a nonlinear op by the line that is valid for the
sign of each coefficient (Zhang et al. 2018, CROWN, theorem 3.2).  Which nodes the substitution
stops at is what makes a method: the input (CROWN), the nonlinear nodes (interval arithmetic) or the
nodes whose affine bounds are known already (forward).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from decomon._backend import Shape, Tensor, tf
from decomon.bounds import Lines
from decomon.domains import flatten, flatten_rows
from decomon.graph import Graph, Node
from decomon.ops._base import AffineOp, NonlinearOp


@dataclass(frozen=True)
class Substituted:
    """``A . z <= sum over nodes of coefficients[i] . z_i + offset``.

    Coefficients are ``(batch or 1, spec, *node shape)`` and the offset ``(batch or 1, spec)``.
    """

    coefficients: dict[int, Tensor]
    offset: Tensor

    def map(self, change: Callable[[Tensor], Tensor]) -> Substituted:
        """Apply a function to every tensor."""
        coefficients = {i: change(rows) for i, rows in self.coefficients.items()}
        return Substituted(coefficients, change(self.offset))


def both_signs(rows: Tensor) -> Tensor:
    """Stack rows and their negatives on the spec axis: upper bounds of ``z`` and of ``-z``."""
    return tf.concat([rows, -rows], axis=1)


def substitute(
    graph: Graph,
    start: int,
    rows: Tensor,
    lines: Callable[[int], Lines],
    ends: Collection[int],
    *,
    two_sided: bool = False,
) -> Substituted:
    """Rewrite ``rows . z_start`` in terms of the input and the nodes in ``ends``.

    Parameters
    ----------
    rows : tensor of shape ``(batch or 1, spec, *shape of start)``
    lines : the relaxation of each nonlinear node, by index
    ends : nodes to stop at, besides the input
    two_sided : stack the negated rows below the rows; as affine ops treat both alike, that
        happens only once the first nonlinear node is reached

    Notes
    -----
    A relaxation is applied to one sign of coefficient at a time: where the coefficient is
    nonnegative, ``f`` is replaced by its upper line, elsewhere by its lower one; each replacement
    can only increase the row, so the result is an upper bound of ``rows . z_start``.
    """
    state = Substituted({start: rows}, tf.zeros(tf.shape(rows)[:2], rows.dtype))
    found: dict[int, Tensor] = {}
    stacked = not two_sided
    for index in range(start, -1, -1):
        if index not in state.coefficients:
            continue
        node = graph.nodes[index]
        if index == 0 or index in ends:
            found[index] = state.coefficients[index]
            continue
        if isinstance(node.op, NonlinearOp) and not stacked:
            state, found = state.map(both_signs), {i: both_signs(a) for i, a in found.items()}
            stacked = True
        state = _step(graph, node, state, state.coefficients[index], index, lines)
    done = Substituted(found, state.offset)
    return done if stacked else done.map(both_signs)


def _step(
    graph: Graph,
    node: Node,
    state: Substituted,
    rows: Tensor,
    index: int,
    lines: Callable[[int], Lines],
) -> Substituted:
    """Move the coefficients of one node to its inputs."""
    if isinstance(node.op, NonlinearOp):
        sent, offset = through_lines(rows, lines(index))
        arriving = (sent,)
    elif isinstance(node.op, AffineOp):
        shapes = [graph.nodes[i].shape for i in node.inputs]
        arriving = _through_transpose(node.op, rows, shapes)
        constant = node.op.offset(shapes, rows.dtype)
        offset = None if constant is None else _dot(rows, constant[:, None])
    else:
        raise TypeError(f"Node {node.name!r} is neither affine nor nonlinear: {node.op!r}")
    coefficients = {i: a for i, a in state.coefficients.items() if i != index}
    for source, part in zip(node.inputs, arriving, strict=True):
        coefficients[source] = coefficients[source] + part if source in coefficients else part
    return Substituted(coefficients, state.offset if offset is None else state.offset + offset)


def through_lines(rows: Tensor, lines: Lines) -> tuple[Tensor, Tensor]:
    """Replace an elementwise function by its lines; return new rows and what is added."""
    positive = tf.nn.relu(rows)
    # Positive rows take the upper line, others the lower one, in as few passes as possible.
    sent = rows * lines.lower_slope + positive * (lines.upper_slope - lines.lower_slope)
    offset = _dot(positive, lines.upper_offset)
    if lines.lower_offset is not None:
        offset = offset + _dot(rows - positive, lines.lower_offset)
    return sent, offset


def _through_transpose(op: AffineOp, rows: Tensor, shapes: list[Shape]) -> tuple[Tensor, ...]:
    """Fold the spec axis into the batch axis around the op's transpose."""
    outer = tf.shape(rows)[:2]
    folded = tf.reshape(rows, tf.concat([[outer[0] * outer[1]], rows.shape[2:]], axis=0))
    folded.set_shape([None, *rows.shape[2:]])
    unfolded: list[Tensor] = []
    for part, shape in zip(op.transpose(folded, shapes), shapes, strict=True):
        part = tf.reshape(part, tf.concat([outer, shape], axis=0))
        part.set_shape([None, None, *shape])
        unfolded.append(part)
    return tuple(unfolded)


def _dot(rows: Tensor, values: Tensor) -> Tensor:
    """Sum ``rows * values`` over the node's axes; values are ``(batch or 1, 1 or spec, ...)``."""
    if values.shape[1] == 1:
        return tf.linalg.matvec(flatten_rows(rows), flatten(values[:, 0]))
    return tf.reduce_sum(flatten_rows(rows) * flatten_rows(values), axis=2)
