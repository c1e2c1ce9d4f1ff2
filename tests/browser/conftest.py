"""A Chromium, and a page that shows widgets without a notebook around them."""

import base64
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ipywidgets
import numpy as np
import pytest

_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>widgets</title>
<style>body { margin: 8px; background: Canvas; color-scheme: light dark; }</style>
</head><body></body></html>"""


def _find_chromium() -> str | None:
    wanted = os.environ.get("DECOMON_CHROMIUM")
    if wanted:
        return shutil.which(wanted)
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next(filter(None, map(shutil.which, names)), None)


# One for each module: while it is open, playwright keeps an event loop running in the main thread,
# which other tests must not find there.
@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = _find_chromium()
    if path is None:
        pytest.skip(
            "no Chromium found: install the package 'chromium' or set DECOMON_CHROMIUM to its path"
        )
    with playwright.sync_playwright() as driver:
        instance = driver.chromium.launch(executable_path=path, args=_ARGUMENTS)
        yield instance
        instance.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """An empty page; an error of its scripts fails the test."""
    context = browser.new_context(viewport={"width": 900, "height": 700})
    context.set_default_timeout(10_000)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.set_content(_PAGE)
    page.add_script_tag(path=Path(__file__).with_name("shim.js"))
    yield page
    context.close()
    assert errors == []


class Stage:
    """Shows Python widgets in a page and carries changes both ways when told to."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self._widgets: list[ipywidgets.Widget] = []

    def show(self, widget: ipywidgets.Widget, *, parent: str = "body") -> int:
        """Display a widget once more; returns the number of its model."""
        if widget not in self._widgets:
            self._widgets.append(widget)
        number = self._widgets.index(widget)
        state = _encode(widget.get_state())
        self.page.evaluate("([n, s, p]) => shim.show(n, s, p)", [number, state, parent])
        return number

    def sync(self) -> None:
        """Carry what the page saved to Python, and the state of Python to the page."""
        for number, widget in enumerate(self._widgets):
            for message in self.page.evaluate("(n) => shim.take(n)", number):
                if message["method"] == "update":
                    widget.set_state(message["state"])
                else:
                    widget._handle_custom_msg(message["content"], [])
        for number, widget in enumerate(self._widgets):
            state = _encode(widget.get_state())
            self.page.evaluate("([n, s]) => shim.update(n, s)", [number, state])

    def theme(self, *, dark: bool) -> None:
        self.page.emulate_media(color_scheme="dark" if dark else "light")


def _encode(state: dict[str, Any]) -> dict[str, Any]:
    """Binary values as base64, which the page turns into DataViews as the notebook does."""

    def encode(value: Any) -> Any:
        if isinstance(value, bytes | memoryview):
            return {"$binary": base64.b64encode(value).decode("ascii")}
        return value

    return {name: encode(value) for name, value in state.items() if name != "layout"}


@pytest.fixture
def stage(page: Any) -> Stage:
    return Stage(page)


@pytest.fixture
def fake_certify() -> Callable[..., Any]:
    """A verifier that goes by the label: robust below a radius, refuted above twice of it.

    Class 9 is predicted as 4, so such samples are misclassified.
    """

    def certify(
        _model: object, x: Any, labels: Any, epsilon: float, *, clip: Any, n_sub_boxes: int
    ) -> Any:
        radius = 0.01 + 0.004 * labels
        predicted = np.where(labels == 9, 4, labels)
        refuted = epsilon > 2 * radius
        names = np.where(epsilon < radius, "robust", np.where(refuted, "non_robust", "unknown"))
        verdicts = np.where(labels == 9, "misclassified", names)
        return SimpleNamespace(
            verdicts=tuple(str(v) for v in verdicts),
            upper=50 * (epsilon - radius),
            lower=50 * (epsilon - 2 * radius),
            predicted=predicted,
            predicted_points=np.where(refuted, (labels + 1) % 10, predicted),
            points=x + 0.5 * np.reshape(epsilon, (-1, 1)),
            reasons=tuple("the bound is loose" if v == "unknown" else "" for v in verdicts),
        )

    return certify


@pytest.fixture
def shots() -> Path | None:
    """Where screenshots go: the folder named by DECOMON_SCREENSHOTS, if it is set."""
    folder = os.environ.get("DECOMON_SCREENSHOTS")
    if not folder:
        return None
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    return path
