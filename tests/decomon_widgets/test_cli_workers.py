"""``decomon certify`` with several processes and with a results file."""

from __future__ import annotations

import contextlib
import csv
import json
import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from decomon_widgets._commands import pool
from decomon_widgets._commands.progress import Progress
from tests.decomon_widgets.command import run

ROOT = Path(__file__).parents[2]
N = 12


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> tuple[object, ...]:
    """The arguments for a small classifier."""
    folder = tmp_path_factory.mktemp("small")
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((5,)),
            keras.layers.Dense(8, activation="relu"),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    model.save(folder / "model.keras")
    x = np.random.default_rng(0).uniform(size=(N, 5)).astype(np.float32)
    np.savez(folder / "data.npz", x=x, y=model.predict(x, verbose=0).argmax(axis=1))
    files = ("--model", folder / "model.keras", "--data", folder / "data.npz")
    return ("certify", *files, "--format", "json")


def samples_of(text: str) -> list[dict[str, Any]]:
    return json.loads(text)["samples"]


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_workers_give_the_same_report_and_leave_nothing_behind(
    command: tuple[object, ...], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    command = (*command, "--epsilon", "0.1")
    before = set(multiprocessing.active_children())
    path = tmp_path / "results.csv"
    status, out, err = run(
        capsys, *command, "--workers", "2", "--batch-size", "3", "--results", path
    )
    assert status == 0, err
    assert set(multiprocessing.active_children()) <= before
    alone = samples_of(run(capsys, *command)[1])
    together = samples_of(out)
    assert [sample.keys() for sample in together] == [sample.keys() for sample in alone]
    for one, other in zip(together, alone, strict=True):
        for key, value in one.items():
            assert value == (pytest.approx(other[key], abs=1e-5) if key in BOUNDS else other[key])
    assert sorted(int(row["index"]) for row in rows_of(path)) == list(range(N))


BOUNDS = ("lower", "upper")


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_an_interrupted_run_goes_on(
    suffix: str,
    command: tuple[object, ...],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    command = (*command, "--epsilon", "0.1", "--batch-size", "4")
    command = (*command, "--results", tmp_path / f"results.{suffix}")
    seen: list[int] = []

    def stop_after_the_first(self: Progress, done: int) -> None:
        seen.append(done)
        if len(seen) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(Progress, "update", stop_after_the_first)
    status, out, err = run(capsys, *command)
    assert status == 130
    assert err == "decomon certify: interrupted\n"
    report = json.loads(out)
    assert report["summary"]["interrupted"] is True
    assert report["summary"]["total"] == len(report["samples"]) == 4
    status, out, err = run(capsys, *command)
    assert (status, err) == (0, "")
    assert seen == [4, 4, 8, 12]
    assert [sample["index"] for sample in samples_of(out)] == list(range(N))
    summary = json.loads(out)["summary"]
    assert summary["total"] == N
    assert summary["pending"] == 0


def test_failed_samples_are_named_and_the_others_reported(
    command: tuple[object, ...], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "results.csv"
    wide = (*command, "--epsilon", "1e300", "--no-clip", "--batch-size", "6", "--results", path)
    status, out, err = run(capsys, *wide)
    assert status == 1
    assert len(err.splitlines()) == 1, err
    assert "no verdict for samples 0-11: NonFiniteBoundError" in err
    assert "2 attempts" in err
    for sample in samples_of(out):
        assert sample["verdict"] == "pending"
        assert sample["predicted"] is sample["lower"] is sample["upper"] is None
        assert "NonFiniteBoundError" in sample["reason"]
    assert json.loads(out)["summary"]["pending"] == N
    assert rows_of(path) == []
    as_table = run(capsys, *wide, "--format", "table")[1]
    assert "12 pending" in as_table


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--workers", "0"), "--workers"),
        (("--workers", "two"), "two"),
        (("--workers", "1.5"), "1.5"),
        (("--results", "{folder}/results.txt"), ".parquet"),
        (("--results", "{folder}/results"), ".csv"),
        (("--results", "{folder}/missing/results.csv"), "missing"),
        (("--results", "{folder}/folder.csv"), "folder"),
        (("--results", "{folder}/foreign.csv"), "settings"),
    ],
)
def test_unusable_options_are_one_line(
    options: tuple[str, ...],
    named: str,
    command: tuple[object, ...],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "foreign.csv").write_text("a,b\n1,2\n")
    given = [option.format(folder=tmp_path) for option in options]
    status, out, err = run(capsys, *command, "--epsilon", "0.1", *given)
    assert status == 2
    assert out == ""
    assert len(err.splitlines()) == 1, err
    assert named in err
    assert (tmp_path / "foreign.csv").read_text() == "a,b\n1,2\n"


def test_results_of_another_run_are_refused(
    command: tuple[object, ...], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    command = (*command, "--results", tmp_path / "results.csv")
    assert run(capsys, *command, "--epsilon", "0.1")[0] == 0
    status, out, err = run(capsys, *command, "--epsilon", "0.2")
    assert (status, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert "eps (there 0.1, here 0.2)" in err


def test_parquet_without_pyarrow(
    command: tuple[object, ...],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    path = tmp_path / "results.parquet"
    status, out, err = run(capsys, *command, "--epsilon", "0.1", "--results", path)
    assert (status, out) == (2, "")
    assert "decomon[parquet]" in err


def test_a_worker_gets_its_share_of_the_processors() -> None:
    program = """
import os, signal, sys
from decomon_widgets._commands import pool
loaded = []
pool.load_tensorflow = lambda: loaded.append(os.environ["TF_NUM_INTRAOP_THREADS"])
pool.prepare_worker(3)
assert loaded == ["3"], loaded
assert "tensorflow" not in sys.modules
assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
"""
    given = {name: value for name, value in os.environ.items() if "THREADS" not in name}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=given,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="interrupts with a POSIX signal")
def test_an_interrupt_of_several_processes(command: tuple[object, ...], tmp_path: Path) -> None:
    """Pressed when the first rows are there, it ends the command, and they are reported."""
    path = tmp_path / "results.csv"
    arguments = (*command, "--epsilon", "0.1", "--n-sub-boxes", "32", "--finetune")
    arguments = (*arguments, "--workers", "2", "--batch-size", "1", "--results", path)
    with subprocess.Popen(
        [sys.executable, "-m", "decomon_widgets.cli", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        while process.poll() is None and not (path.exists() and len(rows_of(path))):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.05)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        out, err = process.communicate()
    assert process.returncode == 130, err
    assert "Traceback" not in err
    report = json.loads(out)
    assert report["summary"]["interrupted"] is True
    found = {sample["index"] for sample in report["samples"]}
    assert found == {int(row["index"]) for row in rows_of(path)}
    assert 0 < len(found) < N


def test_nothing_is_started_for_one_worker() -> None:
    with pool._pool(1) as executor:
        assert executor is None
