"""Counterexamples: nothing is shown as one that the real model did not confirm."""

from typing import Any

import keras
import numpy as np
import pytest
import traitlets

from decomon_widgets import SampleGrid
from decomon_widgets._base import static_file
from decomon_widgets._figures_counterexample import fitting_factor
from decomon_widgets.counterexample_viewer import CounterexampleViewer


def _model(shape: tuple[int, ...] = (4, 4), *, last: str | None = None) -> keras.Model:
    """Three classes: the sums over thirds of the values; near (1, 0, 0) it says 0."""
    size = int(np.prod(shape))
    model = keras.Sequential(
        [keras.Input(shape), keras.layers.Flatten(), keras.layers.Dense(3, activation=last)]
    )
    kernel = np.zeros((size, 3), np.float32)
    for k, part in enumerate(np.array_split(np.arange(size), 3)):
        kernel[part, k] = 1
    model.layers[-1].set_weights([kernel, np.zeros(3, np.float32)])
    return model


def _pair(size: int = 16, step: float = 0.2) -> tuple[np.ndarray, np.ndarray]:
    """A sample of class 0, and a point at distance `step` of class 1."""
    x = np.full(size, 0.5, np.float32)
    first, second, _ = np.array_split(np.arange(size), 3)
    x[first] += np.float32(0.1)
    point = x.astype(np.float64)
    point[first] -= step
    point[second] += step
    return x, point


def _shown(viewer: CounterexampleViewer) -> bool:
    """Whether a counterexample is shown; all parts of the state must agree on it."""
    present = [
        viewer.replayed,
        len(viewer._adversarial) > 0,
        len(viewer._adversarial_logits) > 0,
        viewer.distance is not None,
        viewer.point() is not None,
    ]
    assert len(set(present)) == 1
    assert viewer.replayed != bool(viewer.note or viewer.error)
    return viewer.replayed


def test_a_counterexample_is_replayed_by_the_real_model() -> None:
    model, (x, point) = _model(), _pair()
    viewer = CounterexampleViewer(model, x, point, 0, epsilon=0.2, executor="sync")
    assert _shown(viewer)
    assert viewer.distance == pytest.approx(0.2)
    assert viewer.epsilon == 0.2
    outputs = model(point.reshape(1, 4, 4).astype("float32")).numpy()[0]
    np.testing.assert_allclose(viewer._adversarial_logits, outputs)
    assert viewer._adversarial_logits.argmax() == 1
    np.testing.assert_array_equal(viewer._clean, x)
    found = viewer.point()
    assert found is not None
    assert found.shape == (4, 4)
    assert "label 0, predicted 1" in viewer._summary()
    assert viewer._outputs == "Logits of the real model"


@pytest.mark.parametrize(
    ("step", "epsilon", "text"),
    [
        (0.2, 0.19, "outside of the domain"),
        (0.2, 0.1999999, "outside of the domain"),
        (0.01, 0.2, "it is no counterexample"),
        (0.0, 0.2, "it is no counterexample"),
    ],
)
def test_what_proves_nothing_is_not_shown(step: float, epsilon: float, text: str) -> None:
    x, point = _pair(step=step)
    viewer = CounterexampleViewer(_model(), x, point, 0, epsilon=epsilon, executor="sync")
    assert not _shown(viewer)
    assert text in viewer.note
    assert text in viewer._summary()
    assert len(viewer._clean) == 16  # what is known of the clean input stays


def test_a_point_outside_of_the_valid_range_is_not_shown() -> None:
    x, point = _pair()
    given: Any = (_model(), x, point, 0)
    viewer = CounterexampleViewer(*given, epsilon=0.3, clip=(0.3, 0.65), executor="sync")
    assert not _shown(viewer)
    assert "0.65" in viewer.note
    assert _shown(CounterexampleViewer(*given, epsilon=0.3, clip=(0.3, 0.7), executor="sync"))
    assert _shown(CounterexampleViewer(*given, epsilon=0.3, clip=None, executor="sync"))


def test_rounding_to_the_type_of_the_model_is_undone_inside_of_the_domain() -> None:
    model, (x, point) = _model(), _pair(step=0.1)
    x[:6] = 0.55
    point[:6] = 0.48
    # In single precision, 0.6 lies outside by a rounding error.
    rounded = point.astype(np.float32)
    assert np.abs(rounded.astype(np.float64) - x).max() > 0.1
    viewer = CounterexampleViewer(model, x, rounded, 0, epsilon=0.1, executor="sync")
    assert _shown(viewer)
    assert np.abs(viewer._adversarial - x.astype(np.float64)).max() <= 0.1
    np.testing.assert_array_equal(viewer._adversarial.astype(np.float32), rounded)


def test_a_clean_input_of_another_class_needs_no_perturbation() -> None:
    x, point = _pair()
    viewer = CounterexampleViewer(_model(), x, point, 2, epsilon=0.2, executor="sync")
    assert not _shown(viewer)
    assert "already classified as 0" in viewer.note


def test_outputs_that_are_nan_prove_nothing() -> None:
    model, (x, point) = _model(), _pair()
    kernel, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([kernel, bias * np.nan])
    viewer = CounterexampleViewer(model, x, point, 0, epsilon=0.2, executor="sync")
    assert not _shown(viewer)
    assert "NaN" in viewer.note


def test_a_failing_model_is_an_error_and_no_proof() -> None:
    x, point = _pair()
    viewer = CounterexampleViewer(_model(), x, point, 7, epsilon=0.2, executor="sync")
    assert not _shown(viewer)
    assert "from 0 to 2" in viewer.error
    assert "Traceback" in viewer._traceback


def test_logits_are_shown_also_of_a_model_with_a_final_softmax() -> None:
    x, point = _pair()
    bare, model = _model(), _model(last="softmax")
    viewer = CounterexampleViewer(model, x, point, 0, epsilon=0.2, executor="sync")
    assert _shown(viewer)
    assert "before the final softmax" in viewer._outputs
    logits = bare(np.stack([x, point]).reshape(2, 4, 4).astype("float32")).numpy()
    np.testing.assert_allclose(viewer._clean_logits, logits[0], atol=1e-5)
    np.testing.assert_allclose(viewer._adversarial_logits, logits[1], atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "kind"), [((4, 4), "image"), ((4, 4, 3), "image"), ((7,), "row"), ((32, 1), "signal")]
)
def test_kinds_of_inputs(shape: tuple[int, ...], kind: str) -> None:
    size = int(np.prod(shape))
    x, point = _pair(size, 0.3)
    viewer = CounterexampleViewer(
        _model(shape), x.reshape(shape), point.reshape(1, *shape), 0, epsilon=0.3, executor="sync"
    )
    assert _shown(viewer)
    assert viewer._kind == kind
    assert np.prod(viewer._image_shape) == size
    for dark in (False, True):
        viewer.to_figure(dark=dark).canvas.draw()


def test_a_picture_for_a_model_of_flat_inputs_stays_a_picture() -> None:
    x, point = _pair(75)
    viewer = CounterexampleViewer(
        _model((75,)), x.reshape(5, 5, 3), point, 0, epsilon=0.2, executor="sync"
    )
    assert _shown(viewer)
    assert (viewer._kind, viewer._image_shape) == ("image", (5, 5, 3))


def test_records() -> None:
    x, point = _pair()
    viewer = CounterexampleViewer(
        _model(), x, point, 0, epsilon=0.2, class_names=("a", "b", "c"), executor="sync"
    )
    records = viewer.records()
    assert [(r["class"], r["name"], r["label"]) for r in records] == [
        (0, "a", True),
        (1, "b", False),
        (2, "c", False),
    ]
    assert max(records, key=lambda r: r["clean"])["class"] == 0
    assert max(records, key=lambda r: r["adversarial"])["class"] == 1
    assert all(r["difference"] == r["adversarial"] - r["clean"] for r in records)
    x, point = _pair(step=0.0)
    bare = CounterexampleViewer(_model(), x, point, 0, epsilon=0.2, executor="sync")
    assert [r["adversarial"] for r in bare.records()] == [None] * 3


@pytest.fixture
def grid() -> SampleGrid:
    """Sample 0 is of class 0, sample 1 is misclassified, sample 2 is far from every other class."""
    x = np.stack([_pair()[0]] * 3)
    x[2, 5:] = 0
    x[2, :5] = 1
    labels = np.array([0, 2, 0])
    return SampleGrid(_model(), x, labels, n_samples=3, epsilon=0.2, executor="sync")


def test_it_follows_the_selected_sample_of_a_grid(grid: SampleGrid) -> None:
    grid.indices = (0, 1, 2)
    viewer = CounterexampleViewer(grid, executor="sync")
    assert not _shown(viewer)
    assert "No sample is selected" in viewer.note
    grid.selected = 0
    assert grid.verdicts[0] == "non_robust"
    assert _shown(viewer)
    assert viewer.sample == 0
    assert viewer.distance is not None
    assert viewer.distance <= 0.2 * (1 + 1e-12)
    assert viewer.present_epsilon == 0.2
    grid.epsilon = 0.01  # the point stays one, of a larger domain
    assert _shown(viewer)
    assert viewer.present_epsilon == 0.01
    for position, word in ((1, "already classified"), (2, "robust")):
        grid.selected = position
        assert not _shown(viewer)
        assert word in viewer.note
    grid.selected = -1
    assert not _shown(viewer)
    assert len(viewer._clean) == 0
    grid.close()
    viewer.close()


def test_new_weights_take_a_counterexample_away(grid: SampleGrid) -> None:
    grid.indices = (0, 1, 2)
    viewer = CounterexampleViewer(grid, executor="sync")
    grid.selected = 0
    assert _shown(viewer)
    layer = grid.model.layers[-1]
    kernel, bias = layer.get_weights()
    layer.set_weights([kernel, bias + np.array([100, 0, 0], np.float32)])
    grid.epsilon = 0.1
    assert grid.verdicts[0] == "robust"
    assert not _shown(viewer)


def test_a_closed_viewer_leaves_its_source(grid: SampleGrid) -> None:
    viewer = CounterexampleViewer(grid, executor="sync")
    viewer.close()
    grid.selected = 0
    assert viewer.sample == -1
    assert not viewer.replayed


def test_it_runs_the_model_beside_the_kernel(grid: SampleGrid) -> None:
    grid.indices = (0, 1, 2)
    viewer = CounterexampleViewer(grid)
    grid.selected = 0
    assert viewer.wait(60)
    assert _shown(viewer)
    assert not viewer.replaying


def test_unusable_arguments(grid: SampleGrid) -> None:
    x, point = _pair()
    model: Any = _model()
    short: Any = CounterexampleViewer
    for arguments, options, kind, text in (
        ((grid, x), {}, TypeError, "leave out x"),
        ((model, x), {}, TypeError, "without adversarial, label, epsilon"),
        ((3, x, point, 0), {"epsilon": 0.1}, TypeError, "Received: source=3"),
        ((model, x[:5], point, 0), {"epsilon": 0.1}, ValueError, "x must be one input"),
        ((model, x, point * np.nan, 0), {"epsilon": 0.1}, ValueError, "adversarial must be finite"),
        ((model, x, point, 0.5), {"epsilon": 0.1}, ValueError, "label"),
        ((model, x, point, 0), {"epsilon": -1}, ValueError, "epsilon"),
        ((model, x, point, 0), {"epsilon": 0.1, "clip": (1, 0)}, ValueError, "clip"),
        ((model, x, point, 0), {"epsilon": 0.1, "executor": "x"}, ValueError, "executor"),
        ((model, x, point, 0), {"epsilon": 0.1, "amplify": 3}, TypeError, "amplif"),
        ((model, x, point, 0), {"epsilon": 0.1, "class_names": ("a",)}, ValueError, "class_names"),
        ((model, x, point, 0), {"epsilon": 0.1, "amplification": 0.5}, traitlets.TraitError, "1"),
    ):
        with pytest.raises(kind, match=text):
            short(*arguments, **options)


@pytest.mark.parametrize(("largest", "factor"), [(0.5, 1), (0.1, 5), (0.05, 10), (1e-9, 1000)])
def test_the_factor_that_fits(largest: float, factor: float) -> None:
    assert fitting_factor(np.array([0.0, -largest]), 1.0) == factor


def test_bundle() -> None:
    x, point = _pair()
    viewer = CounterexampleViewer(_model(), x, point, 0, epsilon=0.2)
    bundle = viewer._repr_mimebundle_()
    assert bundle is not None
    assert "replayed through the real model" in bundle[0]["text/plain"]
    assert "image/png" in bundle[0]
    names = (f"counterexample_viewer.{kind}" for kind in ("js", "css"))
    assert sum(len(static_file(name).encode()) for name in names) <= 30_000
