"""The band in a Chromium page, with the state of the real Python widget behind it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import pytest

from decomon_widgets.bound_band import BoundBand
from tests.browser.looks import no_wider_than_the_page, too_faint, too_small

pytestmark = pytest.mark.browser


@pytest.fixture
def band() -> Iterator[BoundBand]:
    def wave(x: Any) -> Any:
        return keras.ops.sin(3 * x) + 0.2 * x * x

    widget = BoundBand(wave, (-1, 1), 6, x_range=(-2, 2), executor="sync")
    yield widget
    widget.close()


def _handle(page: Any, name: str) -> Any:
    return page.get_by_role("slider", name=name)


def _centre(handle: Any) -> tuple[float, float]:
    box = handle.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_the_ends_are_dragged_apart_and_the_interval_as_a_whole(
    stage: Any, page: Any, band: BoundBand
) -> None:
    stage.show(band)
    upper, lower = _handle(page, "Upper end"), _handle(page, "Lower end")
    each = (_centre(upper)[0] - _centre(lower)[0]) / 2  # pixels of one unit
    for handle, distance, wanted in (
        (upper, 0.5 * each, (-1, 1.5)),
        (lower, 0.75 * each, (-0.25, 1.5)),
        (_handle(page, "moved as a whole"), -each, (-1.25, 0.5)),
    ):
        x, y = _centre(handle)
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + distance, y, steps=3)
        page.mouse.up()
        stage.sync()
        assert band.interval == pytest.approx(wanted, abs=0.02)
        assert [band._edges[0], band._edges[-1]] == pytest.approx(list(band.interval))
    assert upper.get_attribute("aria-valuenow") == str(band.interval[1])


def test_a_finger_drags_an_end(stage: Any, page: Any, band: BoundBand) -> None:
    stage.show(band)
    x, y = _centre(_handle(page, "Upper end"))
    page.evaluate(
        """([x, y]) => {
            const handle = document.querySelector(".dcm-handle-high");
            handle.setPointerCapture = () => {};
            const fire = (type, dx) => handle.dispatchEvent(new PointerEvent(type, {
                pointerId: 7, pointerType: "touch", button: 0, bubbles: true,
                clientX: x + dx, clientY: y }));
            fire("pointerdown", 0);
            fire("pointermove", 40);
            fire("pointerup", 40);
            fire("pointermove", 300);
        }""",
        [x, y],
    )
    stage.sync()
    assert 1 < band.interval[1] < 1.5


def test_keys_move_what_is_focused_and_stay_in_the_range(
    stage: Any, page: Any, band: BoundBand
) -> None:
    stage.show(band)
    for name, key, wanted in (
        ("Upper end", "ArrowRight", (-1, 1.01)),
        ("Upper end", "End", (-1, 2)),
        ("Lower end", "PageUp", (-0.8, 2)),
        ("moved as a whole", "Home", (-2, 0.8)),
        ("Upper end", "Home", (-2, -1.99)),
        ("Lower end", "End", (-2, -1.99)),
    ):
        _handle(page, name).focus()
        page.keyboard.press(key)
        stage.sync()
        assert band.interval == pytest.approx(wanted), (name, key)


def test_controls_reach_the_kernel(stage: Any, page: Any, band: BoundBand) -> None:
    stage.show(band)
    page.get_by_role("slider", name="pieces").focus()
    page.keyboard.press("ArrowRight")
    stage.sync()
    assert (band.n_pieces, len(band._lower)) == (7, 7)
    page.get_by_label("pieces, typed").fill("200")
    page.keyboard.press("Tab")
    stage.sync()
    assert (band.n_pieces, len(band._lower)) == (200, 200)
    page.get_by_label("steps").check()
    stage.sync()
    assert band.form == "step"
    page.get_by_label("method").select_option("forward-ibp")
    page.get_by_label("lines").check()
    stage.sync()
    assert (band.method, band.form) == ("forward-ibp", "affine")
    assert "computes no lines" in page.locator(".dcm-note").inner_text()


def test_typed_ends(stage: Any, page: Any, band: BoundBand) -> None:
    stage.show(band)
    field, alert = page.get_by_label("lower end, typed"), page.get_by_role("alert").first
    for typed, complaint in (("3", "between"), ("x", "Type a number"), ("1.5", "below")):
        field.fill(typed)
        field.press("Enter")
        assert complaint in alert.inner_text()
        assert typed in alert.inner_text()
        stage.sync()
        assert band.interval == (-1, 1)
        assert field.get_attribute("aria-invalid") == "true"
    field.press("Escape")
    assert (field.input_value(), alert.inner_text()) == ("\N{MINUS SIGN}1", "")
    field.fill("1/4")
    field.press("Enter")
    stage.sync()
    assert band.interval == (0.25, 1)
    field.press("Enter")  # what was not edited is not rounded
    stage.sync()
    assert band.interval == (0.25, 1)


def test_the_drawn_band_holds_the_drawn_function(stage: Any, page: Any, band: BoundBand) -> None:
    stage.show(band)
    for form in ("affine", "step"):
        band.form = form
        stage.sync()
        inside = page.evaluate(
            """() => {
                const points = (kind) => document.querySelector(`path.dcm-${kind}`)
                    .getAttribute("d").split(/(?=[ML])/)
                    .map((p) => p.slice(1).split(" ").map(Number));
                const [above, below] = [points("above"), points("below")];
                let checked = 0;
                for (const [x, y] of points("function")) {
                    for (let k = 0; k < above.length; k += 2) {
                        const [[x0, u0], [x1, u1]] = [above[k], above[k + 1]];
                        const [[, l0], [, l1]] = [below[k], below[k + 1]];
                        if (x < x0 || x > x1) continue;
                        const part = (x - x0) / (x1 - x0);
                        // Upside down: a pixel further down is a larger number.
                        if (y < u0 + part * (u1 - u0) - 0.02) return `above at ${x}`;
                        if (y > l0 + part * (l1 - l0) + 0.02) return `below at ${x}`;
                        checked += 1;
                    }
                }
                return checked;
            }"""
        )
        assert isinstance(inside, int), inside
        assert inside > 100


def test_an_error_takes_the_band_away_and_says_why(stage: Any, page: Any) -> None:
    band = BoundBand(lambda x: keras.ops.log(x), (0.5, 1), x_range=(-1, 2), executor="sync")
    stage.show(band)
    assert page.locator(".dcm-span path.dcm-above").get_attribute("d")
    _handle(page, "Lower end").focus()
    page.keyboard.press("Home")
    stage.sync()
    assert "log needs values above 0" in page.get_by_role("alert").last.inner_text()
    assert not page.locator(".dcm-span path.dcm-above").get_attribute("d")
    assert page.locator(".dcm-span path.dcm-function").get_attribute("d")
    page.keyboard.press("End")
    stage.sync()
    assert band.error == ""
    assert page.locator(".dcm-span path.dcm-above").get_attribute("d")
    band.close()


def test_a_saved_picture_says_that_it_needs_a_kernel(
    stage: Any, page: Any, band: BoundBand
) -> None:
    band._static = True
    stage.show(band)
    assert "saved picture" in page.locator(".dcm-note").inner_text()
    assert page.locator(".dcm-handle:visible").count() == 0
    assert page.get_by_label("method").is_disabled()
    before = page.locator(".dcm-span path.dcm-above").get_attribute("d")
    page.get_by_label("steps").check()  # known already
    page.wait_for_function(
        "(d) => document.querySelector('.dcm-span path.dcm-above').getAttribute('d') !== d",
        arg=before,
    )


def test_two_views_stay_in_step_and_leave_nothing(stage: Any, page: Any, band: BoundBand) -> None:
    stage.show(band)
    stage.show(band)
    _handle(page, "Upper end").first.focus()
    page.keyboard.press("End")
    stage.sync()
    values = page.locator(".dcm-handle-high").evaluate_all(
        "(all) => all.map((e) => e.ariaValueNow)"
    )
    assert values == ["2", "2"]
    assert page.evaluate("() => shim.closeAll()") == [0]


@pytest.mark.parametrize("width", [320, 900, 1600])
@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_and_can_be_read(
    stage: Any, page: Any, band: BoundBand, width: int, dark: bool, shots: Path | None
) -> None:
    page.set_viewport_size({"width": width, "height": 700})
    stage.theme(dark=dark)
    stage.show(band)
    assert no_wider_than_the_page(page)
    assert too_faint(page, ".dcm-result, .dcm-legend, .dcm-control, .dcm-entry") == []
    assert too_faint(page, ".dcm-svg text", "fill") == []
    assert too_faint(page, "path.dcm-above, path.dcm-below, .dcm-function", "stroke", 3) == []
    assert too_small(page, "input:not([type=radio]), select, label, .dcm-handle") == []
    if shots:
        name = f"band_{width}_{'dark' if dark else 'light'}.png"
        page.screenshot(path=shots / name, full_page=True)
