"""What axe-core finds wrong with the accessibility of each widget."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import ipywidgets
import pytest

import decomon_widgets as widgets

pytestmark = pytest.mark.browser

_AXE = Path(__file__).parents[2] / "js" / "node_modules" / "axe-core" / "axe.min.js"

_VIOLATIONS = """async () => {
    const found = await axe.run(document.body, { resultTypes: ["violations"] });
    return found.violations
        .filter(({ impact }) => impact === "serious" || impact === "critical")
        .flatMap(({ id, nodes }) => nodes.map((node) =>
            `${id}: ${node.target.join(" ")}: ${node.failureSummary}`));
}"""


@cache
def _network() -> Any:
    from decomon_widgets.datasets import load_model

    return load_model("dense")


@cache
def _samples() -> tuple[Any, Any]:
    from decomon_widgets.datasets import load_mnist

    mnist = load_mnist(source="embedded")
    return mnist.x_test, mnist.y_test


def _grid() -> widgets.SampleGrid:
    # At this epsilon there are samples of three verdicts.
    return widgets.SampleGrid(_network(), *_samples(), epsilon=0.03, seed=3, executor="sync")


def _of_selected(make: Callable[..., ipywidgets.Widget]) -> ipywidgets.Widget:
    grid = _grid()
    chart = make(grid, executor="sync")
    grid.selected = grid.verdicts.index("non_robust")
    return chart


def _explorer() -> ipywidgets.Widget:
    explorer = widgets.RobustnessExplorer(
        _network(), *_samples(), epsilon=0.03, seed=3, executor="sync"
    )
    explorer.selected = explorer.verdicts.index("non_robust")
    return explorer


_MAKE: dict[str, Callable[[], ipywidgets.Widget]] = {
    "BoundBand": lambda: widgets.BoundBand(_wave, (-2, 2), executor="sync"),
    "BoundHistogram": lambda: widgets.BoundHistogram(_grid()),
    "CounterexampleViewer": lambda: _of_selected(widgets.CounterexampleViewer),
    "EpsilonSlider": lambda: widgets.EpsilonSlider(value=8 / 255),
    "MarginChart": lambda: _of_selected(widgets.MarginChart),
    "RelaxationPlot": lambda: widgets.RelaxationPlot("relu", (-1, 2), executor="sync"),
    "RobustnessCurve": lambda: widgets.RobustnessCurve(_grid()),
    "RobustnessExplorer": _explorer,
    "SampleGrid": _grid,
}


def _wave(x: Any) -> Any:
    from keras import ops

    return ops.sin(3 * x) + 0.2 * x * x


@pytest.fixture
def violations(page: Any) -> Callable[[], list[str]]:
    if not _AXE.exists():
        pytest.skip("axe-core is not installed: run 'npm ci' in js/")

    def violations() -> list[str]:
        if not page.evaluate("() => 'axe' in globalThis"):
            page.add_script_tag(path=_AXE)
        return page.evaluate(_VIOLATIONS)

    return violations


def test_every_widget_is_looked_at() -> None:
    assert set(_MAKE) == set(widgets.__all__)


def test_what_is_wrong_is_found(page: Any, violations: Callable[[], list[str]]) -> None:
    page.evaluate("() => { document.body.innerHTML = '<button></button><input>'; }")
    assert {text.split(":")[0] for text in violations()} == {"button-name", "label"}


@pytest.mark.parametrize("name", _MAKE)
def test_no_serious_violation(
    name: str, stage: Any, violations: Callable[[], list[str]], shots: Path | None
) -> None:
    widget = _MAKE[name]()
    stage.show(widget)
    for dark in (False, True):
        stage.theme(dark=dark)
        assert violations() == []
        if shots:
            stage.page.screenshot(path=shots / f"{name}_{'dark' if dark else 'light'}.png")
    widget.close()
