"""Results files: what is in them, what is gone on with, and what is refused."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest

import decomon
from decomon.certify import Certificate, Verdict, certify
from decomon.dataset import DatasetCertificate, IncompleteWarning, certify_dataset
from tests.decomon.executors import Direct, Failing, SilentDense, Unused
from tests.decomon.helpers import Array, dense_net, keras, randomise, rng_of

N = 12
EPS = np.linspace(0.0, 0.3, N)
SUFFIXES = ("csv", "parquet")


@pytest.fixture(scope="module")
def model() -> Any:
    return network()


@pytest.fixture(scope="module")
def x() -> Array:
    return rng_of(0).uniform(size=(N, 6)).astype(np.float32)


@pytest.fixture(scope="module")
def y(model: Any, x: Array) -> Array:
    found = np.asarray(model(x)).argmax(axis=1)
    found[-1] = (found[-1] + 1) % 3
    return found


@pytest.fixture(scope="module")
def whole(model: Any, x: Array, y: Array) -> Certificate:
    return certify(model, x, y, EPS)


def network(scale: float = 1.5) -> Any:
    return randomise(dense_net([6, 8, 3]), 5, scale)


def rows_of(path: Path) -> list[dict[str, Any]]:
    """Read a file as anybody would."""
    if path.suffix == ".parquet":
        return pyarrow.parquet.read_table(path).to_pylist()
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def assert_complete(found: DatasetCertificate, whole: Certificate, path: Path) -> None:
    assert found.verdicts == whole.verdicts
    np.testing.assert_allclose(found.upper, whole.upper, atol=1e-5)
    np.testing.assert_array_equal(found.predicted, whole.predicted)
    np.testing.assert_array_equal(found.predicted_points, whole.predicted_points)
    rows = sorted(rows_of(path), key=lambda row: int(row["index"]))
    assert [int(row["index"]) for row in rows] == list(range(N))
    for i, row in enumerate(rows):
        assert row["verdict"] == whole.verdicts[i]
        assert float(row["upper"]) == found.upper[i]
        assert float(row["lower"]) == found.lower[i]
        assert int(row["predicted"]) == whole.predicted[i]
        assert int(row["predicted_at_point"]) == whole.predicted_points[i]
        assert float(row["epsilon"]) == EPS[i]
        assert row["reason"] == found.reasons[i]
        assert float(row["seconds"]) > 0


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_failed_samples_and_no_others_are_computed_again(
    suffix: str, tmp_path: Path, model: Any, x: Array, y: Array, whole: Certificate
) -> None:
    path = tmp_path / f"results.{suffix}"
    settings = (model, x, y, EPS)
    failing = Failing(label=int(y[5]))
    with pytest.warns(IncompleteWarning, match="same results file"):
        part = certify_dataset(*settings, executor=failing, chunk_size=1, results=path, retries=0)
    failed = {failure.first for failure in part.failures}
    assert 0 < len(failed) < N
    assert {int(row["index"]) for row in rows_of(path)} == {*range(N)} - failed

    executor, seen = Direct(), []
    found = certify_dataset(
        *settings,
        executor=executor,
        chunk_size=1,
        results=path,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert executor.submitted == len(failed)
    assert seen == [(done, N) for done in range(N - len(failed), N + 1)]
    assert_complete(found, whole, path)
    computed = np.isin(np.arange(N), [*failed])
    np.testing.assert_array_equal(np.isnan(found.points).all(axis=1), ~computed)

    again = certify_dataset(*settings, executor=Unused(), results=path)
    assert_complete(again, whole, path)
    assert list(tmp_path.glob(".*")) == []


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_interrupt_keeps_the_rows(
    suffix: str, tmp_path: Path, model: Any, x: Array, y: Array, whole: Certificate
) -> None:
    path = tmp_path / f"results.{suffix}"

    def stop(done: int, total: int) -> None:
        if done == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        certify_dataset(model, x, y, EPS, chunk_size=4, results=path, progress=stop)
    assert sorted(int(row["index"]) for row in rows_of(path)) == list(range(8))
    executor = Direct()
    found = certify_dataset(model, x, y, EPS, chunk_size=4, results=path, executor=executor)
    assert executor.submitted == 1
    assert_complete(found, whole, path)


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory, model: Any, x: Array, y: Array
) -> dict[str, bytes]:
    """What is in the two files of a run."""
    path = tmp_path_factory.mktemp("finished") / "results.csv"
    certify_dataset(model, x, y, EPS, results=path)
    return {found.name: found.read_bytes() for found in path.parent.iterdir()}


def written(folder: Path, content: dict[str, bytes]) -> Path:
    for name, part in content.items():
        (folder / name).write_bytes(part)
    return folder / "results.csv"


@pytest.mark.parametrize("lost", [1, 5, 40, 100])
def test_a_line_that_was_cut_off_is_computed_again(
    lost: int,
    tmp_path: Path,
    finished: dict[str, bytes],
    model: Any,
    x: Array,
    y: Array,
    whole: Certificate,
) -> None:
    path = written(tmp_path, {**finished, "results.csv": finished["results.csv"][:-lost]})
    complete = path.read_bytes().count(b"\n") - 1
    assert complete < N
    executor = Direct()
    found = certify_dataset(model, x, y, EPS, results=path, executor=executor, chunk_size=1)
    assert executor.submitted == N - complete
    assert_complete(found, whole, path)


@pytest.mark.parametrize("kept", [0, 7])
def test_a_file_without_a_complete_line_begins_anew(
    kept: int,
    tmp_path: Path,
    finished: dict[str, bytes],
    model: Any,
    x: Array,
    y: Array,
    whole: Certificate,
) -> None:
    path = written(tmp_path, {**finished, "results.csv": finished["results.csv"][:kept]})
    assert_complete(certify_dataset(model, x, y, EPS, results=path), whole, path)


DAMAGES: dict[str, Callable[[str], str]] = {
    "verdict": lambda text: text.replace(",misclassified,", ",robust,"),
    "bound": lambda text: text.replace(",robust,-", ",robust,", 1),
    "word": lambda text: text.replace("robust", "proven"),
    "pending": lambda text: text.replace("misclassified", "pending"),
    "column": lambda text: text.replace(",robust,", ",", 1),
    "number": lambda text: text.replace(",robust,-", ",robust,--", 1),
    "nan": lambda text: text.replace(",robust,-", ",robust,nan", 1),
    "header": lambda text: text.replace("upper", "largest", 1),
    "index": lambda text: text.replace("\n3,", "\n300,"),
    "negative index": lambda text: text.replace("\n3,", "\n-3,"),
    "zeros": lambda text: text + "\0\0\0\n",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_refused(
    damage: str, tmp_path: Path, finished: dict[str, bytes], model: Any, x: Array, y: Array
) -> None:
    text = finished["results.csv"].decode()
    changed = DAMAGES[damage](text)
    assert changed != text
    path = written(tmp_path, {**finished, "results.csv": changed.encode()})
    with pytest.raises(ValueError, match="move this one away"):
        certify_dataset(model, x, y, EPS, results=path, executor=Unused())
    assert path.read_text() == changed


def test_rows_of_other_labels_are_refused(
    tmp_path: Path, finished: dict[str, bytes], model: Any, x: Array, y: Array
) -> None:
    settings = finished["results.csv.settings.json"]
    other = (y + 1) % 3
    path = written(tmp_path, {})
    certify_dataset(model, x, other, EPS, results=path)
    written(tmp_path, {"results.csv.settings.json": settings})
    with pytest.raises(ValueError, match="none of the samples"):
        certify_dataset(model, x, y, EPS, results=path, executor=Unused())


def test_settings_that_are_lost_or_damaged(
    tmp_path: Path, finished: dict[str, bytes], model: Any, x: Array, y: Array
) -> None:
    path = written(tmp_path, {"results.csv": finished["results.csv"]})
    with pytest.raises(ValueError, match="there is no results.csv.settings.json"):
        certify_dataset(model, x, y, EPS, results=path, executor=Unused())
    for text in ("{", "[]"):
        (tmp_path / "results.csv.settings.json").write_text(text)
        with pytest.raises(ValueError, match="settings cannot be read"):
            certify_dataset(model, x, y, EPS, results=path, executor=Unused())
    assert path.read_bytes() == finished["results.csv"]


OTHERS: dict[str, dict[str, Any]] = {
    "model": {"model": network(1.4)},
    "method": {"model": decomon.clone(network(), "crown-ibp")},
    "slope": {"model": decomon.clone(network(), slope="zero-lb")},
    "finetune": {"model": decomon.clone(network(), finetune=True)},
    "dtype": {"model": decomon.clone(network(), dtype="float64")},
    "samples": {"x": np.zeros((3, 6)), "y": [0] * 3, "eps": 0.1},
    "x": {"x": np.full((N, 6), 0.25, np.float32)},
    "y": {"y": np.zeros(N, int)},
    "eps": {"eps": 0.1},
    "p": {"p": 1},
    "clip": {"clip": None},
    "n_sub_boxes": {"n_sub_boxes": 2},
}


@pytest.mark.parametrize("name", OTHERS)
def test_results_of_something_else_are_refused(
    name: str, tmp_path: Path, finished: dict[str, bytes], model: Any, x: Array, y: Array
) -> None:
    path = written(tmp_path, finished)
    settings = {"model": model, "x": x, "y": y, "eps": EPS, **OTHERS[name]}
    with pytest.raises(ValueError, match="of something else") as error:
        certify_dataset(**settings, results=path, executor=Unused())
    listed = str(error.value).partition("Received: other ")[2]
    assert f"{name} (there " in listed
    if name != "samples":
        assert listed.count("(there") == 1
    assert path.read_bytes() == finished["results.csv"]


def test_what_changes_no_result_is_not_refused(
    tmp_path: Path, finished: dict[str, bytes], x: Array, y: Array
) -> None:
    path = written(tmp_path, finished)
    same = network()  # with layers of other names
    assert [layer.name for layer in same.layers] != [layer.name for layer in network().layers]
    same.compile("sgd", "mse")
    for model in (same, decomon.clone(same)):
        certify_dataset(
            *(model, x, y, EPS),
            results=path,
            executor=Unused(),
            chunk_size=2,
            batch_size=3,
            in_flight=5,
            retries=0,
        )


def test_results_of_something_else_in_parquet(
    tmp_path: Path, model: Any, x: Array, y: Array
) -> None:
    path = tmp_path / "results.parquet"
    certify_dataset(model, x, y, EPS, results=path)
    with pytest.raises(ValueError, match=r"other eps \(there \w+, here 0.1\)$"):
        certify_dataset(model, x, y, 0.1, results=path, executor=Unused())
    foreign = tmp_path / "foreign.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"a": [1]}), foreign)
    (tmp_path / "text.parquet").write_text("not parquet")
    for name in ("foreign.parquet", "text.parquet"):
        with pytest.raises(ValueError, match="not a results file"):
            certify_dataset(model, x, y, EPS, results=tmp_path / name, executor=Unused())


def test_places_that_cannot_be_written(tmp_path: Path, model: Any, x: Array, y: Array) -> None:
    (tmp_path / "folder.csv").mkdir()
    for name, shown in (("missing/results.csv", "no folder"), ("folder.csv", "the folder")):
        with pytest.raises(ValueError, match=shown):
            certify_dataset(model, x, y, EPS, results=tmp_path / name, executor=Unused())


def test_without_pyarrow(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, model: Any, x: Array, y: Array
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"decomon\[parquet\]"):
        certify_dataset(model, x, y, EPS, results=tmp_path / "r.parquet", executor=Unused())


def test_a_model_without_settings_cannot_have_a_results_file(tmp_path: Path, x: Array) -> None:
    net = keras.Sequential([keras.Input((6,)), SilentDense(3)])
    with pytest.raises(ValueError, match="settings of the layers cannot be read"):
        certify_dataset(net, x, 1, EPS, results=tmp_path / "results.csv")
    assert list(tmp_path.iterdir()) == []


def test_settings_say_what_was_asked(finished: dict[str, bytes]) -> None:
    settings = json.loads(finished["results.csv.settings.json"])
    assert settings["method"] == "crown"
    assert settings["clip"] == "0.0 to 1.0"
    assert settings["samples"] == str(N)
    assert {*Verdict} >= {row.split(",")[1] for row in finished["results.csv"].decode().split()[1:]}
