from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import traitlets
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from matplotlib.figure import Figure

from decomon_widgets import BoundHistogram, SampleGrid
from decomon_widgets.bound_histogram import bin_edges, count_bins

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


@pytest.mark.parametrize("dark", [False, True])
def test_the_figure_has_both_panels_and_the_zero_line(grid: SampleGrid, dark: bool) -> None:
    histogram = BoundHistogram(grid)
    figure = histogram.to_figure(dark=dark)
    figure.canvas.draw()
    assert len(figure.axes) == 2
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
