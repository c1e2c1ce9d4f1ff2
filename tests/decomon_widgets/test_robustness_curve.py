import gc
import json
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ipywidgets
import keras
import numpy as np
import pytest
import traitlets
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import decomon
from decomon_widgets.curve import count_at, step_curves
from decomon_widgets.epsilon_slider import EpsilonSlider
from decomon_widgets.robustness_curve import RobustnessCurve
from decomon_widgets.sample_grid import SampleGrid

_CASES = json.loads(Path(__file__).with_name("curve_cases.json").read_text("utf-8"))

Data = tuple[np.ndarray, np.ndarray]


def _radii(case: dict[str, Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    certified, falsified = (
        np.array([float(value) for value in case[name]]) for name in ("certified", "falsified")
    )
    return certified, falsified, np.array(case["misclassified"], np.uint8)


@pytest.mark.parametrize("case", _CASES, ids=[case["name"] for case in _CASES])
def test_shared_cases(case: dict[str, Any]) -> None:
    radii = _radii(case)
    for epsilon, certified, attacked in case["at"]:
        assert count_at(*radii, epsilon) == (certified, attacked)
    for steps, name in zip(
        step_curves(*radii, case["end"]), ("certified", "attacked"), strict=True
    ):
        assert steps.at.tolist() == case[f"{name}_steps"]["at"]
        assert steps.counts.tolist() == case[f"{name}_steps"]["counts"]


@given(
    pairs=hnp.arrays(
        np.float64, st.tuples(st.integers(0, 30), st.just(2)), elements=st.floats(0, 1)
    ),
    end=st.floats(0.01, 2),
    epsilons=st.lists(st.floats(0, 2), max_size=20),
)
def test_the_curves_fall_and_never_cross(
    pairs: np.ndarray, end: float, epsilons: list[float]
) -> None:
    certified, falsified = pairs.min(axis=1) - 0.1, pairs.max(axis=1) + 1e-6
    certified[certified < 0] = -np.inf
    radii = certified, falsified, np.zeros(len(pairs), np.uint8)
    low, high = step_curves(*radii, end)
    for steps in (low, high):
        assert (np.diff(steps.at) > 0).all()
        assert (np.diff(steps.counts) < 0).all()
        assert len(steps.counts) == len(steps.at) + 1
    for epsilon in epsilons:
        proven, alive = count_at(*radii, epsilon)
        assert proven <= alive
        if epsilon < end:
            # The certified curve still has a radius, the attacked one has just lost it.
            assert low.counts[np.searchsorted(low.at, epsilon, side="left")] == proven
            assert high.counts[np.searchsorted(high.at, epsilon, side="right")] == alive


# Following a source


@pytest.fixture
def grid(data: Data, by_label: Callable[..., Any]) -> SampleGrid:
    model: Any = None
    return SampleGrid(model, *data, epsilon=0.03, seed=0, executor="sync", _certify=by_label)


def test_it_follows_the_radii_of_its_source(grid: SampleGrid) -> None:
    curve = RobustnessCurve(grid)
    for epsilon in (0.01, 0.06, 0.04, 0.02):
        grid.epsilon = epsilon
        assert curve.epsilon == epsilon
        certified, attacked = count_at(
            curve._certified, curve._falsified, curve._misclassified, epsilon
        )
        assert certified == grid.verdicts.count("robust")
        wrong = grid.verdicts.count("non_robust") + grid.verdicts.count("misclassified")
        assert attacked == 10 - wrong
        assert f"certified {certified} and attacked {attacked} of 10" in curve._summary()
    grid.reset()
    assert len(curve.records()) == 10
    assert [record["sample"] for record in curve.records()] == list(grid.indices)
    assert (curve._certified == grid._certified).all()


def test_epsilon_goes_both_ways(grid: SampleGrid) -> None:
    curve, slider = RobustnessCurve(grid), EpsilonSlider(value=0.03)
    traitlets.link((slider, "value"), (grid, "epsilon"))
    curve.epsilon = 0.05
    assert (grid.epsilon, slider.value, grid.evaluated_epsilon) == (0.05, 0.05, 0.05)
    slider.value = 0.02
    assert (curve.epsilon, grid.epsilon) == (0.02, 0.02)
    other = RobustnessCurve(grid)
    other.epsilon = 0.07
    assert curve.epsilon == slider.value == 0.07
    ipywidgets.jslink((slider, "value"), (curve, "epsilon"))


def test_an_epsilon_that_the_source_refuses_is_taken_back(grid: SampleGrid) -> None:
    curve, slider = RobustnessCurve(grid), EpsilonSlider(value=0.03)
    traitlets.link((slider, "value"), (grid, "epsilon"))
    with pytest.raises(traitlets.TraitError, match="Received"):
        curve.epsilon = 0.5
    assert curve.epsilon == grid.epsilon


@pytest.mark.slow
def test_a_closed_curve_follows_no_more_and_is_not_kept(grid: SampleGrid) -> None:
    curve = RobustnessCurve(grid)
    curve.close()
    grid.epsilon = 0.05
    assert curve.epsilon == 0.03
    curve.epsilon = 0.01
    assert grid.epsilon == 0.05
    curve.close()
    seen = weakref.ref(curve)
    del curve
    gc.collect()
    assert seen() is None


def test_two_models_share_an_epsilon(
    grid: SampleGrid, data: Data, by_label: Callable[..., Any]
) -> None:
    model: Any = None
    other = SampleGrid(
        model, *data, n_samples=6, epsilon=0.01, seed=3, executor="sync", _certify=by_label
    )
    curve = RobustnessCurve({"one": grid, "two": other})
    assert (curve.names, curve.epsilon, other.epsilon) == (("one", "two"), 0.03, 0.03)
    for widget, epsilon in ((grid, 0.05), (other, 0.02), (curve, 0.04)):
        widget.epsilon = epsilon
        assert curve.epsilon == grid.epsilon == other.epsilon == epsilon
    for arrays, source in zip(curve._arrays(), (grid, other), strict=True):
        assert len(arrays[0]) == len(source.indices)
        assert count_at(*arrays, 0.04)[0] == source.verdicts.count("robust")
    records = curve.records()
    assert [r["sample"] for r in records] == [*grid.indices, *other.indices]
    other.indices = range(12)
    assert [len(arrays[0]) for arrays in curve._arrays()] == [10, 12]
    curve.to_figure().canvas.draw()
    curve.close()
    grid.epsilon = 0.07
    assert other.epsilon == 0.04
    for wrong in ({}, {"one": grid, "two": "grid"}):
        with pytest.raises((TypeError, ValueError), match="Received"):
            RobustnessCurve(wrong)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="Received"):
        RobustnessCurve({"one": grid}, name="two")


def test_it_is_named_after_the_model(data: Data) -> None:
    model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(10)], name="small")
    grid = SampleGrid(model, *data, n_samples=2, seed=0, executor="sync")
    assert RobustnessCurve(grid).names == ("small",)
    assert RobustnessCurve(grid, name="mine", max=0.5, step=0.01).names == ("mine",)


# Given radii


def test_radii_by_name() -> None:
    curve = RobustnessCurve.of_radii(
        {"one": ([0.1, -np.inf, np.nan], [0.2, 0.0, np.nan]), "two": ([0, 0, 0], [1, 2, np.inf])},
        epsilon=0.1,
        p=2,
    )
    assert (curve.names, curve.p, curve.epsilon) == (("one", "two"), "2", 0.1)
    assert curve.max > 2
    assert 0 < curve.step < curve.max / 100
    records = curve.records()
    assert [record["misclassified"] for record in records] == [False, True, False] + [False] * 3
    assert records[2] == {
        "name": "one",
        "sample": 2,
        "certified": -np.inf,
        "falsified": np.inf,
        "misclassified": False,
    }
    assert "one certified 1 and attacked 2 of 3" in curve._summary()


def test_results_of_the_verifier(data: Data) -> None:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(10)])
    x, y = data[0][:8], data[1][:8]
    y = np.where(np.arange(8) < 5, model.predict(x, verbose=0).argmax(axis=1), y)
    radius = decomon.certified_radius(model, x, y, timeout=30)
    grid = np.linspace(0, 0.1, 6)
    accuracy = decomon.certified_accuracy(model, x, y, grid, timeout=30)
    curve = RobustnessCurve.of_radii({"radius": radius, "accuracy": accuracy})
    for row in range(2):
        arrays = curve._arrays()[row]
        for k, epsilon in enumerate(grid):
            low, high = (count / 8 for count in count_at(*arrays, epsilon))
            # Both are true, so neither certifies more than the other leaves.
            assert low <= accuracy.attacked[k]
            assert high >= accuracy.certified[k]
            if row == 1:
                assert (low, high) == (accuracy.certified[k], accuracy.attacked[k])
    assert curve.p == "inf"


@pytest.mark.parametrize(
    "radii",
    [
        {},
        [([0.1], [0.2])],
        {"a": [0.1]},
        {"a": 3},
        {"a": ([0.1], [0.2, 0.3])},
        {"a": ([[0.1]], [[0.2]])},
        {"a": ([0.2], [0.2])},
        {"a": ([0.3], [0.2])},
        {"a": ([-0.1], [0.2])},
        {"a": ([0.1], [0.2]), "b": ([0.1, 0.2], [0.3, 0.3])},
    ],
)
def test_radii_that_cannot_be_are_refused(radii: Any) -> None:
    with pytest.raises(ValueError, match="Received"):
        RobustnessCurve.of_radii(radii)


def test_unusable_arguments_are_refused(grid: SampleGrid) -> None:
    wrong: Any = "grid"
    with pytest.raises(TypeError, match="Received"):
        RobustnessCurve(wrong)
    with pytest.raises(ValueError, match="Received"):
        RobustnessCurve.of_radii({"a": ([0.1], [0.2])}, p=3)
    arguments: list[dict[str, Any]] = [{"max": 0}, {"max": np.inf}, {"step": -1}, {"step": np.nan}]
    for one in arguments:
        with pytest.raises(traitlets.TraitError, match="Received"):
            RobustnessCurve(grid, **one)
    with pytest.raises(TypeError, match=r"'maximum'.*'max'"):
        RobustnessCurve(grid, maximum=3)
    curve = RobustnessCurve(grid)
    for value in (-0.1, np.nan, np.inf, True):
        with pytest.raises(traitlets.TraitError, match="Received"):
            curve.epsilon = value


@pytest.mark.parametrize("dark", [False, True])
def test_the_figure_shows_the_counts_at_the_cursor(dark: bool) -> None:
    radii = {"$a": ([0.1, 0.2, -np.inf], [0.3, np.inf, np.nan]), "b": ([0, 0, 0], [1, 1, 0.05])}
    curve = RobustnessCurve.of_radii(radii, epsilon=0.15)
    figure = curve.to_figure(dark=dark)
    figure.canvas.draw()
    (axes,) = figure.axes
    assert "33.3%, attacked 100.0%" in figure.get_suptitle()
    for line in axes.lines:
        assert np.isfinite(np.asarray(line.get_xdata(), np.float64)).all()
        assert np.isfinite(np.asarray(line.get_ydata(), np.float64)).all()
    bundle = curve._repr_mimebundle_()
    assert bundle is not None
    assert bundle[0]["image/png"].startswith("iVBOR")


def test_without_samples_there_is_nothing_to_draw() -> None:
    curve = RobustnessCurve.of_radii({"a": ([], [])})
    assert curve.records() == []
    curve.to_figure().canvas.draw()
