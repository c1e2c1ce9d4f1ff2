import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import traitlets
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from matplotlib.figure import Figure

from decomon_widgets import BoundHistogram, SampleGrid
from decomon_widgets.bins import (
    bin_edges,
    brushed,
    count_bins,
    count_by_verdict,
    count_left_out,
)
from decomon_widgets.verdicts import VERDICTS

_numbers = hnp.arrays(np.float64, st.integers(1, 30), elements=st.floats(-1e9, 1e9, width=32))


@pytest.fixture
def grid(data: tuple[np.ndarray, np.ndarray], by_label: Callable[..., Any]) -> SampleGrid:
    model: Any = None
    return SampleGrid(model, *data, epsilon=0.03, seed=0, executor="sync", _certify=by_label)


@given(values=_numbers, bins=st.integers(1, 40))
def test_bins_hold_all_values_and_zero_is_an_edge(values: np.ndarray, bins: int) -> None:
    edges = bin_edges(values, bins)
    assert (np.diff(edges) > 0).all()
    assert 0 in edges[1:-1]
    assert 2 <= len(edges) - 1 <= bins + 2
    counts = count_bins(values, edges)
    assert counts.sum() == len(values)
    assert counts[edges[1:] <= 0].sum() == (values < 0).sum()


@given(
    values=hnp.arrays(np.float64, st.integers(0, 30), elements=st.floats(width=64)),
    bins=st.integers(1, 40),
    bound=st.sampled_from(["upper", "lower"]),
)
def test_every_finite_value_has_one_bin_on_its_side_of_zero(
    values: np.ndarray, bins: int, bound: Any
) -> None:
    edges = bin_edges(values, bins)
    assert np.isfinite(edges).all()
    assert (np.diff(edges) > 0).all()
    verdicts = tuple(list(VERDICTS)[k % 5] for k in range(len(values)))
    counts = count_by_verdict(values, verdicts, edges, bound)
    drawn = sum(int(n.sum()) for n in counts.values())
    to_come = [
        not abs(v) <= 1e300 for v, name in zip(values, verdicts, strict=True) if name == "pending"
    ]
    assert drawn == len(values) - count_left_out(values, verdicts) - sum(to_come)
    shown = values[np.abs(values) <= 1e300]
    total = count_bins(values, edges, bound)
    if len(edges):
        left, right = edges[:-1] < 0, edges[:-1] >= 0
        proven = shown < 0 if bound == "upper" else shown > 0
        assert total[left if bound == "upper" else right].sum() == proven.sum()
        whole = brushed(values, -math.inf, math.inf, bound)
        assert len(whole) == total.sum() == len(shown)


def test_the_rule_is_that_of_the_front_end() -> None:
    """`js/test/bins.test.js` runs the same cases."""
    cases = json.loads(Path(__file__).with_name("bins_cases.json").read_text("utf-8"))
    assert len(cases) > 20
    for case in cases:
        values, verdicts = np.array([float(v) for v in case["values"]]), tuple(case["verdicts"])
        edges = bin_edges(values, case["bins"])
        assert edges.tolist() == case["edges"]
        assert count_left_out(values, verdicts) == case["left_out"]
        for bound in ("upper", "lower"):
            counts = count_by_verdict(values, verdicts, edges, bound)
            assert {name: n.tolist() for name, n in counts.items() if n.any()} == case[bound]
            for brush in case["brushed"]:
                found = brushed(values, float(brush["low"]), float(brush["high"]), bound)
                assert list(found) == brush[bound]


def test_values_that_are_not_finite_are_not_counted() -> None:
    values = np.array([np.nan, np.inf, -np.inf, 0.5])
    assert count_bins(values, np.array([-1.0, 0.0, 1.0])).tolist() == [0, 1]
    assert len(count_bins(values, np.empty(0))) == 0


def test_it_follows_its_source(grid: SampleGrid) -> None:
    histogram = BoundHistogram(grid)
    for epsilon in (0.03, 0.01, 0.06):
        grid.epsilon = epsilon
        assert histogram.verdicts == grid.verdicts
        assert histogram.epsilon == histogram.evaluated_epsilon == epsilon
        edges, upper, lower = histogram._edges, histogram._upper_counts, histogram._lower_counts
        assert (upper.sum(), lower.sum(), histogram.n_bounds) == (10, 10, 10)
        assert upper[edges[1:] <= 0].sum() == (grid.upper < 0).sum()
        assert lower[edges[:-1] >= 0].sum() == (grid.lower > 0).sum()
    before = histogram._edges
    grid.reset()
    assert histogram.verdicts == grid.verdicts
    histogram.bins = 5
    assert len(histogram._edges) < len(before)


def test_a_bound_of_zero_proves_nothing(data: tuple[np.ndarray, np.ndarray], by_label: Any) -> None:
    def certify(*arguments: Any, **options: Any) -> Any:
        certificate = by_label(*arguments, **options)
        certificate.upper[:] = certificate.lower[:] = 0.0
        certificate.verdicts = ("unknown",) * len(certificate.upper)
        return certificate

    model: Any = None
    grid = SampleGrid(model, *data, executor="sync", _certify=certify)
    histogram = BoundHistogram(grid)
    edges = histogram._edges
    assert histogram._upper_counts[edges[1:] <= 0].sum() == 0
    assert histogram._lower_counts[edges[:-1] >= 0].sum() == 0


def test_what_is_not_finite_is_reported(data: tuple[np.ndarray, np.ndarray], by_label: Any) -> None:
    def certify(*arguments: Any, **options: Any) -> Any:
        certificate = by_label(*arguments, **options)
        certificate.upper[0] = np.inf
        certificate.lower[1] = np.nan
        certificate.verdicts = ("unknown", *certificate.verdicts[1:])
        return certificate

    model: Any = None
    grid = SampleGrid(model, *data, n_samples=5, executor="sync", _certify=certify)
    histogram = BoundHistogram(grid)
    assert histogram.n_non_finite == 2
    assert histogram.n_bounds == 3
    assert histogram._upper_counts.sum() == histogram._lower_counts.sum() == 4
    assert "NaN" in histogram.error


def test_before_the_first_result_there_is_nothing_to_draw(
    data: tuple[np.ndarray, np.ndarray], stepped: Any
) -> None:
    model: Any = None
    grid = SampleGrid(model, *data, _certify=stepped)
    histogram = BoundHistogram(grid)
    assert len(histogram._edges) == 0
    assert (histogram.busy, histogram.n_non_finite) == (True, 0)
    assert isinstance(histogram.to_figure(), Figure)
    stepped.finish(100)
    assert grid.wait(30)
    assert len(histogram._edges) > 2
    assert not histogram.busy


def test_a_closed_histogram_follows_no_more(grid: SampleGrid) -> None:
    histogram = BoundHistogram(grid)
    histogram.close()
    grid.epsilon = 0.05
    assert histogram.epsilon == 0.03
    histogram.close()


def test_unusable_arguments_are_refused(grid: SampleGrid) -> None:
    wrong: Any = "grid"
    with pytest.raises(TypeError, match="Received"):
        BoundHistogram(wrong)
    with pytest.raises(traitlets.TraitError, match="Received"):
        BoundHistogram(grid, bins=0)
    with pytest.raises(TypeError, match=r"'bin'.*'bins'"):
        BoundHistogram(grid, bin=3)


def test_brushed_samples_are_those_of_the_source(grid: SampleGrid) -> None:
    grid.brushed = (1, 2)  # pyright: ignore[reportAttributeAccessIssue]
    histogram = BoundHistogram(grid)
    assert histogram.brushed == (1, 2)
    histogram.brushed = np.array([4, 3, 4])  # pyright: ignore[reportAttributeAccessIssue]
    assert grid.brushed == histogram.brushed == (3, 4)
    assert histogram.brush(high=0) == grid.brushed == tuple(np.flatnonzero(grid.upper < 0))
    refuted = histogram.brush(0, bound="lower")
    assert refuted == grid.brushed == tuple(np.flatnonzero(grid.lower > 0))
    for wrong in ((10,), (-1,)):
        with pytest.raises(traitlets.TraitError, match="Received"):
            histogram.brushed = wrong
    assert grid.brushed == histogram.brushed == refuted
    histogram.close()
    grid.brushed = (0,)  # pyright: ignore[reportAttributeAccessIssue]
    assert histogram.brushed == refuted


def test_other_samples_are_not_brushed(grid: SampleGrid) -> None:
    histogram = BoundHistogram(grid)
    histogram.brush()
    assert len(histogram.brushed) == 10
    grid.indices = (3, 4)
    assert all(position < 2 for position in histogram.brushed)
    assert grid.brushed == histogram.brushed
    assert len(histogram.verdicts) == 2


def test_an_interval_that_is_none_is_refused(grid: SampleGrid) -> None:
    histogram = BoundHistogram(grid)
    wrong: Any = "middle"
    with pytest.raises(ValueError, match="Received: bound='middle'"):
        histogram.brush(bound=wrong)
    for low, high in ((1.0, 0.0), (math.nan, 1.0), (0.0, math.nan)):
        with pytest.raises(ValueError, match="Received"):
            histogram.brush(low, high)
    assert histogram.brushed == ()


def test_arrays_alone_are_enough() -> None:
    histogram = BoundHistogram.of_bounds([-1.0, 2, np.inf], [-3.0, -1, np.nan], epsilon=0.1, bins=5)
    assert histogram.verdicts == ("robust", "unknown", "unknown")
    assert (histogram.epsilon, histogram.evaluated_epsilon, histogram.bins) == (0.1, 0.1, 5)
    assert (histogram.n_bounds, histogram.n_non_finite, histogram.source) == (2, 2, None)
    assert histogram.brush(0) == (1,)
    histogram.set_bounds([-1.0, -2, 1], [-3.0, -4, 0.5], ["robust"] * 2 + ["non_robust"], epsilon=0)
    assert histogram.brushed == (1,), "the same samples at another epsilon"
    assert histogram.verdicts[1:] == ("robust", "non_robust")
    histogram.set_bounds([], [], epsilon=0)
    assert (histogram.brushed, histogram.records()) == ((), [])
    assert isinstance(histogram.to_figure(), Figure)
    histogram.close()


@pytest.mark.parametrize(
    "arguments",
    [
        {"lower": [0.0]},
        {"upper": [[1.0, 2.0]]},
        {"upper": "12"},
        {"verdicts": ["robust"]},
        {"verdicts": ["robust", "perhaps"]},
        {"verdicts": ["robust", "robust"]},
        {"upper": [-1.0, np.nan], "verdicts": ["robust", "robust"]},
        {"epsilon": -0.1},
        {"epsilon": math.nan},
        {"epsilon": "0.1"},
        {"epsilon": True},
    ],
    ids=str,
)
def test_arrays_that_contradict_themselves_are_refused(arguments: dict[str, Any]) -> None:
    good = {"upper": [-1.0, 2.0], "lower": [-2.0, -1.0], "epsilon": 0.1}
    histogram = BoundHistogram.of_bounds(**good)
    before = histogram.get_state()
    for function in (BoundHistogram.of_bounds, histogram.set_bounds):
        with pytest.raises(ValueError, match="Received"):
            function(**{**good, **arguments})
    assert histogram.get_state() == before


def test_arrays_do_not_replace_a_source(grid: SampleGrid) -> None:
    with pytest.raises(RuntimeError, match="of_bounds"):
        BoundHistogram(grid).set_bounds([1.0], [0.0], epsilon=0.1)


def test_records_are_plain_numbers(grid: SampleGrid) -> None:
    histogram = BoundHistogram(grid)
    histogram.brushed = (2,)
    records = histogram.records()
    assert [record["verdict"] for record in records] == list(grid.verdicts)
    assert [record["upper"] for record in records] == grid.upper.tolist()
    assert [record["position"] for record in records if record["brushed"]] == [2]
    assert {type(value) for record in records for value in record.values()} <= {
        *(int, str, float, bool)
    }
    assert json.loads(json.dumps(records)) == records


@pytest.mark.parametrize("dark", [False, True])
def test_the_figure_has_both_panels_and_the_zero_line(grid: SampleGrid, dark: bool) -> None:
    histogram = BoundHistogram(grid)
    figure = histogram.to_figure(dark=dark)
    figure.canvas.draw()
    assert len(figure.axes) == 2
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == [VERDICTS[name].plural for name in VERDICTS if name in histogram.verdicts]
    for axes, values in zip(figure.axes, (grid.upper, grid.lower), strict=True):
        low, high = axes.get_xlim()
        assert low <= min(values.min(), 0)
        assert high >= max(values.max(), 0)
        assert any(line.get_xdata()[0] == 0 for line in axes.lines)  # pyright: ignore[reportIndexIssue, reportArgumentType]
        heights = [bar.get_height() for bar in axes.patches]  # pyright: ignore[reportAttributeAccessIssue]
        assert sum(heights) == len(values)


def test_a_page_without_widgets_shows_a_picture(grid: SampleGrid) -> None:
    bundle = BoundHistogram(grid)._repr_mimebundle_()
    assert bundle is not None
    assert bundle[0]["image/png"].startswith("iVBOR")
    assert "maybe robust" in bundle[0]["text/plain"]
