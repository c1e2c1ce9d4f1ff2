"""Reading the network out of a Keras model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, cast, final

from decomon._backend import Shape, keras, tf
from decomon._tensors import size_of
from decomon.errors import UnsupportedModelError
from decomon.inspection import all_layers
from decomon.nodes import Graph, Node
from decomon.ops import Builder, UnsupportedError, Value
from decomon.ops._base import Op
from decomon.ops._calls import Known, build_layer, functional, is_model, read_call, walk
from decomon.ops._registry import build
from decomon.ops.merging import Concatenate
from decomon.ops.shaping import Reshape, Slice
from decomon.ops.terminal import stripped_name

__all__ = ["Graph", "Node", "from_keras"]

_layers = keras.layers

# What moves integers around, and what turns them into floats before it computes.
_MOVES = (
    _layers.Flatten,
    _layers.Reshape,
    _layers.Permute,
    _layers.RepeatVector,
    _layers.Concatenate,
    _layers.Identity,
)
_CASTS = (_layers.Dense, _layers.Rescaling, _layers.Normalization)


def from_keras(model: Any, *, strip: bool = True, output: int | None = None) -> Graph:
    """Read the graph of a built Sequential or Functional model, nested models inlined.

    The model is only read: it is not renamed, called or changed.

    Parameters
    ----------
    model : keras.Model
    strip : bool
        Whether to remove a final softmax or sigmoid.
    output : int, optional
        The position of the output to keep, of several; all by default.

    Raises
    ------
    TypeError
        If ``model`` is not a Keras model.
    ValueError
        If it is not built, or has free dimensions.
    UnsupportedModelError
        If it contains layers without a certified rule; the message lists all of them.
    """
    if not isinstance(model, keras.Model):
        raise TypeError(
            "Expected a keras.Model (Sequential or Functional). "
            f"Received: {type(model).__module__}.{type(model).__qualname__}"
        )
    function = _function(model)
    builder = _Builder()
    starts = builder.begin(function.inputs)
    results = builder.inline(function, starts, prefix="")
    chosen = results if output is None else [results[output]]
    end = builder.end(chosen)
    builder.raise_problems(model, end.index)
    return replace(
        builder.finish(end.index, strip=strip),
        input_dtype=_input_dtype(function.inputs),
        input_shapes=tuple(value.shape for value in starts),
        output_shapes=tuple(value.shape for value in chosen),
    )


def _function(model: Any) -> Any:
    """Return the op graph inside a model."""
    try:
        if is_model(model):
            return functional(model)
    except UnsupportedError as reason:
        raise UnsupportedModelError(
            f"Model {model.name!r} cannot be converted: {reason}. Received: {model!r}"
        ) from reason
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
class _Builder(Builder):
    nodes: list[Node] = field(default_factory=list[Node])
    problems: dict[str, str] = field(default_factory=dict[str, str])
    integers: set[int] = field(default_factory=set[int])
    dtype: str = "float32"
    current: str = "float32"
    name: str = "input"

    @property
    def precision(self) -> str:
        return self.current

    def add(self, op: Op | None, inputs: Sequence[Value], shape: Shape) -> Value:
        self.nodes.append(Node(self.name, op, tuple(value.index for value in inputs), shape))
        return Value(len(self.nodes) - 1, shape)

    def apply(self, op: Op, *inputs: Value) -> Value:
        return self.add(op, inputs, _trace(op, [value.shape for value in inputs]))

    def layer(self, layer: Any, *inputs: Value) -> Value:
        _compute_dtype(layer)
        return build_layer(layer, inputs, self)

    def begin(self, tensors: Sequence[Any]) -> list[Value]:
        """Add the input; several are cut out of a flat one."""
        shapes = [_shape(t, f"input {t.name!r}") for t in tensors]
        if len(shapes) == 1:
            starts = [self.add(None, (), shapes[0])]
        else:
            self.name = "inputs"
            sizes = [size_of(shape) for shape in shapes]
            flat = self.add(None, (), (sum(sizes),))
            starts: list[Value] = []
            for position, (tensor, shape) in enumerate(zip(tensors, shapes, strict=True)):
                self.name = tensor.name
                begin = sum(sizes[:position])
                part = self.apply(Slice(((begin, begin + sizes[position], 1),)), flat)
                starts.append(self.apply(Reshape(shape), part))
        self.integers.update(
            value.index
            for value, tensor in zip(starts, tensors, strict=True)
            if not tensor.dtype.startswith(("float", "bfloat"))
        )
        return starts

    def end(self, values: Sequence[Value]) -> Value:
        """Join several outputs to a flat one."""
        if len(values) == 1:
            return values[0]
        self.name = "outputs"
        flat = [self.apply(Reshape((size_of(value.shape),)), value) for value in values]
        return self.apply(Concatenate(1), *flat)

    def inline(self, function: Any, starts: Sequence[Value], prefix: str) -> list[Value]:
        """Add the ops of a Keras function applied to ``starts``; return its outputs."""
        return walk(function, starts, partial(self.call, prefix=prefix))

    def call(self, node: Any, known: Known, *, prefix: str) -> Sequence[Value]:
        """Add one call of an operation; unsupported ones are noted and passed over."""
        operation = node.operation
        outer, self.name = self.name, f"{prefix}{operation.name}"
        name = self.name
        try:
            call = read_call(node, known, self)
            if is_model(operation):
                return self.inline(functional(operation), call.inputs, prefix=f"{name}/")
            moved = self.check_integers(node, call.inputs)
            self.current = _compute_dtype(operation, node.output_tensors)
            self.dtype = max(self.dtype, self.current)
            values = build(call)
            _check_shapes(name, values, call.output_shapes)
            if moved:
                self.integers.update(value.index for value in values)
                return values
            # A cast adds no op, but what comes out is another value: floats.
            return [
                self.apply(Reshape(value.shape), value) if value.index in self.integers else value
                for value in values
            ]
        except UnsupportedError as reason:
            described = f"Layer {name!r} ({_qualified(operation)})"
            self.problems[described] = str(reason)
            inputs = [known[id(t)] for t in node.input_tensors]
            placeholders = [
                tuple(1 if side is None else side for side in t.shape[1:])
                for t in node.output_tensors
            ]
            return [self.add(None, inputs, shape) for shape in placeholders]
        finally:
            self.name = outer

    def check_integers(self, node: Any, inputs: Sequence[Value]) -> bool:
        """Refuse arithmetic of layers on integers; say whether integers come out."""
        whole = [value.index in self.integers for value in inputs]
        if not any(whole):
            return False
        # Layers that move integers call them floats; operations rely on what tensors are called.
        misnamed = any(
            known and "int" not in tensor.dtype
            for known, tensor in zip(whole, node.input_tensors, strict=True)
        )
        if not isinstance(node.operation, _layers.Layer) and not misnamed:
            return any("float" not in tensor.dtype for tensor in node.output_tensors)
        if isinstance(node.operation, _CASTS):
            return False
        if isinstance(node.operation, _MOVES):
            return True
        raise UnsupportedError(
            "it is called on integers, whose arithmetic may wrap around or round. Put "
            "keras.layers.Rescaling(1.0) before it, which makes floats of them"
        )

    def raise_problems(self, model: Any, end: int) -> None:
        """Raise one error that lists every unsupported layer."""
        if not self.problems:
            return
        listed = "\n".join(
            f"  {layer} has no certified rule: {why}" for layer, why in self.problems.items()
        )
        raise UnsupportedModelError(
            f"Model {model.name!r} cannot be converted:\n{listed}\n"
            "Supported layers: decomon.ops.supported(). To add a rule, see decomon.ops.register "
            "and the tutorial 'custom layer'."
        )

    def finish(self, end: int, *, strip: bool) -> Graph:
        """Strip a final softmax or sigmoid, drop what the output does not need, renumber."""
        stripped = stripped_name(self.nodes[end].op) if strip else ""
        if stripped:
            end = self.nodes[end].inputs[0]
        needed = sorted(Graph(tuple(self.nodes)).ancestors(end) | {0})
        number = {old: new for new, old in enumerate(needed)}
        kept = [self.nodes[i] for i in needed]
        nodes = tuple(Node(n.name, n.op, tuple(number[i] for i in n.inputs), n.shape) for n in kept)
        return Graph(nodes, stripped, dtype=self.dtype)


def _trace(op: Op, shapes: Sequence[Shape]) -> Shape:
    """Return the output shape of an op by tracing it on symbolic tensors."""
    specs = [tf.TensorSpec([None, *shape], tf.float32) for shape in shapes]
    return tuple(tf.function(op, autograph=False).get_concrete_function(*specs).output_shapes[1:])


def _check_shapes(name: str, values: Sequence[Value], shapes: Sequence[Any]) -> None:
    """Refuse a rule that builds something of another shape than the layer does.

    Some layers do not say all sides of their output.
    """
    built = [value.shape for value in values]
    same = len(built) == len(shapes) and all(
        len(ours) == len(theirs)
        and all(known in (None, side) for side, known in zip(ours, theirs, strict=True))
        for ours, theirs in zip(built, shapes, strict=False)
    )
    if not same:
        raise ValueError(
            f"The rule of layer {name!r} must build outputs of the shapes {list(shapes)} (without "
            f"batch axis). Received: {built}"
        )


def _compute_dtype(operation: Any, outputs: Sequence[Any] = ()) -> str:
    """Return the widest type that a layer computes in; refuse lower precisions than the bounds'."""
    if isinstance(operation, keras.layers.Layer):
        inside = [part for part in all_layers(operation) if isinstance(part, keras.layers.Layer)]
        dtypes = [layer.compute_dtype for layer in (operation, *inside)]
    else:
        dtypes = ["float32", *(t.dtype for t in outputs if "float" in t.dtype)]
    for dtype in dtypes:
        if dtype not in ("float32", "float64"):
            raise UnsupportedError(
                f"it computes in {dtype}; bounds are for float32 and float64. Build the model with "
                "one of them: keras.config.set_dtype_policy('float32')"
            )
    activation: Any = getattr(operation, "activation", None)
    if isinstance(activation, keras.layers.Layer) and activation.compute_dtype != dtypes[0]:
        raise UnsupportedError(
            f"it computes in {dtypes[0]}, but its activation in {activation.compute_dtype}"
        )
    return max(dtypes)


def _input_dtype(tensors: Sequence[Any]) -> str:
    """Return what inputs are rounded to; integers are exact in either precision."""
    return "float64" if all(t.dtype == "float64" for t in tensors) else "float32"


def _qualified(operation: Any) -> str:
    kind = cast("type[object]", type(operation))
    if not kind.__module__.startswith("keras."):
        return f"{kind.__module__}.{kind.__qualname__}"
    home = "keras.layers" if isinstance(operation, keras.layers.Layer) else "keras.ops"
    return f"{home}.{kind.__qualname__}"
