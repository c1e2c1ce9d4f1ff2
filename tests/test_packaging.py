"""What is shipped: the wheel, the source distribution and the editable install."""

from __future__ import annotations

import email
import json
import os
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
REQUIRED = {"anywidget", "ipywidgets", "matplotlib", "numpy", "psutil", "scipy", "tensorflow"}


def build(target: str, checkout: Path, folder: Path) -> Path:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)],
        cwd=checkout,
        check=True,
        capture_output=True,
        text=True,
    )
    (built,) = folder.iterdir()
    return built


def shipped_files(checkout: Path, folder: str) -> set[str]:
    """Files of a folder of the checkout, without what tools leave behind."""
    return {
        path.relative_to(checkout).as_posix()
        for path in (checkout / folder).rglob("*")
        if path.is_file()
        and path.suffix != ".pyc"
        and not any(part.startswith(".") for part in path.relative_to(checkout).parts)
    }


@pytest.fixture(scope="module")
def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def unpacked(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def test_wheel_holds_packages_and_tutorials_and_nothing_else(unpacked: Path) -> None:
    expected = shipped_files(ROOT, "decomon") | shipped_files(ROOT, "decomon_widgets")
    expected |= {f"decomon_widgets/{name}" for name in shipped_files(ROOT, "tutorials")}
    found = {name for name in shipped_files(unpacked, ".") if ".dist-info/" not in name}
    assert found == expected
    for name in (
        "decomon_widgets/static/sample_grid.js",
        "decomon_widgets/data/mnist_subset.npz",
        "decomon_widgets/data/README.md",
        "decomon_widgets/models/mnist_dense.keras",
        "decomon_widgets/models/mnist_conv.keras",
        "decomon_widgets/tutorials/tutorial3_adversarial_attack.ipynb",
    ):
        assert name in found


def test_wheel_is_small(wheel: Path) -> None:
    assert wheel.stat().st_size < 8_000_000


def test_wheel_requires_exactly_these_packages(unpacked: Path, project: dict) -> None:
    (metadata,) = unpacked.glob("*.dist-info/METADATA")
    message = email.message_from_string(metadata.read_text())
    requirements = message.get_all("Requires-Dist", [])
    names = {r.split(">=")[0].strip() for r in requirements if "extra ==" not in r}
    assert names == REQUIRED
    assert message["Requires-Python"] == ">=3.11"
    assert {"lab", "onnx", "test", "dev"} <= set(message.get_all("Provides-Extra", []))
    assert message["Version"] == project["version"]
    (entry_points,) = unpacked.glob("*.dist-info/entry_points.txt")
    assert "decomon = decomon_widgets.cli:main" in entry_points.read_text()
    licences = {path.name for path in unpacked.glob("*.dist-info/licenses/**/*") if path.is_file()}
    assert {"LICENSE", "README.md"} <= licences


def test_installed_wheel_finds_its_data(unpacked: Path, tmp_path: Path) -> None:
    program = """
import json
from decomon_widgets import datasets
from decomon_widgets._commands import lab
mnist = datasets.load_mnist(source="embedded")
print(json.dumps([
    str(mnist.path), str(datasets.model_path("conv")), str(lab.tutorials_folder()),
    mnist.path.is_file() and datasets.model_path("conv").is_file(),
]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(unpacked)},
        check=True,
        capture_output=True,
        text=True,
    )
    *paths, exist = json.loads(done.stdout)
    assert exist
    assert all(Path(path).is_relative_to(unpacked) for path in paths)


def test_wheel_from_source_distribution_is_the_same(wheel: Path, tmp_path: Path) -> None:
    source = build("sdist", ROOT, tmp_path / "sdist")
    with tarfile.open(source) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    (checkout,) = (tmp_path / "unpacked").iterdir()
    top = {path.name for path in checkout.iterdir()}
    assert {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "tests", "js"} <= top
    assert not list(checkout.rglob("node_modules"))
    rebuilt = build("wheel", checkout, tmp_path / "wheel")
    with zipfile.ZipFile(wheel) as first, zipfile.ZipFile(rebuilt) as second:
        contents = [
            {i.filename: i.CRC for i in archive.infolist() if not i.filename.endswith("RECORD")}
            for archive in (first, second)
        ]
    assert contents[0] == contents[1]


def test_editable_install_uses_the_checkout(tmp_path: Path) -> None:
    program = f"import hatchling.build; hatchling.build.build_editable({str(tmp_path)!r})"
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True)
    (editable,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(editable) as archive:
        paths = [archive.read(n).decode() for n in archive.namelist() if n.endswith(".pth")]
        assert not [name for name in archive.namelist() if name.startswith("decomon_widgets/")]
    assert [Path(path.strip()) for path in paths] == [ROOT]


def test_readme_has_the_two_commands() -> None:
    lines = (ROOT / "README.md").read_text().splitlines()
    assert 'python -m pip install ".[lab]" && decomon lab' in lines
    assert 'python -m pip install ".[test]" && python -m pytest -n auto' in lines


def test_continuous_integration_runs_the_command_of_the_readme() -> None:
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    assert 'python -m pip install ".[test]" && python -m pytest -n auto' in lines


def test_front_end_has_the_same_version(project: dict) -> None:
    assert json.loads((ROOT / "js" / "package.json").read_text())["version"] == project["version"]
