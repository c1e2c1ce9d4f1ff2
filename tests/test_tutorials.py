"""Every tutorial is executed from top to bottom, without an internet connection."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pytest

import decomon_widgets

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "tutorials").glob("*.ipynb"))
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def test_there_are_tutorials() -> None:
    names = {path.name for path in NOTEBOOKS}
    wanted = {"custom_layer.ipynb", "tutorial3_adversarial_attack.ipynb", "widgets_gallery.ipynb"}
    assert wanted <= names


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_is_committed_clean(path: Path) -> None:
    notebook = read(path)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


def test_the_gallery_shows_every_widget() -> None:
    gallery = read(ROOT / "tutorials" / "widgets_gallery.ipynb")
    titles = {c.source.splitlines()[0] for c in gallery.cells if c.source.startswith("## ")}
    made = "".join(cell.source for cell in gallery.cells if cell.cell_type == "code")
    for name in decomon_widgets.__all__:
        assert f"## {name}" in titles
        assert f"{name}(" in made
        picture = re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
        assert f"js/pictures/{picture}.png" in (ROOT / "README.md").read_text()
        assert (ROOT / "js" / "pictures" / f"{picture}.png").is_file()


def execute(path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> nbformat.NotebookNode:
    """Run a copy of the notebook on the code of this checkout; an error in a cell is raised."""
    # The kernel of this environment, whatever the user has installed elsewhere.
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "1")
    copy = Path(shutil.copy(path, folder))
    notebook = read(copy)
    client = nbclient.NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
    )
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "KERAS_HOME": str(folder / "keras"),
        # Nobody listens on this port, so every download fails at once.
        "https_proxy": "http://127.0.0.1:9",
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    }
    client.execute(env=environment)
    return notebook


def _run_by_default(paths: list[Path]) -> list[Any]:
    """What the tutorial on layers of one's own shows has tests of its own."""
    slow = {"custom_layer": pytest.mark.slow}
    return [pytest.param(path, marks=slow.get(path.stem, ())) for path in paths]


@pytest.mark.parametrize("path", _run_by_default(NOTEBOOKS), ids=lambda path: path.stem)
def test_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = execute(path, tmp_path, monkeypatch)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code)
    outputs = [output for cell in code for output in cell.outputs]
    assert not [o for o in outputs if o.output_type == "error"]
    # Warnings and messages of libraries have no place in a tutorial.
    assert not [o.text for o in outputs if o.output_type == "stream" and o.name == "stderr"]
    data = [output.data for output in outputs if "data" in output]
    assert any("image/png" in d for d in data)
    assert any(WIDGET_VIEW in d for d in data)
