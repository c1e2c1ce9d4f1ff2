"""The widgets in Voilà, which shows a notebook without its code."""

from pathlib import Path
from typing import Any

import nbformat
import pytest

pytest.importorskip("voila", reason="Voilà is not installed: pip install voila")
pytest.importorskip("playwright", reason="playwright is not installed")

from tests.browser.pages import WidgetPage
from tests.browser.scenes import FAKE, LINKED, WATCHED, drag_and_settle, notebook_of
from tests.browser.servers import KERNEL, voila

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_slider_and_grid(browser: Any, tmp_path: Path, shots: Path | None) -> None:
    document = notebook_of(FAKE, LINKED, WATCHED)
    document.metadata["kernelspec"] = {"name": KERNEL, "display_name": "", "language": "python"}
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    context.set_default_timeout(170_000)
    with voila(tmp_path / "home", nbformat.writes(document)) as server:
        page = context.new_page()
        page.goto(server.url(""))
        opened = WidgetPage(page, server.root)
        opened.grid.wait_for()
        drag_and_settle(opened)
        opened.shoot(shots, "voila")
    context.close()
