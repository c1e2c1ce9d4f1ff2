"""The widgets in a real marimo, whose kernel is not that of Jupyter."""

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("marimo", reason="marimo is not installed: pip install marimo")
pytest.importorskip("playwright", reason="playwright is not installed")

from tests.browser.pages import WidgetPage
from tests.browser.scenes import EXPLORER, FAKE, WATCHED, drag_and_settle, settle
from tests.browser.servers import Server, marimo

pytestmark = pytest.mark.browser

_SHOW = """
import marimo as mo
from traitlets import link

from decomon_widgets import EpsilonSlider, SampleGrid

slider = EpsilonSlider()
grid = SampleGrid(None, x, y, seed=1, _certify=certify)
link((slider, "value"), (grid, "epsilon"))
"""

_PAGE = """
import marimo

app = marimo.App()


@app.cell
def _():
{code}
    {shown}
    return


if __name__ == "__main__":
    app.run()
"""


def _notebook(*cells: str, shown: str) -> str:
    """A notebook of marimo with one cell."""
    return _PAGE.format(code=textwrap.indent("\n".join(cells), "    "), shown=shown)


@pytest.fixture
def context(browser: Any) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    context.set_default_timeout(170_000)
    yield context
    context.close()


def _open(context: Any, server: Server) -> WidgetPage:
    page = context.new_page()
    page.goto(server.url(""))
    opened = WidgetPage(page, server.root)
    opened.grid.wait_for()
    return opened


@pytest.mark.slow
@pytest.mark.parametrize("edit", [False, True])
def test_slider_and_grid(context: Any, tmp_path: Path, shots: Path | None, edit: bool) -> None:
    shown = "mo.vstack([mo.ui.anywidget(slider), mo.ui.anywidget(grid)])"
    source = _notebook(FAKE, _SHOW, WATCHED, shown=shown)
    with marimo(tmp_path / "home", source, edit=edit) as server:
        opened = _open(context, server)
        if edit:
            opened.page.keyboard.press("Control+Shift+R")
        opened.wait_for_verdicts(lambda v: set(v) == {"robust"})
        drag_and_settle(opened)
        opened.shoot(shots, f"marimo_grid_{'edit' if edit else 'run'}")


def test_explorer(context: Any, tmp_path: Path, shots: Path | None) -> None:
    source = _notebook("import marimo as mo", EXPLORER, WATCHED, shown="mo.ui.anywidget(grid)")
    with marimo(tmp_path / "home", source) as server:
        opened = _open(context, server)
        drag_and_settle(opened, None, end=0.3)
        settle(opened)
        opened.shoot(shots, "marimo_explorer")
