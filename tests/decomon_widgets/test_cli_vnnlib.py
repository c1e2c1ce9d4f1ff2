"""``decomon certify --vnnlib``."""

from __future__ import annotations

import json
import re
from pathlib import Path

import keras
import numpy as np
import pytest

from decomon.vnnlib import read_vnnlib
from decomon_widgets import cli
from tests.decomon_widgets.command import run

onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the network ``(x_0 + x_1, x_0 - x_1)`` and properties of it on [0, 1]^2."""
    folder = tmp_path_factory.mktemp("vnnlib")
    kernel = np.array([[1, 1], [1, -1]], np.float32)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, use_bias=False)])
    model.set_weights([kernel])
    model.save(folder / "net.keras")
    helper = onnx.helper
    ports = [[helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, (1, 2))] for name in "xy"]
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "net",
        *ports,
        [onnx.numpy_helper.from_array(kernel, "w")],
    )
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), folder / "net.onnx")
    (folder / "broken.onnx").write_text("no network")
    text = "".join(f"(declare-const {name} Real)" for name in ("X_0", "X_1", "Y_0", "Y_1"))
    text += "".join(f"(assert (<= X_{i} 1))(assert (>= X_{i} 0))" for i in range(2))
    (folder / "holds.vnnlib").write_text(text + "(assert (>= Y_0 2.01))")
    (folder / "violated.vnnlib").write_text(text + "(assert (>= Y_0 1.9))")
    (folder / "free.vnnlib").write_text(text.replace("(assert (<= X_0 1))", ""))
    return folder


@pytest.mark.parametrize("network", [("--onnx", "net.onnx"), ("--model", "net.keras")])
def test_holds(network: tuple[str, str], folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    option, name = network
    status, out, err = run(
        capsys, "certify", "--vnnlib", folder / "holds.vnnlib", option, folder / name
    )
    assert (status, out) == (0, "holds\n"), err


def test_violated(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = folder / "violated.vnnlib"
    status, out, err = run(capsys, "certify", "--vnnlib", spec, "--onnx", folder / "net.onnx")
    first, counterexample = out.split("\n", 1)
    assert (status, first) == (0, "violated"), err
    assert counterexample.startswith("((X_0 ")
    assert counterexample.count("(") == counterexample.count(")") == 5
    found = dict(re.findall(r"\(([XY]_\d) (\S+?)\)", counterexample))
    x, y = ([float(found[f"{letter}_{i}"]) for i in range(2)] for letter in "XY")
    assert read_vnnlib(spec).is_violated(x, y).all()


def test_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answers = {}
    for name in ("holds", "violated"):
        spec = folder / f"{name}.vnnlib"
        options = ["--onnx", folder / "net.onnx", "--format", "json", "--timeout", "30"]
        status, out, err = run(capsys, "certify", "--vnnlib", spec, *options)
        assert status == 0, err
        answers[name] = json.loads(out)
        assert answers[name]["status"] == name
        assert answers[name]["timeout"] == 30
        assert answers[name]["network"] == str(folder / "net.onnx")
    assert answers["holds"]["counterexample"] is None
    found = answers["violated"]
    prop = read_vnnlib(folder / "violated.vnnlib")
    assert prop.is_violated(found["counterexample"], found["outputs"]).all()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--vnnlib none.vnnlib --onnx net.onnx", "--vnnlib: no such file"),
        ("--vnnlib holds.vnnlib --onnx none.onnx", "--onnx: no such file"),
        ("--vnnlib holds.vnnlib --onnx net.keras", "is not an .onnx"),
        ("--vnnlib holds.vnnlib --onnx broken.onnx", "not a valid ONNX file"),
        ("--vnnlib holds.vnnlib --model net.onnx", "use --onnx"),
        ("--vnnlib holds.vnnlib --model net.keras --onnx net.onnx", "give one network"),
        ("--vnnlib holds.vnnlib --model none.keras", "--model: no such file"),
        ("--vnnlib holds.vnnlib", "about another network"),
        ("--vnnlib free.vnnlib --onnx net.onnx", "no upper bound of X_0"),
        ("--onnx net.onnx", "only --vnnlib takes ONNX networks"),
        ("--onnx net.onnx --epsilon 0.1", "only --vnnlib takes ONNX networks"),
        ("--vnnlib holds.vnnlib --onnx net.onnx --epsilon 0.1", "--epsilon: is about samples"),
        ("--vnnlib holds.vnnlib --onnx net.onnx --no-clip", "--no-clip: is about samples"),
        ("--vnnlib holds.vnnlib --onnx net.onnx --limit 3", "--limit: is about samples"),
        ("--vnnlib holds.vnnlib --onnx net.onnx --n-sub-boxes 3", "--n-sub-boxes: is about"),
        ("--vnnlib holds.vnnlib --onnx net.onnx --format csv", "--format"),
        ("--vnnlib holds.vnnlib --onnx net.onnx --timeout 0", "--timeout"),
        ("", "--epsilon"),
    ],
)
def test_unusable_arguments(
    arguments: str,
    words: str,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(folder)
    status, out, err = run(capsys, "certify", *arguments.split())
    assert (status, out) == (cli.USAGE_STATUS, "")
    assert words in err
    assert err.count("\n") == 1
