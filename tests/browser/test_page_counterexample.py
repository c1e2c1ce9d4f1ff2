"""The counterexample viewer in a Chromium page, with the real Python widget behind it."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from decomon_widgets.counterexample_viewer import CounterexampleViewer
from tests.browser.looks import no_wider_than_the_page, too_faint, too_small

pytestmark = pytest.mark.browser

_SHAPES = {"grey": (8, 8), "colour": (8, 8, 3), "row": (9,), "signal": (40, 2)}
_MODELS: dict[tuple[tuple[int, ...], int], keras.Model] = {}


def _model(shape: tuple[int, ...], classes: int) -> keras.Model:
    """Class 0 is the sum of the first half of the values, class 1 that of the second half."""
    if (shape, classes) not in _MODELS:
        size = int(np.prod(shape))
        model = keras.Sequential(
            [keras.Input(shape), keras.layers.Flatten(), keras.layers.Dense(classes)]
        )
        kernel = np.random.default_rng(3).normal(0, 0.02, (size, classes)).astype(np.float32)
        kernel[: size // 2, 0] += 0.3
        kernel[size // 2 :, 1] += 0.3
        bias = np.zeros(classes, np.float32)
        bias[2:] = -2
        model.layers[-1].set_weights([kernel, bias])
        _MODELS[shape, classes] = model
    return _MODELS[shape, classes]


def _viewer(
    kind: str = "grey", *, step: float = 0.12, classes: int = 4, label: int = 0, **options: Any
) -> CounterexampleViewer:
    shape = _SHAPES[kind]
    size = int(np.prod(shape))
    x = 0.5 + 0.3 * np.sin(np.arange(size))
    x[: size // 2] += 0.05
    x[size // 2 :] -= 0.05
    push = np.where(np.arange(size) < size // 2, -step, step)
    push[::3] = 0
    x = x.astype(np.float32).reshape(shape)
    return CounterexampleViewer(
        _model(shape, classes),
        *(x, x.astype(np.float64) + push.reshape(shape), label),
        **{"epsilon": 0.2, "executor": "sync", "clip": (0, 1), **options},
    )


def _pixels(page: Any, which: str) -> list[int]:
    return page.locator(f".dcm-figure-{which} canvas").evaluate(
        "(c) => [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]"
    )


def test_it_shows_the_pictures_and_says_what_is_proven(stage: Any, page: Any) -> None:
    viewer = _viewer(class_names=("cat", "dog", "fox", "owl"))
    assert viewer.replayed
    stage.show(viewer)
    text = page.locator(".dcm-proof").inner_text()
    assert "real Keras model" in text
    assert "label cat, predicted dog" in text
    assert "0.12" in text
    assert "0.2" in text
    assert page.locator(".dcm-figure").count() == 3
    found = viewer.point()
    assert found is not None
    shown = np.array(_pixels(page, "adversarial")).reshape(8, 8, 4)[..., 0]
    np.testing.assert_allclose(shown, 255 * np.clip(found, 0, 1), atol=0.51)


def test_predictions_are_listed_with_label_and_winner(stage: Any, page: Any) -> None:
    viewer = _viewer()
    stage.show(viewer)
    rows = page.locator(".dcm-outputs tbody tr")
    assert rows.count() == 4
    assert "label" in rows.nth(0).locator("th").inner_text()
    won = [
        rows.nth(k).locator("td").nth(side).locator(".dcm-mark").inner_text() != ""
        for side in (0, 1)
        for k in range(4)
    ]
    assert won == [True, False, False, False, False, True, False, False]
    numbers = [
        float(t.replace("\N{MINUS SIGN}", "-"))
        for t in rows.nth(1).locator(".dcm-number").all_inner_texts()
    ]
    np.testing.assert_allclose(
        numbers, [viewer._clean_logits[1], viewer._adversarial_logits[1]], rtol=1e-3
    )


def test_the_perturbation_is_amplified(stage: Any, page: Any) -> None:
    viewer = _viewer()
    stage.show(viewer)
    assert "\N{MULTIPLICATION SIGN} 2" in page.locator(".dcm-figure-change figcaption").inner_text()
    before = _pixels(page, "change")
    handle = page.get_by_role("slider", name="amplification")
    handle.focus()
    page.keyboard.press("End")
    stage.sync()
    assert viewer.amplification == 1000
    after = _pixels(page, "change")
    assert after != before
    colours = {tuple(pixel[:3]) for pixel in np.array(after).reshape(-1, 4).tolist()}
    assert len(colours) == 3  # less, the same, more
    page.get_by_role("button", name="Fit").click()
    stage.sync()
    assert viewer.amplification is None
    assert _pixels(page, "change") == before


def test_what_is_not_proven_is_not_pictured(stage: Any, page: Any) -> None:
    viewer = _viewer(step=0.01)
    assert not viewer.replayed
    stage.show(viewer)
    assert not page.locator(".dcm-proof").is_visible()
    assert "no counterexample" in page.locator(".dcm-note").first.inner_text()
    assert page.locator(".dcm-figure").count() == 1
    assert not page.get_by_role("button", name="Copy").is_visible()
    assert page.locator(".dcm-outputs thead th").all_inner_texts() == ["class", "clean"]


def test_a_point_that_was_not_confirmed_is_never_drawn(stage: Any, page: Any) -> None:
    viewer = _viewer()
    viewer.set_trait("replayed", False)
    stage.show(viewer)
    assert "not confirmed" in page.locator(".dcm-note").first.inner_text()
    assert page.locator(".dcm-figure").count() == 1
    assert not page.locator(".dcm-proof").is_visible()


def test_copy_as_numpy(stage: Any, page: Any) -> None:
    viewer = _viewer()
    stage.show(viewer)
    button = page.get_by_role("button", name="Copy as NumPy")
    page.evaluate(
        "() => Object.defineProperty(navigator, 'clipboard', { configurable: true, value: {"
        " writeText: async (text) => { globalThis.copied = text; } } })"
    )
    button.click()
    page.wait_for_function("() => globalThis.copied")
    names: dict[str, Any] = {}
    exec(page.evaluate("() => globalThis.copied"), names)
    np.testing.assert_array_equal(names["adversarial"], viewer.point())
    np.testing.assert_array_equal(names["x"].ravel(), viewer._clean)
    assert page.get_by_text("Copied.").is_visible()
    # Where the clipboard is not allowed, the text is there to be copied by hand.
    page.evaluate(
        "() => Object.defineProperty(navigator, 'clipboard', { configurable: true, value: {"
        " writeText: async () => { throw new Error('no'); } } })"
    )
    button.click()
    code = page.get_by_label("both points as NumPy code")
    code.wait_for(state="visible")
    assert "np.array" in code.input_value()
    assert page.evaluate("() => getSelection().toString().length || document.activeElement.tagName")


def test_the_present_epsilon_is_told_apart(stage: Any, page: Any) -> None:
    viewer = _viewer()
    viewer.set_trait("present_epsilon", 0.05)
    stage.show(viewer)
    assert "outside of the domain" in page.locator(".dcm-note").first.inner_text()
    viewer.set_trait("present_epsilon", 0.15)
    stage.sync()
    assert page.locator(".dcm-note").first.inner_text() == ""


def test_errors_are_shown_with_the_traceback(stage: Any, page: Any) -> None:
    stage.show(_viewer(label=7))
    assert "two classes" in page.get_by_role("alert").inner_text()
    assert page.get_by_text("Python traceback").is_visible()
    assert page.locator(".dcm-figure").count() == 0


def test_many_classes_are_cut(stage: Any, page: Any) -> None:
    stage.show(_viewer(classes=40))
    assert page.locator(".dcm-outputs tbody tr").count() == 12
    assert "12 of 40 classes" in page.locator(".dcm-predictions").inner_text()


def test_rows_and_signals(stage: Any, page: Any) -> None:
    stage.show(_viewer("row", feature_names=tuple("abcdefghi")))
    table = page.locator(".dcm-features-table")
    assert table.locator("tbody tr").count() == 9
    assert "+0.12" in table.inner_text()
    page.evaluate("() => shim.closeAll()")
    stage.show(_viewer("signal"))
    assert page.locator(".dcm-signal").count() == 3
    assert page.locator(".dcm-figure-adversarial path").count() == 2
    page.evaluate("() => shim.closeAll()")


def test_closed_views_leave_nothing(stage: Any, page: Any) -> None:
    viewer = _viewer()
    stage.show(viewer)
    stage.show(viewer)
    assert page.evaluate("() => shim.closeAll()") == [0]


@pytest.mark.parametrize("kind", list(_SHAPES))
@pytest.mark.parametrize(("width", "dark"), [(320, True), (900, False), (900, True), (1600, False)])
def test_it_fits_and_can_be_read(
    stage: Any, page: Any, kind: str, width: int, dark: bool, shots: Path | None
) -> None:
    page.set_viewport_size({"width": width, "height": 700})
    stage.theme(dark=dark)
    stage.show(_viewer(kind, classes=10, step=0.18))
    assert no_wider_than_the_page(page)
    assert too_faint(page, ".dcm-proof, .dcm-table th, .dcm-table td, .dcm-button") == []
    assert too_small(page, ".dcm-button, input") == []
    tables = page.locator(".dcm-features-table")
    assert tables.evaluate_all("(all) => all.every((t) => t.scrollWidth <= t.clientWidth)")
    if shots:
        name = f"counterexample_{kind}_{width}_{'dark' if dark else 'light'}.png"
        page.screenshot(path=shots / name, full_page=True)
