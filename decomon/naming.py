"""What the nodes of a network are called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from decomon.nodes import Graph, Node
from decomon.ops.elementwise.smooth import Smooth


def node_names(graph: Graph, shared: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Return a name for every node of a graph, no two of them alike.

    What comes out of a layer has the layer's name.  What a layer computes before its last op has
    the op in brackets too: of a layer ``dense`` with an activation, ``dense (Dense)`` is what goes
    into the activation.  Of a layer that is called several times, the last call counts as the end;
    repeated ops are numbered, ``dense (Dense 2)``.

    Parameters
    ----------
    shared : what to add to the names of some layers, in brackets too
    """
    extra = shared or {}
    last = {node.name: index for index, node in enumerate(graph.nodes)}
    taken = {node.name for node in graph.nodes}
    numbers: Counter[str] = Counter()
    names: list[str] = []
    for index, node in enumerate(graph.nodes):
        parts = [extra[node.name]] if node.name in extra else []
        if index != last[node.name]:
            parts = [op_name(node), *parts]
        name = node.name
        while (parts or index != last[node.name]) and name in taken:
            key = ", ".join([node.name, *parts])
            numbers[key] += 1
            number = f" {numbers[key]}" if numbers[key] > 1 else ""
            name = f"{node.name} ({', '.join(parts)}{number})"
        taken.add(name)
        names.append(name)
    return tuple(names)


def op_name(node: Node) -> str:
    """Return what a node computes."""
    if isinstance(node.op, Smooth):
        return node.op.name
    return "input" if node.op is None else type(node.op).__name__


def called_elsewhere(whole: Graph, part: Graph) -> frozenset[str]:
    """Return the layers that a graph calls and the part of it for one output calls less often."""
    calls, kept = (Counter(node.name for node in graph.nodes) for graph in (whole, part))
    return frozenset(name for name, count in kept.items() if calls[name] != count)
