"""ONNX networks, read into Keras."""

from __future__ import annotations

import gzip
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import decomon
from decomon.onnx_reader import OnnxError, read_onnx
from decomon.onnx_reader.reading import read_network
from tests.decomon.helpers import Array, keras

onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")

helper, numpy_helper = onnx.helper, onnx.numpy_helper
FLOAT, DOUBLE = onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE
IMAGE, ROW, SIGNAL, VOLUME = (1, 4, 6, 5), (1, 6), (1, 3, 8), (1, 2, 4, 4, 4)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def randoms(*shape: int, seed: int = 0) -> Array:
    return rng(seed).normal(size=shape).astype(np.float32)


def ints(*values: int) -> Array:
    return np.array(values, np.int64)


@dataclass
class Case:
    """A node between an input and an output."""

    kind: str
    shape: tuple[int, ...] = ROW
    constants: Sequence[Any] = ()
    attributes: dict[str, Any] = field(default_factory=dict)
    opset: int = 18
    # Where the input stands among the operands.
    position: int = 0
    positive: bool = False
    # Operators that stand before it.
    before: Sequence[str] = ()
    outputs: int = 1

    def __str__(self) -> str:
        options = "-".join(f"{k}={v}" for k, v in self.attributes.items())
        shapes = "-".join(str(c.shape) for c in self.constants if c is not None)
        return f"{self.kind}-{self.shape}-{shapes}-{options}-{self.opset}-{self.position}"

    def model(self, first: int | str = 1) -> Any:
        nodes, last = [], "x"
        for i, kind in enumerate(self.before):
            nodes.append(helper.make_node(kind, [last], [f"before{i}"]))
            last = f"before{i}"
        names = [f"c{i}" if c is not None else "" for i, c in enumerate(self.constants)]
        operands = [*names[: self.position], last, *names[self.position :]]
        outputs = ["y"] if self.outputs == 1 else [f"y{i}" for i in range(self.outputs)]
        nodes.append(helper.make_node(self.kind, operands, outputs, name="it", **self.attributes))
        if self.outputs > 1:
            nodes.append(helper.make_node("Sum", outputs, ["y"]))
        fixed = {f"c{i}": c for i, c in enumerate(self.constants) if c is not None}
        return graph(nodes, (first, *self.shape[1:]), fixed, self.opset)


def graph(
    nodes: Sequence[Any],
    shape: Sequence[int | str | None],
    constants: dict[str, Array],
    opset: int = 18,
    dtype: int = FLOAT,
    ends: Sequence[str] = ("y",),
) -> Any:
    source = helper.make_tensor_value_info("x", dtype, shape)
    made = helper.make_graph(
        list(nodes),
        "g",
        [source],
        [helper.make_tensor_value_info(name, dtype, None) for name in ends],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def saved(model: Any, folder: Path, name: str = "net.onnx") -> Path:
    path = folder / name
    path.write_bytes(model.SerializeToString())
    return path


def reference(model: Any, points: Array, shape: tuple[int, ...]) -> Array:
    # The reference implementation knows old operators only as they are now.
    if model.opset_import[0].version < 18:
        model = onnx.version_converter.convert_version(model, 18)
    evaluator = onnx.reference.ReferenceEvaluator(model)
    return np.stack([evaluator.run(None, {"x": x.reshape(shape)})[0].reshape(-1) for x in points])


CONV = randoms(5, 4, 3, 3)
STATISTICS = (randoms(4), randoms(4, seed=1), randoms(4, seed=2), 0.5 + rng().random(4, np.float32))
POOLS = {"kernel_shape": [2, 3]}

CASES = [
    *(
        Case(kind)
        for kind in (
            *("Abs", "Celu", "Cos", "Dropout", "Elu", "Erf", "Exp", "HardSigmoid"),
            *("HardSwish", "Identity", "LeakyRelu", "Mish", "Neg", "Relu", "Selu", "Sigmoid"),
            *("Sin", "Softplus", "Softsign", "Tanh"),
        )
    ),
    *(Case(kind, positive=True) for kind in ("Log", "Sqrt", "Reciprocal")),
    *(Case("Relu", shape) for shape in (IMAGE, SIGNAL, VOLUME, (1, 1, 1, 5))),
    Case("Gelu", attributes={"approximate": "tanh"}, opset=20),
    Case("Gelu", attributes={"approximate": "none"}, opset=20),
    Case("HardSigmoid", attributes={"alpha": 0.3, "beta": 0.4}),
    Case("LeakyRelu", attributes={"alpha": 0.3}),
    Case("Elu", attributes={"alpha": 0.7}),
    Case("Celu", attributes={"alpha": 0.7}),
    Case("Dropout", constants=[np.float32(0.5), np.array(False)]),
    Case("Cast", attributes={"to": FLOAT}),
    Case("PRelu", constants=[randoms(1)]),
    Case("PRelu", IMAGE, [randoms(4, 1, 1)]),
    Case("PRelu", IMAGE, [randoms(4, 1, 1)], before=["Relu", "Neg"]),
    Case("Pow", constants=[np.float32(2)]),
    Case("Pow", constants=[np.float32(3)]),
    Case("Clip", constants=[np.float32(-0.5), np.float32(0.4)]),
    Case("Clip", constants=[np.float32(0), np.float32(0.4)]),
    Case("Clip", constants=[None, np.float32(0.4)]),
    Case("Clip", constants=[np.float32(-0.3)]),
    Case("Clip", attributes={"min": -0.5, "max": 0.5}, opset=6),
    Case("Clip", attributes={"min": 0.0}, opset=6),
    *(
        Case(kind, IMAGE, [randoms(*shape)], position=position)
        for kind in ("Add", "Sub", "Mul", "Max", "Min")
        for position in (0, 1)
        for shape in ((1,), (4, 1, 1), (1, 4, 6, 5), (5,), ())
    ),
    *(
        Case("Div", IMAGE, [2 + rng().random(shape, np.float32)])
        for shape in ((1,), (4, 1, 1), (1, 4, 6, 5), ())
    ),
    Case("Div", ROW, [randoms(6)], position=1, positive=True),
    Case("Sub", ROW, [np.zeros((1, 6), np.float32)]),
    Case("Add", ROW, [randoms(1, 1, 6)]),
    Case("Add", (1, 1), [randoms(1, 6)]),
    Case("Sum", ROW, [randoms(6), randoms(1, 6, seed=1)]),
    Case("Mean", ROW, [randoms(6), randoms(6, seed=1)]),
    Case("Gemm", constants=[randoms(6, 3), randoms(3)]),
    Case("Gemm", constants=[randoms(3, 6), randoms(1, 3)], attributes={"transB": 1}),
    Case("Gemm", constants=[randoms(6, 3), randoms(1)], attributes={"alpha": 0.5, "beta": 2.0}),
    Case("Gemm", constants=[randoms(6, 3)]),
    Case("MatMul", constants=[randoms(6, 3)]),
    Case("MatMul", constants=[randoms(6)]),
    Case("MatMul", IMAGE, [randoms(5, 3)]),
    Case("MatMul", SIGNAL, [randoms(2, 3)], position=1),
    Case("MatMul", (1, 6, 1), [randoms(3, 6)], position=1),
    Case("Conv", IMAGE, [CONV, randoms(5)]),
    Case("Conv", IMAGE, [CONV], {"pads": [1, 1, 1, 1]}),
    Case("Conv", IMAGE, [CONV, randoms(5)], {"strides": [2, 1], "pads": [0, 1, 2, 0]}),
    Case("Conv", IMAGE, [CONV], {"strides": [2, 2], "pads": [1, 1, 1, 1]}),
    Case("Conv", IMAGE, [CONV], {"dilations": [2, 1]}),
    Case("Conv", IMAGE, [CONV], {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    Case("Conv", IMAGE, [CONV], {"auto_pad": "SAME_LOWER", "strides": [2, 2]}),
    Case("Conv", IMAGE, [CONV], {"auto_pad": "VALID"}),
    Case("Conv", IMAGE, [randoms(6, 2, 3, 3), randoms(6)], {"group": 2}),
    Case("Conv", IMAGE, [randoms(8, 1, 3, 3), randoms(8)], {"group": 4}),
    Case("Conv", IMAGE, [randoms(4, 1, 3, 3)], {"group": 4, "strides": [2, 1]}),
    Case("Conv", SIGNAL, [randoms(4, 3, 3), randoms(4)], {"pads": [1, 1]}),
    Case("Conv", VOLUME, [randoms(3, 2, 2, 2, 2), randoms(3)], {"strides": [2, 1, 2]}),
    Case("ConvTranspose", IMAGE, [randoms(4, 3, 3, 3), randoms(3)]),
    Case(
        "ConvTranspose",
        IMAGE,
        [randoms(4, 3, 3, 3), randoms(3)],
        {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]},
    ),
    Case("ConvTranspose", SIGNAL, [randoms(3, 2, 4)], {"strides": [2], "pads": [1, 1]}),
    Case("BatchNormalization", IMAGE, STATISTICS),
    Case("BatchNormalization", IMAGE, STATISTICS, {"epsilon": 0.1}),
    Case("BatchNormalization", (1, 4), STATISTICS, opset=9),
    Case("LayerNormalization", SIGNAL, [randoms(8), randoms(8, seed=1)]),
    Case("LayerNormalization", ROW, [randoms(6)], {"axis": 1}),
    Case("MaxPool", IMAGE, attributes=POOLS),
    Case("MaxPool", IMAGE, attributes={**POOLS, "strides": [2, 2]}),
    Case("MaxPool", IMAGE, attributes={**POOLS, "auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    Case(
        "MaxPool",
        IMAGE,
        attributes={"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [2, 2]},
        before=["Relu"],
    ),
    Case("MaxPool", (1, 3, 7), attributes={"kernel_shape": [3], "strides": [2], "ceil_mode": 1}),
    Case("MaxPool", VOLUME, attributes={"kernel_shape": [2, 2, 2]}),
    Case("AveragePool", IMAGE, attributes=POOLS),
    Case("AveragePool", IMAGE, attributes={**POOLS, "pads": [1, 1, 0, 2], "strides": [2, 1]}),
    Case("AveragePool", IMAGE, attributes={**POOLS, "pads": [1, 1, 0, 2], "count_include_pad": 1}),
    Case("AveragePool", SIGNAL, attributes={"kernel_shape": [3], "auto_pad": "SAME_LOWER"}),
    Case("GlobalAveragePool", IMAGE),
    Case("GlobalAveragePool", SIGNAL),
    Case("GlobalMaxPool", IMAGE),
    Case("Flatten", IMAGE),
    Case("Flatten", IMAGE, attributes={"axis": 2}),
    Case("Flatten", IMAGE, attributes={"axis": 0}),
    Case("Flatten", IMAGE, attributes={"axis": -1}),
    Case("Reshape", IMAGE, [ints(1, -1)]),
    Case("Reshape", IMAGE, [ints(0, 0, 30)]),
    Case("Reshape", IMAGE, [ints(-1)]),
    Case("Reshape", IMAGE, [ints(4, 30)]),
    Case("Squeeze", (1, 1, 6), [ints(1)]),
    Case("Squeeze", (1, 1, 6)),
    Case("Squeeze", (1, 1, 6), attributes={"axes": [0, 1]}, opset=11),
    Case("Unsqueeze", ROW, [ints(1, -1)]),
    Case("Unsqueeze", ROW, attributes={"axes": [0]}, opset=11),
    Case("Transpose", IMAGE, attributes={"perm": [0, 2, 3, 1]}),
    Case("Transpose", IMAGE, attributes={"perm": [2, 0, 3, 1]}),
    Case("Transpose", ROW),
    Case("Concat", IMAGE, attributes={"axis": 1}),
    Case("Expand", IMAGE, [ints(1, 1, 5)]),
    Case("Expand", (1, 1, 6), [ints(2, 6)]),
    Case("Expand", ROW, [ints(3, 1, 6)]),
    Case("Split", ROW, [ints(2, 2, 2)], {"axis": 1}, outputs=3),
    Case("Split", ROW, attributes={"axis": -1, "split": [3, 3]}, opset=11, outputs=2),
    Case("Split", ROW, attributes={"axis": 1, "num_outputs": 2}, outputs=2),
    Case("Slice", IMAGE, [ints(1, -3), ints(3, 2**62), ints(1, 3)]),
    Case("Slice", IMAGE, [ints(0), ints(5), ints(2), ints(2)]),
    Case("Slice", IMAGE, attributes={"starts": [1], "ends": [-1], "axes": [2]}, opset=9),
    Case("Gather", IMAGE, [ints(2, -1, 0)], {"axis": 1}),
    Case("Gather", IMAGE, [np.array(2)], {"axis": 3}),
    Case("Gather", IMAGE, [np.array(0)], {"axis": 0}),
    Case("Softmax"),
    Case("Softmax", IMAGE, attributes={"axis": 1}),
    Case("Softmax", IMAGE, attributes={"axis": 1}, opset=11),
    Case("LogSoftmax"),
    Case("LogSoftmax", SIGNAL, attributes={"axis": 2}, opset=11),
    Case("Pad", IMAGE, [ints(0, 0, 1, 2, 0, 0, 0, 1)]),
    Case("Pad", IMAGE, [ints(0, 1, 1, 0, 0, 0, 0, 1), np.float32(0.5)]),
    Case("Pad", SIGNAL, attributes={"pads": [0, 0, 1, 0, 0, 2]}, opset=10),
    *(
        Case(f"Reduce{name}", IMAGE, attributes={"axes": [2, 3], "keepdims": keep}, opset=11)
        for name in ("Mean", "Sum", "Max", "Min")
        for keep in (0, 1)
    ),
    Case("ReduceMean", IMAGE, [ints(1)], {"keepdims": 0}),
    Case("ReduceSum", SIGNAL, [ints(-1)]),
    Case("ReduceSum", SIGNAL),
    Case("ReduceSum", SIGNAL, [ints(0)]),
    Case("ReduceMax", SIGNAL, [ints(0, 2)], {"keepdims": 0}),
]
# Where the case stands behind a convolution, values have their channels last inside.
BEHIND_CONVOLUTION = [
    case
    for case in CASES
    if case.shape == IMAGE
    and not case.before
    and not (case.position and case.kind in "AddMulMaxMin")
]


def check(model: Any, folder: Path, points: Array, shape: tuple[int, ...]) -> Any:
    made = read_onnx(saved(model, folder))
    flat = np.prod(made.input_shape[1:])
    assert flat == np.prod(shape)
    received = np.asarray(made(points.reshape(len(points), *made.input_shape[1:])))
    wanted = reference(model, points, shape)
    np.testing.assert_allclose(received.reshape(wanted.shape), wanted, rtol=2e-4, atol=2e-5)
    decomon.clone(made, rm_last_softmax=False)
    return made


def points_of(case: Case) -> Array:
    found = randoms(4, *case.shape[1:], seed=3)
    return np.abs(found) + 0.1 if case.positive else found


@pytest.mark.parametrize("case", CASES, ids=str)
def test_operator_is_what_the_reference_makes_of_it(case: Case, tmp_path: Path) -> None:
    check(case.model(), tmp_path, points_of(case), case.shape)


@pytest.mark.parametrize("case", BEHIND_CONVOLUTION, ids=str)
def test_operator_behind_a_convolution(case: Case, tmp_path: Path) -> None:
    model = case.model()
    for node in model.graph.node:
        node.input[:] = ["conv" if name == "x" else name for name in node.input]
    conv = helper.make_node("Conv", ["x", "kernel"], ["conv"])
    model.graph.node.insert(0, conv)
    kernel = 0.3 * randoms(4, 4, 1, 1, seed=5)
    model.graph.initializer.append(numpy_helper.from_array(kernel, "kernel"))
    check(model, tmp_path, points_of(case), case.shape)


def test_every_operator_has_a_case() -> None:
    from decomon.onnx_reader._building import HANDLERS

    assert {case.kind for case in CASES} == set(HANDLERS)


@pytest.mark.parametrize("kind", ["Add", "Sub", "Mul", "Div", "Max", "Min", "MatMul", "Concat"])
@pytest.mark.parametrize("last", [False, True])
def test_two_values(kind: str, last: bool, tmp_path: Path) -> None:
    attributes = {"axis": 1} if kind == "Concat" else {}
    constants = {"k1": 0.3 * randoms(4, 4, 1, 1), "k2": 0.3 * randoms(4, 4, 1, 1, seed=1)}
    nodes = [
        helper.make_node("Conv", ["x", "k1"], ["a0"]),
        helper.make_node("Conv" if last else "Exp", ["x", "k2"] if last else ["x"], ["b0"]),
        helper.make_node("Sigmoid", ["a0"], ["a"]),
        helper.make_node("Sigmoid", ["b0"], ["b"]),
        helper.make_node(kind, ["a", "b"], ["y"], **attributes),
    ]
    shape = (1, 4, 5, 5)
    check(graph(nodes, shape, constants), tmp_path, randoms(3, *shape[1:]), shape)


def test_two_values_of_different_rank(tmp_path: Path) -> None:
    constants = {"w": randoms(6, 6)}
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"]),
        helper.make_node("Reshape", ["a", "shape"], ["b"]),
        helper.make_node("Add", ["b", "x"], ["y"]),
    ]
    model = graph(nodes, ROW, {**constants, "shape": ints(1, 1, 6)})
    check(model, tmp_path, randoms(3, 6), ROW)


@pytest.mark.parametrize("first", ["N", None, 1])
def test_number_of_samples_may_be_open(first: Any, tmp_path: Path) -> None:
    """As PyTorch writes ``x.view(x.size(0), -1)``."""
    nodes = [
        helper.make_node("Conv", ["x", "kernel"], ["c"]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("Shape", ["r"], ["s"]),
        helper.make_node("Gather", ["s", "zero"], ["n"], axis=0),
        helper.make_node("Unsqueeze", ["n", "zeros"], ["n1"]),
        helper.make_node("Concat", ["n1", "rest"], ["shape"], axis=0),
        helper.make_node("Reshape", ["r", "shape"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w", "b"], ["y"]),
    ]
    constants = {
        "kernel": CONV,
        "zero": np.array(0),
        "zeros": ints(0),
        "rest": ints(-1),
        "w": randoms(60, 3),
        "b": randoms(3),
    }
    model = graph(nodes, (first, 4, 6, 5), constants)
    made = check(model, tmp_path, randoms(3, 4, 6, 5), IMAGE)
    assert made.input_shape == (None, 4, 6, 5)


def test_what_is_computed_from_shapes_is_constant(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Shape", ["x"], ["s"], start=1),
        helper.make_node("ConstantOfShape", ["s"], ["zeros"]),
        helper.make_node("Cos", ["zeros"], ["ones"]),
        helper.make_node("Tan", ["ones"], ["tan"]),
        helper.make_node("Add", ["x", "tan"], ["y"]),
    ]
    model = graph(nodes, ("N", 6), {})
    check(model, tmp_path, randoms(3, 6), ROW)


@pytest.mark.parametrize("shape", [(6,), (2, 6), (3, 4, 5)])
def test_input_without_samples(shape: tuple[int, ...], tmp_path: Path) -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"]),
        helper.make_node("Add", ["a", "b"], ["c"]),
        helper.make_node("Relu", ["c"], ["d"]),
        helper.make_node("Flatten", ["d"], ["y"], axis=0),
    ]
    constants = {"w": randoms(shape[-1], 3), "b": randoms(3)}
    made = check(graph(nodes, shape, constants), tmp_path, randoms(3, *shape), shape)
    assert made.input_shape == (None, *shape)


def test_constants_are_computed_when_the_file_is_read(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Constant", [], ["two"], value_float=2.0),
        helper.make_node("Mul", ["w", "two"], ["w2"]),
        helper.make_node("Transpose", ["w2"], ["w3"]),
        helper.make_node("MatMul", ["x", "w3"], ["a"]),
        helper.make_node("Add", ["b", "a"], ["y"]),
    ]
    model = graph(nodes, ROW, {"w": randoms(3, 6), "b": randoms(1, 3)})
    made = check(model, tmp_path, randoms(3, 6), ROW)
    # The sum is that of the dense layer itself.
    kinds = [type(layer) for layer in made.layers]
    assert kinds == [keras.layers.InputLayer, keras.layers.Dense]


def test_result_that_is_used_twice_keeps_its_own_bias_apart(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"]),
        helper.make_node("Add", ["a", "b"], ["c"]),
        helper.make_node("Mul", ["a", "c"], ["y"]),
    ]
    model = graph(nodes, ROW, {"w": randoms(6, 3), "b": randoms(3)})
    check(model, tmp_path, randoms(3, 6), ROW)


def test_sum_of_a_result_and_itself(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"]),
        helper.make_node("Add", ["a", "a"], ["y"]),
    ]
    check(graph(nodes, ROW, {"w": randoms(6, 3)}), tmp_path, randoms(3, 6), ROW)


def test_double_precision(tmp_path: Path) -> None:
    nodes = [helper.make_node("MatMul", ["x", "w"], ["a"]), helper.make_node("Relu", ["a"], ["y"])]
    model = graph(nodes, ROW, {"w": randoms(6, 3).astype(np.float64)}, dtype=DOUBLE)
    made = read_onnx(saved(model, tmp_path))
    x = rng().normal(size=(3, 6))
    wanted = reference(model, x, ROW)
    np.testing.assert_allclose(np.asarray(made(x)), wanted, rtol=1e-13)
    assert made.outputs[0].dtype == "float64"


def test_bounds_contain_what_the_network_does(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Sub", ["x", "mean"], ["a"]),
        helper.make_node("Conv", ["a", "k", "kb"], ["b"], strides=[2, 1], pads=[1, 0, 1, 1]),
        helper.make_node("BatchNormalization", ["b", "s0", "s1", "s2", "s3"], ["c"]),
        helper.make_node("Relu", ["c"], ["d"]),
        helper.make_node("MaxPool", ["d"], ["e"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("Flatten", ["e"], ["f"]),
        helper.make_node("Gemm", ["f", "w"], ["y"], transB=1),
    ]
    constants = {"mean": randoms(4, 1, 1), "k": CONV[:4], "kb": randoms(4), "w": randoms(3, 48)}
    constants |= {f"s{i}": STATISTICS[i] for i in range(4)}
    model = graph(nodes, IMAGE, constants)
    made = check(model, tmp_path, randoms(3, 4, 6, 5), IMAGE)
    x = randoms(2, 4, 6, 5)
    found = decomon.get_range_box(made, x - 0.05, x + 0.05)
    moved = x[:, None] + rng().uniform(-0.05, 0.05, (2, 200, 4, 6, 5)).astype(np.float32)
    outputs = np.stack([reference(model, each, IMAGE) for each in moved])
    assert (outputs <= found.upper[:, None] + 1e-5).all()
    assert (outputs >= found.lower[:, None] - 1e-5).all()


def test_compressed_file_and_names(tmp_path: Path) -> None:
    model = Case("Relu").model()
    path = tmp_path / "a net.onnx.gz"
    path.write_bytes(gzip.compress(model.SerializeToString()))
    network = read_network(path)
    np.testing.assert_array_equal(network.original(randoms(2, 6)), np.maximum(randoms(2, 6), 0))
    assert network.model.name == "a_net"
    assert "it" in [layer.name for layer in network.model.layers]


def test_local_functions_are_inlined(tmp_path: Path) -> None:
    function = helper.make_function(
        "own",
        "Twice",
        ["a"],
        ["b"],
        [helper.make_node("Add", ["a", "a"], ["b"])],
        [helper.make_opsetid("", 18)],
    )
    base = graph([helper.make_node("Twice", ["x"], ["y"], domain="own")], ROW, {})
    base.functions.append(function)
    base.opset_import.append(helper.make_opsetid("own", 1))
    made = read_onnx(saved(base, tmp_path))
    np.testing.assert_allclose(np.asarray(made(randoms(2, 6))), 2 * randoms(2, 6), rtol=1e-6)


# What is refused.


def refused(model: Any, folder: Path) -> str:
    with pytest.raises(OnnxError) as caught:
        read_onnx(saved(model, folder))
    return str(caught.value)


def test_unknown_operators_are_refused_all_at_once(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Floor", ["x"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Tan", ["b"], ["c"]),
        helper.make_node("Floor", ["c"], ["d"]),
        helper.make_node("Inverse", ["d"], ["y"], domain="com.microsoft"),
    ]
    model = graph(nodes, ROW, {})
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    message = refused(model, tmp_path)
    for part in ("Floor (2 nodes)", "Tan", "com.microsoft.Inverse", "Translated are", "Gemm"):
        assert part in message


@pytest.mark.parametrize(
    ("case", "words"),
    [
        (Case("Gemm", (6, 1), [randoms(6, 3)], {"transA": 1}), "transA"),
        (Case("Conv", IMAGE, [CONV], {"strides": [2, 2], "dilations": [2, 2]}), "dilations"),
        (
            Case(
                "MaxPool",
                IMAGE,
                attributes={"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [2, 2]},
            ),
            "may be negative",
        ),
        (
            Case("MaxPool", IMAGE, attributes={**POOLS, "strides": [3, 2], "ceil_mode": 1}),
            "ceil_mode",
        ),
        (Case("Pad", IMAGE, [ints(0, 0, 1, 1, 0, 0, 0, 0)], {"mode": "reflect"}), "mode"),
        (Case("Cast", attributes={"to": onnx.TensorProto.INT64}), "int64"),
        (Case("Slice", ROW, [ints(5), ints(0), ints(1), ints(-1)]), "negative steps"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_unusual_settings_are_refused(case: Case, words: str, tmp_path: Path) -> None:
    message = refused(case.model(), tmp_path)
    assert words in message
    assert "'it'" in message
    assert case.kind in message


def test_no_single_input_and_output(tmp_path: Path) -> None:
    nodes = [helper.make_node("Relu", ["x"], ["y"]), helper.make_node("Abs", ["x"], ["z"])]
    message = refused(graph(nodes, ROW, {}, ends=("y", "z")), tmp_path)
    assert "1 inputs and 2 outputs" in message


def test_output_that_does_not_depend_on_the_input(tmp_path: Path) -> None:
    nodes = [helper.make_node("Relu", ["c"], ["y"]), helper.make_node("Abs", ["x"], ["z"])]
    assert "depend" in refused(graph(nodes, ROW, {"c": randoms(1, 3)}), tmp_path)


@pytest.mark.parametrize("shape", [(1, "height", 4), ("N",), ()])
def test_open_shapes_are_refused(shape: tuple[int | str, ...], tmp_path: Path) -> None:
    message = refused(graph([helper.make_node("Relu", ["x"], ["y"])], shape, {}), tmp_path)
    assert "fixed shape" in message


def test_whole_numbers_are_refused(tmp_path: Path) -> None:
    nodes = [helper.make_node("Identity", ["x"], ["y"])]
    assert "int64" in refused(graph(nodes, ROW, {}, dtype=onnx.TensorProto.INT64), tmp_path)


@pytest.mark.parametrize("content", [b"", b"no network", b"\x08\x07" * 40])
@pytest.mark.parametrize("name", ["net.onnx", "net.onnx.gz"])
def test_broken_files(content: bytes, name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(OnnxError, match="not a valid ONNX file"):
        read_onnx(tmp_path / name)


def test_cut_off_file(tmp_path: Path) -> None:
    path = saved(Case("Conv", IMAGE, [CONV]).model(), tmp_path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(OnnxError, match="valid"):
        read_onnx(path)


def test_weights_in_another_file_that_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    options = {"save_as_external_data": True, "location": "weights.bin", "size_threshold": 0}
    onnx.save(Case("Conv", IMAGE, [CONV]).model(), path, **options)
    assert read_onnx(path).count_params() == CONV.size
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(OnnxError, match="not a valid ONNX file"):
        read_onnx(path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(OnnxError, match="no such ONNX file"):
        read_onnx(tmp_path / "none.onnx")


def test_missing_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(Case("Relu").model(), tmp_path)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r'pip install "decomon\[onnx\]"'):
        read_onnx(path)


def test_wrong_translation_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from decomon.onnx_reader import _building

    handlers = {**_building.HANDLERS, "Relu": _building.HANDLERS["Abs"]}
    monkeypatch.setattr(_building, "HANDLERS", handlers)
    assert "not the same function" in refused(Case("Relu").model(), tmp_path)
