"""What the notebooks of the browser tests run, and what the verdicts in them must be."""

import math
from collections.abc import Callable
from typing import Any

import nbformat
import pytest

from tests.browser.pages import WidgetPage

__all__ = [
    "EXPLORER",
    "FAKE",
    "LINKED",
    "WATCHED",
    "check_painted",
    "check_sound",
    "drag_and_settle",
    "notebook_of",
    "settle",
    "true_verdict",
]

FAKE = """
import json
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np

x = np.random.default_rng(0).uniform(size=(60, 64)).astype("float32")
y = np.arange(60) % 10
gate = Path("open")
gate.touch()


def certify(model, x, labels, epsilon, *, clip, n_sub_boxes):
    while not gate.exists():
        time.sleep(0.01)
    if epsilon > 0.09:
        raise ValueError("no such epsilon <b>here</b>")
    radius = 0.01 + 0.004 * labels
    refuted = epsilon > 2 * radius
    names = np.where(epsilon < radius, "robust", np.where(refuted, "non_robust", "unknown"))
    return SimpleNamespace(
        verdicts=tuple(map(str, names)),
        upper=epsilon - radius,
        lower=epsilon - 2 * radius,
        predicted=labels,
        predicted_points=np.where(refuted, (labels + 1) % 10, labels),
        points=x,
        reasons=("",) * len(labels),
    )
"""
"""A verifier that goes by the label, and answers while the file `open` exists."""

LINKED = """
from ipywidgets import VBox, jslink

from decomon_widgets import EpsilonSlider, SampleGrid

slider = EpsilonSlider()
grid = SampleGrid(None, x, y, seed=1, _certify=certify)
jslink((slider, "value"), (grid, "epsilon"))
VBox([slider, grid])
"""
"""A slider and a grid that follows it in the browser."""

EXPLORER = """
from decomon_widgets.quiet import load_tensorflow

load_tensorflow()

import json
from pathlib import Path

from decomon_widgets import RobustnessExplorer
from decomon_widgets.datasets import load_mnist, load_model

mnist = load_mnist(source="embedded")
grid = RobustnessExplorer(load_model("dense"), mnist.x_test, mnist.y_test, seed=0)
grid.settle_timeout = 2.0
"""
"""An explorer of the embedded network; `grid` is its name for `WATCHED`."""

WATCHED = """
def write_down(_change):
    state = {
        "epsilon": grid.epsilon,
        "evaluated": grid.evaluated_epsilon,
        "busy": grid.busy,
        "error": grid.error,
        "verdicts": grid.verdicts,
        "upper": grid.upper.tolist(),
        "lower": grid.lower.tolist(),
    }
    # A reader never sees half of it.
    Path("state.part").write_text(json.dumps(state))
    Path("state.part").replace("state.json")


grid.observe(write_down, ["epsilon", "evaluated_epsilon", "busy", "upper"])
write_down(None)
"""
"""Writes down the state of `grid` in the kernel whenever it changes."""


def notebook_of(*cells: str) -> nbformat.NotebookNode:
    """A notebook with these cells of code."""
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])


def true_verdict(index: int, epsilon: float) -> str:
    """What `certify` of the scene says of a sample."""
    radius = 0.01 + 0.004 * (index % 10)
    if epsilon < radius:
        return "robust"
    return "non_robust" if epsilon > 2 * radius else "unknown"


def check_sound(shown: dict[str, Any]) -> None:
    """While results are on their way, a tile shows its verdict or none, but never a wrong one."""
    for tile in shown["tiles"]:
        # The screen has four digits; at the very border of a verdict, both sides are right.
        near = (shown["epsilon"] + change for change in (-1e-9, 1e-9))
        allowed = {"pending", *(true_verdict(tile["index"], epsilon) for epsilon in near)}
        assert tile["verdict"] in allowed, (shown["epsilon"], tile)
        check_painted(tile)


def drag_and_settle(
    page: WidgetPage,
    check: Callable[[dict[str, Any]], None] | None = check_sound,
    *,
    end: float = 0.6,
) -> None:
    """Drag the slider through 50 positions, and wait for the numbers of the last one.

    Parameters
    ----------
    check
        Called at each position with what the grid shows; None where the truth is not known.
    end
        Fraction of the slider where the last position is.
    """
    seen: set[float] = set()

    def look() -> None:
        shown = page.shown()
        seen.add(shown["epsilon"])
        if check is not None:
            check(shown)

    page.drag(0.02, end, 50, look)
    state, shown = page.wait_until(page.settled, "kernel and page at the last position")
    if check is not None:
        check(shown)
    for tile in shown["tiles"]:
        check_painted(tile)
    assert state["error"] == ""
    assert all(math.isfinite(bound) for bound in (*state["upper"], *state["lower"]))
    assert len(seen) > 1, "the grid did not follow while the handle moved"
    low, high = (float(page.range.get_attribute(name)) for name in ("min", "max"))
    assert state["epsilon"] == pytest.approx(low + end * (high - low), abs=0.03 * (high - low))
    # The bounds of the kernel are on the screen as well.
    page.tiles.first.focus()
    tip = page.grid.get_by_role("tooltip")
    number = f"{state['upper'][0]:.4g}"
    page.wait_until(lambda: number in _plain(tip.inner_text()), f"{number} in the tooltip")


def settle(page: WidgetPage) -> None:
    """Have an explorer decide what is open: verdicts that were there before stay."""
    before = page.verdicts()
    assert "unknown" in before
    button = page.page.locator(".dcm-explorer .dcm-settle")
    note = page.page.locator(".dcm-explorer .dcm-settle-note")
    button.click()
    total = before.count("unknown")
    page.wait_until(lambda: f"{total} of {total}" in note.inner_text(), "all samples are through")
    page.wait_until(page.settled, "kernel and page agree")
    for old, new in zip(before, page.verdicts(), strict=True):
        assert new == old or old == "unknown"


def _plain(text: str) -> str:
    return text.replace("\N{MINUS SIGN}", "-")


def check_painted(tile: dict[str, Any]) -> None:
    """The frame has the colour of the verdict."""
    assert tile["painted"] == tile["wanted"], tile
