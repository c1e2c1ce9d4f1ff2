"""MarginChart in a Chromium page, with the state of the real Python widget behind it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from decomon_widgets.margin_chart import MarginChart
from decomon_widgets.sample_grid import SampleGrid
from tests.browser.looks import no_wider_than_the_page, too_faint, too_small

pytestmark = pytest.mark.browser

_LABEL = 7

# Read aloud as such, other than a hyphen.
_MINUS = "\N{MINUS SIGN}"


def _bounds(classes: int = 10, label: int = _LABEL) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    middle, wide = rng.normal(-4, 3, classes), rng.uniform(1, 3, classes)
    lower = np.stack([middle - 4 * wide, middle - wide])
    upper = np.stack([middle + 4 * wide, middle + wide])
    lower[:, label] = upper[:, label] = 0
    return lower, upper


def _chart(**arguments: Any) -> MarginChart:
    usual = {"epsilon": 0.03, "sample": 12, "verdict": "unknown"}
    return MarginChart.of_bounds(*_bounds(), ("ibp", "crown"), _LABEL, **{**usual, **arguments})


def _show(stage: Any, widget: Any) -> None:
    """Display a widget, and let it paint again as soon as it knows its width."""
    stage.show(widget)
    stage.page.evaluate(
        "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
    )


def _classes(page: Any) -> list[int]:
    return page.locator(".dcm-row").evaluate_all(
        "(rows) => rows.map((r) => Number(r.dataset.class))"
    )


def _pixel_of_zero(page: Any) -> float:
    return float(page.locator(".dcm-zero").get_attribute("x1"))


def test_each_class_has_its_interval_on_its_side_of_zero(stage: Any, page: Any) -> None:
    chart = _chart()
    _show(stage, chart)
    zero = _pixel_of_zero(page)
    for record in chart.records():
        row = page.locator(f'.dcm-row[data-class="{record["class"]}"]')
        assert row.get_attribute("data-standing") == record["standing"]
        if record["is_label"]:
            assert "label" in row.locator("text").all_text_contents()
            assert row.locator(".dcm-series-line").count() == 0
            continue
        lines = row.locator(".dcm-series-line").evaluate_all(
            "(all) => all.map((l) => [l.x1.baseVal.value, l.x2.baseVal.value])"
        )
        for method, (left, right) in zip(chart.methods, lines, strict=True):
            ends = record[f"lower_{method}"], record[f"upper_{method}"]
            assert left <= right
            # A wide interval may be cut by the axis, but never moves to the other side.
            assert (left < zero) == (ends[0] < 0)
            assert (right < zero) == (ends[1] < 0)
        shown = row.get_attribute("aria-label")
        assert f"{record['upper_crown']:.4g}".replace("-", _MINUS) in shown


def test_methods_differ_by_colour_dash_and_marker(stage: Any, page: Any) -> None:
    _show(stage, _chart())
    looks = page.locator('.dcm-row[data-class="0"] .dcm-series-line').evaluate_all(
        """(lines) => lines.map((line) => [
            getComputedStyle(line).stroke,
            line.getAttribute("stroke-dasharray"),
            line.parentElement.querySelector("path").getAttribute("d"),
        ])"""
    )
    assert len(looks) == 2
    assert all(one != other for one, other in zip(*looks, strict=True)), looks
    assert page.locator(".dcm-legend").inner_text().split()[:2] == ["ibp", "crown"]


def test_the_keyboard_reaches_every_value(stage: Any, page: Any) -> None:
    _show(stage, _chart())
    page.locator(".dcm-order").last.focus()
    page.keyboard.press("Tab")
    readout = page.locator(".dcm-readout")
    for k in range(10):
        focused = page.evaluate("() => document.activeElement.dataset.class")
        assert int(focused) == k
        row = page.locator(f'.dcm-row[data-class="{k}"]')
        assert readout.inner_text() == row.get_attribute("aria-label")
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Home")
    assert page.evaluate("() => document.activeElement.dataset.class") == "0"
    page.keyboard.press("Tab")
    assert page.locator(".dcm-row:focus").count() == 0, "the rows are one stop only"


def test_the_focus_stays_on_its_class(stage: Any, page: Any) -> None:
    chart = _chart()
    _show(stage, chart)
    row = page.locator('.dcm-row[data-class="4"]')
    row.focus()
    chart.order = "upper"
    stage.sync()
    order = _classes(page)
    assert order[0] == _LABEL
    assert order != sorted(order)
    assert page.evaluate("() => document.activeElement.dataset.class") == "4"
    page.keyboard.press("ArrowDown")
    focused = int(page.evaluate("() => document.activeElement.dataset.class"))
    assert focused == order[order.index(4) + 1]


def test_the_order_is_chosen_by_a_button(stage: Any, page: Any) -> None:
    chart = _chart()
    _show(stage, chart)
    page.get_by_role("button", name="by upper bound").click()
    stage.sync()
    assert chart.order == "upper"
    pressed = page.locator('.dcm-order[aria-pressed="true"]')
    assert pressed.inner_text() == "by upper bound"
    assert _classes(page)[1:] == [
        int(k) for k in np.argsort(-chart.upper.min(axis=0)) if k != _LABEL
    ]


def test_pointing_reads_the_values(stage: Any, page: Any) -> None:
    _show(stage, _chart())
    row = page.locator('.dcm-row[data-class="3"]')
    row.hover()
    assert page.locator(".dcm-readout").inner_text() == row.get_attribute("aria-label")


def test_what_is_no_number_is_never_drawn_as_one(stage: Any, page: Any) -> None:
    lower, upper = _bounds()
    lower[:, 0], upper[:, 0] = np.nan, np.nan
    lower[0, 1], upper[0, 1] = -np.inf, np.inf
    lower[:, 2], upper[:, 2] = -np.inf, [np.inf, -1]
    _show(stage, MarginChart.of_bounds(lower, upper, ("ibp", "crown"), _LABEL))
    svg = page.locator(".dcm-margins .dcm-plot svg")
    assert "NaN" not in svg.inner_html()
    assert "Infinity" not in svg.inner_html()
    labels = [row.get_attribute("aria-label") for row in page.locator(".dcm-row").all()]
    assert "ibp not known; crown not known" in labels[0]
    assert "ibp unbounded" in labels[1]
    assert f"crown at most {_MINUS}1" in labels[2]
    assert page.locator('.dcm-row[data-class="0"] .dcm-series-line').count() == 0
    assert page.locator('.dcm-row[data-class="1"] .dcm-cut').count() == 2
    standings = page.locator(".dcm-row").evaluate_all("(r) => r.map((e) => e.dataset.standing)")
    assert (standings[0], standings[2]) == ("unbounded", "excluded")


def test_bounds_of_a_smaller_epsilon_prove_nothing(stage: Any, page: Any) -> None:
    chart = _chart()
    _show(stage, chart)
    assert page.locator(".dcm-sign").count() == 9
    chart.set_trait("epsilon", 0.05)
    stage.sync()
    assert page.locator(".dcm-sign").count() == 0
    assert "0.0300" in page.locator(".dcm-note").inner_text()
    assert page.locator(".dcm-margins.dcm-stale").count() == 1
    chart.set_trait("epsilon", 0.01)
    stage.sync()
    assert page.locator(".dcm-sign").count() == 9, "what holds for a ball holds inside of it"
    assert "0.0300" in page.locator(".dcm-note").inner_text()
    assert page.locator(".dcm-margins.dcm-stale").count() == 0


def test_many_classes_are_cut_until_asked_for(stage: Any, page: Any) -> None:
    names = [f"a long name of class {k}" for k in range(100)]
    bounds = _bounds(100, 40)
    _show(stage, MarginChart.of_bounds(*bounds, ("ibp", "crown"), 40, class_names=names))
    assert page.locator(".dcm-row").count() == 20
    assert _classes(page)[0] == 40
    page.get_by_role("button", name="Show all 100 classes").click()
    assert page.locator(".dcm-row").count() == 100
    page.get_by_role("button", name="Show the first").click()
    assert page.locator(".dcm-row").count() == 20
    assert no_wider_than_the_page(page)


def test_it_shows_errors_and_what_it_waits_for(
    stage: Any, page: Any, fake_certify: Callable[..., Any]
) -> None:
    def margins(*arguments: Any) -> Any:
        raise ValueError("no <b>bounds</b> here")

    x = np.random.default_rng(0).uniform(size=(60, 64)).astype("float32")
    model: Any = None
    grid = SampleGrid(model, x, np.arange(60) % 10, executor="sync", _certify=fake_certify)
    chart = MarginChart(grid, executor="sync", _margins=margins)
    _show(stage, chart)
    assert "Select a sample" in page.locator(".dcm-margins .dcm-empty").inner_text()
    grid.selected = 1
    stage.sync()
    assert "no <b>bounds</b> here" in page.get_by_role("alert").inner_text()
    assert page.locator(".dcm-margins .dcm-empty").inner_text() == "No bounds."
    chart.set_trait("busy", True)
    chart.set_trait("error", "")
    stage.sync()
    assert "Computing" in page.locator(".dcm-margins .dcm-empty").inner_text()


def test_a_lost_kernel_is_said_and_the_last_bounds_stay(stage: Any, page: Any) -> None:
    chart = _chart()
    chart.set_trait("busy", True)
    _show(stage, chart)
    # What the widget manager of Jupyter does with the element around a view.
    page.evaluate("() => document.body.classList.add('jupyter-widgets-disconnected')")
    _show(stage, chart)
    before, after = page.locator(".dcm-margins").all()
    assert before.locator(".dcm-working").inner_text() == "computing…"
    assert after.locator(".dcm-working").inner_text() == ""
    assert "Disconnected" in after.locator(".dcm-note").inner_text()
    assert after.locator(".dcm-row").count() == 10


def test_two_views_and_none(stage: Any, page: Any) -> None:
    chart = _chart()
    _show(stage, chart)
    _show(stage, chart)
    chart.order = "upper"
    stage.sync()
    assert page.locator(".dcm-row").count() == 20
    assert page.evaluate("() => shim.closeAll()") == [0]


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [320, 900, 1600])
def test_it_is_readable(stage: Any, page: Any, shots: Path | None, dark: bool, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 700})
    stage.theme(dark=dark)
    _show(stage, _chart())
    page.locator('.dcm-row[data-class="2"]').focus()
    assert no_wider_than_the_page(page)
    assert too_faint(page, ".dcm-heading, .dcm-chip, .dcm-order, .dcm-readout, .dcm-key") == []
    assert too_faint(page, ".dcm-margins .dcm-svg text", "fill") == []
    assert too_faint(page, ".dcm-margins .dcm-series-line", "stroke", 3) == []
    assert too_small(page, ".dcm-row, .dcm-order") == []
    if shots:
        page.screenshot(path=shots / f"margins-{width}-{'dark' if dark else 'light'}.png")
