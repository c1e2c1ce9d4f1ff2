"""The histogram in a Chromium page, with the state of the real Python widget behind it."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from decomon_widgets import BoundHistogram, SampleGrid
from decomon_widgets.bins import bin_edges, brushed, count_by_verdict
from decomon_widgets.verdicts import VERDICTS
from tests.browser.looks import no_wider_than_the_page, too_faint, too_small

pytestmark = pytest.mark.browser

_SHOWN = """(panel) => [...panel.querySelectorAll(".dcm-bin")].map((bin) => {
    const counts = {};
    for (const column of bin.querySelectorAll(".dcm-column")) {
        const kind = [...column.classList].find((name) => name !== "dcm-column");
        counts[kind.slice(4)] = (counts[kind.slice(4)] ?? 0) + Number(column.dataset.count);
    }
    return counts;
})"""


def _histogram(n: int = 60, **arguments: Any) -> BoundHistogram:
    """Bounds of `n` samples with all verdicts among them, each where it may be."""
    rng = np.random.default_rng(5)
    upper = rng.normal(0, 4, n).round(2)
    lower = upper - rng.uniform(0.2, 6, n).round(2)
    refuted = np.where(np.arange(n) % 5 == 0, "misclassified", "non_robust")
    undecided = np.where(np.arange(n) % 4 == 0, "pending", "unknown")
    verdicts = np.where(upper < 0, "robust", np.where(lower > 0, refuted, undecided))
    return BoundHistogram.of_bounds(upper, lower, verdicts.tolist(), epsilon=0.03, **arguments)


def _panel(page: Any, bound: str) -> Any:
    return page.get_by_role("listbox", name=f"Bars of the {bound} bound").first


def _place(page: Any, histogram: BoundHistogram, bound: str, value: float) -> tuple[float, float]:
    """Where a value is on the page, in the middle of a panel."""
    zone = _panel(page, bound).locator(".dcm-zone").bounding_box()
    edges = histogram._edges
    part = (value - edges[0]) / (edges[-1] - edges[0])
    return zone["x"] + part * zone["width"], zone["y"] + zone["height"] / 2


def _drag(page: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(*end, steps=4)
    page.mouse.up()


def test_bars_are_stacked_as_python_counts(stage: Any, page: Any) -> None:
    histogram = _histogram()
    stage.show(histogram)
    for bins in (20, 4):
        histogram.bins = bins
        stage.sync()
        edges = bin_edges(np.concatenate([histogram.upper, histogram.lower]), bins)
        bounds: Any = {"upper": histogram.upper, "lower": histogram.lower}
        for bound, values in bounds.items():
            counts = count_by_verdict(values, histogram.verdicts, edges, bound)
            shown = _panel(page, bound).evaluate(_SHOWN)
            assert len(shown) == len(edges) - 1
            for k, found in enumerate(shown):
                assert found == {name: n[k] for name, n in counts.items() if n[k]}
    assert set(histogram.verdicts) == set(VERDICTS)
    chart = page.get_by_role("group", name="60 upper and lower margin bounds")
    for text in ("upper bound", "lower bound", "samples", "bound of the largest margin"):
        assert chart.get_by_text(text, exact=True).count() == 1
    assert "0" in chart.locator("text.dcm-tick").all_text_contents()


def test_every_verdict_has_its_own_fill_and_bars_stand_on_each_other(stage: Any, page: Any) -> None:
    stage.show(_histogram(bins=1))
    bars = page.locator(".dcm-bin").evaluate_all(
        """(bins) => bins.map((bin) => [...bin.querySelectorAll(".dcm-column")].map((e) => {
            const number = (name) => Number(e.getAttribute(name));
            return [e.getAttribute("fill"), number("y"), number("height"), e.dataset.count];
        }))"""
    )
    fills = {fill for bar in bars for fill, *_ in bar}
    assert len(fills) == len(VERDICTS)
    patterns = {
        page.locator(f"[id='{fill[5:-1]}']").evaluate("(e) => e.innerHTML") for fill in fills
    }
    assert len(patterns) == len(VERDICTS), "they differ by more than a colour"
    for bar in bars:
        heights = [height / int(count) for _, _, height, count in bar]
        assert heights == pytest.approx([heights[0]] * len(heights))
        for (_, y, _, _), (_, above, height, _) in itertools.pairwise(bar):
            assert above + height == pytest.approx(y)


def test_proofs_and_refutations_are_on_their_side_of_zero(stage: Any, page: Any) -> None:
    stage.show(_histogram())
    zero = float(page.locator("line.dcm-zero").first.get_attribute("x1"))
    for bound, kind, side in (("upper", "robust", -1), ("lower", "misclassified", 1)):
        columns = _panel(page, bound).locator(f".dcm-{kind}").all()
        assert columns
        for column in columns:
            x, width = (float(column.get_attribute(name)) for name in ("x", "width"))
            assert side * (x + width / 2 - zero) > 0


@pytest.mark.parametrize("bound", ["upper", "lower"])
def test_dragging_selects_the_samples_of_an_interval(stage: Any, page: Any, bound: Any) -> None:
    histogram = _histogram()
    stage.show(histogram)
    values = histogram.upper if bound == "upper" else histogram.lower
    # Between two bounds, a pixel to the left or to the right does not matter.
    order = np.sort(values)
    gaps = np.argsort(np.diff(order))[-4:]
    low, high = sorted(order[gaps][[0, -1]] + np.diff(order)[gaps][[0, -1]] / 2)
    for start, end in ((low, high), (high, low)):
        _drag(page, _place(page, histogram, bound, start), _place(page, histogram, bound, end))
        stage.sync()
        assert histogram.brushed == brushed(values, low, high, bound) != ()
        assert page.locator(".dcm-band-area").count() == 1
        page.keyboard.press("Escape")
        stage.sync()
        assert histogram.brushed == ()
        assert page.locator(".dcm-band-area").count() == 0


def test_an_interval_is_moved_and_stretched(stage: Any, page: Any) -> None:
    histogram = _histogram()
    stage.show(histogram)

    def at(value: float) -> tuple[float, float]:
        return _place(page, histogram, "upper", value)

    def ends() -> list[float]:
        zone = _panel(page, "upper").locator(".dcm-zone").bounding_box()
        area = page.locator(".dcm-band-area").bounding_box()
        edges = histogram._edges
        span = edges[-1] - edges[0]
        return [
            edges[0] + (x - zone["x"]) / zone["width"] * span
            for x in (area["x"], area["x"] + area["width"])
        ]

    _drag(page, at(-2), at(2))
    assert ends() == pytest.approx([-2, 2], abs=0.1)
    _drag(page, at(0), at(1.5))
    assert ends() == pytest.approx([-0.5, 3.5], abs=0.1)
    _drag(page, at(3.5), at(5))
    assert ends() == pytest.approx([-0.5, 5], abs=0.1)
    _drag(page, at(-0.5), at(6))
    assert ends() == pytest.approx([5, 6], abs=0.1)
    _drag(page, at(5.5), at(1000))
    low, high = ends()
    assert high == pytest.approx(histogram._edges[-1], abs=0.1)
    assert high - low == pytest.approx(1, abs=0.1)


def test_a_bar_is_selected_by_a_tap(browser: Any, stage: Any, page: Any) -> None:
    histogram = _histogram()
    stage.show(histogram)
    edges = histogram._edges
    counts, _ = np.histogram(histogram.upper, edges)
    bar = int(counts.argmax())
    middle = (edges[bar] + edges[bar + 1]) / 2
    x, y = _place(page, histogram, "upper", middle)
    touch = {"pointerType": "touch", "pointerId": 7, "isPrimary": True, "bubbles": True}
    for kind in ("pointerdown", "pointerup"):
        page.evaluate(
            """([kind, init, x, y]) => {
                const target = document.elementFromPoint(x, y);
                const svg = document.querySelector(".dcm-svg");
                // No finger is there to be captured.
                svg.setPointerCapture = () => {};
                target.dispatchEvent(new PointerEvent(kind, { ...init, clientX: x, clientY: y }));
            }""",
            [kind, touch, x, y],
        )
    stage.sync()
    assert histogram.brushed == brushed(histogram.upper, edges[bar], edges[bar + 1], "upper")
    assert len(histogram.brushed) == counts[bar]
    page.mouse.click(*_place(page, histogram, "lower", edges[-1] - 0.01))
    stage.sync()
    assert histogram.brushed == (), "where no bar is, nothing is selected"


def test_the_keyboard_selects_bars_and_tells_them(stage: Any, page: Any) -> None:
    histogram = _histogram(bins=8)
    stage.show(histogram)
    edges = histogram._edges
    zero = int(np.flatnonzero(edges == 0)[0])
    panel = _panel(page, "upper")
    panel.focus()
    page.keyboard.press("ArrowRight")
    stage.sync()
    assert histogram.brushed == histogram.brush(edges[zero - 1], 0)
    active = page.locator(f"[id='{panel.get_attribute('aria-activedescendant')}']")
    assert active.get_attribute("aria-selected") == "true"
    assert f"{len(histogram.brushed)} robust" in active.get_attribute("aria-label")
    page.keyboard.press("Shift+ArrowLeft")
    stage.sync()
    assert histogram.brushed == histogram.brush(edges[zero - 2], 0)
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    stage.sync()
    assert histogram.brushed == histogram.brush(edges[zero - 1], edges[zero + 1])
    page.keyboard.press("Home")
    page.keyboard.press("Shift+End")
    stage.sync()
    assert len(histogram.brushed) == len(histogram.verdicts)
    assert "60 of 60 samples selected" in page.get_by_role("status").inner_text()
    assert panel.evaluate("(e) => document.activeElement === e"), "the focus stays"
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    stage.sync()
    assert histogram.brushed == histogram.brush(0, edges[zero + 1], "lower")
    page.keyboard.press("Tab")
    assert page.get_by_role("button", name="Clear selection").evaluate(
        "(e) => document.activeElement === e"
    )
    page.keyboard.press("Enter")
    stage.sync()
    assert histogram.brushed == ()
    assert not page.get_by_role("button").is_visible()


def test_a_selection_from_elsewhere_is_highlighted_without_an_interval(
    stage: Any, page: Any
) -> None:
    histogram = _histogram()
    for _ in range(2):
        stage.show(histogram)
    histogram.brushed = (0, 3, 4)
    stage.sync()
    chosen = page.locator(".dcm-histogram").first.locator(".dcm-chosen")
    counts = chosen.evaluate_all("(all) => all.map((e) => Number(e.dataset.count))")
    assert sum(counts) == 2 * 3
    assert page.locator(".dcm-band-area").count() == 0
    assert page.locator(".dcm-selection").nth(1).inner_text().startswith("3 of 60")
    faded = page.locator(".dcm-others").first.evaluate("(e) => getComputedStyle(e).opacity")
    assert float(faded) < 1
    _drag(page, _place(page, histogram, "upper", 0.0), _place(page, histogram, "upper", 5.0))
    stage.sync()
    texts = page.locator(".dcm-selection").all_inner_texts()
    assert texts[0] == texts[1]
    assert page.locator(".dcm-band-area").count() == 1, "where it was drawn"
    first = histogram.brushed
    histogram.set_bounds(
        -histogram.upper[::-1], -histogram.upper[::-1], ["unknown"] * 60, epsilon=0.04
    )
    stage.sync()
    assert histogram.brushed == first, "the samples stay selected wherever their bounds go"
    assert page.locator(".dcm-band-area").count() == 0


def test_brushing_selects_in_the_source_and_back(stage: Any, page: Any, fake_certify: Any) -> None:
    x = np.random.default_rng(0).uniform(size=(60, 64)).astype("float32")
    model: Any = None
    grid = SampleGrid(
        model, x, np.arange(60) % 10, epsilon=0.03, executor="sync", _certify=fake_certify
    )
    grid.indices = range(10)
    histogram = BoundHistogram(grid)
    stage.show(histogram)
    _panel(page, "upper").focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Shift+Home")
    stage.sync()
    expected = tuple(np.flatnonzero(grid.upper < 0).tolist())
    assert grid.brushed == histogram.brushed == expected != ()
    grid.brushed = (2, 5)  # pyright: ignore[reportAttributeAccessIssue]
    stage.sync()
    assert page.locator(".dcm-selection").inner_text().startswith("2 of 10 samples selected")
    page.keyboard.press("Escape")
    stage.sync()
    assert grid.brushed == ()


def test_the_histogram_follows_and_tells_what_is_old(stage: Any, page: Any) -> None:
    histogram = _histogram(10)
    stage.show(histogram)
    histogram.set_bounds([-1.0, 2.0], [-2.0, -1.0], epsilon=0.06)
    stage.sync()
    assert page.locator(".dcm-epsilon").inner_text() == "ε = 0.0600"
    assert page.locator(".dcm-stale").count() == 0
    assert page.locator(".dcm-chip").all_inner_texts() == ["1\nrobust", "1\nmaybe robust"]
    histogram.set_trait("epsilon", 0.07)
    histogram.set_trait("upper", [np.inf, 2.0])
    histogram.set_trait("lower", [np.nan, np.nan])
    histogram.set_trait("verdicts", ("unknown", "pending"))
    histogram.set_trait("error", "ValueError: no")
    stage.sync()
    note = page.locator(".dcm-note").inner_text()
    assert "The bars still show ε = 0.0600." in note
    assert "not finite: 2 of 4" in note, "what is still to come is not counted"
    assert "failed" in note


def test_without_bounds_the_histogram_says_so(stage: Any, page: Any) -> None:
    histogram = BoundHistogram.of_bounds([np.nan, np.inf], [-np.inf, np.nan], epsilon=0.1)
    stage.show(histogram)
    assert page.get_by_text("No bounds to draw.").is_visible()
    histogram.set_trait("busy", True)
    stage.sync()
    assert page.get_by_text("Computing the bounds…").is_visible()
    histogram.set_bounds([1.0], [0.5], epsilon=0.1)
    stage.sync()
    assert page.locator(".dcm-empty").count() == 0
    assert page.locator(".dcm-plot .dcm-column").count() == 2


def test_huge_and_tiny_bounds_are_drawn(stage: Any, page: Any) -> None:
    for scale in (1e299, 1e-299, 5e-324):
        stage.show(BoundHistogram.of_bounds([-scale, scale], [-scale, 0.0], epsilon=0.1))
    numbers = page.locator(".dcm-svg *").evaluate_all(
        "(all) => all.flatMap((e) => [...e.attributes]).map((a) => a.value).join(' ')"
    )
    assert "NaN" not in numbers
    assert "Infinity" not in numbers
    for view in page.locator(".dcm-svg").all():
        counts = view.locator(".dcm-column").evaluate_all(
            "(all) => all.map((e) => Number(e.dataset.count))"
        )
        assert sum(counts) == 4


def test_a_thousand_samples_are_brushed_at_every_move(stage: Any, page: Any) -> None:
    histogram = _histogram(1000)
    stage.show(histogram)
    sizes = page.evaluate(
        """async () => {
            const svg = document.querySelector(".dcm-svg");
            const box = svg.getBoundingClientRect();
            svg.setPointerCapture = () => {};
            const init = { pointerId: 5, bubbles: true, button: 0, clientY: box.top + 60 };
            const fire = (kind, x) =>
                svg.dispatchEvent(new PointerEvent(kind, { ...init, clientX: box.left + x }));
            fire("pointerdown", 100);
            const sizes = [];
            for (let x = 105; x < 600; x += 5) {
                fire("pointermove", x);
                await Promise.resolve();
                const chosen = [...document.querySelectorAll(".dcm-chosen")];
                const selected = chosen.reduce((sum, e) => sum + Number(e.dataset.count), 0);
                sizes.push([selected, svg.querySelectorAll("*").length]);
            }
            fire("pointerup", 600);
            return sizes;
        }"""
    )
    stage.sync()
    selected = [size for size, _ in sizes]
    assert selected == sorted(selected), "painted after each move, before the next one"
    assert selected[-1] == 2 * len(histogram.brushed) > 600
    assert max(elements for _, elements in sizes) < 1000, "elements go by the bars"


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [320, 1600])
def test_every_width_in_light_and_dark(
    stage: Any, page: Any, width: int, dark: bool, shots: Path | None
) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    stage.theme(dark=dark)
    whole, part = _histogram(400), _histogram(12)
    for histogram in (whole, part):
        stage.show(histogram)
    part.brush(-3, 1)
    stage.sync()
    assert no_wider_than_the_page(page)
    assert too_small(page, ".dcm-histogram button") == []
    assert too_faint(page, ".dcm-histogram text", "fill") == []
    assert too_faint(page, ".dcm-chip, .dcm-hint, .dcm-selection") == []
    assert too_faint(page, ".dcm-histogram .dcm-column", "stroke", 3) == []
    for svg in page.locator(".dcm-svg").all():
        cut = svg.evaluate(
            """(svg) => {
                const whole = svg.getBoundingClientRect();
                return [...svg.querySelectorAll("text")].filter((text) => {
                    const box = text.getBoundingClientRect();
                    return box.left < whole.left - 1 || box.right > whole.right + 1;
                }).map((text) => text.textContent);
            }"""
        )
        assert cut == []
        assert svg.locator(".dcm-tick[text-anchor=middle]").count() >= 2
    if shots:
        name = f"histogram_{width}_{'dark' if dark else 'light'}.png"
        page.screenshot(path=shots / name, full_page=True)


def test_resizing_redraws_and_keeps_the_interval(stage: Any, page: Any) -> None:
    histogram = _histogram()
    stage.show(histogram)
    _drag(page, _place(page, histogram, "upper", -2.0), _place(page, histogram, "upper", 2.0))
    for width in (320, 1100, 500):
        page.set_viewport_size({"width": width, "height": 800})
        page.wait_for_function(
            """() => {
                const plot = document.querySelector(".dcm-plot");
                return plot.querySelector("svg").width.baseVal.value === plot.clientWidth;
            }"""
        )
        assert no_wider_than_the_page(page)
        area = page.locator(".dcm-band-area").bounding_box()
        assert area["x"] == pytest.approx(_place(page, histogram, "upper", -2.0)[0], abs=4)


def test_closed_views_leave_nothing_behind(stage: Any, page: Any) -> None:
    histogram = _histogram()
    for _ in range(2):
        stage.show(histogram)
    ids = page.evaluate("() => [...document.querySelectorAll('[id]')].map((e) => e.id)")
    assert len(ids) == len(set(ids))
    assert page.evaluate("() => shim.closeAll()") == [0]
    assert page.locator(".dcm-root").count() == 0
