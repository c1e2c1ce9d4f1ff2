"""An activation and its lines in a Chromium page, with the real Python widget behind it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from decomon_widgets._figures_curves import line_text
from decomon_widgets.relaxation_plot import RelaxationPlot
from tests.browser.looks import no_wider_than_the_page, too_faint, too_small

pytestmark = pytest.mark.browser


@pytest.fixture
def plot() -> Iterator[RelaxationPlot]:
    widget = RelaxationPlot("relu", (-1, 2), executor="sync")
    yield widget
    widget.close()


def _values(page: Any) -> list[str]:
    return page.locator(".dcm-lines dd").all_inner_texts()


def test_it_writes_the_lines_that_it_draws(stage: Any, page: Any, plot: RelaxationPlot) -> None:
    stage.show(plot)
    assert _values(page)[0] == line_text(*plot.upper_line) == "0.6667 z + 0.6667"
    assert _values(page)[2] == line_text(*plot.lower_line) == "z"
    assert _values(page)[3] == "1.5"  # of the triangle with the corners -1, 0 and 2, and of (2, 2)


def test_both_ends_are_dragged(stage: Any, page: Any, plot: RelaxationPlot) -> None:
    stage.show(plot)
    boxes = [page.locator(f".dcm-handle-{end}").bounding_box() for end in ("low", "high")]
    each = (boxes[1]["x"] - boxes[0]["x"]) / 3
    for box, distance, wanted in ((boxes[0], -1, (-2, 2)), (boxes[1], 1, (-2, 3))):
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + distance * each, y, steps=3)
        page.mouse.up()
        stage.sync()
        assert plot.interval == pytest.approx(wanted, abs=0.05)
        assert _values(page)[0] == line_text(*plot.upper_line)


def test_activation_and_slope_are_chosen(stage: Any, page: Any, plot: RelaxationPlot) -> None:
    stage.show(plot)
    slope = page.get_by_label("lower slope")
    slope.select_option("zero-lb")
    stage.sync()
    assert plot.slope == "zero-lb"
    assert _values(page)[2] == "0"
    page.get_by_label("activation").select_option("tanh")
    stage.sync()
    assert plot.activation == "tanh"
    assert slope.is_disabled()
    assert _values(page)[0] == line_text(*plot.upper_line)
    assert "tanh" in page.locator(".dcm-lines").inner_text()


def test_a_saved_picture_says_that_it_needs_a_kernel(
    stage: Any, page: Any, plot: RelaxationPlot
) -> None:
    plot._static = True
    stage.show(plot)
    assert "saved picture" in page.locator(".dcm-note").inner_text()
    assert page.locator(".dcm-handle:visible").count() == 0
    assert page.get_by_label("activation").is_disabled()


@pytest.mark.parametrize("width", [320, 900, 1600])
@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_and_can_be_read(
    stage: Any, page: Any, plot: RelaxationPlot, width: int, dark: bool, shots: Path | None
) -> None:
    page.set_viewport_size({"width": width, "height": 700})
    stage.theme(dark=dark)
    plot.activation = "gelu" if dark else "relu"
    stage.show(plot)
    assert no_wider_than_the_page(page)
    assert too_faint(page, ".dcm-lines, .dcm-control, .dcm-entry") == []
    assert too_faint(page, ".dcm-svg text", "fill") == []
    assert too_small(page, "input, select, .dcm-handle") == []
    if shots:
        name = f"relaxation_{width}_{'dark' if dark else 'light'}.png"
        page.screenshot(path=shots / name, full_page=True)
    page.evaluate("() => shim.closeAll()")
