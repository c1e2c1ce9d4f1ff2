"""RobustnessCurve in a Chromium page, with the state of the real Python widget behind it."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from decomon_widgets.epsilon_slider import EpsilonSlider
from decomon_widgets.robustness_curve import RobustnessCurve
from decomon_widgets.sample_grid import SampleGrid
from tests.browser.looks import no_wider_than_the_page, too_faint

pytestmark = pytest.mark.browser

_CERTIFIED = [0.01, 0.02, 0.03, 0.03, -np.inf]
_FALSIFIED = [0.03, 0.04, np.inf, 0.06, 0.0]


def _curve(**arguments: Any) -> RobustnessCurve:
    radii = {"small": (_CERTIFIED, _FALSIFIED), "large": ([0.02] * 5, [0.05] * 5)}
    return RobustnessCurve.of_radii(radii, **{"epsilon": 0.02, "max": 0.08, **arguments})


def _show(stage: Any, widget: Any) -> None:
    """Display a widget, and let it paint again as soon as it knows its width."""
    stage.show(widget)
    stage.page.evaluate(
        "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
    )


def _values(page: Any) -> list[list[str]]:
    """Per curve: certified, attacked and undecided, as the table says."""
    rows = page.locator(".dcm-values tbody tr")
    counts = [row.locator(".dcm-count").all_inner_texts() for row in rows.all()]
    return [[count.strip() for count in row] for row in counts]


def _corners(page: Any, kind: str, k: int) -> list[tuple[float, float]]:
    path = page.locator(f".dcm-plot .dcm-series-{k} path.dcm-{kind}").get_attribute("d")
    points = (point.split() for point in path[1:].split("L"))
    return [(float(x), float(y)) for x, y in points]


def test_the_table_says_what_is_known_at_the_cursor(stage: Any, page: Any) -> None:
    curve = _curve()
    _show(stage, curve)
    assert _values(page) == [["3 of 5", "4 of 5", "1 of 5"], ["5 of 5", "5 of 5", "0 of 5"]]
    for epsilon, first in ((0.0201, "2 of 5"), (0.0, "4 of 5"), (0.01, "4 of 5"), (0.07, "0 of 5")):
        curve.epsilon = epsilon
        stage.sync()
        assert _values(page)[0][0] == first
        assert f"ε = {epsilon:.4f}" in page.locator(".dcm-values").inner_text()


def test_the_steps_are_where_the_radii_are(stage: Any, page: Any) -> None:
    _show(stage, _curve())
    low, high = _corners(page, "certified", 0), _corners(page, "attacked", 0)
    for corners, falls in ((low, [0.01, 0.02, 0.03]), (high, [0.03, 0.04, 0.06])):
        (left, top), (right, _) = corners[0], corners[-1]
        assert all(y2 >= y1 for (_, y1), (_, y2) in itertools.pairwise(corners))
        at = sorted({x for x, _ in corners[1:-1]})
        wanted = [left + (right - left) * radius / 0.08 for radius in falls]
        assert at == pytest.approx(wanted, abs=0.02)
        assert top == low[0][1]
    # The band is between the two, all along.
    band = page.locator(".dcm-band").first.get_attribute("d")
    assert len(band[1:-1].split("L")) == len(low) + len(high)


def test_the_cursor_is_a_slider_for_the_keyboard(stage: Any, page: Any) -> None:
    curve = _curve(step=0.001)
    _show(stage, curve)
    cursor = page.get_by_role("slider", name="epsilon")
    cursor.focus()
    moves = {"ArrowRight": 0.021, "ArrowDown": 0.02, "PageUp": 0.028, "End": 0.08, "Home": 0.0}
    for key, value in moves.items():
        page.keyboard.press(key)
        stage.sync()
        assert curve.epsilon == pytest.approx(value), key
        assert float(cursor.get_attribute("aria-valuenow")) == curve.epsilon
        assert cursor.evaluate("(e) => e === document.activeElement")
    assert cursor.get_attribute("aria-valuetext") == (
        "0.0000: small certified 80 %, attacked 80 %; large certified 100 %, attacked 100 %"
    )


def test_dragging_moves_epsilon_and_the_linked_slider(
    stage: Any, page: Any, fake_certify: Callable[..., Any]
) -> None:
    x = np.random.default_rng(0).uniform(size=(60, 64)).astype("float32")
    model: Any = None
    grid = SampleGrid(
        model, x, np.arange(60) % 10, executor="sync", _certify=fake_certify, epsilon=0.02, seed=0
    )
    curve, slider = RobustnessCurve(grid), EpsilonSlider(value=0.02)
    grid.observe(lambda change: setattr(slider, "value", change["new"]), "epsilon")
    _show(stage, slider)
    _show(stage, curve)
    grip = page.locator(".dcm-cursor-grip").bounding_box()
    svg = page.locator(".dcm-curve .dcm-svg").bounding_box()
    page.mouse.move(grip["x"] + grip["width"] / 2, grip["y"] + 4)
    page.mouse.down()
    page.mouse.move(svg["x"] + svg["width"] / 2, grip["y"] + 60, steps=8)
    stage.sync()
    assert 0.03 < curve.epsilon < 0.07
    assert grid.epsilon == slider.value == curve.epsilon
    assert float(page.locator(".dcm-range").get_attribute("aria-valuetext")[:6]) == pytest.approx(
        curve.epsilon, abs=1e-4
    )
    page.mouse.move(svg["x"] + svg["width"] + 80, grip["y"], steps=4)
    page.mouse.up()
    stage.sync()
    assert curve.epsilon == curve.max
    page.mouse.move(svg["x"] + 200, grip["y"] + 50)
    stage.sync()
    assert curve.epsilon == curve.max, "released"


def test_every_drag_position_is_a_multiple_of_the_step(stage: Any, page: Any) -> None:
    curve = _curve(step=0.01)
    _show(stage, curve)
    svg = page.locator(".dcm-curve .dcm-svg").bounding_box()
    for part in (0.2, 0.37, 0.55, 0.81):
        page.mouse.click(svg["x"] + part * svg["width"], svg["y"] + 90)
        stage.sync()
        assert curve.epsilon / 0.01 == pytest.approx(round(curve.epsilon / 0.01), abs=1e-9)


def test_a_touch_moves_the_cursor(stage: Any, page: Any) -> None:
    curve = _curve()
    _show(stage, curve)
    page.locator(".dcm-curve .dcm-svg").evaluate(
        """(svg) => {
            const { left, top, width } = svg.getBoundingClientRect();
            const at = (x) => ({ pointerId: 1, pointerType: "touch", isPrimary: true, bubbles: true,
                clientX: left + x * width, clientY: top + 80, button: 0, cancelable: true });
            svg.setPointerCapture = () => {};
            svg.dispatchEvent(new PointerEvent("pointerdown", at(0.3)));
            svg.dispatchEvent(new PointerEvent("pointermove", at(0.7)));
            svg.dispatchEvent(new PointerEvent("pointercancel", at(0.7)));
            svg.dispatchEvent(new PointerEvent("pointermove", at(0.2)));
        }"""
    )
    stage.sync()
    assert 0.04 < curve.epsilon < 0.07


def test_an_epsilon_beyond_the_end_is_shown(stage: Any, page: Any) -> None:
    curve = _curve()
    _show(stage, curve)
    curve.epsilon = 0.2
    stage.sync()
    cursor = page.get_by_role("slider")
    assert float(cursor.get_attribute("aria-valuemax")) == 0.2
    box = page.locator(".dcm-cursor-line").bounding_box()
    svg = page.locator(".dcm-curve .dcm-svg").bounding_box()
    assert svg["x"] < box["x"] < svg["x"] + svg["width"]
    curve.epsilon = 0.01
    stage.sync()
    assert float(cursor.get_attribute("aria-valuemax")) == 0.08


def test_models_differ_by_colour_and_dash(stage: Any, page: Any) -> None:
    _show(stage, _curve())
    looks = page.locator(".dcm-plot .dcm-certified").evaluate_all(
        "(all) => all.map((p) => [getComputedStyle(p).stroke, p.getAttribute('stroke-dasharray')])"
    )
    assert len(looks) == 2
    assert all(one != other for one, other in zip(*looks, strict=True)), looks
    widths = page.locator(".dcm-plot .dcm-series-0 path.dcm-series-line").evaluate_all(
        "(all) => all.map((p) => getComputedStyle(p).strokeWidth)"
    )
    assert len(set(widths)) == 2, "certified and attacked differ"


def test_nothing_to_draw_and_two_views(stage: Any, page: Any) -> None:
    curve = RobustnessCurve.of_radii({"none": ([], [])})
    _show(stage, curve)
    assert page.locator(".dcm-curve .dcm-empty").inner_text() == "No samples yet."
    assert not page.locator(".dcm-values").is_visible()
    other = _curve()
    _show(stage, other)
    _show(stage, other)
    other.epsilon = 0.05
    stage.sync()
    assert len(set(page.locator(".dcm-curve .dcm-at").all_inner_texts()[1:])) == 1
    assert page.evaluate("() => shim.closeAll()") == [0, 0]


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [320, 900, 1600])
def test_it_is_readable(stage: Any, page: Any, shots: Path | None, dark: bool, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 700})
    stage.theme(dark=dark)
    _show(stage, _curve())
    page.get_by_role("slider").focus()
    assert no_wider_than_the_page(page)
    assert too_faint(page, ".dcm-values th, .dcm-values td, .dcm-count") == []
    assert too_faint(page, ".dcm-curve .dcm-svg text", "fill") == []
    assert too_faint(page, ".dcm-plot .dcm-series-line", "stroke", 3) == []
    if shots:
        page.screenshot(path=shots / f"curve-{width}-{'dark' if dark else 'light'}.png")
