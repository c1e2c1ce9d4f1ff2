from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import keras
import numpy as np
import pytest

from decomon.methods import METHODS
from decomon_widgets import cli, datasets
from decomon_widgets._commands import UsageError, lab
from decomon_widgets._commands.progress import Progress
from tests.decomon_widgets.command import run

ROOT = Path(__file__).parents[2]
VERDICTS = {"robust", "unknown", "non_robust", "misclassified"}


def command(*arguments: object, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, on the code of this checkout."""
    return subprocess.run(
        [sys.executable, "-m", "decomon_widgets.cli", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a classifier of images of 4 x 4 in three classes, and data in many forms."""
    folder = tmp_path_factory.mktemp("small")
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(8, activation="relu"),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    model.save(folder / "model.keras")
    pixels = np.random.default_rng(0).integers(0, 256, (6, 4, 4, 1), dtype=np.uint8)
    x = pixels.astype(np.float32) / 255
    y = model.predict(x, verbose=0).argmax(axis=1)
    np.savez(folder / "data.npz", x=x, y=y)
    np.savez(folder / "pixels.npz", x_test=pixels, y_test=y.astype(np.uint8))
    np.savez(folder / "flat.npz", x=x.reshape(6, 16), y=y[:, None])
    np.savez(folder / "one_hot.npz", x=x[..., 0], y=np.eye(3)[y])
    np.savez(folder / "no_keys.npz", images=x, labels=y)
    np.savez(folder / "lengths.npz", x=x, y=y[:4])
    np.savez(folder / "empty.npz", x=x[:0], y=y[:0])
    np.savez(folder / "text.npz", x=x, y=np.array(list("abcdef")))
    np.savez(folder / "objects.npz", x=x, y=np.array([None] * 6))
    np.savez(folder / "shape.npz", x=np.zeros((6, 5, 5, 1), np.float32), y=y)
    np.savez(folder / "axes.npz", x=np.zeros((6, 2, 8), np.float32), y=y)
    np.savez(folder / "nan.npz", x=np.where(x == x.max(), np.nan, x), y=y)
    np.savez(folder / "range.npz", x=pixels.astype(np.float32), y=y)
    np.savez(folder / "labels.npz", x=x, y=y + 3)
    np.savez(folder / "fractions.npz", x=x, y=y + 0.5)
    np.savez(folder / "two_hot.npz", x=x, y=np.ones((6, 3)))
    np.save(folder / "array.npz.npy", x)
    shutil.move(folder / "array.npz.npy", folder / "array.npz")
    (folder / "broken.npz").write_bytes((folder / "data.npz").read_bytes()[:300])
    (folder / "text.keras").write_text("not a model")
    shutil.copy(folder / "data.npz", folder / "data.keras")
    shutil.copy(folder / "model.keras", folder / "model.h5")
    keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            keras.layers.Reshape((4, 4)),
            keras.layers.Masking(),
            keras.layers.GlobalAveragePooling1D(),
        ]
    ).save(folder / "unsupported.keras")
    keras.Sequential([keras.Input((16,)), keras.layers.Dense(1)]).save(folder / "one_output.keras")
    keras.Sequential([keras.Input((None, 4)), keras.layers.Dense(3)]).save(folder / "free.keras")
    inputs = [keras.Input((16,)), keras.Input((16,))]
    keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Add()(inputs))).save(
        folder / "two_inputs.keras"
    )
    keras.Sequential([keras.Input((16,)), keras.layers.Lambda(lambda v: v)]).save(
        folder / "lambda.keras"
    )
    return folder


def test_help_and_version_do_not_load_tensorflow() -> None:
    program = """
import sys
from decomon_widgets import cli
for arguments in (["--version"], ["--help"], ["certify", "--help"], ["lab", "--help"]):
    try:
        cli.main(arguments)
    except SystemExit as stop:
        assert not stop.code, stop.code
assert "tensorflow" not in sys.modules
assert "keras" not in sys.modules
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("decomon ")


def test_help_names_every_method(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "certify", "--help")
    words = set(re.findall(r"[\w-]+", re.sub(r"-\n\s+", "-", out)))
    assert set(METHODS) <= words


def test_readme_names_every_method() -> None:
    readme = (ROOT / "README.md").read_text()
    assert all(f'`"{method}"`' in readme for method in METHODS)


@pytest.mark.parametrize(
    ("text", "value"), [("0", 0.0), ("0.03", 0.03), ("8/255", 8 / 255), ("1e-3", 1e-3)]
)
def test_epsilon_is_a_number_or_a_fraction(text: str, value: float) -> None:
    assert cli.epsilon(text) == value


@pytest.mark.slow
def test_formats_agree_and_stand_alone_on_standard_output() -> None:
    arguments = ("certify", "--epsilon", "0.02", "--limit", "40", "--batch-size", "16")
    as_json, as_csv, as_table = (
        command(*arguments, "--format", style) for style in ("json", "csv", "table")
    )
    for done in (as_json, as_csv, as_table):
        assert done.returncode == 0, done.stderr
        # Neither TensorFlow nor Keras may speak up.
        assert not re.search(r"tensorflow|oneDNN|cuda|absl|WARNING", done.stderr, re.IGNORECASE)
    report = json.loads(as_json.stdout)
    samples = report["samples"]
    assert [sample["index"] for sample in samples] == list(range(40))
    rows = list(csv.DictReader(io.StringIO(as_csv.stdout)))
    assert [row["verdict"] for row in rows] == [sample["verdict"] for sample in samples]
    assert [int(row["label"]) for row in rows] == [sample["label"] for sample in samples]
    assert re.search(r"^40 samples: ", as_csv.stderr, re.MULTILINE)
    assert len(as_csv.stdout.splitlines()) == 41

    summary = report["summary"]
    assert summary["total"] == 40
    assert summary["interrupted"] is False
    counts = {verdict: summary[verdict] for verdict in VERDICTS}
    assert counts == {v: sum(s["verdict"] == v for s in samples) for v in VERDICTS}
    assert sum(counts.values()) == 40
    assert counts["robust"] > 0
    line = as_table.stdout.splitlines()[-1]
    for number, name in (
        (counts["robust"], "robust"),
        (counts["unknown"], "maybe robust"),
        (counts["non_robust"], "non robust"),
        (counts["misclassified"], "misclassified"),
    ):
        assert f"{number} {name}" in line
    assert re.search(r"\d+\.\d s", line)

    assert report["method"] == "crown"
    assert report["epsilon"] == 0.02
    assert report["clip"] == [0.0, 1.0]
    assert report["dtype"] == "float32"
    assert report["final_activation_removed"] == "softmax"
    for sample in samples:
        if sample["verdict"] == "robust":
            assert sample["upper"] < 0
            assert sample["predicted"] == sample["label"]
        if sample["verdict"] == "non_robust":
            assert sample["counterexample_class"] != sample["label"]
        assert sample["lower"] <= sample["upper"]
        assert (sample["predicted"] != sample["label"]) == (sample["verdict"] == "misclassified")


@pytest.mark.parametrize("data", ["data", "pixels", "flat", "one_hot"])
def test_every_form_of_data_gives_the_same(
    small: Path, capsys: pytest.CaptureFixture[str], data: str
) -> None:
    def verdicts(name: str) -> list[tuple]:
        status, out, err = run(
            capsys,
            *("certify", "--model", small / "model.keras", "--data", small / f"{name}.npz"),
            *("--epsilon", "0.05", "--format", "json"),
        )
        assert status == 0, err
        return [(s["label"], s["verdict"]) for s in json.loads(out)["samples"]]

    assert verdicts(data) == verdicts("data")
    assert len(verdicts(data)) == 6


def test_batches_do_not_matter(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def uppers(*size: object) -> list[float]:
        _, out, _ = run(
            capsys,
            *("certify", "--model", small / "model.keras", "--data", small / "data.npz"),
            *("--epsilon", "0.05", "--format", "json", *size),
        )
        return [sample["upper"] for sample in json.loads(out)["samples"]]

    for size in (4, 100):
        np.testing.assert_allclose(uppers("--batch-size", size), uppers(), rtol=1e-4, atol=1e-5)


def test_balls_of_smaller_norms_lie_in_those_of_larger_ones(
    small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def uppers(norm: str) -> np.ndarray:
        _, out, _ = run(
            capsys,
            *("certify", "--model", small / "model.keras", "--data", small / "data.npz"),
            *("--epsilon", "0.05", "--norm", norm, "--format", "json"),
        )
        report = json.loads(out)
        assert report["norm"] == norm
        return np.array([sample["upper"] for sample in report["samples"]])

    one, two, largest = uppers("1"), uppers("2"), uppers("inf")
    assert (one < two).all()
    assert (two < largest).all()


def test_wide_open_domain_is_never_robust(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # Without a range, a huge box holds inputs of every class.
    status, out, _ = run(
        capsys,
        *("certify", "--model", small / "model.keras", "--data", small / "data.npz"),
        *("--epsilon", "100", "--no-clip", "--format", "json"),
    )
    report = json.loads(out)
    assert status == 0
    assert report["clip"] is None
    assert report["summary"]["robust"] == 0


@pytest.mark.parametrize(
    "options",
    [
        ("--method", "crown-ibp"),
        ("--method", "hybrid", "--finetune"),
        ("--n-sub-boxes", "4"),
    ],
)
def test_options(small: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...]) -> None:
    status, out, err = run(
        capsys,
        *("certify", "--model", small / "model.keras", "--data", small / "data.npz"),
        *("--epsilon", "0", "--format", "json", *options),
    )
    assert status == 0, err
    report = json.loads(out)
    assert report["method"] in METHODS
    assert report["finetune"] == ("--finetune" in options)
    assert report["n_sub_boxes"] == (4 if "--n-sub-boxes" in options else 1)
    # The labels are the model's own answers, and the box is a single point.
    assert report["summary"]["robust"] == 6


MODEL = ("--model", "{small}/model.keras", "--epsilon", "0.1")
DATA = ("--data", "{small}/data.npz", "--epsilon", "0.1")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((), "--epsilon"),
        (("--epsilon", "-0.1"), "-0.1"),
        (("--epsilon", "nan"), "nan"),
        (("--epsilon", "inf"), "inf"),
        (("--epsilon", "8/0"), "8/0"),
        (("--epsilon", "small"), "small"),
        (("--epsilon", "0.1", "--limit", "0"), "--limit"),
        (("--epsilon", "0.1", "--limit", "-3"), "-3"),
        (("--epsilon", "0.1", "--limit", "2.5"), "2.5"),
        (("--epsilon", "0.1", "--n-sub-boxes", "0"), "--n-sub-boxes"),
        (("--epsilon", "0.1", "--batch-size", "0"), "--batch-size"),
        (("--epsilon", "0.1", "--format", "xml"), "xml"),
        (("--epsilon", "0.1", "--norm", "3"), "--norm"),
        (("--epsilon", "0.1", "--colour", "red"), "--colour"),
        (("--epsilon", "0.1", "--clip", "1", "0"), "1 0"),
        (("--epsilon", "0.1", "--clip", "0", "nan"), "nan"),
        (("--epsilon", "0.1", "--limit", "2", "--method", "magic"), "magic"),
        ((*DATA, "--model", "{small}/missing.keras"), "missing.keras"),
        ((*DATA, "--model", "{small}"), "no such file"),
        ((*DATA, "--model", "{small}/text.keras"), "not a .keras file"),
        ((*DATA, "--model", "{small}/model.h5"), "not a .keras file"),
        ((*DATA, "--model", "{small}/data.keras"), "data.keras"),
        ((*DATA, "--model", "{small}/lambda.keras"), "lambda.keras"),
        ((*DATA, "--model", "{small}/unsupported.keras"), "Masking"),
        ((*DATA, "--model", "{small}/one_output.keras"), "(None, 1)"),
        ((*DATA, "--model", "{small}/free.keras"), "n_classes"),
        ((*DATA, "--model", "{small}/two_inputs.keras"), "2 inputs"),
        ((*MODEL, "--data", "{small}/missing.npz"), "missing.npz"),
        ((*MODEL, "--data", "{small}/model.h5"), "x_test"),
        ((*MODEL, "--data", "{small}/array.npz"), "not an .npz file"),
        ((*MODEL, "--data", "{small}/broken.npz"), "broken.npz"),
        ((*MODEL, "--data", "{small}/no_keys.npz"), "images, labels"),
        ((*MODEL, "--data", "{small}/lengths.npz"), "(4,)"),
        ((*MODEL, "--data", "{small}/empty.npz"), "(0,"),
        ((*MODEL, "--data", "{small}/text.npz"), "numbers"),
        ((*MODEL, "--data", "{small}/objects.npz"), "objects.npz"),
        ((*MODEL, "--data", "{small}/shape.npz"), "(5, 5, 1)"),
        ((*MODEL, "--data", "{small}/axes.npz"), "(2, 8)"),
        ((*MODEL, "--data", "{small}/nan.npz"), "finite"),
        ((*MODEL, "--data", "{small}/range.npz"), "--clip"),
        ((*MODEL, "--data", "{small}/labels.npz"), "0 to 2"),
        ((*MODEL, "--data", "{small}/fractions.npz"), "whole numbers"),
        ((*MODEL, "--data", "{small}/two_hot.npz"), "one-hot"),
    ],
)
def test_unusable_arguments_are_one_line(
    small: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], named: str
) -> None:
    status, out, err = run(
        capsys, "certify", *(argument.format(small=small) for argument in arguments)
    )
    assert status == 2
    assert out == ""
    assert len(err.splitlines()) == 1, err
    assert re.match(r"decomon( certify)?: error: ", err)
    assert named in err


def test_overflow_is_one_line(small: Path) -> None:
    # The largest numbers have no finite bounds: nothing may be concluded from them.
    done = command(
        *("certify", "--model", small / "model.keras", "--data", small / "data.npz"),
        *("--epsilon", "1e300", "--no-clip"),
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert "not finite" in done.stderr


def test_unusable_arguments_in_a_process_of_their_own(small: Path) -> None:
    done = command("certify", "--epsilon", "0.1", "--model", small / "unsupported.keras")
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr


@pytest.mark.parametrize("arguments", [(), ("prove",)])
def test_unknown_command(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]) -> None:
    status, out, err = run(capsys, *arguments)
    assert status == 2
    assert out == ""
    assert len(err.splitlines()) == 1


def test_interrupted_run_reports_what_is_done(
    small: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop_after_the_first(self: Progress, done: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Progress, "update", stop_after_the_first)
    status, out, _ = run(
        capsys,
        *("certify", "--model", small / "model.keras", "--data", small / "data.npz"),
        *("--epsilon", "0.05", "--format", "json", "--batch-size", "2"),
    )
    report = json.loads(out)
    assert status == 130
    assert report["summary"]["interrupted"] is True
    assert len(report["samples"]) == report["summary"]["total"] == 2


def test_progress_of_a_long_run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("decomon_widgets._commands.progress._QUIET_START", 0.0)
    with Progress(100) as progress:
        for done in (10, 50, 90):
            progress.update(done)
    out, err = capsys.readouterr()
    assert out == ""
    assert "90/100 samples" in err


def test_no_progress_of_a_short_run(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(100) as progress:
        progress.update(50)
        progress.update(100)
    assert capsys.readouterr() == ("", "")


def test_tutorials_are_copied_once_and_kept_when_changed(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "work" / "target"
    (source / "images").mkdir(parents=True)
    (source / ".ipynb_checkpoints").mkdir()
    (source / ".ipynb_checkpoints" / "a.ipynb").write_text("checkpoint")
    for name in ("a.ipynb", "b.ipynb", "images/c.txt"):
        (source / name).write_text(f"{name}, first edition")
    assert lab.copy_tutorials(source, target) == dict.fromkeys(
        ("a.ipynb", "b.ipynb", "images/c.txt"), lab.Copied.NEW
    )
    assert (target / "images" / "c.txt").read_text() == "images/c.txt, first edition"
    assert set(lab.copy_tutorials(source, target).values()) == {lab.Copied.CURRENT}

    (target / "a.ipynb").write_text("my own work")
    for name in ("a.ipynb", "b.ipynb"):
        (source / name).write_text(f"{name}, second edition")
    for _ in range(2):
        outcome = lab.copy_tutorials(source, target)
        assert outcome["a.ipynb"] is lab.Copied.KEPT
        assert (target / "a.ipynb").read_text() == "my own work"
        assert (target / "b.ipynb").read_text() == "b.ipynb, second edition"
    assert lab.copy_tutorials(source, target)["b.ipynb"] is lab.Copied.CURRENT


@pytest.mark.parametrize("record", [None, "no json", "[]", "{}"])
def test_without_a_record_nothing_is_overwritten(tmp_path: Path, record: str | None) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    (source / "a.ipynb").write_text("original")
    (target / "a.ipynb").write_text("somebody's file")
    if record is not None:
        (target / lab.RECORD_NAME).write_text(record)
    assert lab.copy_tutorials(source, target) == {"a.ipynb": lab.Copied.KEPT}
    assert (target / "a.ipynb").read_text() == "somebody's file"


def test_lab_without_jupyterlab(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    status, out, err = run(capsys, "lab", "--no-browser", "--dir", tmp_path / "work")
    assert status == 2
    assert out == ""
    assert len(err.splitlines()) == 1
    assert "pip install" in err
    assert "[lab]" in err
    assert not (tmp_path / "work").exists()


def test_lab_in_an_unusable_folder(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for folder in (tmp_path / "file", tmp_path / "file" / "work"):
        status, _, err = run(capsys, "lab", "--no-browser", "--dir", folder)
        assert status == 2
        assert len(err.splitlines()) == 1
        assert "file" in err


@pytest.mark.parametrize("port", ["0", "70000", "http"])
def test_lab_with_an_unusable_port(capsys: pytest.CaptureFixture[str], port: str) -> None:
    status, _, err = run(capsys, "lab", "--port", port)
    assert status == 2
    assert len(err.splitlines()) == 1


def test_tutorials_folder_without_tutorials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab, "FIRST_NOTEBOOK", "missing.ipynb")
    with pytest.raises(UsageError, match="tutorials are missing"):
        lab.tutorials_folder()


def fetch(address: str) -> bytes:
    """The content at an address of this computer, as soon as somebody listens there."""
    # No proxy stands between this process and a server on the same computer.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    last = time.monotonic() + 60
    while True:
        try:
            with opener.open(address) as answer:
                return answer.read()
        except urllib.error.URLError as error:
            # The address is printed a moment before the server accepts connections.
            if not isinstance(error.reason, ConnectionRefusedError) or time.monotonic() > last:
                raise
            time.sleep(0.05)


@pytest.mark.skipif(sys.platform == "win32", reason="stops JupyterLab with a POSIX signal")
def test_lab_serves_the_tutorial(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "decomon_widgets.cli", "lab", "--no-browser", "--dir", "work"],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "JUPYTER_CONFIG_DIR": str(tmp_path / "config"),
            "JUPYTER_DATA_DIR": str(tmp_path / "data"),
            "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime"),
        },
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stderr is not None
        try:
            address = re.compile(
                r"(http://(?:localhost|127\.0\.0\.1):\d+)/lab/tree/(\S+)\?token=(\w+)"
            )
            printed: list[str] = []
            found = None
            while found is None:
                line = server.stderr.readline()
                assert line, "".join(printed)
                printed.append(line)
                found = address.search(line)
            base, notebook, token = found.groups()
            assert notebook == lab.FIRST_NOTEBOOK
            content = json.loads(fetch(f"{base}/api/contents/{notebook}?token={token}"))["content"]
        finally:
            server.send_signal(signal.SIGTERM)
            server.communicate()
    original = json.loads((ROOT / "tutorials" / lab.FIRST_NOTEBOOK).read_text())
    assert len(content["cells"]) == len(original["cells"])
    assert (tmp_path / "work" / lab.FIRST_NOTEBOOK).is_file()


def test_embedded_models_have_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(
        capsys, "certify", "--model", "conv", "--epsilon", "0", "--limit", "3", "--format", "json"
    )
    assert status == 0, err
    report = json.loads(out)
    assert report["final_activation_removed"] is None
    mnist = datasets.load_mnist(source="embedded")
    assert [sample["label"] for sample in report["samples"]] == mnist.y_test[:3].tolist()
