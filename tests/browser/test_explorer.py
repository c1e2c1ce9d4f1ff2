"""The explorer in a Chromium page, with the real Python widget behind it, and without any."""

import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest

from decomon_widgets import EpsilonSlider, SampleGrid
from decomon_widgets._html import write_html
from decomon_widgets.explorer import RobustnessExplorer

pytestmark = pytest.mark.browser

_SCREENS = [
    (320, False),
    (900, True),
    (1600, False),
    *(
        pytest.param(width, dark, marks=pytest.mark.slow)
        for width, dark in ((320, True), (900, False), (1600, True), (3840, False), (3840, True))
    ),
]

# Text that stands out too little from the ground of the page, as [text, contrast].
_TOO_FAINT = """() => {
    const paint = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
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
    const own = ".dcm-labelled, .dcm-end, .dcm-tab, .dcm-settle-note, .dcm-provenance, "
        + ".dcm-banner, .dcm-panel-name, .dcm-export, .dcm-button:enabled";
    return [...document.querySelectorAll(own)]
        .filter((e) => e.checkVisibility() && !e.closest("fieldset:disabled"))
        .map((e) => [e.textContent, contrast(getComputedStyle(e).color)])
        .filter(([, found]) => found < 4.5);
}"""


def _verify(_model: object, x: Any, epsilon: float, *arguments: Any, **options: Any) -> Any:
    """Decide everything: robust up to one and a half radii of the quick verifier."""
    labels = arguments[2]
    robust = epsilon < 1.5 * (0.01 + 0.004 * labels[0])
    point = np.zeros_like(x)
    point[0, (labels[0] + 1) % 10] = 0.51
    return SimpleNamespace(
        status=("robust" if robust else "non_robust",),
        upper=np.array([-0.1 if robust else 0.2]),
        lower=np.array([-0.2 if robust else 0.1]),
        counterexample=(None if robust else point,),
        reason=("",),
    )


@pytest.fixture(scope="module")
def model() -> keras.Model:
    """Ten classes of flat images; it answers with the class that a pixel of the image names."""
    made = keras.Sequential([keras.layers.Input((64,)), keras.layers.Dense(10, use_bias=False)])
    kernel = np.zeros((64, 10), "float32")
    kernel[:10] = np.eye(10)
    made.set_weights([kernel])
    return made


@pytest.fixture
def make_explorer(
    model: keras.Model, fake_certify: Callable[..., Any]
) -> Iterator[Callable[..., RobustnessExplorer]]:
    made: list[RobustnessExplorer] = []
    labels = np.arange(60) % 10
    x = np.random.default_rng(0).uniform(size=(60, 64)).astype("float32")
    x[:, :10] = 0.49
    x[np.arange(60), labels] = 0.5

    def certify(model: object, x: Any, labels: Any, *arguments: Any, **options: Any) -> Any:
        found = fake_certify(model, x, labels, *arguments, **options)
        # Points that the model confirms, closer than the smallest radius of the verifier.
        found.points = x.copy()
        found.points[np.arange(len(x)), (labels + 1) % 10] = 0.51
        return found

    def make_explorer(**arguments: Any) -> RobustnessExplorer:
        defaults: dict[str, Any] = {
            "epsilon": 0.03,
            "executor": "sync",
            "seed": 0,
            "refine": True,
            "_certify": certify,
            "_verify": _verify,
        }
        explorer = RobustnessExplorer(model, x, labels, **{**defaults, **arguments})
        explorer.indices = range(10)
        made.append(explorer)
        return explorer

    yield make_explorer
    for explorer in made:
        explorer.close()


def _shown(page: Any) -> list[str]:
    tiles = "(t) => t.map((e) => [Number(e.dataset.index), e.dataset.verdict])"
    return [verdict for _, verdict in sorted(page.locator(".dcm-tile").evaluate_all(tiles))]


def _fits(page: Any) -> bool:
    return page.evaluate(
        "() => document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    )


def _set_epsilon(page: Any, value: float) -> None:
    entry = page.locator(".dcm-slider .dcm-entry")
    entry.fill(repr(value))
    entry.press("Enter")


def _shoot(page: Any, shots: Path | None, name: str) -> None:
    if shots:
        page.screenshot(path=shots / f"explorer_{name}.png", full_page=True)


def test_the_page_answers_at_every_epsilon_without_the_kernel(
    stage: Any, page: Any, make_explorer: Any
) -> None:
    explorer = make_explorer()
    stage.show(explorer)
    for epsilon in np.linspace(0, explorer.epsilon_max, 13):
        _set_epsilon(page, float(epsilon))
        assert _shown(page) == list(explorer._knowledge.verdicts(float(epsilon)))
    assert explorer.epsilon == 0.03, "nothing was carried to the kernel"


def test_bounds_carry_over_from_the_history(stage: Any, page: Any, make_explorer: Any) -> None:
    explorer = make_explorer()
    for epsilon in (0.02, 0.04, 0.06):
        explorer.epsilon = epsilon
    stage.show(explorer)
    for epsilon in (0.015, 0.0333, 0.05):
        _set_epsilon(page, epsilon)
        upper, lower = explorer._history.at(epsilon)
        assert np.isfinite(upper).all()
        page.locator('.dcm-tile[data-index="3"]').hover()
        tip = page.get_by_role("tooltip").first.inner_text()
        assert f"{upper[3]:.4g}" in tip
        assert f"{lower[3]:.4g}" in tip
        assert f"{epsilon:.4g}" in tip


def test_moving_the_slider_reaches_the_kernel(stage: Any, page: Any, make_explorer: Any) -> None:
    explorer = make_explorer()
    stage.show(explorer)
    page.locator(".dcm-slider .dcm-range").focus()
    page.keyboard.press("PageUp")
    stage.sync()
    assert explorer.epsilon > 0.03
    assert explorer.evaluated_epsilon == explorer.epsilon
    assert _shown(page) == list(explorer.verdicts)


def test_settling(stage: Any, page: Any, make_explorer: Any, shots: Path | None) -> None:
    explorer = make_explorer()
    stage.show(explorer)
    undecided = explorer.verdicts.count("unknown")
    button = page.get_by_role("button", name=f"Settle {undecided} undecided")
    button.click()
    stage.sync()
    assert "unknown" not in explorer.verdicts
    assert _shown(page) == list(explorer.verdicts)
    assert page.get_by_role("button", name="Nothing to settle").is_disabled()
    assert explorer.settle_note in page.locator(".dcm-settling").inner_text()
    _shoot(page, shots, "settled")


def test_progress_and_cancel(stage: Any, page: Any, make_explorer: Any, shots: Path | None) -> None:
    explorer = make_explorer()
    number = stage.show(explorer)
    cancel = page.get_by_role("button", name="Cancel")
    progress = page.get_by_role("progressbar")
    assert not cancel.is_visible()
    assert not progress.is_visible()
    for name, value in {"settle_total": 4, "settle_done": 1, "settling": True}.items():
        explorer.set_trait(name, value)
    explorer.set_trait("settle_note", "Sample 3: 1 of 4 done")
    stage.sync()
    assert progress.evaluate("(e) => e.value / e.max") == 0.25
    assert not page.locator(".dcm-settle").is_visible()
    assert "Settling 4 samples." in page.get_by_role("status").all_inner_texts()
    _shoot(page, shots, "settling")
    cancel.click()
    assert page.evaluate("(n) => shim.take(n)", number) == [
        {"method": "custom", "content": {"type": "cancel"}}
    ]
    explorer.set_trait("settling", False)
    explorer.set_trait("settle_note", "Cancelled after 1 of 4 samples.")
    stage.sync()
    assert not progress.is_visible()
    assert page.locator(".dcm-settle").is_visible()
    assert "Cancelled after 1 of 4 samples." in page.get_by_role("status").all_inner_texts()
    _shoot(page, shots, "cancelled")


def test_effort(stage: Any, page: Any, make_explorer: Any) -> None:
    explorer = make_explorer()
    stage.show(explorer)
    chosen = page.get_by_role("radio", name=explorer.method, exact=True)
    assert chosen.is_checked()
    chosen.focus()
    page.keyboard.press("ArrowLeft")
    page.get_by_label("finetune").check()
    page.get_by_label("sub-boxes").fill("3")
    page.keyboard.press("Enter")
    stage.sync()
    before = explorer.methods.index("crown") - 1
    assert explorer.method == explorer.methods[before]
    assert explorer.finetune
    assert explorer.n_sub_boxes == 3


@pytest.mark.parametrize("typed", ["0", "1.5", "many", "", "-2"])
def test_effort_that_is_no_number_is_answered(
    stage: Any, page: Any, make_explorer: Any, typed: str
) -> None:
    explorer = make_explorer()
    stage.show(explorer)
    field = page.get_by_label("sub-boxes")
    field.fill(typed)
    field.press("Enter")
    problem = page.get_by_role("alert").filter(has_text="whole number")
    assert (f"“{typed}”" if typed else "nothing") in problem.inner_text()
    assert field.get_attribute("aria-invalid") == "true"
    stage.sync()
    assert explorer.n_sub_boxes == 1
    field.press("Escape")
    assert field.input_value() == "1"
    assert problem.count() == 0


def test_refinement_is_shown_and_switched(stage: Any, page: Any, make_explorer: Any) -> None:
    explorer = make_explorer(refine=False)
    stage.show(explorer)
    dot = page.locator(".dcm-dot")
    assert not dot.is_visible()
    explorer.set_trait("refining", True)
    stage.sync()
    assert dot.is_visible()
    page.emulate_media(reduced_motion="reduce")
    assert dot.evaluate("(e) => getComputedStyle(e).animationName") == "none"
    page.get_by_label("refine radii").check()
    stage.sync()
    assert explorer.refine


def test_an_error_is_shown_once(
    stage: Any, page: Any, make_explorer: Any, shots: Path | None
) -> None:
    explorer = make_explorer()
    explorer.set_trait("error", "ValueError: <b>no</b>")
    explorer.set_trait("_traceback", "Traceback: here")
    stage.show(explorer)
    alert = page.locator(".dcm-error")
    assert alert.count() == 1
    assert "ValueError: <b>no</b>" in alert.inner_text()
    page.get_by_text("Python traceback").click()
    assert page.get_by_text("Traceback: here").is_visible()
    _shoot(page, shots, "error")


def test_without_its_kernel_it_still_answers(
    stage: Any, page: Any, make_explorer: Any, shots: Path | None
) -> None:
    explorer = make_explorer()
    explorer.set_trait("busy", True)
    page.evaluate(
        """() => {
            const view = document.createElement("div");
            // What Jupyter's widget manager does to the views of a kernel that is gone.
            view.className = "jupyter-widgets-disconnected";
            view.id = "gone";
            document.body.append(view);
        }"""
    )
    stage.show(explorer, parent="#gone")
    assert "Disconnected" in page.get_by_role("status").filter(has_text="kernel").inner_text()
    assert page.get_by_text("computing…").count() == 0
    assert not page.locator(".dcm-settle").is_visible()
    assert page.get_by_role("radio", name="crown", exact=True).is_disabled()
    for epsilon in (0.0, 0.021, 0.09):
        _set_epsilon(page, epsilon)
        assert _shown(page) == list(explorer._knowledge.verdicts(epsilon))
    _shoot(page, shots, "disconnected")


def test_tabs_by_keyboard(stage: Any, page: Any, make_explorer: Any) -> None:
    stage.show(make_explorer())
    tabs = page.get_by_role("tab")
    tabs.nth(0).focus()
    for key, target in {"ArrowRight": 1, "End": 3, "ArrowLeft": 2, "Home": 0}.items():
        page.keyboard.press(key)
        assert tabs.nth(target).get_attribute("aria-selected") == "true"
        assert page.get_by_role("tabpanel").count() == 1
        assert tabs.nth(target).evaluate("(e) => e === document.activeElement")
    page.set_viewport_size({"width": 1600, "height": 900})
    assert page.get_by_role("tabpanel").count() == 4, "a wide page shows all of them"
    assert tabs.count() == 0


def test_selecting_shows_margins_and_a_counterexample(
    stage: Any, page: Any, make_explorer: Any, shots: Path | None
) -> None:
    page.set_viewport_size({"width": 1600, "height": 1000})
    explorer = make_explorer(epsilon=0.06)
    stage.show(explorer)
    refuted = explorer.verdicts.index("non_robust")
    page.locator(f'.dcm-tile[data-index="{refuted}"]').click()
    stage.sync()
    stage.sync()
    assert explorer.selected == refuted
    margins = page.get_by_role("tabpanel", name="Margins")
    margins.locator("svg").first.wait_for()
    picture = page.get_by_role("tabpanel", name="Counterexample")
    picture.get_by_text(f"Counterexample of sample {refuted}", exact=True).wait_for()
    _shoot(page, shots, "selected")


@pytest.mark.parametrize(("width", "dark"), _SCREENS)
def test_every_width_in_light_and_dark(
    stage: Any, page: Any, make_explorer: Any, width: int, dark: bool, shots: Path | None
) -> None:
    page.set_viewport_size({"width": width, "height": 1000})
    stage.theme(dark=dark)
    explorer = make_explorer(epsilon=0.05)
    explorer.selected = 1
    stage.show(explorer)
    assert _fits(page)
    assert page.evaluate(_TOO_FAINT) == []
    small = page.locator(".dcm-explorer button, .dcm-explorer input, .dcm-method").evaluate_all(
        """(all) => all.filter((e) => e.checkVisibility()
            && !e.matches(".dcm-check, .dcm-method-input, [type=range]")
            && e.getBoundingClientRect().height < 23.5).map((e) => e.outerHTML)"""
    )
    assert small == []
    _shoot(page, shots, f"{width}_{'dark' if dark else 'light'}")
    if width < 1400:
        for k in range(4):
            page.get_by_role("tab").nth(k).click()
            assert _fits(page)
            _shoot(page, shots, f"{width}_{'dark' if dark else 'light'}_tab{k}")


def test_a_closed_view_leaves_nothing_behind(stage: Any, page: Any, make_explorer: Any) -> None:
    explorer = make_explorer()
    stage.show(explorer)
    stage.show(explorer)
    ids = page.evaluate("() => [...document.querySelectorAll('[id]')].map((e) => e.id)")
    assert len(ids) == len(set(ids))
    assert page.evaluate("() => shim.closeAll()") == [0]


# Pictures


def test_charts_are_saved_as_svg(stage: Any, page: Any, make_explorer: Any, tmp_path: Path) -> None:
    explorer = make_explorer()
    stage.show(explorer)
    with page.expect_download() as found:
        page.get_by_role("button", name="Save Bounds as SVG").click()
    path = tmp_path / "bounds.svg"
    found.value.save_as(path)
    text = path.read_text("utf-8")
    assert "var(" not in text
    assert "class=" not in text
    root = ET.fromstring(text)
    said = " ".join(element.text or "" for element in root.iter() if element.text)
    assert "bound of the largest margin" in said
    for word in explorer.provenance.split():
        assert word in said
    assert "ε = 0.03" in said


def test_charts_are_saved_as_png(
    stage: Any, page: Any, make_explorer: Any, tmp_path: Path, shots: Path | None
) -> None:
    stage.theme(dark=True)
    explorer = make_explorer()
    stage.show(explorer)
    with page.expect_download() as found:
        page.get_by_role("button", name="Save Bounds as PNG").click()
    path = (shots or tmp_path) / "explorer_saved_bounds.png"
    found.value.save_as(path)
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG")
    width, height = (int.from_bytes(content[k : k + 4]) for k in (16, 20))
    assert width > 600
    assert height > 400


# Pages without a kernel


@pytest.fixture
def offline_page(browser: Any) -> Iterator[Any]:
    """A page that can open files, and nothing else; an error of its scripts fails the test."""
    context = browser.new_context(viewport={"width": 1000, "height": 900})
    context.set_default_timeout(10_000)
    context.set_offline(True)
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
    page.on("requestfailed", lambda request: problems.append(request.url))
    yield page
    context.close()
    assert problems == []


@pytest.mark.parametrize("dark", [False, True])
def test_an_explorer_as_a_file(
    offline_page: Any, make_explorer: Any, tmp_path: Path, dark: bool, shots: Path | None
) -> None:
    page = offline_page
    page.emulate_media(color_scheme="dark" if dark else "light")
    explorer = make_explorer()
    for epsilon in (0.02, 0.05):
        explorer.epsilon = epsilon
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    path = write_html(explorer, tmp_path / "explorer.html", title="Digits </title> & <b>more</b>")
    page.goto(path.as_uri())
    page.locator(".dcm-tile").first.wait_for()
    assert page.title() == "Digits </title> & <b>more</b>"
    for epsilon in np.linspace(0, explorer.epsilon_max, 7):
        _set_epsilon(page, float(epsilon))
        assert _shown(page) == list(explorer._knowledge.verdicts(float(epsilon)))
    _set_epsilon(page, 0.035)
    upper, _ = explorer._history.at(0.035)
    page.locator('.dcm-tile[data-index="3"]').click()
    assert page.locator('.dcm-tile[aria-selected="true"]').get_attribute("data-index") == "3"
    assert f"{upper[3]:.4g}" in page.get_by_role("tooltip").first.inner_text()
    assert page.locator(".dcm-histogram .dcm-column").count() > 0
    assert explorer.provenance in page.locator(".dcm-provenance").inner_text()
    assert not page.locator(".dcm-settle").is_visible()
    for tab in ("Accuracy", "Margins", "Counterexample", "Bounds"):
        page.get_by_role("tab", name=tab).click()
        assert _fits(page)
        _shoot(page, shots, f"static_{tab}_{'dark' if dark else 'light'}")
    page.get_by_role("tab", name="Accuracy").click()
    cursor = page.locator(".dcm-curve").get_by_role("slider")
    cursor.focus()
    page.keyboard.press("Home")
    assert float(page.locator(".dcm-slider .dcm-range").input_value()) == 0
    assert set(_shown(page)) <= {"robust", "misclassified"}
    assert all(url.startswith(("file:", "blob:", "data:")) for url in requested)


def test_single_widgets_as_files(
    offline_page: Any, fake_certify: Callable[..., Any], tmp_path: Path
) -> None:
    page = offline_page
    page.goto(write_html(EpsilonSlider(value=0.02), tmp_path / "slider.html").as_uri())
    page.get_by_role("slider").focus()
    page.keyboard.press("Home")
    assert float(page.get_by_role("slider").input_value()) == 0
    x = np.random.default_rng(0).uniform(size=(30, 64)).astype("float32")
    model: Any = None
    grid = SampleGrid(model, x, np.arange(30) % 10, executor="sync", _certify=fake_certify)
    page.goto(write_html(grid, tmp_path / "grid.html").as_uri())
    page.locator(".dcm-tile").nth(2).click()
    assert page.locator('.dcm-tile[aria-selected="true"]').count() == 1
    assert set(_shown(page)) <= {"robust", "misclassified"}
