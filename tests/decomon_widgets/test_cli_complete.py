"""``decomon certify --complete``."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from decomon_widgets import cli
from decomon_widgets._commands.progress import Progress
from tests.decomon_widgets.command import run


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a classifier in three classes, and six samples, the last with a wrong label."""
    folder = tmp_path_factory.mktemp("complete")
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(12, activation="relu"),
            keras.layers.Dense(12, activation="relu"),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    model.save(folder / "model.keras")
    x = np.random.default_rng(0).uniform(size=(6, 4)).astype(np.float32)
    y = model.predict(x, verbose=0).argmax(axis=1)
    y[-1] = (y[-1] + 1) % 3
    np.savez(folder / "data.npz", x=x, y=y)
    return folder


def options(small: Path, *more: object) -> tuple[object, ...]:
    files = ("--model", small / "model.keras", "--data", small / "data.npz")
    return ("certify", *files, "--complete", *more)


def report(small: Path, capsys: pytest.CaptureFixture[str], *more: object) -> dict[str, Any]:
    status, out, err = run(capsys, *options(small, "--format", "json", *more))
    assert status == 0, err
    return json.loads(out)


@pytest.mark.parametrize("epsilon", ["0.02", "0.4"])
def test_every_sample_is_decided(
    small: Path, capsys: pytest.CaptureFixture[str], epsilon: str
) -> None:
    found = report(small, capsys, "--epsilon", epsilon, "--timeout", "60")
    assert found["method"] == "complete"
    assert found["timeout"] == 60
    assert found["final_activation_removed"] == "softmax"
    assert [sample["index"] for sample in found["samples"]] == list(range(6))
    assert found["summary"]["unknown"] == 0
    for sample in found["samples"]:
        assert sample["upper"] is None or sample["lower"] <= sample["upper"]
        assert sample["reason"] == ""
        assert sample["n_domains"] >= 0
        assert 0 <= sample["seconds"] <= found["summary"]["seconds"] + 0.01
        if sample["verdict"] == "robust":
            assert sample["upper"] < 0
        if sample["verdict"] == "non_robust":
            assert sample["counterexample_class"] != sample["label"]
        else:
            assert sample["counterexample_class"] is None
    assert found["samples"][-1]["verdict"] == "misclassified"
    # Without branching, nothing else is proven or refuted, and less.
    status, out, _ = run(
        capsys,
        *(part for part in options(small) if part != "--complete"),
        *("--epsilon", epsilon, "--format", "json"),
    )
    assert status == 0
    plain = json.loads(out)
    assert plain["timeout"] is None
    for ours, theirs in zip(found["samples"], plain["samples"], strict=True):
        assert theirs["verdict"] in (ours["verdict"], "unknown")
        assert set(ours) - set(theirs) == {"n_domains", "seconds"}


def test_formats_agree(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    samples = report(small, capsys, "--epsilon", "0.1")["samples"]
    _, out, err = run(capsys, *options(small, "--epsilon", "0.1", "--format", "csv"))
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["verdict"] for row in rows] == [sample["verdict"] for sample in samples]
    assert all(int(row["n_domains"]) >= 0 and float(row["seconds"]) >= 0 for row in rows)
    assert "(complete, timeout 60 s, epsilon 0.1)" in err
    _, out, _ = run(capsys, *options(small, "--epsilon", "0.1"))
    lines = out.splitlines()
    assert len(lines) == 1 + 6 + 2
    assert all(re.search(r"\d domains?, \d+\.\d s$", line) for line in lines[1:7])
    assert "(complete, timeout 60 s, epsilon 0.1)" in lines[-1]


def test_time_runs_out(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--epsilon", "0.3", "--timeout", "1e-9")
    found = report(small, capsys, *arguments)
    assert found["samples"][-1]["verdict"] == "misclassified"
    unknown = [sample for sample in found["samples"] if sample["verdict"] == "unknown"]
    assert unknown
    assert all(sample["reason"].startswith("timeout") for sample in unknown)
    _, out, _ = run(capsys, *options(small, *arguments))
    assert "timeout" in out.splitlines()[1 + unknown[0]["index"]]


def test_other_norms(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = report(small, capsys, "--epsilon", "0.2", "--norm", "2", "--no-clip")
    assert (found["norm"], found["clip"]) == ("2", None)
    assert found["summary"]["robust"] + found["summary"]["non_robust"] > 0


def test_an_interrupted_run_reports_what_is_known(
    small: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(self: Progress, done: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Progress, "update", stop)
    status, out, err = run(capsys, *options(small, "--epsilon", "0.3", "--format", "json"))
    found = json.loads(out)
    assert status == 130
    assert err.splitlines() == ["decomon certify: interrupted"]
    assert found["summary"]["interrupted"] is True
    assert len(found["samples"]) == 6
    assert found["samples"][-1]["verdict"] == "misclassified"
    for sample in found["samples"]:
        assert (sample["verdict"] == "unknown") == sample["reason"].startswith("interrupted")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--timeout", "0"), "positive number of seconds"),
        (("--timeout", "-3"), "-3"),
        (("--timeout", "nan"), "nan"),
        (("--timeout", "inf"), "inf"),
        (("--timeout", "soon"), "soon"),
        (("--method", "hybrid"), "--method"),
        (("--finetune",), "--finetune"),
        (("--n-sub-boxes", "4"), "--n-sub-boxes"),
        (("--workers", "2"), "--workers"),
        (("--results", "results.csv"), "--results"),
        (("--batch-size", "4"), "--batch-size"),
        (("--finetune", "--workers", "2"), "--finetune, --workers"),
    ],
)
def test_unusable_arguments_are_one_line(
    small: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], named: str
) -> None:
    status, out, err = run(capsys, *options(small, "--epsilon", "0.1", *arguments))
    assert status == 2
    assert out == ""
    assert len(err.splitlines()) == 1, err
    assert re.match(r"decomon certify: error: ", err)
    assert named in err


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_what_overflows_is_never_robust(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(
        capsys,
        *options(small, "--epsilon", "1e300", "--no-clip", "--timeout", "5", "--format", "json"),
    )
    assert status in (0, 2), err
    assert not out or json.loads(out)["summary"]["robust"] == 0


def test_a_timeout_needs_a_search(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys, "certify", "--epsilon", "0.1", "--timeout", "5")
    assert (status, out) == (2, "")
    assert "--complete" in err


@pytest.mark.parametrize(("text", "value"), [("60", 60.0), ("0.5", 0.5), ("1e2", 100.0)])
def test_seconds(text: str, value: float) -> None:
    assert cli.seconds(text) == value
