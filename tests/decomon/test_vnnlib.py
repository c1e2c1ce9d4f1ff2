"""Properties in the VNN-LIB format."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import decomon
from decomon.vnnlib import VnnlibError, VnnlibProperty, read_vnnlib, verify_vnnlib
from tests.decomon.helpers import Array, keras, layers
from tests.decomon.reference import FOLDER as REFERENCE

FOLDER = REFERENCE / "vnnlib"
needs_reference = pytest.mark.skipif(
    not FOLDER.is_dir(), reason=f"the reference instances are not there: {FOLDER}"
)
BOX = "(assert (<= X_0 1)) (assert (>= X_0 0)) (assert (<= X_1 1.0)) (assert (>= X_1 -0.5))\n"
ASSERT = "(assert (<= Y_0 Y_1))"


def declared(n_inputs: int = 2, n_outputs: int = 2) -> str:
    names = [*(f"X_{i}" for i in range(n_inputs)), *(f"Y_{i}" for i in range(n_outputs))]
    return "".join(f"(declare-const {name} Real)\n" for name in names)


def read(tmp_path: Path, text: str, **counts: int) -> VnnlibProperty:
    path = tmp_path / "spec.vnnlib"
    path.write_text(text)
    return read_vnnlib(path, **counts)


def unsafe_rows(prop: VnnlibProperty, case: int = 0) -> list[tuple[list[Any], list[float]]]:
    return [(each.rows.tolist(), each.limits.tolist()) for each in prop.cases[case].unsafe]


# What is read.


@pytest.mark.parametrize(
    ("condition", "row", "limit"),
    [
        ("(<= Y_0 Y_1)", [1, -1], 0),
        ("(>= Y_0 3.99)", [-1, 0], -3.99),
        ("(<= 3.99 Y_0)", [-1, 0], -3.99),
        ("(<= (+ (* 2.0 Y_0) (* -1.5 Y_1)) 1e-3)", [2, -1.5], 1e-3),
        ("(<= (- Y_0 Y_1 0.25) (- 3.0))", [1, -1], -2.75),
        ("(<= (+ Y_0 1.5) (+ Y_1 -.5))", [1, -1], -2),
        ("(>= (* (+ 1 1) (- Y_1 1)) (- Y_0))", [-1, -2], -2),
        ("(<= (/ Y_0 4) +7.)", [0.25, 0], 7),
        ("(<= (* Y_0 (- 2 2)) (+ Y_1 Y_0))", [-1, -1], 0),
    ],
)
def test_linear_conditions(condition: str, row: list[float], limit: float, tmp_path: Path) -> None:
    prop = read(tmp_path, f"{declared()}{BOX}(assert {condition})")
    assert (prop.n_inputs, prop.n_outputs, len(prop.cases)) == (2, 2, 1)
    np.testing.assert_array_equal(prop.x_min, [[0, -0.5]])
    np.testing.assert_array_equal(prop.x_max, [[1, 1]])
    assert unsafe_rows(prop) == [([row], [limit])]


def test_decimals_are_not_added_up_in_floating_point(tmp_path: Path) -> None:
    prop = read(tmp_path, f"{declared()}{BOX}(assert (<= (+ Y_0 0.1 0.2) 0.3))")
    assert unsafe_rows(prop) == [([[1, 0]], [0])]


def test_conditions_hold_together(tmp_path: Path) -> None:
    text = f"{declared()}{BOX}(assert (and (<= Y_0 1) (<= 0 Y_1 2)))(assert (= Y_0 Y_1))"
    rows, limits = unsafe_rows(read(tmp_path, text))[0]
    assert rows == [[1, 0], [0, -1], [0, 1], [1, -1], [-1, 1]]
    assert limits == [1, 0, 2, 0, 0]


def test_disjunctions_of_outputs(tmp_path: Path) -> None:
    text = f"""{declared()}{BOX}
    (assert (or (and (<= Y_0 1)) (or (<= Y_1 2) (and (<= Y_0 3) (<= Y_1 4)))))
    (assert (or (<= Y_0 5) (<= Y_1 6)))"""
    found = unsafe_rows(read(tmp_path, text))
    assert len(found) == 6
    assert [limits for _, limits in found] == [[1, 5], [1, 6], [2, 5], [2, 6], [3, 4, 5], [3, 4, 6]]


def test_disjunctions_of_inputs_and_outputs(tmp_path: Path) -> None:
    text = f"""{declared()}
    (assert (<= X_1 1)) (assert (>= X_1 0))
    (assert (or
        (and (>= X_0 0) (<= X_0 1) (<= Y_0 1))
        (and (>= X_0 2) (<= (* 2 X_0) 6) (<= X_1 0.5) (<= Y_0 2))
        (and (<= X_0 1) (>= X_0 0) (<= Y_0 3))
        (and (<= X_0 1) (>= X_0 1.5) (<= Y_0 4))))"""
    prop = read(tmp_path, text)
    # The first and the third are about the same box, and nothing lies in the fourth.
    np.testing.assert_array_equal(prop.x_min, [[0, 0], [2, 0]])
    np.testing.assert_array_equal(prop.x_max, [[1, 1], [3, 0.5]])
    assert [len(case.unsafe) for case in prop.cases] == [2, 1]
    goals = prop.goals()
    assert goals.samples.tolist() == [0, 0, 1]
    outputs = np.array([[[2.5, 0.0]]] * 3)
    np.testing.assert_array_equal(goals.of(outputs)[:, 0], [-1.5, 0.5, -0.5])
    x = [[0.5, 0.5], [0.5, 0.5], [2.5, 0.2], [2.5, 0.2], [1.5, 0.2]]
    y = [[2.5, 0], [3.5, 0], [1.5, 0], [2.5, 0], [0, 0]]
    assert prop.is_violated(x, y).tolist() == [True, False, True, False, False]


def test_goals_are_unsafe_where_the_conditions_hold(tmp_path: Path) -> None:
    text = f"""{declared(2, 3)}{BOX}
    (assert (or (and (<= Y_0 Y_1) (>= Y_2 0.5)) (>= (+ Y_0 Y_1) 1)))"""
    prop = read(tmp_path, text)
    y = np.random.default_rng(0).normal(size=(200, 3))
    wanted = ((y[:, 0] <= y[:, 1]) & (y[:, 2] >= 0.5)) | (y[:, 0] + y[:, 1] >= 1)
    goals = prop.goals()
    values = goals.of(np.broadcast_to(y, (len(goals), 200, 3))).max(axis=0)
    np.testing.assert_array_equal(values >= 0, wanted)
    np.testing.assert_array_equal(prop.is_violated(np.zeros((200, 2)), y), wanted)
    assert 20 < wanted.sum() < 180


def test_what_solvers_of_formulas_write(tmp_path: Path) -> None:
    text = f"""; a comment with (parentheses
    (set-logic QF_LRA)(set-info :status "sat ) ;")
    {declared()}{BOX} (declare-fun Y_2 () Real)
    {ASSERT} (check-sat) (get-model) (exit)"""
    assert read(tmp_path, text).n_outputs == 3


def test_conditions_without_variables(tmp_path: Path) -> None:
    text = f"{declared()}{BOX}(assert (<= 1 2)) (assert (or (<= 2 1) (<= Y_0 1) false))"
    assert unsafe_rows(read(tmp_path, text)) == [([[1, 0]], [1])]


def test_compressed_file(tmp_path: Path) -> None:
    path = tmp_path / "spec.vnnlib.gz"
    path.write_bytes(gzip.compress(f"{declared()}{BOX}{ASSERT}".encode()))
    assert unsafe_rows(read_vnnlib(str(path), 2, 2)) == [([[1, -1]], [0])]


# What is refused.


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "declares no input"),
        ("(declare-const X_0 Real)(declare-const X_1 Real)", "declares no output"),
        (declared() + ASSERT, "no lower bound of X_0, X_1"),
        (declared() + "(assert (>= X_0 0))(assert (>= X_1 0))" + ASSERT, "no upper bound of X_0"),
        (declared() + BOX + "(assert (<= Y_0 Y_7))", "line 6: 'Y_7' is neither a declared"),
        (declared() + BOX + "(assert (< Y_0 Y_1))", "strict"),
        (declared() + BOX + "(assert (not (<= Y_0 Y_1)))", "'not' is not supported"),
        (declared() + BOX + "(assert (=> (<= Y_0 1) (<= Y_1 1)))", "'=>' is not supported"),
        (declared() + BOX + "(assert (<= Y_0 X_1))", "X_1, Y_0 together"),
        (declared() + BOX + "(assert (<= (+ X_0 X_1) 1))", "X_0, X_1"),
        (declared() + BOX + "(assert (<= (* Y_0 Y_1) 1))", "linear"),
        (declared() + BOX + "(assert (<= (/ 1 Y_1) 1))", "divided"),
        (declared() + BOX + "(assert (<= (/ Y_1 0) 1))", "divided"),
        (declared() + BOX + "(assert (<= (max Y_0 Y_1) 1))", "only +, -, * and /"),
        (declared() + BOX + "(assert (<= (+) Y_1))", "operands"),
        (declared() + BOX + "(assert (<= Y_1))", "two operands"),
        (declared() + BOX + "(assert Y_1)", "a condition must begin"),
        (declared() + BOX + "(assert)", "assert with one condition"),
        (declared() + BOX + f"{ASSERT[:-1]} (<= Y_0 1))", "assert with one condition"),
        (declared() + BOX + "(assert (<= Y_0 1,5))", "decimal number"),
        (declared() + BOX + "(assert (<= Y_0 nan))", "decimal number"),
        (declared() + BOX + "(assert (<= Y_0 1e400))", "too large"),
        (declared() + BOX + "(assert (<= Y_0 1e99999999999))", "decimal number"),
        (declared() + BOX + "(assert (<= Y_0 Y_1)", "not closed"),
        (declared() + BOX + ASSERT + ")", "must begin with '('"),
        (declared() + BOX + '(set-info :source "no end)', "quote"),
        (declared() + BOX + "(define-fun f () Real 1.0)", "define-fun"),
        (declared() + BOX + "(" * 2000, "parentheses are open"),
        ("(declare-const X_0 Int)", "type Real"),
        ("(declare-const Z_0 Real)", "X_0, X_1, ... for inputs"),
        ("(declare-const X_00 Real)", "X_0, X_1, ... for inputs"),
        ("(declare-fun X_0 (Real) Real)", "X_0, X_1, ... for inputs"),
        ("(declare-const X_0 Real)" * 2, "twice"),
        ("(declare-const X_1 Real)(declare-const Y_0 Real)", "X_0 is not declared"),
        ("(vnnlib-version <2.0>)", "first version"),
        (declared() + BOX + "(assert (>= X_0 1.5))" + ASSERT, "X_0 must be at least 1.5"),
        (declared() + BOX + "(assert false)", "says nothing"),
        (declared() + BOX + "(assert (or))", "says nothing"),
        (declared() + BOX + "(assert (<= 2 1))", "says nothing"),
        (
            declared() + BOX + "(assert (or (<= Y_0 1) (<= Y_1 1) (<= Y_0 2)))" * 12,
            "more than 200000 combinations",
        ),
    ],
    ids=lambda value: value[-40:] if isinstance(value, str) else None,
)
def test_everything_else_is_refused(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(VnnlibError) as caught:
        read(tmp_path, text)
    assert words in str(caught.value)
    assert "spec.vnnlib" in str(caught.value)


def test_another_network(tmp_path: Path) -> None:
    text = declared() + BOX + ASSERT
    with pytest.raises(VnnlibError, match=r"2 inputs.*Received: a network with 3 inputs"):
        read(tmp_path, text, n_inputs=3)
    with pytest.raises(VnnlibError, match=r"2 outputs.*Received: a network with 5 outputs"):
        read(tmp_path, text, n_outputs=5)


@pytest.mark.parametrize(("name", "content"), [("a.vnnlib.gz", b"no gzip"), ("a.vnnlib", b"\xff")])
def test_files_that_are_no_text(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(VnnlibError, match="cannot be read"):
        read_vnnlib(tmp_path / name)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(VnnlibError, match="no such file"):
        read_vnnlib(tmp_path / "none.vnnlib")


# What is decided.


@pytest.fixture(scope="module")
def model() -> Any:
    """``(|x_0| + x_1, x_0 - x_1)``, exact in floating point at many points."""
    made = keras.Sequential(
        [keras.Input((2,)), layers.Dense(4), layers.ReLU(), layers.Dense(2), layers.Flatten()]
    )
    first = np.array([[1, -1, 0, 0], [0, 0, 1, -1]], np.float32)
    second = np.array([[1, 1], [1, -1], [1, -1], [-1, 1]], np.float32)
    made.set_weights([first, np.zeros(4, np.float32), second, np.zeros(2, np.float32)])
    return made


def decide(model: Any, tmp_path: Path, text: str, **options: Any) -> decomon.VnnlibResult:
    prop = read(tmp_path, text)
    found = verify_vnnlib(model, prop, **{"timeout": 20.0, **options})
    if found.status == "violated":
        assert found.counterexample is not None
        assert found.outputs is not None
        assert found.counterexample.dtype == np.float64
        assert found.counterexample.shape == model.input_shape[1:]
        outputs = np.asarray(model(found.counterexample[None].astype(np.float32)))[0]
        np.testing.assert_array_equal(found.outputs, outputs)
        assert prop.is_violated(found.counterexample, outputs).all()
    else:
        assert found.counterexample is None
        assert found.outputs is None
    assert (found.reason == "") == (found.status != "unknown")
    return found


# In [-1, 1]^2, the first output lies between -1 and 2, and the second between -2 and 2.
SQUARE = "".join(f"(assert (<= X_{i} 1.0))(assert (>= X_{i} -1.0))" for i in range(2))


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        ("(>= Y_0 2.01)", "holds"),
        ("(>= Y_0 1.9)", "violated"),
        ("(<= Y_0 -1.01)", "holds"),
        ("(<= Y_0 -0.9)", "violated"),
        # Each alone can be reached: at (1, -1) only, and not there.
        ("(and (>= Y_1 1.9) (>= Y_0 0.3))", "holds"),
        ("(and (>= Y_1 1.9) (>= Y_0 -0.2))", "violated"),
        ("(or (>= Y_0 2.01) (<= Y_0 -1.01))", "holds"),
        ("(or (>= Y_0 2.01) (and (<= Y_0 -0.8) (>= Y_1 0.6)))", "violated"),
        ("(or (and (>= X_0 0.5) (<= Y_0 -0.51)) (and (<= X_0 -0.5) (<= Y_0 -0.51)))", "holds"),
        ("(or (and (>= X_0 0.5) (<= Y_0 -0.51)) (and (<= X_0 -0.2) (<= Y_0 -0.51)))", "violated"),
        ("(<= (+ Y_0 Y_1) -2.01)", "holds"),
        # Without conditions on the outputs, every input is unsafe.
        ("(or (>= X_0 0.5) (>= Y_0 3))", "violated"),
    ],
)
def test_small_network(condition: str, status: str, model: Any, tmp_path: Path) -> None:
    found = decide(model, tmp_path, f"{declared()}{SQUARE}(assert {condition})")
    assert found.status == status


def test_boundary_is_unsafe(model: Any, tmp_path: Path) -> None:
    """At the one corner where it is reached, the largest value is exact."""
    found = decide(model, tmp_path, f"{declared()}{SQUARE}(assert (>= Y_0 2))")
    assert found.status == "violated"


def test_single_point(model: Any, tmp_path: Path) -> None:
    point = "(assert (= X_0 0.25))(assert (= X_1 0.5))"
    for limit, status in ((0.75, "violated"), (0.76, "holds")):
        text = f"{declared()}{point}(assert (>= Y_0 {limit}))"
        assert decide(model, tmp_path, text).status == status


def test_final_softmax_counts(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    soft = keras.Sequential([keras.Input((2,)), layers.Dense(2, activation="softmax")])
    # A share is never more than one; a logit may be.
    assert decide(soft, tmp_path, f"{declared()}{SQUARE}(assert (>= Y_0 1.1))").status == "holds"
    assert decide(soft, tmp_path, f"{declared()}{SQUARE}(assert (<= Y_0 0.6))").status == "violated"


def test_image_in_row_major_order(tmp_path: Path) -> None:
    made = keras.Sequential([keras.Input((2, 3, 1)), layers.Flatten(), layers.Dense(2)])
    kernel = np.zeros((6, 2), np.float32)
    kernel[4, 0] = 1
    made.set_weights([kernel, np.zeros(2, np.float32)])
    box = "".join(f"(assert (<= X_{i} 0.{i}))(assert (>= X_{i} 0))" for i in range(6))
    text = f"{declared(6, 2)}{box}(assert (>= Y_0 0.39))"
    found = decide(made, tmp_path, text)
    assert found.status == "violated"
    assert found.counterexample is not None
    assert 0.39 <= found.counterexample[1, 1, 0] <= 0.4


def test_decimal_bounds_hold_in_double_precision(model: Any, tmp_path: Path) -> None:
    """The nearest number in single precision is larger than 0.1, and smaller than 0.3."""
    box = "(assert (<= X_0 0.1))(assert (>= X_0 0.1))(assert (<= X_1 0.3))(assert (>= X_1 0.3))"
    found = decide(model, tmp_path, f"{declared()}{box}(assert (>= Y_0 0.2))")
    assert found.counterexample is not None
    np.testing.assert_array_equal(found.counterexample, [0.1, 0.3])


def test_timeout_and_cancel(model: Any, tmp_path: Path) -> None:
    text = f"{declared()}{SQUARE}(assert (>= Y_0 2.01))"
    found = decide(model, tmp_path, text, progress=lambda *_: False)
    assert found.status in ("unknown", "holds")
    assert found.status == "holds" or found.reason.startswith("cancelled")
    found = decide(model, tmp_path, text, timeout=1e-6)
    assert found.status == "holds" or found.reason.startswith("timeout")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"timeout": 0}, "timeout"),
        ({"timeout": float("nan")}, "timeout"),
        ({"memory_limit": 0}, "memory_limit"),
        ({"progress": 1}, "progress"),
    ],
)
def test_bad_options(options: dict[str, Any], words: str, model: Any, tmp_path: Path) -> None:
    prop = read(tmp_path, f"{declared()}{SQUARE}{ASSERT}")
    with pytest.raises((ValueError, TypeError), match=words):
        verify_vnnlib(model, prop, **options)


def test_bad_models(model: Any, tmp_path: Path) -> None:
    prop = read(tmp_path, f"{declared()}{SQUARE}{ASSERT}")
    with pytest.raises(TypeError, match=r"keras\.Model"):
        verify_vnnlib(3, prop)
    with pytest.raises(ValueError, match=r"path of a \.keras"):
        verify_vnnlib(tmp_path / "net.h5", prop)
    other = keras.Sequential([keras.Input((3,)), layers.Dense(2)])
    with pytest.raises(ValueError, match=r"2 inputs .* Received: a network with 3 inputs"):
        verify_vnnlib(other, prop)
    deep = keras.Sequential([keras.Input((1, 2)), layers.Dense(2)])
    with pytest.raises(ValueError, match="Flatten"):
        verify_vnnlib(deep, prop)
    path = tmp_path / "net.keras"
    path.write_text("no model")
    with pytest.raises(ValueError, match="Keras cannot load"):
        verify_vnnlib(path, prop)
    model.save(path)
    assert verify_vnnlib(path, tmp_path / "spec.vnnlib").status == "violated"


def test_outputs_of_a_file_are_flat(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
    ports = [
        [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ("N", 1, 2))]
        for name in "xy"
    ]
    graph = onnx.helper.make_graph([onnx.helper.make_node("Neg", ["x"], ["y"])], "g", *ports)
    opset = [onnx.helper.make_opsetid("", 18)]
    path = tmp_path / "net.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    prop = read(tmp_path, f"{declared()}{SQUARE}(assert (>= Y_1 0.9))")
    found = verify_vnnlib(path, prop)
    assert found.counterexample is not None
    assert found.counterexample.shape == (1, 2)
    assert found.counterexample[0, 1] <= -0.9
    prop = read(tmp_path, f"{declared()}{SQUARE}(assert (>= Y_1 1.1))")
    assert verify_vnnlib(str(path), prop).status == "holds"


# Reference instances.


def instances() -> list[tuple[str, str, str]]:
    """Networks, properties and answers."""
    acas = [("1_1", i, "holds") for i in (1, 2, 3, 4)] + [("2_2", i, "holds") for i in (1, 3, 4)]
    acas.append(("2_2", 2, "violated"))
    mnist = [("0_0.03", "holds"), ("1_0.03", "holds"), ("0_0.05", "violated")]
    mnist.append(("3_0.05", "violated"))
    return [(f"ACASXU_run2a_{net}_batch_2000", f"prop_{i}", answer) for net, i, answer in acas] + [
        ("mnist-net_256x2", f"prop_{name}", answer) for name, answer in mnist
    ]


QUICK = [
    ("ACASXU_run2a_1_1_batch_2000", "prop_3", "holds"),
    ("mnist-net_256x2", "prop_3_0.05", "violated"),
]


def check_instance(network: str, name: str, answer: str) -> None:
    pytest.importorskip("onnx", reason="the extra onnx is not installed")
    found = verify_vnnlib(FOLDER / f"{network}.onnx", FOLDER / f"{name}.vnnlib", timeout=20)
    assert found.status == answer, found.reason
    if found.counterexample is not None:
        assert found.outputs is not None
        replayed = outputs_of_the_file(FOLDER / f"{network}.onnx", found.counterexample)
        prop = read_vnnlib(FOLDER / f"{name}.vnnlib")
        assert prop.is_violated(found.counterexample, replayed).all()
        assert prop.is_violated(found.counterexample, found.outputs).all()


def outputs_of_the_file(path: Path, point: Array) -> Array:
    """Run the file itself, which has a single layer after another."""
    onnx = pytest.importorskip("onnx")
    loaded = onnx.load(path)
    weights = {t.name: onnx.numpy_helper.to_array(t) for t in loaded.graph.initializer}
    (source,) = [i for i in loaded.graph.input if i.name not in weights]
    shape = [d.dim_value or 1 for d in source.type.tensor_type.shape.dim]
    evaluator = onnx.reference.ReferenceEvaluator(loaded)
    return evaluator.run(None, {source.name: point.astype(np.float32).reshape(shape)})[0]


@needs_reference
@pytest.mark.parametrize(("network", "name", "answer"), QUICK)
def test_quick_reference_instances(network: str, name: str, answer: str) -> None:
    check_instance(network, name, answer)


@needs_reference
@pytest.mark.slow
@pytest.mark.parametrize(("network", "name", "answer"), instances())
def test_reference_instances(network: str, name: str, answer: str) -> None:
    check_instance(network, name, answer)
