"""The table of a network's nodes that ``DecomonModel.summary`` prints."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from decomon.domains import BoxDomain
from decomon.methods import RULES, State
from decomon.methods.rules import IntervalRule
from decomon.naming import op_name
from decomon.ops._base import NonlinearOp
from decomon.ops.elementwise.hinge import Hinge
from decomon.ops.elementwise.prelu import ParametricHinge
from decomon.verifier import Verifier

_TITLES = ("", "Node", "Op", "Shape", "Rule")


def node_lines(verifier: Verifier, names: Sequence[str], slope: str) -> list[str]:
    """Return a table of the nodes of a network, one line each, and how each is bounded.

    Parameters
    ----------
    names : of all nodes
    slope : name of the starting slopes
    """
    graph = verifier.graph
    rules = _rules(verifier, slope)
    rows: list[tuple[str, ...]] = [_TITLES]
    for index, (name, node, rule) in enumerate(zip(names, graph.nodes, rules, strict=True)):
        inputs = "" if node.inputs in ((), (index - 1,)) else f" of {_listed(node.inputs)}"
        rows.append((str(index), name, op_name(node) + inputs, str(node.shape), rule))
    widths = [max(len(row[column]) for row in rows) for column in range(len(_TITLES))]
    lines = [_line(row, widths) for row in rows]
    return [lines[0], "-" * max(map(len, lines)), *lines[1:]]


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [
        row[0].rjust(widths[0]),
        *(c.ljust(w) for c, w in zip(row[1:], widths[1:], strict=True)),
    ]
    return "  ".join(cells).rstrip()


def _listed(indices: Sequence[int]) -> str:
    return ", ".join(map(str, indices))


def _rules(verifier: Verifier, slope: str) -> list[str]:
    """Say how every node of a network is bounded over boxes."""
    graph, method = verifier.graph, verifier.method
    point = np.zeros((1, *graph.input_shape))
    state = State(graph, BoxDomain(point, point), method, verifier.slopes, {}, verifier.budget)
    bounded = method.intermediate
    found: list[str] = []
    for index, node in enumerate(graph.nodes):
        parts = [_own_rule(verifier, index, slope)]
        if index in graph.relaxed and node.op is not None:
            by = RULES[bounded if bounded.improves(state, index) else IntervalRule()]
            parts.append(f"interval: {by}")
        if index == graph.output:
            parts.append(f"bounds: {RULES[method.final]}")
        found.append("; ".join(parts))
    return found


def _own_rule(verifier: Verifier, index: int, slope: str) -> str:
    """Say how a node passes bounds on."""
    op = verifier.graph.nodes[index].op
    if op is None:
        return "the input set"
    if not isinstance(op, NonlinearOp):
        return "affine, exact"
    if isinstance(verifier.method.final, IntervalRule):
        return "image of the interval"
    slopes = f", {slope}" if isinstance(op, Hinge | ParametricHinge) else ""
    return f"relaxed{slopes}{', optimised' if verifier.steps else ''}"
