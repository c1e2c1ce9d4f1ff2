"""A Keras model from the nodes of an ONNX graph."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final, final

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from decomon._backend import Shape, keras
from decomon.onnx_reader._affine import AFFINE
from decomon.onnx_reader._pointwise import POINTWISE
from decomon.onnx_reader._shapes import SHAPES
from decomon.onnx_reader._values import Array, Call, Handler, Operand, RefusalError, Value, inner

HANDLERS: Final[dict[str, Handler]] = {**AFFINE, **POINTWISE, **SHAPES}
"""What translates each operator."""

_DOMAINS: Final = ("", "ai.onnx")
_RANDOM: Final = ("Random", "Bernoulli", "Multinomial")


class UnsupportedOnnxError(ValueError):
    """The graph has operators that are not translated; the message lists them all."""


@final
class Builder:
    """Translates one graph.

    Parameters
    ----------
    model : checked, with one input and one output
    source : name of the input
    shape : of the input, with a batch of 1 where there is one
    dtype : of the input
    """

    def __init__(self, model: onnx.ModelProto, source: str, shape: Shape, dtype: str) -> None:
        self._graph = model.graph
        self._opsets = list(model.opset_import)
        self._opset = next(o.version for o in self._opsets if o.domain in _DOMAINS)
        self._dtype = dtype
        self._source = source
        self._shape = shape
        self._names: set[str] = set()
        self._users = Counter(name for node in self._graph.node for name in node.input)
        self._users.update(output.name for output in self._graph.output)
        self._constants = {
            tensor.name: numpy_helper.to_array(tensor) for tensor in self._graph.initializer
        }
        # Sums that were taken over by what comes before them, and whose results are known.
        self._absorbed: dict[str, str] = {}
        self._values: dict[str, Value] = {}

    def model(self, name: str) -> Any:
        """Return the Keras model."""
        nodes = self._fold(self._graph.node)
        self._check(nodes)
        source = keras.Input(inner(self._shape), dtype=self._dtype, name=self._unique(self._source))
        self._values[self._source] = Value(source, self._shape)
        for node in nodes:
            self._translate(node)
        end = self._graph.output[0].name
        if end not in self._values:
            raise UnsupportedOnnxError(
                f"The output {end!r} of the ONNX network does not depend on its input, so there is "
                "nothing to verify."
            )
        value = self._values[end]
        last = value.tensor
        if value.last:
            rank = len(value.shape) - 1
            last = keras.layers.Permute((rank, *range(1, rank)), dtype=self._dtype)(last)
        if last is source:
            last = keras.layers.Identity(dtype=self._dtype)(last)
        return keras.Model(source, last, name=_identifier(name))

    def _fold(self, nodes: Iterable[onnx.NodeProto]) -> list[onnx.NodeProto]:
        """Evaluate nodes that depend on constants alone; return the others."""
        left: list[onnx.NodeProto] = []
        for node in nodes:
            given = [name for name in node.input if name]
            fixed = all(name in self._constants for name in given)
            named = bool(given) or node.op_type == "Constant"
            if fixed and named and not node.op_type.startswith(_RANDOM) and _standard(node):
                self._evaluate(node)
            else:
                left.append(node)
        return left

    def _evaluate(self, node: onnx.NodeProto) -> None:
        """Evaluate a node of constants by ONNX's own reference implementation."""
        given = {name: self._constants[name] for name in node.input if name}
        inputs = [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
            )
            for name, array in given.items()
        ]
        outputs = [onnx.ValueInfoProto(name=name) for name in node.output if name]
        graph = helper.make_graph([node], "constants", inputs, outputs)
        model = helper.make_model(graph, opset_imports=self._opsets)
        evaluator: Any = ReferenceEvaluator(model)
        results = evaluator.run(None, given)
        for output, array in zip(outputs, results, strict=True):
            self._constants[output.name] = np.asarray(array)

    def _check(self, nodes: list[onnx.NodeProto]) -> None:
        """Refuse all unknown operators at once."""
        known = set(self._constants)
        unknown: Counter[str] = Counter()
        for node in nodes:
            # What is computed from shapes is constant too.
            named = [name for name in node.input if name]
            if _standard(node) and (node.op_type == "Shape" or (named and known.issuperset(named))):
                known.update(node.output)
            elif not _standard(node) or node.op_type not in HANDLERS:
                unknown[f"{node.domain}.{node.op_type}".lstrip(".")] += 1
        if unknown:
            listed = ", ".join(
                f"{kind} ({count} nodes)" if count > 1 else kind
                for kind, count in sorted(unknown.items())
            )
            raise UnsupportedOnnxError(
                f"The ONNX network has operators that are not translated: {listed}. Translated are "
                f"{', '.join(sorted(HANDLERS))}. Build the network in Keras instead, or export it "
                f"without them. Received: {len(unknown)} unknown operators"
            )

    def _translate(self, node: onnx.NodeProto) -> None:
        if node.output[0] in self._absorbed:
            self._values[node.output[0]] = self._values[self._absorbed[node.output[0]]]
            return
        operands = [self._operand(name) for name in node.input]
        if node.op_type == "Shape":
            self._constants[node.output[0]] = self._shape_of(node, operands)
            return
        if all(not isinstance(operand, Value) for operand in operands):
            self._evaluate(node)
            return
        attributes = {entry.name: _decoded(entry) for entry in node.attribute}
        call = Call(
            node.op_type,
            self._unique(node.name or node.output[0]),
            attributes,
            operands,
            self._opset,
            self._dtype,
            lambda width: self._bias(node, width),
        )
        try:
            made = HANDLERS[node.op_type](call)
        except RefusalError as refusal:
            raise UnsupportedOnnxError(self._refused(node, str(refusal))) from None
        except (ValueError, TypeError, ZeroDivisionError) as error:
            reason = f"settings that Keras does not take: {error}"
            raise UnsupportedOnnxError(self._refused(node, reason)) from error
        made = [made] if isinstance(made, Value) else made
        self._values.update(zip(node.output, made, strict=False))

    def _refused(self, node: onnx.NodeProto, reason: str) -> str:
        return (
            f"Node {node.name or node.output[0]!r} (ONNX operator {node.op_type}) cannot be "
            f"translated: it has {reason}. Build the network in Keras instead, or export it "
            "without this"
        )

    def _operand(self, name: str) -> Operand | None:
        if not name:
            return None
        if name in self._constants:
            return self._constants[name]
        if name in self._values:
            return self._values[name]
        raise UnsupportedOnnxError(
            f"The value {name!r} of the ONNX network is an optional result that is not translated, "
            "or comes after the node that needs it."
        )

    def _shape_of(self, node: onnx.NodeProto, operands: list[Operand | None]) -> Array:
        """Return the shape of a value for a single sample."""
        attributes = {entry.name: _decoded(entry) for entry in node.attribute}
        (operand,) = operands
        shape: Any = () if operand is None else operand.shape
        return np.array(shape[attributes.get("start", 0) : attributes.get("end")], np.int64)

    def _bias(self, node: onnx.NodeProto, width: int) -> Array | None:
        """Take over the vector that the only user of a node's result adds to it."""
        result = node.output[0]
        if self._users[result] != 1:
            return None
        user = next((n for n in self._graph.node if result in n.input), None)
        if user is None or user.op_type != "Add" or not _standard(user):
            return None
        (other,) = [name for name in user.input if name != result] or [""]
        added = self._constants.get(other)
        if added is None or added.size != width or added.shape[-1:] != (width,) or added.ndim > 2:
            return None
        self._absorbed[user.output[0]] = result
        return added.reshape(-1).astype(self._dtype)

    def _unique(self, name: str) -> str:
        base = _identifier(name)
        chosen, count = base, 1
        while chosen in self._names:
            count += 1
            chosen = f"{base}_{count}"
        self._names.add(chosen)
        return chosen


def _standard(node: onnx.NodeProto) -> bool:
    return node.domain in _DOMAINS


def _identifier(name: str) -> str:
    """Return a name that Keras takes for a layer."""
    return re.sub(r"[^A-Za-z0-9_.]+", "_", name).strip("_.") or "onnx"


def _decoded(entry: onnx.AttributeProto) -> Any:
    value: Any = helper.get_attribute_value(entry)
    return value.decode() if isinstance(value, bytes) else value
