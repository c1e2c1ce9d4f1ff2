"""The widgets in a real Notebook 7, with a real kernel."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("notebook", reason="Notebook 7 is not installed: pip install notebook")
pytest.importorskip("playwright", reason="playwright is not installed")

from tests.browser.pages import open_in_jupyter
from tests.browser.scenes import (
    EXPLORER,
    FAKE,
    LINKED,
    WATCHED,
    drag_and_settle,
    notebook_of,
    settle,
)
from tests.browser.servers import Server, notebook

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, browser: Any) -> Iterator[Server]:
    with notebook(tmp_path_factory.mktemp("notebook")) as server:
        yield server


@pytest.fixture
def context(browser: Any) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    context.set_default_timeout(170_000)
    yield context
    context.close()


def test_slider_and_grid(server: Server, context: Any, shots: Path | None) -> None:
    document = notebook_of(FAKE, LINKED, WATCHED)
    opened = open_in_jupyter(context, server, "notebooks/widgets.ipynb", document)
    opened.run_all()
    opened.show_widgets()
    opened.wait_for_verdicts(lambda v: set(v) == {"robust"})
    drag_and_settle(opened)
    opened.shoot(shots, "notebook7_grid")
    opened.enter("8/255")
    opened.wait_for("print(grid.evaluated_epsilon == 8 / 255, grid.busy)", "True False")


@pytest.mark.slow
def test_explorer(server: Server, context: Any, shots: Path | None) -> None:
    document = notebook_of(EXPLORER, "grid", WATCHED)
    opened = open_in_jupyter(context, server, "notebooks/explorer.ipynb", document)
    opened.run_all()
    opened.grid.wait_for()
    drag_and_settle(opened, None, end=0.3)
    settle(opened)
    opened.shoot(shots, "notebook7_explorer")
