"""The network as an immutable list of ops.  The only module that knows Keras internals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, cast, final

from decomon._backend import Shape, Tensor, keras, tf
from decomon.errors import UnsupportedModelError
from decomon.ops import Call, UnsupportedError
from decomon.ops._base import AffineOp, NonlinearOp, Op
from decomon.ops._registry import rule_for
from decomon.ops.terminal import Terminal


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
    def size(self) -> int:
        """Number of neurons."""
        size = 1
        for side in self.shape:
            size *= side
        return size


@final
@dataclass(frozen=True)
class Graph:
    """Nodes in topological order; node 0 is the input and the last one is the output.

    ``stripped`` names the final activation that was removed ("softmax", "sigmoid"), or is empty:
    the output is then the logits.  ``input_dtype`` is what the model rounds its inputs to and
    ``dtype`` the widest type that one of its layers computes in.
    """

    nodes: tuple[Node, ...]
    stripped: str = ""
    input_dtype: str = "float32"
    dtype: str = "float32"

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
    def relaxed(self) -> tuple[int, ...]:
        """Indices of the nodes whose intervals relaxations are built on, without repetition."""
        return tuple(dict.fromkeys(self.nodes[i].inputs[0] for i in self.nonlinear))

    @cached_property
    def exact(self) -> frozenset[int]:
        """Indices of the nodes whose interval arithmetic is exact, so that nothing can improve it.

        As long as every neuron depends on an input coordinate of its own, neurons are
        independent; one general affine op of independent neurons still has an exact range,
        what follows it has not.
        """
        independent, found = {0}, {0}
        for i, node in enumerate(self.nodes[1:], start=1):
            if len(node.inputs) == 1 and node.inputs[0] in independent:
                found.add(i)
                if isinstance(node.op, NonlinearOp) or (
                    isinstance(node.op, AffineOp) and node.op.diagonal
                ):
                    independent.add(i)
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


def from_keras(model: Any) -> Graph:
    """Read the graph of a built Sequential or Functional model, nested models inlined.

    The model is only read: it is not renamed, called or changed.

    Raises
    ------
    TypeError
        If ``model`` is not a Keras model.
    ValueError
        If it is not built, or has several inputs or outputs, or free dimensions.
    UnsupportedModelError
        If it contains layers without a certified rule; the message lists all of them.
    """
    if not isinstance(model, keras.Model):
        raise TypeError(
            "Expected a keras.Model (Sequential or Functional) or a DecomonModel. "
            f"Received: {type(model).__module__}.{type(model).__qualname__}"
        )
    function = _function(model)
    if len(function.inputs) != 1 or len(function.outputs) != 1:
        raise UnsupportedModelError(
            "Only models with one input and one output are supported so far. "
            f"Received: model {model.name!r} with {len(function.inputs)} inputs and "
            f"{len(function.outputs)} outputs"
        )
    builder = _Builder()
    start = builder.add(Node("input", None, (), _shape(function.inputs[0], "input")))
    end = builder.inline(function, [start], prefix="")[0]
    builder.raise_problems(model, end)
    return replace(builder.finish(end), input_dtype=_input_dtype(function.inputs[0]))


def all_layers(model: Any) -> tuple[Any, ...]:
    """Return the layers of a model and of the models inside it."""
    found: list[Any] = []
    for layer in model.layers:
        found.append(layer)
        if isinstance(layer, keras.Model):
            found.extend(all_layers(layer))
    return tuple(found)


def layer_settings(layer: Any) -> tuple[tuple[str, Any], ...]:
    """Return the public numbers, names and functions of a layer that say what it computes."""
    return tuple(
        (name, value)
        for name, value in cast("dict[str, Any]", vars(layer)).items()
        if not name.startswith("_")
        and (isinstance(value, bool | int | float | str) or callable(value))
    )


def call_keras(model: Any, x: Tensor) -> Tensor:
    """Run the real model; it may want its only input, and give its only output, in a container."""
    structure = _function(model)._inputs_struct
    outputs = model(keras.tree.pack_sequence_as(structure, [x]), training=False)
    return keras.tree.flatten(outputs)[0]


def _function(model: Any) -> Any:
    """Return the op graph inside a model."""
    if isinstance(model, keras.Sequential):
        # A Sequential that knows its input shape keeps a Functional twin of itself.
        if model._functional is None:
            raise ValueError(
                f"Model {model.name!r} is not built, so its input shape is unknown. Add a "
                "keras.Input as its first layer, or call model.build((None, ...)) before. "
                f"Received: {model!r}"
            )
        return model._functional
    if isinstance(model, keras.Function):
        return model
    raise UnsupportedModelError(
        f"Model {model.name!r} ({type(model).__qualname__}) is a subclassed model: its graph "
        "cannot be read. Build it with the Functional API or as keras.Sequential. "
        f"Received: {model!r}"
    )


def _shape(tensor: Any, name: str) -> Shape:
    shape = tuple(tensor.shape[1:])
    if any(side is None for side in shape):
        raise ValueError(
            f"The shape of {name} has free dimensions; certified bounds need fixed ones. Give the "
            f"model a keras.Input with a full shape. Received: {tuple(tensor.shape)}"
        )
    return shape


@final
@dataclass
class _Builder:
    nodes: list[Node] = field(default_factory=list[Node])
    problems: dict[str, str] = field(default_factory=dict[str, str])
    dtype: str = "float32"

    def add(self, node: Node) -> int:
        self.nodes.append(node)
        return len(self.nodes) - 1

    def inline(self, function: Any, starts: Sequence[int], prefix: str) -> list[int]:
        """Add the ops of a Keras function applied to ``starts``; return its outputs' indices."""
        index = {id(t): i for t, i in zip(function.inputs, starts, strict=True)}
        for depth in sorted(function._nodes_by_depth, reverse=True):
            for call in function._nodes_by_depth[depth]:
                if call.is_input or any(id(t) in index for t in call.output_tensors):
                    continue
                if not all(id(t) in index for t in call.input_tensors):
                    continue  # hangs on something that no output needs
                inputs = [index[id(t)] for t in call.input_tensors]
                for tensor, i in zip(
                    call.output_tensors, self.call(call, inputs, prefix), strict=True
                ):
                    index[id(tensor)] = i
        return [index[id(t)] for t in function.outputs]

    def call(self, call: Any, inputs: list[int], prefix: str) -> list[int]:
        """Add one call of an operation; unsupported ones are noted and passed over."""
        operation = call.operation
        name = f"{prefix}{operation.name}"
        try:
            _check_arguments(call)
            if isinstance(operation, (keras.Sequential, keras.Function)):
                return self.inline(_function(operation), inputs, prefix=f"{name}/")
            if len(call.output_tensors) != 1:
                raise UnsupportedError("it has several outputs")
            self.dtype = max(self.dtype, _compute_dtype(operation))
            shape = _shape(call.output_tensors[0], f"the output of layer {name!r}")
            shapes = tuple(self.nodes[i].shape for i in inputs)
            ops = rule_for(operation)(Call(operation, shapes, shape))
        except UnsupportedError as reason:
            described = f"Layer {name!r} ({_qualified(operation)})"
            self.problems[described] = str(reason)
            placeholder = [_shape(t, described) for t in call.output_tensors]
            return [self.add(Node(name, None, tuple(inputs), shape)) for shape in placeholder]
        return [self.chain(name, ops, tuple(inputs), shape)]

    def chain(self, name: str, ops: Sequence[Op], inputs: tuple[int, ...], shape: Shape) -> int:
        """Add the ops of one layer, one after the other."""
        for position, op in enumerate(ops):
            # Intermediate shapes are those that the op gives to symbolic tensors.
            shapes = [self.nodes[i].shape for i in inputs]
            last = position == len(ops) - 1
            inputs = (self.add(Node(name, op, inputs, shape if last else _trace(op, shapes))),)
        return inputs[0]

    def raise_problems(self, model: Any, end: int) -> None:
        """Raise one error that lists every unsupported layer."""
        needed = Graph(tuple(self.nodes)).ancestors(end) - {end}
        for node in (self.nodes[i] for i in sorted(needed)):
            if isinstance(node.op, Terminal):
                self.problems[f"The {node.op.name} of layer {node.name!r}"] = (
                    "it can be stripped only as the last activation of the model"
                )
        if not self.problems:
            return
        listed = "\n".join(
            f"  {layer} has no certified rule: {why}" for layer, why in self.problems.items()
        )
        raise UnsupportedModelError(
            f"Model {model.name!r} cannot be converted:\n{listed}\n"
            "Supported layers: decomon.ops.supported(). To add a rule, see decomon.ops.register."
        )

    def finish(self, end: int) -> Graph:
        """Strip a final softmax or sigmoid, drop what the output does not need, renumber."""
        stripped = ""
        op = self.nodes[end].op
        if isinstance(op, Terminal):
            stripped, end = op.name, self.nodes[end].inputs[0]
        needed = sorted(Graph(tuple(self.nodes)).ancestors(end) | {0})
        number = {old: new for new, old in enumerate(needed)}
        kept = [self.nodes[i] for i in needed]
        nodes = tuple(Node(n.name, n.op, tuple(number[i] for i in n.inputs), n.shape) for n in kept)
        return Graph(nodes, stripped, dtype=self.dtype)


def _trace(op: Op, shapes: Sequence[Shape]) -> Shape:
    """Return the output shape of an op by tracing it on symbolic tensors."""
    specs = [tf.TensorSpec([None, *shape], tf.float32) for shape in shapes]
    return tuple(tf.function(op).get_concrete_function(*specs).output_shapes[1:])


def _check_arguments(call: Any) -> None:
    """Refuse calls whose extra arguments change what the layer computes."""
    flags = {key: value for key, value in call.arguments.kwargs.items() if value is not None}
    training = flags.pop("training", False)
    if training:
        raise UnsupportedError("it was called with training=True, so it is not deterministic")
    tensors = sum(len(keras.tree.flatten(arg)) for arg in call.arguments.args)
    if flags or tensors != len(call.input_tensors):
        raise UnsupportedError(
            f"it was called with arguments other than tensors: {call.arguments.args} {flags}"
        )


def _compute_dtype(operation: Any) -> str:
    """Return what a layer computes in; refuse lower precisions than the bounds'."""
    dtype = operation.compute_dtype if isinstance(operation, keras.layers.Layer) else "float32"
    if dtype not in ("float32", "float64"):
        raise UnsupportedError(f"it computes in {dtype}; bounds are for float32 and float64")
    activation: Any = getattr(operation, "activation", None)
    if isinstance(activation, keras.layers.Layer) and activation.compute_dtype != dtype:
        raise UnsupportedError(
            f"it computes in {dtype}, but its activation in {activation.compute_dtype}"
        )
    return dtype


def _input_dtype(tensor: Any) -> str:
    """Return what inputs are rounded to; integers are exact in either precision."""
    return "float64" if tensor.dtype == "float64" else "float32"


def _qualified(operation: Any) -> str:
    kind = cast("type[object]", type(operation))
    if not kind.__module__.startswith("keras."):
        return f"{kind.__module__}.{kind.__qualname__}"
    home = "keras.layers" if isinstance(operation, keras.layers.Layer) else "keras.ops"
    return f"{home}.{kind.__qualname__}"
