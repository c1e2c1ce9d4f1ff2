"""The grid of samples in a Chromium page, with the state of the real Python widget behind it."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from decomon_widgets import SampleGrid
from decomon_widgets.samples import draw_indices
from decomon_widgets.verdicts import VERDICTS
from tests.browser.looks import no_wider_than_the_page, too_faint, too_small

pytestmark = pytest.mark.browser


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


def _tiles(page: Any) -> Any:
    return page.get_by_role("listbox").get_by_role("option")


def _name(tile: Any) -> str:
    """What a screen reader calls a sample."""
    found = re.match(r'- option "(.*?)"', tile.aria_snapshot())
    assert found
    return found[1]


def _indices(page: Any) -> list[int]:
    return page.locator(".dcm-tile").evaluate_all("(t) => t.map((e) => Number(e.dataset.index))")


def _counts(page: Any) -> dict[str, int]:
    """Numbers on the buttons of the filter."""
    texts = {name: page.locator(f"button.dcm-chip.dcm-{name} b").inner_text() for name in VERDICTS}
    return {name: int(text.replace(",", "")) for name, text in texts.items()}


def _filter(page: Any, verdict: str) -> Any:
    return page.locator(f"button.dcm-chip.dcm-{verdict}")


def _shown(page: Any) -> list[str]:
    return page.locator(".dcm-tile").evaluate_all("(tiles) => tiles.map((t) => t.dataset.verdict)")


def test_frames_titles_and_images(stage: Any, page: Any, make_grid: Any) -> None:
    grid = make_grid()
    stage.show(grid)
    tiles = _tiles(page)
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
        name = f"{title} label {grid.labels[k]} pred. {grid.predictions[k]}"
        assert _name(tiles.nth(k)) == name
    assert len({frozenset(c) for c in colours.values()}) == len(styles)
    pixels = (
        tiles.nth(3)
        .locator("canvas")
        .evaluate("(c) => [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]")
    )
    expected = np.frombuffer(grid._pictures, np.uint8).reshape(10, 64)[3]
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
    assert _counts(page) == {name: grid.verdicts.count(name) for name in VERDICTS}
    assert "0.0500" in page.get_by_role("status").inner_text()
    assert "1 misclassified" in page.get_by_role("status").inner_text()
    if shots:
        page.screenshot(path=shots / "grid.png")


def test_the_keyboard_selects(stage: Any, page: Any, make_grid: Any) -> None:
    grid = make_grid()
    stage.show(grid)
    page.get_by_role("button", name="Descending").focus()
    page.keyboard.press("Tab")
    moves = {"ArrowRight": 1, "ArrowDown": 6, "ArrowLeft": 5, "ArrowUp": 0, "End": 9, "Home": 0}
    for key, target in moves.items():
        page.keyboard.press(key)
        stage.sync()
        assert grid.selected == target, key
        option = page.locator('.dcm-tile[aria-selected="true"]')
        assert option.count() == 1
        assert option.evaluate("(e) => document.activeElement === e")
    assert page.locator('.dcm-tile[tabindex="0"]').count() == 1
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    stage.sync()
    assert grid.selected == -1


def test_clicking_selects_and_python_can_too(stage: Any, page: Any, make_grid: Any) -> None:
    grid = make_grid()
    stage.show(grid)
    _tiles(page).nth(7).click()
    stage.sync()
    assert grid.selected == 7
    grid.selected = 2
    stage.sync()
    assert _tiles(page).nth(2).get_attribute("aria-selected") == "true"


def test_bounds_are_told_on_hover_and_focus(stage: Any, page: Any, make_grid: Any) -> None:
    grid = make_grid()
    stage.show(grid)
    tip = page.get_by_role("tooltip")
    assert not tip.is_visible()
    unknown = grid.verdicts.index("unknown")
    _tiles(page).nth(unknown).hover()
    text = tip.inner_text()
    assert f"{grid.upper[unknown]:.4g}" in text
    assert f"{grid.lower[unknown]:.4g}" in text
    assert "ε = 0.03" in text
    assert "the bound is loose" in text
    page.mouse.move(5, 690)
    assert not tip.is_visible()
    _tiles(page).nth(0).focus()
    assert tip.is_visible()
    described = _tiles(page).nth(0).get_attribute("aria-describedby")
    assert tip.get_attribute("id") == described
    page.keyboard.press("Escape")
    assert not tip.is_visible()


def test_new_samples_are_drawn_and_the_draw_undone(stage: Any, page: Any, make_grid: Any) -> None:
    grid = make_grid()
    stage.show(grid)
    before = set(grid.indices)
    undo = page.get_by_role("button", name="Undo")
    assert undo.get_attribute("aria-disabled") == "false", "the fixture assigned other indices"
    page.get_by_role("button", name="Draw new samples").click()
    stage.sync()
    assert not before & set(grid.indices)
    assert tuple(_indices(page)) == grid.indices
    undo.click()
    stage.sync()
    assert set(_indices(page)) == set(grid.indices) == before


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


# Filter, order, brush, pins


@pytest.mark.parametrize("epsilon", [0.03, 0.045])
def test_the_filter_shows_the_verdicts_at_the_present_epsilon(
    stage: Any, page: Any, make_grid: Any, epsilon: float
) -> None:
    grid = make_grid()
    number = stage.show(grid)
    _filter(page, "robust").click()
    _filter(page, "misclassified").click()
    # Without the kernel: nothing is carried to Python before the last line.
    page.evaluate("([n, e]) => shim.models[n].set('epsilon', e)", [number, epsilon])
    verdicts = grid._knowledge.verdicts(epsilon)
    wanted = [k for k in range(10) if verdicts[k] in ("robust", "misclassified")]
    assert _indices(page) == wanted
    assert _counts(page) == {name: verdicts.count(name) for name in VERDICTS}
    pressed = page.locator("button.dcm-chip[aria-pressed=true]")
    assert pressed.count() == 2
    options = _tiles(page)
    assert options.evaluate_all("(all) => all.map((e) => [e.ariaPosInSet, e.ariaSetSize])") == [
        [str(k + 1), str(len(wanted))] for k in range(len(wanted))
    ]
    page.get_by_role("button", name="all 10").click()
    assert len(_indices(page)) == 10
    _filter(page, "robust").click()
    stage.sync()
    assert grid.shown == ("robust",)
    assert (
        f"Showing {grid.verdicts.count('robust')} of 10" in page.get_by_role("status").inner_text()
    )


def test_a_filter_that_nothing_passes_says_so(stage: Any, page: Any, make_grid: Any) -> None:
    grid = make_grid(epsilon=0.0)
    stage.show(grid)
    height = page.locator(".dcm-stage").bounding_box()["height"]
    _filter(page, "non_robust").click()
    assert page.locator(".dcm-tile").count() == 0
    assert page.get_by_role("listbox").count() == 0
    assert page.get_by_text("No sample passes the filter.").is_visible()
    assert page.locator(".dcm-stage").bounding_box()["height"] == height, "nothing jumps"
    grid.epsilon = 0.5
    stage.sync()
    assert set(_shown(page)) == {"non_robust"}


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("sort_by", ["verdict", "radius", "label", "margin"])
def test_samples_are_sorted_as_python_sorts_them(
    stage: Any, page: Any, make_grid: Any, sort_by: str, descending: bool
) -> None:
    grid = make_grid(epsilon=0.0)
    grid.indices = [30, 2, 41, 8, 19, 5, 7, 23]
    for epsilon in (0.05, 0.02, 0.04):
        grid.epsilon = epsilon
    stage.show(grid)
    page.get_by_label("sort by").select_option(sort_by)
    if descending:
        page.get_by_role("button", name="Descending").click()
    stage.sync()
    assert (grid.sort_by, grid.descending) == (sort_by, descending)
    order = grid.shown_order(
        grid.verdicts, grid.labels, grid._certified, grid._falsified, grid.upper
    )
    assert _indices(page) == [grid.indices[k] for k in order]


def test_the_focus_stays_on_its_sample_when_the_order_changes(
    stage: Any, page: Any, make_grid: Any
) -> None:
    grid = make_grid()
    stage.show(grid)
    _tiles(page).nth(3).click()
    focused = "() => Number(document.activeElement.dataset.index)"
    for sort_by in ("verdict", "margin", "position"):
        for grid.descending in (True, False):
            grid.sort_by = sort_by
            stage.sync()
            assert page.evaluate(focused) == 3
    grid.shown = ("robust",)
    stage.sync()
    assert page.evaluate(focused) in _indices(page), "its own was hidden: the focus goes on"
    page.keyboard.press("End")
    stage.sync()
    assert grid.selected == _indices(page)[-1]


def test_brushed_samples_stand_out_and_the_brush_is_given_up(
    stage: Any, page: Any, make_grid: Any
) -> None:
    grid = make_grid()
    stage.show(grid)
    opacity = "(all) => all.map((e) => Number(getComputedStyle(e).opacity))"
    frames = page.locator(".dcm-picture")
    assert set(frames.evaluate_all(opacity)) == {1}
    grid.brushed = (4, 7)
    stage.sync()
    bright = [k for k, value in enumerate(frames.evaluate_all(opacity)) if value == 1]
    assert bright == [4, 7]
    assert _name(_tiles(page).nth(4)).endswith(" brushed")
    page.get_by_role("button", name="2 brushed").click()
    stage.sync()
    assert grid.brushed == ()
    assert set(frames.evaluate_all(opacity)) == {1}


def test_pinned_samples_stay_when_others_are_drawn(stage: Any, page: Any, make_grid: Any) -> None:
    grid = make_grid(n_samples=10)
    stage.show(grid)
    _tiles(page).nth(6).hover()
    page.locator(".dcm-pin").nth(6).click()
    _tiles(page).nth(2).click()
    page.keyboard.press("p")
    stage.sync()
    assert grid.pinned == (6, 2)
    assert _name(_tiles(page).nth(6)).endswith(" pinned")
    assert grid.selected == 2, "to pin is not to select"
    page.get_by_role("button", name="Draw new samples").click()
    stage.sync()
    shown = _indices(page)
    assert shown[:2] == [6, 2]
    assert len(shown) == 10
    assert not set(shown[2:]) & set(range(10))
    _tiles(page).nth(0).click()
    page.keyboard.press("p")
    stage.sync()
    assert grid.pinned == (2,)


def test_a_seed_is_typed(stage: Any, page: Any, make_grid: Any) -> None:
    grid = make_grid(seed=3)
    stage.show(grid)
    entry, alert = page.get_by_label("seed"), page.get_by_role("alert")
    assert entry.input_value() == "3"
    for typed in ("-1", "1.5", "abc", "", "99999999999"):
        entry.fill(typed)
        entry.press("Enter")
        assert f"Received “{typed}”" in alert.inner_text()
        assert entry.get_attribute("aria-invalid") == "true"
    stage.sync()
    assert grid.seed == 3
    entry.press("Escape")
    assert (entry.input_value(), alert.count()) == ("3", 0)
    entry.fill("12")
    entry.press("Enter")
    stage.sync()
    assert grid.seed == 12
    assert tuple(_indices(page)) == grid.indices == draw_indices(12, 60, 10)
    entry.fill("77")
    _tiles(page).nth(0).click()
    assert entry.input_value() == "12", "given up without Enter"


def test_a_page_without_a_kernel_keeps_filter_order_and_selection(
    stage: Any, page: Any, make_grid: Any
) -> None:
    grid = make_grid()
    grid.set_trait("_static", True)
    number = stage.show(grid)
    for name in ("Draw new samples", "Undo"):
        assert page.get_by_role("button", name=name).count() == 0
    assert not page.get_by_label("seed").is_visible()
    _filter(page, "robust").click()
    page.get_by_label("sort by").select_option("label")
    page.get_by_role("button", name="Descending").click()
    page.evaluate("([n]) => shim.models[n].set('epsilon', 0.02)", [number])
    verdicts = grid._knowledge.verdicts(0.02)
    assert _indices(page) == [k for k in reversed(range(10)) if verdicts[k] == "robust"]
    _tiles(page).nth(1).click()
    page.keyboard.press("p")
    assert page.evaluate("(n) => shim.models[n].get('pinned')", number) == []
    assert _tiles(page).nth(1).get_attribute("aria-selected") == "true"


def test_without_its_kernel_it_says_so_and_answers_from_its_radii(
    stage: Any, page: Any, make_grid: Any
) -> None:
    grid = make_grid()
    grid.set_trait("busy", True)
    # As Jupyter marks the outputs of a notebook whose kernel is gone.
    page.evaluate("() => document.body.classList.add('jupyter-widgets-disconnected')")
    number = stage.show(grid)
    assert page.get_by_text("Disconnected from the kernel").is_visible()
    assert page.get_by_text("computing…").count() == 0
    assert page.get_by_role("button", name="Draw new samples").count() == 0
    page.evaluate("([n]) => shim.models[n].set('epsilon', 0.01)", [number])
    assert tuple(_shown(page)) == grid._knowledge.verdicts(0.01)


# Rows and signals


def test_rows_are_bars_with_names_and_values(stage: Any, page: Any, fake_certify: Any) -> None:
    x = np.array([[0.0, 2.0, -1.0], [1.0, 4.0, 1.0], [0.25, 3.0, -0.5]])
    model: Any = None
    grid = SampleGrid(
        *(model, x, [0, 1, 2]),
        n_samples=3,
        clip=None,
        feature_names=["<i>age", "weight", "balance"],
        epsilon=0.1,
        executor="sync",
        _certify=fake_certify,
    )
    grid.indices = [0, 1, 2]
    stage.show(grid)
    tile = page.locator(".dcm-tile").nth(2)
    assert tile.locator(".dcm-name").all_inner_texts() == ["<i>age", "weight", "balance"]
    assert tile.locator(".dcm-value").all_inner_texts() == ["0.25", "3", "-0.5"]
    spans = tile.locator(".dcm-track").evaluate_all(
        """(tracks) => tracks.map((track) => {
            const [all, bar] = [track, track.firstChild].map((e) => e.getBoundingClientRect());
            return [(bar.left - all.left) / all.width, (bar.right - all.left) / all.width];
        })"""
    )
    np.testing.assert_allclose(spans, [[0, 0.25], [0, 0.5], [0.25, 0.5]], atol=0.02)
    reach = tile.locator(".dcm-reach").first
    narrow = reach.bounding_box()["width"]
    grid.epsilon = 0.2
    stage.sync()
    assert reach.bounding_box()["width"] > 1.5 * narrow


@pytest.mark.parametrize("channels", [1, 3])
def test_signals_are_lines(stage: Any, page: Any, fake_certify: Any, channels: int) -> None:
    t = np.linspace(0, 1, 100)[:, None] + np.arange(channels) / 10
    x = np.stack([np.sin(k * t) for k in range(1, 5)])
    model: Any = None
    grid = SampleGrid(
        *(model, x, [0, 1, 2, 3]), n_samples=4, clip=None, executor="sync", _certify=fake_certify
    )
    stage.show(grid)
    lines = page.locator(".dcm-tile").first.locator("path.dcm-line")
    assert lines.count() == channels
    boxes = lines.evaluate_all("(all) => all.map((e) => e.getBBox().width)")
    np.testing.assert_allclose(boxes, 1, atol=0.01)
    inside = page.evaluate(
        """() => [...document.querySelectorAll("path.dcm-line")].map((line) => line.getBBox())
            .every((box) => box.y >= 0 && box.y + box.height <= 1)"""
    )
    assert inside


# Many samples


@pytest.fixture
def thousand(fake_certify: Callable[..., Any]) -> SampleGrid:
    x = np.random.default_rng(0).uniform(size=(1000, 64)).astype("float32")
    model: Any = None
    grid = SampleGrid(
        *(model, x, np.arange(1000) % 10),
        n_samples=1000,
        epsilon=0.05,
        executor="sync",
        _certify=fake_certify,
    )
    grid.indices = range(1000)
    grid.epsilon = 0.02
    return grid


def test_of_a_thousand_samples_only_those_on_the_screen_are_drawn(
    stage: Any, page: Any, thousand: SampleGrid
) -> None:
    stage.show(thousand)
    assert _counts(page) == {name: thousand.verdicts.count(name) for name in VERDICTS}
    assert len(_indices(page)) <= 60
    assert page.get_by_role("button", name="all 1,000").is_visible()
    inside = """() => {
        const around = document.querySelector(".dcm-scroller").getBoundingClientRect();
        return [...document.querySelectorAll(".dcm-tile")]
            .filter((e) => e.getBoundingClientRect().bottom > around.top)
            .filter((e) => e.getBoundingClientRect().top < around.bottom)
            .map((e) => Number(e.dataset.index));
    }"""
    page.evaluate("() => { document.querySelector('.dcm-scroller').scrollTop = 1e6; }")
    page.wait_for_function("() => document.querySelector('[data-index=\"999\"]')")
    shown = page.evaluate(inside)
    assert shown == list(range(shown[0], 1000))
    assert len(shown) >= 10
    assert len(_indices(page)) <= 60
    assert 0 in _indices(page), "the Tab key still finds the first sample"
    verdicts = dict(zip(_indices(page), _shown(page), strict=True))
    assert all(verdict == thousand.verdicts[k] for k, verdict in verdicts.items())


def test_the_keyboard_reaches_all_of_a_thousand_samples(
    stage: Any, page: Any, thousand: SampleGrid
) -> None:
    page.set_viewport_size({"width": 900, "height": 900})
    stage.show(thousand)
    _tiles(page).nth(0).click()
    top = page.evaluate("() => document.documentElement.scrollTop")
    visible = """() => {
        const around = document.querySelector(".dcm-scroller").getBoundingClientRect();
        const tile = document.activeElement.getBoundingClientRect();
        return [Number(document.activeElement.dataset.index),
            tile.top >= around.top && tile.bottom <= around.bottom];
    }"""
    index = -1
    for key, target in {
        "ArrowDown": 5,
        "End": 999,
        "ArrowUp": 994,
        "Home": 0,
        "PageDown": None,
        "ArrowRight": None,
    }.items():
        page.keyboard.press(key)
        index, on_screen = page.evaluate(visible)
        assert target in (None, index), key
        assert on_screen, key
    stage.sync()
    assert thousand.selected == index > 10
    assert page.evaluate("() => document.documentElement.scrollTop") == top
    thousand.selected = 700
    stage.sync()
    assert 700 in _indices(page), "a selection from elsewhere is brought onto the screen"
    assert page.evaluate(visible) == [700, True], "and the focus, which was in the grid, goes along"


def test_a_brush_in_the_histogram_is_brought_onto_the_screen(
    stage: Any, page: Any, thousand: SampleGrid
) -> None:
    stage.show(thousand)
    thousand.brushed = (640, 641)
    stage.sync()
    assert {640, 641} <= set(_indices(page))
    box = page.locator('[data-index="640"]').bounding_box()
    around = page.locator(".dcm-scroller").bounding_box()
    assert around["y"] <= box["y"] <= around["y"] + around["height"]


def test_an_event_of_the_slider_touches_only_what_is_on_the_screen(
    stage: Any, page: Any, thousand: SampleGrid
) -> None:
    number = stage.show(thousand)
    changes = page.evaluate(
        """async (number) => {
            const seen = new Set();
            const list = document.querySelector(".dcm-tiles");
            const observer = new MutationObserver((records) => {
                for (const { target } of records) seen.add(target.closest?.(".dcm-tile"));
            });
            observer.observe(list, { subtree: true, childList: true, attributes: true });
            const canvases = [...list.querySelectorAll("canvas")];
            let drawn = 0;
            for (const canvas of canvases) {
                canvas.getContext("2d").putImageData = () => { drawn += 1; };
            }
            for (const epsilon of [0.03, 0.04, 0.05]) {
                shim.models[number].set("epsilon", epsilon);
                await Promise.resolve();
            }
            await Promise.resolve();
            observer.disconnect();
            return { touched: seen.size, drawn, tiles: canvases.length };
        }""",
        number,
    )
    assert 0 < changes["touched"] <= changes["tiles"] + 1 <= 60
    assert changes["drawn"] == 0, "no picture is drawn again"


# All of it


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [320, 900, 2400])
def test_every_width_in_light_and_dark(
    stage: Any, page: Any, make_grid: Any, width: int, dark: bool, shots: Path | None
) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    stage.theme(dark=dark)
    grid = make_grid()
    grid.brushed, grid.pinned = (1, 2), (3,)
    stage.show(grid)
    assert no_wider_than_the_page(page)
    tops = page.locator(".dcm-tile").evaluate_all("(tiles) => tiles.map((t) => t.offsetTop)")
    columns = tops.count(tops[0])
    assert columns == 5 if width >= 900 else 2 <= columns < 5
    texts = page.locator(".dcm-title, .dcm-caption, .dcm-chip")
    assert texts.evaluate_all("(all) => all.every((e) => e.scrollWidth <= e.clientWidth + 1)")
    for k in range(10):
        page.locator(".dcm-tile").nth(k).hover()
        assert no_wider_than_the_page(page)
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
    assert (
        too_faint(page, ".dcm-title, .dcm-classes span, .dcm-chip, .dcm-status, .dcm-group") == []
    )
    assert too_faint(page, ".dcm-brushed .dcm-frame", "borderTopColor", 3) == []
    assert too_small(page, "button, select, input, .dcm-pin") == []
    if shots:
        name = f"grid_{width}_{'dark' if dark else 'light'}.png"
        page.screenshot(path=shots / name, full_page=True)


def test_resizing_lays_the_tiles_out_again(stage: Any, page: Any, make_grid: Any) -> None:
    stage.show(make_grid())
    _tiles(page).nth(3).click()
    for width, columns in ((320, 2), (1200, 5), (460, 3)):
        page.set_viewport_size({"width": width, "height": 800})
        page.wait_for_function(
            """(columns) => {
                const tops = [...document.querySelectorAll(".dcm-tile")].map((e) => e.offsetTop);
                return tops.filter((top) => top === tops[0]).length === columns;
            }""",
            arg=columns,
        )
        assert no_wider_than_the_page(page), "and the tooltip goes with its tile"


def test_two_views_of_the_same_grid_stay_in_step(stage: Any, page: Any, make_grid: Any) -> None:
    grid = make_grid()
    stage.show(grid)
    stage.show(grid)
    _tiles(page).nth(14).click()
    page.locator("button.dcm-chip.dcm-unknown").nth(1).click()
    page.get_by_label("sort by").nth(1).select_option("label")
    page.get_by_role("button", name="Descending").nth(1).click()
    stage.sync()
    assert grid.selected == 4
    shown = _indices(page)
    assert len(shown) == 2 * grid.verdicts.count("unknown")
    half = len(shown) // 2
    assert shown[:half] == shown[half:] == sorted(shown[:half], reverse=True)
    assert page.get_by_label("sort by").nth(0).input_value() == "label"
    assert _filter(page, "unknown").nth(0).get_attribute("aria-pressed") == "true"
    ids = page.evaluate("() => [...document.querySelectorAll('[id]')].map((e) => e.id)")
    assert len(ids) == len(set(ids))


def test_closed_views_leave_nothing_behind(stage: Any, page: Any, make_grid: Any) -> None:
    stage.show(make_grid())
    page.locator(".dcm-tile").first.hover()
    assert page.evaluate("() => shim.closeAll()") == [0]
    assert page.locator(".dcm-root").count() == 0
