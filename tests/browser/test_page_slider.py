"""The slider in a Chromium page, with the state of the real Python widget behind it."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from decomon_widgets import EpsilonSlider
from tests.browser.looks import no_wider_than_the_page, too_faint, too_small

pytestmark = pytest.mark.browser


def test_typed_numbers_and_fractions(stage: Any, page: Any) -> None:
    slider = EpsilonSlider()
    stage.show(slider)
    numbers = {"0.03": 0.03, "8/255": 8 / 255, " .05 ": 0.05, "2e-2": 0.02, "25/255": 25 / 255}
    for typed, value in numbers.items():
        page.get_by_label("epsilon, typed").fill(typed)
        page.keyboard.press("Enter")
        stage.sync()
        assert slider.value == slider.preview == value
        assert page.locator(".dcm-entry").input_value() == f"{value:.4f}"
        assert float(page.locator(".dcm-range").input_value()) == pytest.approx(value, abs=1e-9)


def test_typed_levels(stage: Any, page: Any) -> None:
    slider = EpsilonSlider(unit="255")
    stage.show(slider)
    entry = page.get_by_label("epsilon, typed in units of 1/255")
    for typed, level in {"8": 8, "7.5": 7.5, "1/2": 0.5, "8/255": 8, "25": 25}.items():
        entry.fill(typed)
        entry.press("Enter")
        stage.sync()
        assert slider.value == level / 255
        assert float(entry.input_value()) == pytest.approx(level, abs=0.005)


@pytest.mark.parametrize("unit", ["value", "255"])
def test_unusable_entries_are_answered_and_change_nothing(stage: Any, page: Any, unit: Any) -> None:
    slider = EpsilonSlider(value=0.02, unit=unit)
    stage.show(slider)
    entry, alert = page.locator(".dcm-entry"), page.get_by_role("alert")
    before = entry.input_value()
    for typed in ("50.5", "-0.1", "abc", "1/0", "0,03", "", "1e400", "NaN"):
        assert alert.inner_text() == ""
        entry.fill(typed)
        entry.press("Enter")
        assert alert.is_visible()
        assert typed in alert.inner_text()
        assert entry.get_attribute("aria-invalid") == "true"
        stage.sync()
        assert slider.value == 0.02
        entry.press("Escape")
        assert entry.input_value() == before
        assert entry.get_attribute("aria-invalid") is None


def test_an_untouched_readout_does_not_round_the_value(stage: Any, page: Any) -> None:
    slider = EpsilonSlider(value=1 / 30)
    stage.show(slider)
    for _ in range(2):
        page.locator(".dcm-entry").focus()
        page.keyboard.press("Enter")
        page.locator(".dcm-range").focus()
        page.locator(".dcm-unit").click()
        stage.sync()
        assert slider.value == 1 / 30


def test_the_unit_is_switched_by_a_button_and_never_changes_the_value(
    stage: Any, page: Any
) -> None:
    slider = EpsilonSlider(value=8 / 255)
    for _ in range(2):
        stage.show(slider)
    toggle = page.get_by_role("button", name="in units of 1/255")
    toggle.first.click()
    stage.sync()
    assert (slider.unit, slider.value) == ("255", 8 / 255)
    assert [e.input_value() for e in page.locator(".dcm-entry").all()] == ["8.00", "8.00"]
    assert [e.get_attribute("aria-pressed") for e in toggle.all()] == ["true", "true"]
    handle = page.get_by_role("slider", name="epsilon").first
    assert handle.get_attribute("aria-valuetext") == "8.00/255"
    toggle.nth(1).press("Enter")
    stage.sync()
    assert (slider.unit, slider.value) == ("value", 8 / 255)
    assert page.locator(".dcm-entry").first.input_value() == "0.0314"


def test_the_keyboard_moves_the_slider(stage: Any, page: Any) -> None:
    slider = EpsilonSlider(value=0.03)
    stage.show(slider)
    handle = page.get_by_role("slider", name="epsilon")
    handle.focus()
    steps = {
        "ArrowRight": 0.0301,
        "ArrowUp": 0.0302,
        "ArrowLeft": 0.0301,
        "End": 25 / 255,
        "Home": 0.0,
    }
    for key, value in steps.items():
        page.keyboard.press(key)
        stage.sync()
        assert slider.value == slider.preview == value, key
        assert handle.get_attribute("aria-valuetext") == f"{value:.4f}"
    page.keyboard.press("PageUp")
    stage.sync()
    assert slider.value == pytest.approx(slider.max / 10, abs=slider.step)


def test_the_keyboard_moves_by_levels(stage: Any, page: Any) -> None:
    slider = EpsilonSlider(value=2 / 255, max=32 / 255, step=1 / 255, unit="255")
    stage.show(slider)
    page.get_by_role("slider").focus()
    for key, level in {"ArrowRight": 3, "ArrowLeft": 2, "End": 32, "ArrowDown": 31}.items():
        page.keyboard.press(key)
        stage.sync()
        assert slider.value == level / 255, key


def test_a_logarithmic_scale_has_zero_at_its_left_end(stage: Any, page: Any) -> None:
    slider = EpsilonSlider(value=0.001, max=0.1, log=True)
    stage.show(slider)
    handle = page.get_by_role("slider")
    handle.focus()
    page.keyboard.press("ArrowRight")
    stage.sync()
    assert 0.0010 < slider.value < 0.0013
    page.keyboard.press("Home")
    stage.sync()
    assert (slider.value, float(handle.input_value())) == (0.0, 0.0)
    page.keyboard.press("ArrowRight")
    stage.sync()
    assert slider.value == slider.step, "the smallest position above zero"
    places = []
    for value in (1e-4, 1e-3, 1e-2, 1e-1):
        slider.value = value
        stage.sync()
        places.append(float(handle.input_value()))
    assert np.diff(places) == pytest.approx([np.diff(places)[0]] * 3), "a decade is a decade"
    box = handle.bounding_box()
    page.mouse.click(box["x"] + 1, box["y"] + box["height"] / 2)
    stage.sync()
    assert slider.value == 0
    page.mouse.click(box["x"] + box["width"] - 1, box["y"] + box["height"] / 2)
    stage.sync()
    assert slider.value == slider.max


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("continuous", [True, False])
def test_dragging(stage: Any, page: Any, continuous: bool, log: bool) -> None:
    slider = EpsilonSlider(continuous_update=continuous, log=log)
    stage.show(slider)
    box = page.locator(".dcm-range").bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 8, middle)
    page.mouse.down()
    seen = []
    for part in (0.3, 0.4, 0.5):
        page.mouse.move(box["x"] + part * box["width"], middle, steps=3)
        stage.sync()
        seen.append(slider.preview)
        assert page.locator(".dcm-entry").input_value() == f"{slider.preview:.4f}"
        assert slider.value == (slider.preview if continuous else 0)
        assert (page.locator(".dcm-previewing").count() == 0) is continuous
    assert 0 < seen[0] < seen[1] < seen[2]
    page.mouse.up()
    stage.sync()
    assert slider.value == slider.preview == seen[2]
    assert page.locator(".dcm-previewing").count() == 0
    if not log:
        assert slider.value == pytest.approx(slider.max / 2, abs=2e-3)
        steps = slider.value / slider.step
        assert steps == pytest.approx(round(steps), abs=1e-6)
    page.mouse.move(box["x"] + box["width"] / 2, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] + 50, middle, steps=4)
    page.mouse.up()
    stage.sync()
    assert slider.value == slider.max, "the end is reachable although it is not a multiple"


def test_a_drag_back_to_its_start_is_over_when_released(stage: Any, page: Any) -> None:
    slider = EpsilonSlider(value=25 / 510, continuous_update=False)
    for _ in range(2):
        stage.show(slider)
    box = page.locator(".dcm-range").first.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 60, y, steps=3)
    stage.sync()
    assert slider.preview > slider.value
    readouts = {e.input_value() for e in page.locator(".dcm-entry").all()}
    assert readouts == {f"{slider.preview:.4f}"}, "both views show the preview"
    page.mouse.move(x, y, steps=3)
    page.mouse.up()
    stage.sync()
    assert slider.preview == slider.value
    assert page.locator(".dcm-previewing").count() == 0


def test_an_echo_of_the_kernel_does_not_tear_the_handle_away(stage: Any, page: Any) -> None:
    slider = EpsilonSlider()
    number = stage.show(slider)
    box = page.locator(".dcm-range").bounding_box()
    page.mouse.move(box["x"] + 8, box["y"] + 12)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 12, steps=3)
    held = page.locator(".dcm-range").input_value()
    page.evaluate("(n) => shim.update(n, { value: 0.001 })", number)
    assert page.locator(".dcm-range").input_value() == held
    page.mouse.up()
    stage.sync()
    assert slider.value == pytest.approx(slider.max / 2, abs=2e-3)


def test_marks_stand_where_the_handle_is_at_their_value(stage: Any, page: Any) -> None:
    for log in (False, True):
        slider = EpsilonSlider(max=0.1, log=log, description="log" if log else "linear")
        stage.show(slider)
        slider.marks_certified = [0.02, np.nan, -np.inf, 0.5]
        slider.marks_falsified = [0.07, np.inf]
    stage.sync()
    for view in page.locator(".dcm-slider").all():
        handle = view.locator(".dcm-range")
        box = handle.bounding_box()
        for kind, value in (("robust", 0.02), ("non_robust", 0.07)):
            mark = view.locator(f".dcm-marks .dcm-{kind}")
            assert mark.get_attribute("d").count("M") == 1, "what has no place has no mark"
            # The mark has no width: its middle is its left end.
            at = mark.evaluate("(e) => e.getBoundingClientRect().left")
            page.mouse.click(at, box["y"] + box["height"] / 2)
            text = handle.get_attribute("aria-valuetext")
            assert float(text) == pytest.approx(value, rel=0.02)
    described = page.locator(".dcm-range").first.get_attribute("aria-describedby")
    legend = page.locator(f"#{described}").inner_text()
    assert re.search(r"certified up to here: 1 of 4\s+falsified from here: 1 of 2", legend)


def test_a_thousand_marks_are_two_paths(stage: Any, page: Any) -> None:
    rng = np.random.default_rng(0)
    slider = EpsilonSlider(max=0.1, marks_certified=rng.uniform(0, 0.1, 1000))
    stage.show(slider)
    marks = page.locator(".dcm-marks .dcm-mark")
    assert marks.count() == 2
    assert 500 < marks.first.get_attribute("d").count("M") <= 1000


def test_the_slider_follows_python(stage: Any, page: Any) -> None:
    slider = EpsilonSlider(description="ε <b>")
    stage.show(slider)
    slider.value = 0.0123
    slider.readout_format = ".1%"
    slider.disabled = True
    stage.sync()
    assert page.locator(".dcm-entry").input_value() == "1.2%"
    assert page.locator(".dcm-entry").is_disabled()
    assert page.locator(".dcm-range").is_disabled()
    assert page.locator(".dcm-label").inner_text() == "ε <b>"
    slider.description = ""
    stage.sync()
    assert not page.locator(".dcm-label").is_visible()


def test_a_value_set_in_the_page_moves_the_handle(stage: Any, page: Any) -> None:
    """As a linked cursor of another widget does, with no kernel that would move the preview."""
    number = stage.show(EpsilonSlider())
    page.evaluate("(n) => shim.models[n].set('value', 0.04)", number)
    assert page.locator(".dcm-entry").input_value() == "0.0400"
    assert float(page.locator(".dcm-range").input_value()) == pytest.approx(0.04)
    assert page.evaluate("(n) => shim.models[n].get('preview')", number) == 0.04


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [320, 1600])
def test_every_width_in_light_and_dark(
    stage: Any, page: Any, width: int, dark: bool, shots: Path | None
) -> None:
    page.set_viewport_size({"width": width, "height": 500})
    stage.theme(dark=dark)
    radii = np.linspace(0.005, 0.06, 12)
    marks: dict[str, Any] = {"marks_certified": radii, "marks_falsified": 1.5 * radii}
    stage.show(EpsilonSlider(value=0.03))
    stage.show(EpsilonSlider(value=8 / 255, unit="255", **marks))
    stage.show(EpsilonSlider(value=0.01, log=True, description="", **marks))
    stage.show(EpsilonSlider(value=0.01, disabled=True, description="a rather long description"))
    page.locator(".dcm-entry").first.fill("far too large")
    page.keyboard.press("Enter")
    assert no_wider_than_the_page(page)
    assert too_small(page, ".dcm-slider input, .dcm-slider button") == []
    texts = ".dcm-label, .dcm-entry:not(:disabled), .dcm-legend:not([hidden]), .dcm-entry-error"
    assert too_faint(page, texts) == []
    assert too_faint(page, ".dcm-marks .dcm-mark", "stroke", 3) == []
    cut = page.locator(".dcm-entry").evaluate_all(
        "(all) => all.filter((e) => e.scrollWidth > e.clientWidth + 1).map((e) => e.value)"
    )
    assert cut == ["far too large"]
    if shots:
        page.screenshot(path=shots / f"slider_{width}_{'dark' if dark else 'light'}.png")


def test_a_narrow_box_on_a_wide_page_is_narrow(stage: Any, page: Any) -> None:
    page.evaluate(
        "() => { document.body.innerHTML = '<div id=box style=\"width: 280px\"></div>'; }"
    )
    stage.show(EpsilonSlider(value=0.01), parent="#box")
    assert page.locator(".dcm-range").bounding_box()["width"] > 200
    assert page.locator(".dcm-slider").bounding_box()["width"] <= 280


def test_closed_views_leave_nothing_behind(stage: Any, page: Any) -> None:
    slider = EpsilonSlider()
    for _ in range(2):
        stage.show(slider)
    ids = page.evaluate("() => [...document.querySelectorAll('[id]')].map((e) => e.id)")
    assert len(ids) == len(set(ids))
    assert page.evaluate("() => shim.closeAll()") == [0]
    assert page.locator(".dcm-root").count() == 0
