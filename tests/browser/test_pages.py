"""Each widget in a Chromium page, with the state of the real Python widget behind it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from decomon_widgets import BoundHistogram, EpsilonSlider, SampleGrid

pytestmark = pytest.mark.browser


# What stands out too little from the background, as [selector, contrast, least contrast].
_TOO_FAINT = """() => {
    const canvas = document.createElement("canvas");
    const paint = canvas.getContext("2d", { willReadFrequently: true });
    const linear = (v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    const luminance = (colour) => {
        paint.fillStyle = colour;
        paint.fillRect(0, 0, 1, 1);
        const [r, g, b] = [...paint.getImageData(0, 0, 1, 1).data].map((v) => linear(v / 255));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ground = luminance(getComputedStyle(document.body).backgroundColor);
    const contrast = (colour) => {
        const both = [luminance(colour), ground];
        return (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
    };
    const wanted = [
        [".dcm-title, .dcm-caption, .dcm-chip, .dcm-label, .dcm-status", "color", 4.5],
        [".dcm-legend, .dcm-entry", "color", 4.5],
        [".dcm-histogram text", "fill", 4.5],
        [".dcm-tile .dcm-frame", "borderTopColor", 3],
    ];
    return wanted.flatMap(([selector, property, least]) =>
        [...document.querySelectorAll(selector)]
            .map((e) => [selector, contrast(getComputedStyle(e)[property]), least])
            .filter(([, found]) => found < least));
}"""


@pytest.fixture
def make_grid(fake_certify: Callable[..., Any]) -> Callable[..., SampleGrid]:
    rng = np.random.default_rng(0)

    def make_grid(**arguments: Any) -> SampleGrid:
        x = rng.uniform(size=(60, 64)).astype("float32")
        defaults = {"epsilon": 0.03, "executor": "sync", "_certify": fake_certify}
        grid = SampleGrid(
            None,  # pyright: ignore[reportArgumentType]
            *(x, np.arange(60) % 10),
            **{**defaults, **arguments},
        )
        grid.indices = range(10)
        return grid

    return make_grid


def _shown(page: Any) -> list[str]:
    return page.locator(".dcm-tile").evaluate_all("(tiles) => tiles.map((t) => t.dataset.verdict)")


def _no_wider_than_the_page(page: Any) -> bool:
    return page.evaluate(
        "() => document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    )


# EpsilonSlider


@pytest.mark.parametrize(
    ("typed", "value"),
    [("0.03", 0.03), ("8/255", 8 / 255), (" .05 ", 0.05), ("2e-2", 0.02), ("25/255", 25 / 255)],
)
def test_typed_numbers_and_fractions(stage: Any, page: Any, typed: str, value: float) -> None:
    slider = EpsilonSlider()
    stage.show(slider)
    page.get_by_label("epsilon, typed").fill(typed)
    page.keyboard.press("Enter")
    stage.sync()
    assert slider.value == value
    assert page.locator(".dcm-entry").input_value() == f"{value:.4f}"
    assert float(page.locator(".dcm-range").input_value()) == pytest.approx(value, abs=1e-9)


@pytest.mark.parametrize("typed", ["0.5", "-0.1", "abc", "1/0", "0,03", "", "1e400", "NaN"])
def test_unusable_entries_are_answered_and_change_nothing(
    stage: Any, page: Any, typed: str
) -> None:
    slider = EpsilonSlider(value=0.02)
    stage.show(slider)
    entry, alert = page.locator(".dcm-entry"), page.get_by_role("alert")
    assert alert.inner_text() == ""
    entry.fill(typed)
    entry.press("Enter")
    assert alert.is_visible()
    assert typed in alert.inner_text()
    assert entry.get_attribute("aria-invalid") == "true"
    stage.sync()
    assert slider.value == 0.02
    entry.press("Escape")
    assert entry.input_value() == "0.0200"
    assert alert.inner_text() == ""
    assert entry.get_attribute("aria-invalid") is None


def test_an_untouched_readout_does_not_round_the_value(stage: Any, page: Any) -> None:
    slider = EpsilonSlider(value=8 / 255)
    stage.show(slider)
    page.locator(".dcm-entry").focus()
    page.keyboard.press("Enter")
    page.locator(".dcm-range").focus()
    stage.sync()
    assert slider.value == 8 / 255


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
        assert slider.value == value, key
        assert handle.get_attribute("aria-valuetext") == f"{value:.4f}"
    page.keyboard.press("PageUp")
    stage.sync()
    assert slider.value == pytest.approx(slider.max / 10, abs=slider.step)


@pytest.mark.parametrize("continuous", [True, False])
def test_dragging(stage: Any, page: Any, continuous: bool) -> None:
    slider = EpsilonSlider(continuous_update=continuous)
    stage.show(slider)
    box = page.locator(".dcm-range").bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 8, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, middle, steps=4)
    assert page.locator(".dcm-entry").input_value() != "0.0000", "the readout follows the handle"
    stage.sync()
    assert (slider.value > 0) is continuous
    page.mouse.up()
    stage.sync()
    assert slider.value == pytest.approx(slider.max / 2, abs=2e-3)
    assert slider.value / slider.step == pytest.approx(round(slider.value / slider.step), abs=1e-6)
    page.mouse.move(box["x"] + box["width"] / 2, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] + 50, middle, steps=4)
    page.mouse.up()
    stage.sync()
    assert slider.value == slider.max, "the end is reachable although it is not a multiple"


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


# SampleGrid


def test_frames_titles_and_images(stage: Any, page: Any, make_grid: Any) -> None:
    grid = make_grid()
    stage.show(grid)
    tiles = page.get_by_role("option")
    assert tiles.count() == 10
    assert _shown(page) == list(grid.verdicts)
    styles = {
        "robust": ("solid", "ROBUST"),
        "non_robust": ("double", "NON ROBUST"),
        "unknown": ("dashed", "MAYBE ROBUST"),
        "misclassified": ("dotted", "MISCLASSIFIED"),
    }
    assert set(grid.verdicts) == set(styles)
    colours = {}
    for k, verdict in enumerate(grid.verdicts):
        frame, title = styles[verdict]
        look = (
            tiles.nth(k)
            .locator(".dcm-frame")
            .evaluate(
                "(e) => [getComputedStyle(e).borderTopStyle, getComputedStyle(e).borderTopColor]"
            )
        )
        assert look[0] == frame
        colours.setdefault(verdict, set()).add(look[1])
        assert tiles.nth(k).locator(".dcm-title").inner_text() == title
        assert tiles.nth(k).locator(".dcm-title svg").count() == 1
        assert tiles.nth(k).get_attribute("aria-label") == (
            f"{title}, label {grid.labels[k]}, predicted {grid.predictions[k]}"
        )
    assert len({frozenset(c) for c in colours.values()}) == len(styles)
    pixels = (
        tiles.nth(3)
        .locator("canvas")
        .evaluate("(c) => [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]")
    )
    expected = np.frombuffer(grid._images, np.uint8).reshape(10, 64)[3]
    np.testing.assert_array_equal(np.reshape(pixels, (64, 4))[:, 0], expected)


def test_colour_images(stage: Any, page: Any, fake_certify: Any) -> None:
    x = np.zeros((3, 2, 4, 3))
    x[:, :, :, 1] = 1
    model: Any = None
    grid = SampleGrid(model, x, [0, 1, 2], n_samples=3, executor="sync", _certify=fake_certify)
    stage.show(grid)
    pixels = page.locator("canvas").first.evaluate(
        "(c) => [c.width, c.height, ...c.getContext('2d').getImageData(0, 0, 1, 1).data]"
    )
    assert pixels == [4, 2, 0, 255, 0, 255]


def test_the_page_applies_the_rule_of_nested_domains_by_itself(
    stage: Any, page: Any, make_grid: Any
) -> None:
    grid = make_grid()
    number = stage.show(grid)
    for epsilon in (0.0, 0.029, 0.03, 0.031, 0.2):
        page.evaluate("([n, e]) => shim.models[n].set('epsilon', e)", [number, epsilon])
        expected = grid._knowledge.verdicts(epsilon)
        assert _shown(page) == list(expected), epsilon
        assert "robust" not in expected or epsilon <= 0.03


def test_moving_epsilon_repaints(stage: Any, page: Any, make_grid: Any, shots: Path | None) -> None:
    grid = make_grid(epsilon=0.0)
    stage.show(grid)
    assert set(_shown(page)) == {"robust", "misclassified"}
    grid.epsilon = 0.05
    stage.sync()
    assert _shown(page) == list(grid.verdicts)
    assert "non_robust" in grid.verdicts
    counts = page.locator(".dcm-chip").all_inner_texts()
    assert [int(text.split()[0]) for text in counts] == [
        grid.verdicts.count(name)
        for name in ("robust", "non_robust", "unknown", "misclassified")
        if name in grid.verdicts
    ]
    assert "0.0500" in page.get_by_role("status").inner_text()
    assert "1 misclassified" in page.get_by_role("status").inner_text()
    if shots:
        page.screenshot(path=shots / "grid.png")


def test_the_keyboard_selects(stage: Any, page: Any, make_grid: Any) -> None:
    grid = make_grid()
    stage.show(grid)
    page.get_by_role("button", name="Reset").focus()
    page.keyboard.press("Tab")
    moves = {"ArrowRight": 1, "ArrowDown": 6, "ArrowLeft": 5, "ArrowUp": 0, "End": 9, "Home": 0}
    for key, target in moves.items():
        page.keyboard.press(key)
        stage.sync()
        assert grid.selected == target, key
        option = page.locator('[role="option"][aria-selected="true"]')
        assert option.count() == 1
        assert option.evaluate("(e) => document.activeElement === e")
    assert page.locator('[role="option"][tabindex="0"]').count() == 1
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    stage.sync()
    assert grid.selected == -1


def test_clicking_selects_and_python_can_too(stage: Any, page: Any, make_grid: Any) -> None:
    grid = make_grid()
    stage.show(grid)
    page.get_by_role("option").nth(7).click()
    stage.sync()
    assert grid.selected == 7
    grid.selected = 2
    stage.sync()
    assert page.get_by_role("option").nth(2).get_attribute("aria-selected") == "true"


def test_bounds_are_told_on_hover_and_focus(stage: Any, page: Any, make_grid: Any) -> None:
    grid = make_grid()
    stage.show(grid)
    tip = page.get_by_role("tooltip")
    assert not tip.is_visible()
    unknown = grid.verdicts.index("unknown")
    page.get_by_role("option").nth(unknown).hover()
    text = tip.inner_text()
    assert f"{grid.upper[unknown]:.4g}" in text
    assert f"{grid.lower[unknown]:.4g}" in text
    assert "ε = 0.03" in text
    assert "the bound is loose" in text
    page.mouse.move(5, 690)
    assert not tip.is_visible()
    page.get_by_role("option").nth(0).focus()
    assert tip.is_visible()
    described = page.get_by_role("option").nth(0).get_attribute("aria-describedby")
    assert tip.get_attribute("id") == described
    page.keyboard.press("Escape")
    assert not tip.is_visible()


def test_reset_shows_other_samples(stage: Any, page: Any, make_grid: Any) -> None:
    grid = make_grid()
    stage.show(grid)
    before = set(grid.indices)
    page.get_by_role("button", name="Reset").click()
    stage.sync()
    assert not before & set(grid.indices)
    shown = page.locator(".dcm-tile").evaluate_all("(t) => t.map((e) => Number(e.dataset.index))")
    assert tuple(shown) == grid.indices


def test_errors_are_shown_as_text_with_the_traceback_behind_a_disclosure(
    stage: Any, page: Any, make_grid: Any, fake_certify: Any, shots: Path | None
) -> None:
    def certify(*arguments: Any, **options: Any) -> Any:
        if arguments[3] > 0.05:
            raise ValueError("<img src=x onerror=alert(1)>")
        return fake_certify(*arguments, **options)

    grid = make_grid(_certify=certify)
    stage.show(grid)
    grid.epsilon = 0.06
    stage.sync()
    alert = page.get_by_role("alert")
    assert "ValueError: <img src=x onerror=alert(1)>" in alert.inner_text()
    assert page.locator(".dcm-error img").count() == 0
    assert not page.locator(".dcm-error pre").is_visible()
    page.get_by_text("Python traceback").click()
    assert "raise ValueError" in page.locator(".dcm-error pre").inner_text()
    assert set(_shown(page)) <= {"pending", "non_robust", "misclassified"}
    grid.selected = 1
    stage.sync()
    assert page.locator(".dcm-error pre").is_visible(), "an opened traceback stays open"
    if shots:
        page.screenshot(path=shots / "grid_error.png")
    grid.epsilon = 0.05
    stage.sync()
    assert alert.count() == 0


def test_waiting_is_shown(stage: Any, page: Any, make_grid: Any) -> None:
    grid = make_grid()
    stage.show(grid)
    assert page.get_by_text("computing…").count() == 0
    grid.set_trait("busy", True)
    stage.sync()
    assert page.get_by_text("computing…").is_visible()
    assert page.get_by_role("listbox").get_attribute("aria-busy") == "true"
    page.emulate_media(reduced_motion="reduce")
    animation = "(e) => getComputedStyle(e).animationName"
    assert page.locator(".dcm-time").evaluate(animation) == "none"


# BoundHistogram


def test_bars_axis_zero_line_and_counts(stage: Any, page: Any, make_grid: Any) -> None:
    grid = make_grid()
    histogram = BoundHistogram(grid)
    stage.show(histogram)
    chart = page.get_by_role("img")
    assert "10 upper and lower margin bounds" in chart.get_attribute("aria-label")
    for text in ("upper bound", "lower bound", "samples", "bound of the largest margin"):
        assert chart.get_by_text(text, exact=True).count() == 1
    bars = chart.locator("rect.dcm-column")
    filled = np.count_nonzero(histogram._upper_counts) + np.count_nonzero(histogram._lower_counts)
    assert bars.count() == filled
    total = sum(int(t.split(": ")[1]) for t in bars.locator("title").all_text_contents())
    assert total == 20
    zero = float(chart.locator("line.dcm-zero").first.get_attribute("x1"))
    for kind, side in (("robust", -1), ("non_robust", 1)):
        group = chart.locator(f"rect.dcm-column.dcm-{kind}")
        assert group.count() > 0
        for k in range(group.count()):
            x, width = (float(group.nth(k).get_attribute(name)) for name in ("x", "width"))
            assert side * (x + width / 2 - zero) > 0
    labels = chart.locator("text.dcm-tick").all_text_contents()
    assert "0" in labels
    assert len(labels) > 5


def test_the_histogram_follows_and_tells_what_is_old(stage: Any, page: Any, make_grid: Any) -> None:
    grid = make_grid()
    histogram = BoundHistogram(grid)
    stage.show(histogram)
    grid.epsilon = 0.06
    stage.sync()
    assert page.locator(".dcm-epsilon").inner_text() == "ε = 0.0600"
    assert page.locator(".dcm-stale").count() == 0
    histogram.set_trait("epsilon", 0.07)
    histogram.set_trait("n_non_finite", 3)
    histogram.set_trait("error", "ValueError: no")
    stage.sync()
    note = page.locator(".dcm-note").inner_text()
    assert "The bars still show ε = 0.0600." in note
    assert "not finite: 3 of 20" in note
    assert "failed" in note


def test_without_bounds_the_histogram_says_so(stage: Any, page: Any, make_grid: Any) -> None:
    histogram = BoundHistogram(make_grid())
    histogram.set_trait("_edges", [])
    stage.show(histogram)
    assert page.get_by_text("No bounds to draw.").is_visible()
    histogram.set_trait("busy", True)
    stage.sync()
    assert page.get_by_text("Computing the bounds…").is_visible()


# All of them


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [320, 900, 2400])
def test_every_width_in_light_and_dark(
    stage: Any, page: Any, make_grid: Any, width: int, dark: bool, shots: Path | None
) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    stage.theme(dark=dark)
    grid = make_grid()
    for widget in (EpsilonSlider(value=0.03), grid, BoundHistogram(grid)):
        stage.show(widget)
    assert _no_wider_than_the_page(page)
    tops = page.locator(".dcm-tile").evaluate_all("(tiles) => tiles.map((t) => t.offsetTop)")
    columns = tops.count(tops[0])
    assert columns == 5 if width >= 900 else 2 <= columns < 5
    texts = page.locator(".dcm-title, .dcm-caption, .dcm-entry")
    assert texts.evaluate_all("(all) => all.every((e) => e.scrollWidth <= e.clientWidth + 1)")
    for k in range(10):
        page.locator(".dcm-tile").nth(k).hover()
        assert _no_wider_than_the_page(page)
        overlap = page.evaluate(
            """(k) => {
                const tip = document.querySelector(".dcm-tip").getBoundingClientRect();
                const tile = document.querySelectorAll(".dcm-tile")[k].getBoundingClientRect();
                return Math.min(tip.right, tile.right) > Math.max(tip.left, tile.left)
                    && Math.min(tip.bottom, tile.bottom) > Math.max(tip.top, tile.top) + 1;
            }""",
            k,
        )
        assert not overlap, "the tooltip leaves its own image free"
    contrast = page.evaluate(_TOO_FAINT)
    assert contrast == []
    if shots:
        name = f"all_{width}_{'dark' if dark else 'light'}.png"
        page.screenshot(path=shots / name, full_page=True)


def test_resizing_redraws(stage: Any, page: Any, make_grid: Any) -> None:
    grid = make_grid()
    for widget in (grid, BoundHistogram(grid)):
        stage.show(widget)
    for width in (320, 1200, 500):
        page.set_viewport_size({"width": width, "height": 800})
        page.wait_for_function(
            """() => {
                const plot = document.querySelector(".dcm-plot");
                return plot.querySelector("svg").width.baseVal.value === plot.clientWidth;
            }"""
        )
        assert _no_wider_than_the_page(page)


def test_a_jupyterlab_theme_decides_over_the_system(stage: Any, page: Any, make_grid: Any) -> None:
    colour = "(e) => getComputedStyle(e).borderTopColor"
    stage.show(make_grid(epsilon=0.0))
    frame = page.locator(".dcm-robust .dcm-frame").first
    light = frame.evaluate(colour)
    page.evaluate("() => document.body.setAttribute('data-jp-theme-light', 'false')")
    dark = frame.evaluate(colour)
    assert dark != light
    stage.theme(dark=True)
    assert frame.evaluate(colour) == dark
    page.evaluate("() => document.body.setAttribute('data-jp-theme-light', 'true')")
    assert frame.evaluate(colour) == light


def test_two_views_of_the_same_widgets_stay_in_step(stage: Any, page: Any, make_grid: Any) -> None:
    grid, slider = make_grid(), EpsilonSlider()
    for widget in (grid, slider, grid, slider):
        stage.show(widget)
    page.get_by_role("option").nth(14).click()
    page.locator(".dcm-entry").nth(1).fill("0.05")
    page.keyboard.press("Enter")
    stage.sync()
    assert grid.selected == 4
    assert [e.input_value() for e in page.locator(".dcm-entry").all()] == ["0.0500", "0.0500"]
    selected = page.locator(".dcm-tile").evaluate_all(
        "(t) => t.map((e, k) => e.ariaSelected === 'true' ? k : -1).filter((k) => k >= 0)"
    )
    assert selected == [4, 14]
    ids = page.evaluate("() => [...document.querySelectorAll('[id]')].map((e) => e.id)")
    assert len(ids) == len(set(ids))


def test_closed_views_leave_nothing_behind(stage: Any, page: Any, make_grid: Any) -> None:
    grid = make_grid()
    for widget in (EpsilonSlider(), grid, BoundHistogram(grid)):
        stage.show(widget)
    assert page.evaluate("() => shim.closeAll()") == [0, 0, 0]
    assert page.locator(".dcm-root").count() == 0
