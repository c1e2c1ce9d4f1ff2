"""The network as an immutable list of ops."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import final

from decomon._backend import Shape, Tensor
from decomon._tensors import size_of
from decomon.ops._base import AffineOp, ElementwiseOp, NonlinearOp, Op


@final
@dataclass(frozen=True)
class Node:
    """One op applied to earlier nodes.

    ``shape`` is the shape of one sample's value; ``op`` is None for the input.
    """

    name: str
    op: Op | None
    inputs: tuple[int, ...]
    shape: Shape

    @property
    def evaluate(self) -> Op:
        """The op; the input has none, and asking for it is a mistake in the traversal."""
        if self.op is None:
            raise ValueError(f"Node {self.name!r} is an input and has no op.")
        return self.op

    @property
    def nonlinear(self) -> NonlinearOp:
        """The op of a nonlinear node; of others, asking for it is a mistake in the traversal."""
        if not isinstance(self.op, NonlinearOp):
            raise TypeError(f"Node {self.name!r} is not nonlinear: {self.op!r}")
        return self.op

    @property
    def size(self) -> int:
        """Number of neurons."""
        return size_of(self.shape)


@final
@dataclass(frozen=True)
class Graph:
    """Nodes in topological order; node 0 is the input and the last one is the output.

    Several inputs are one flat input, in which they follow one another, and so are several
    outputs.

    ``stripped`` names the final activation that was removed ("softmax", "sigmoid"), or is empty:
    the output is then the logits.  ``input_dtype`` is what the model rounds its inputs to and
    ``dtype`` the widest type that one of its layers computes in.  ``input_shapes`` and
    ``output_shapes`` are those of the model's own inputs and of the outputs that were asked for.
    ``independent`` says whether the coordinates of the input vary independently, as in a box.
    """

    nodes: tuple[Node, ...]
    stripped: str = ""
    input_shapes: tuple[Shape, ...] = ()
    output_shapes: tuple[Shape, ...] = ()
    input_dtype: str = "float32"
    dtype: str = "float32"
    independent: bool = True

    @cached_property
    def coupled(self) -> Graph:
        """The same graph for sets of inputs whose coordinates do not vary independently."""
        return replace(self, independent=False)

    @property
    def input_shape(self) -> Shape:
        """Shape of one input."""
        return self.nodes[0].shape

    @property
    def output_shape(self) -> Shape:
        """Shape of one output."""
        return self.nodes[-1].shape

    @property
    def output(self) -> int:
        """Index of the output node."""
        return len(self.nodes) - 1

    @cached_property
    def nonlinear(self) -> tuple[int, ...]:
        """Indices of the nodes that need a relaxation."""
        return tuple(i for i, n in enumerate(self.nodes) if isinstance(n.op, NonlinearOp))

    @cached_property
    def elementwise(self) -> bool:
        """Whether all nonlinear ops are functions of single neurons."""
        return all(isinstance(self.nodes[i].op, ElementwiseOp) for i in self.nonlinear)

    @cached_property
    def relaxed(self) -> tuple[int, ...]:
        """Indices of the nodes whose intervals relaxations are built on, without repetition."""
        return tuple(dict.fromkeys(j for i in self.nonlinear for j in self.nodes[i].inputs))

    @cached_property
    def ends(self) -> frozenset[int]:
        """Indices of the nodes whose interval says more than a substitution through them."""
        return frozenset(
            i
            for i, node in enumerate(self.nodes)
            if isinstance(node.op, NonlinearOp) or (node.op is not None and node.op.narrows)
        )

    @cached_property
    def exact(self) -> frozenset[int]:
        """Indices of the nodes whose interval arithmetic is as tight as any bound of one neuron.

        As long as every neuron depends on an input coordinate of its own, its range is exact and
        neurons are as independent as the coordinates are; one general affine op of independent
        neurons still has an exact range, what follows it has not.
        """
        alone, found = {0}, {0}
        for i, node in enumerate(self.nodes[1:], start=1):
            if len(node.inputs) != 1 or node.op is None:
                continue
            mixes = self.independent and isinstance(node.op, AffineOp)
            if node.inputs[0] in alone and (mixes or node.op.diagonal):
                found.add(i)
                if node.op.diagonal:
                    alone.add(i)
        return frozenset(found)

    @cached_property
    def linear(self) -> frozenset[int]:
        """Indices of the nodes that are affine in the input."""
        found = {0}
        for i, node in enumerate(self.nodes):
            if isinstance(node.op, AffineOp) and found.issuperset(node.inputs):
                found.add(i)
        return frozenset(found)

    @cached_property
    def settled(self) -> frozenset[int]:
        """Indices of the nodes whose best interval is the image of their input's best one.

        A single neuron that is a function of a single other neuron has the image of that
        one's interval; a line through the function can only be looser.  The other one has
        its best interval if that is exact or was bounded by the method, because a nonlinear op
        needs it.
        """
        best = set(self.exact)
        found = set(self.exact)
        for i, node in enumerate(self.nodes[1:], start=1):
            alone = node.op is not None and node.op.diagonal and len(node.inputs) == 1
            if alone and node.inputs[0] in best:
                found.add(i)
            if i in found or i in self.relaxed:
                best.add(i)
        return frozenset(found)

    @cached_property
    def restricted(self) -> frozenset[int]:
        """Indices of the nodes that feed a function which is not defined everywhere."""
        return frozenset(
            i
            for node in self.nodes
            if isinstance(node.op, ElementwiseOp) and node.op.requirement
            for i in node.inputs
        )

    @cached_property
    def carriers(self) -> frozenset[int]:
        """Indices of the nodes whose every neuron some later settled node owes its interval to."""
        found: set[int] = set()
        for i in reversed(range(1, len(self.nodes))):
            if i in self.settled - self.exact and (i in self.relaxed or i in found):
                found.add(self.nodes[i].inputs[0])
        return frozenset(found)

    def ancestors(self, index: int) -> frozenset[int]:
        """Return the nodes that node ``index`` depends on, itself included."""
        found = {index}
        for i in range(index, 0, -1):
            if i in found:
                found.update(self.nodes[i].inputs)
        return frozenset(found)

    def __call__(self, x: Tensor) -> Tensor:
        """Evaluate the network (the logits, if an activation was stripped)."""
        values = [x]
        for node in self.nodes[1:]:
            values.append(node.evaluate(*(values[i] for i in node.inputs)))
        return values[-1]
