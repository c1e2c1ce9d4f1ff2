"""The widgets in a real JupyterLab, with a real kernel."""

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbconvert import HTMLExporter

pytest.importorskip("jupyterlab", reason="JupyterLab is not installed")
pytest.importorskip("playwright", reason="playwright is not installed")

from tests.browser.pages import Notebook, open_in_jupyter
from tests.browser.scenes import EXPLORER, FAKE, WATCHED, check_sound, drag_and_settle, notebook_of
from tests.browser.servers import REPOSITORY, Server, jupyterlab

pytestmark = pytest.mark.browser

_TUTORIAL = REPOSITORY / "tutorials" / "tutorial3_adversarial_attack.ipynb"

_SHOW = """
from ipywidgets import HBox, VBox, interact, jslink

from decomon_widgets import BoundHistogram, EpsilonSlider, SampleGrid

slider = EpsilonSlider()
grid = SampleGrid(None, x, y, seed=1, _certify=certify)
histogram = BoundHistogram(grid)
jslink((slider, "value"), (grid, "epsilon"))
seen = []
grid.observe(lambda change: seen.append(change["new"]), "verdicts")
VBox([slider, HBox([grid, histogram])])
"""

_INTERACT = """
@interact(eps=EpsilonSlider())
def show(eps):
    print(f"interact says {eps:.6f}")
"""

OpenNotebook = Callable[..., Notebook]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, browser: Any) -> Iterator[Server]:
    with jupyterlab(tmp_path_factory.mktemp("lab")) as server:
        yield server


@pytest.fixture
def context(browser: Any) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1500, "height": 1200})
    context.set_default_timeout(170_000)
    yield context
    context.close()


@pytest.fixture
def open_notebook(lab: Server, context: Any) -> OpenNotebook:
    def open_notebook(name: str, document: nbformat.NotebookNode | None = None) -> Notebook:
        return open_in_jupyter(context, lab, f"lab/tree/{name}?reset", document)

    return open_notebook


def _all_tried(verdicts: list[str]) -> bool:
    return "pending" not in verdicts


@pytest.mark.slow
def test_tutorial(open_notebook: OpenNotebook, shots: Path | None) -> None:
    notebook = open_notebook("tutorial3.ipynb", nbformat.read(_TUTORIAL, as_version=4))
    notebook.run_all()
    notebook.show_widgets()

    small = notebook.wait_for_verdicts(_all_tried)
    assert len(small) == 10
    assert small.count("robust") > 5
    notebook.shoot(shots, "tutorial_small_epsilon")

    notebook.range.focus()
    notebook.range.press("PageUp")
    notebook.range.press("PageUp")
    notebook.wait_for_verdicts(_all_tried)
    notebook.shoot(shots, "tutorial_middle_epsilon")

    notebook.range.press("End")
    large = notebook.wait_for_verdicts(_all_tried)
    changed = [after for before, after in zip(small, large, strict=True) if before == "robust"]
    assert set(changed) <= {"robust", "unknown", "non_robust"}
    assert {"unknown", "non_robust"} & set(changed)
    notebook.shoot(shots, "tutorial_large_epsilon")

    before = set(notebook.indices())
    notebook.grid.get_by_role("button", name="Draw new samples").click()
    notebook.wait_until(lambda: before.isdisjoint(notebook.indices()), "other samples")
    notebook.wait_for_verdicts(_all_tried)
    assert len(set(notebook.indices()) - before) == 10
    notebook.shoot(shots, "tutorial_after_reset")


def test_widgets_with_a_controlled_verifier(
    open_notebook: OpenNotebook, lab: Server, shots: Path | None
) -> None:
    notebook = open_notebook(
        "widgets.ipynb",
        notebook_of(FAKE, _SHOW, WATCHED, _INTERACT),
    )
    gate = lab.root / "open"
    notebook.run_all()
    notebook.show_widgets()
    notebook.wait_for_verdicts(lambda v: set(v) == {"robust"})

    # A front-end link moves the grid; typed fractions arrive exactly.
    notebook.enter("8/255")
    notebook.wait_for_verdicts(lambda v: "unknown" in v and _all_tried(v))
    notebook.wait_for("print(slider.value == grid.epsilon == 8 / 255)", "True")

    drag_and_settle(notebook)
    notebook.shoot(shots, "fake_dragged")
    notebook.enter("8/255")
    notebook.wait_for("print(grid.evaluated_epsilon == 8 / 255, grid.busy)", "True False")

    # While the verifier computes, the kernel answers, and old verdicts stay only where they hold.
    gate.unlink()
    notebook.enter("0.02")
    notebook.grid.locator("xpath=self::*[contains(@class, 'dcm-busy')]").wait_for()
    notebook.wait_for("print(grid.busy, grid.epsilon)", "True 0.02")
    waiting = notebook.verdicts()
    assert set(waiting) == {"robust", "pending"}
    notebook.enter("0.03")
    notebook.enter("0.04")
    notebook.wait_for("print(grid.epsilon)", "0.04")
    gate.touch()
    notebook.wait_for_verdicts(lambda v: "non_robust" in v and _all_tried(v))
    notebook.wait_for("print(grid.evaluated_epsilon, grid.busy)", "0.04 False")

    # Observers hear of it, and a cell that waits gets the result.
    assert int(notebook.run("print(len(seen))")) > 0
    answer = notebook.run("grid.epsilon = 0.05; print(grid.wait(60), grid.evaluated_epsilon)")
    assert answer == "True 0.05"
    # The result is also published while a cell keeps the kernel busy.
    answer = notebook.run(
        "grid.epsilon = 0.06\nwhile grid.busy: time.sleep(0.01)\nprint(grid.evaluated_epsilon)"
    )
    assert answer == "0.06"
    notebook.page.wait_for_function(
        "() => document.querySelector('.dcm-slider .dcm-entry').value === '0.0600'"
    )

    # An exception is shown as one, never as a verdict or as markup.
    notebook.enter("0.095")
    notebook.grid.locator(".dcm-error").wait_for()
    assert "<b>here</b>" in notebook.grid.locator(".dcm-error").inner_text()
    assert set(notebook.verdicts()) <= {"pending", "non_robust"}
    notebook.shoot(shots, "fake_error")
    notebook.enter("0.03")
    notebook.wait_for_verdicts(_all_tried)
    assert notebook.grid.locator(".dcm-error").count() == 0

    # The arrow keys move inside of the grid, not to another cell.
    active = "() => window.jupyterapp.shell.currentWidget.content.activeCellIndex"
    notebook.tiles.nth(0).click()
    cell = notebook.page.evaluate(active)
    notebook.page.keyboard.press("ArrowRight")
    notebook.page.keyboard.press("ArrowDown")
    assert notebook.page.evaluate(active) == cell
    chosen = notebook.tiles.evaluate_all(
        "(tiles) => tiles.findIndex((t) => t.getAttribute('aria-selected') === 'true')"
    )
    assert chosen > 1
    notebook.wait_for("print(grid.selected)", str(chosen))

    # The colours follow the theme of JupyterLab.
    style = "(e) => { const s = getComputedStyle(e); return [s.color, s.getPropertyValue(NAME)]; }"
    style = style.replace("NAME", "'--dcm-robust'")
    light = notebook.grid.evaluate(style)
    notebook.theme("JupyterLab Dark", light=False)
    dark = notebook.grid.evaluate(style)
    assert all(a != b for a, b in zip(light, dark, strict=True))
    notebook.shoot(shots, "fake_dark")
    notebook.theme("JupyterLab Light", light=True)

    # An `interact` with a slider.
    notebook.page.locator(".widget-interact .dcm-entry").fill("8/255")
    notebook.page.locator(".widget-interact .dcm-entry").press("Enter")
    notebook.page.get_by_text(f"interact says {8 / 255:.6f}").wait_for()

    # A closed grid leaves the page and stops.
    notebook.run("grid.close()")
    notebook.grid.wait_for(state="detached")


_BUSY = """
Path("running").touch()
while Path("running").exists():
    time.sleep(0.01)
"""


@pytest.mark.parametrize("subshells", [True, False])
@pytest.mark.slow
def test_while_a_cell_runs(
    subshells: bool, context: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Colours follow from the radii; the numbers come at the latest when the cell ends.

    Whether a subshell of the kernel takes messages of widgets while its main shell is busy is
    up to the versions of JupyterLab and ipykernel.
    """
    with jupyterlab(tmp_path_factory.mktemp("busy"), subshells=subshells) as server:
        document = notebook_of(FAKE, _SHOW, WATCHED)
        notebook = open_in_jupyter(context, server, "lab/tree/busy.ipynb?reset", document)
        notebook.run_all()
        notebook.show_widgets()
        notebook.wait_for_verdicts(lambda v: set(v) == {"robust"})
        drag_and_settle(notebook)
        for epsilon in ("0.011", "0.05"):
            notebook.enter(epsilon)
            notebook.wait_until(notebook.settled, "kernel and page agree")

        running = server.root / "running"
        notebook.start(_BUSY)
        notebook.wait_until(running.exists, "the cell runs")
        before = notebook.kernel_state()
        notebook.drag(0.5, 0.1, 10, lambda: check_sound(notebook.shown()))
        assert "robust" in notebook.verdicts()
        assert running.exists()
        running.unlink()
        state, _ = notebook.wait_until(notebook.settled, "the numbers after the cell")
        assert state["epsilon"] < before["epsilon"]


def test_restarted_kernel(open_notebook: OpenNotebook, lab: Server, shots: Path | None) -> None:
    """Without its kernel, the explorer says so, and the radii that it knows go on answering."""
    notebook = open_notebook("restart.ipynb", notebook_of(EXPLORER, "grid", WATCHED))
    notebook.run_all()
    notebook.show_cell("grid")
    notebook.grid.wait_for()
    known = {}
    for epsilon in ("0.0100", "0.0500"):
        notebook.enter(epsilon)
        notebook.wait_until(notebook.settled, "kernel and page agree")
        known[epsilon] = notebook.wait_for_verdicts(_all_tried)
    assert known["0.0100"] != known["0.0500"]
    notebook.shoot(shots, "lab_explorer")

    banner = notebook.page.locator(".dcm-explorer .dcm-banner")
    assert not banner.inner_text()
    notebook.restart_kernel()
    notebook.wait_until(lambda: "isconnected" in banner.inner_text(), "it says so")
    for epsilon, verdicts in known.items():
        notebook.enter(epsilon)
        notebook.wait_until(lambda v=verdicts: notebook.verdicts() == v, "the same verdicts")
    notebook.shoot(shots, "lab_explorer_disconnected")


def test_reopened_notebook(open_notebook: OpenNotebook, lab: Server, shots: Path | None) -> None:
    """A notebook shows its last state: with its kernel, without it, and without any widgets."""
    notebook = open_notebook("saved.ipynb", notebook_of(FAKE, _SHOW, WATCHED, "display(grid)"))
    notebook.run_all()
    notebook.show_widgets()
    notebook.enter("0.03")
    notebook.wait_until(notebook.settled, "kernel and page agree")
    verdicts = notebook.verdicts()
    notebook.save()
    notebook.page.close()

    again = open_notebook("saved.ipynb")
    again.show_widgets()
    again.wait_until(lambda: again.verdicts() == verdicts, "the same verdicts")
    assert float(again.entry.input_value()) == 0.03
    again.shut_kernel_down()
    again.page.close()

    last = open_notebook("saved.ipynb")
    last.show_widgets()
    last.wait_until(lambda: last.verdicts() == verdicts, "the same verdicts")
    assert float(last.entry.input_value()) == 0.03
    last.shoot(shots, "lab_reopened_no_kernel")

    saved = nbformat.read(lab.root / "saved.ipynb", as_version=4)
    (output,) = saved.cells[-1].outputs
    png = base64.b64decode(output["data"]["image/png"])
    assert png.startswith(b"\x89PNG")
    assert len(png) > 5000
    del saved.metadata["widgets"]
    page, _ = HTMLExporter().from_notebook_node(saved)
    assert output["data"]["image/png"].strip() in page
