import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import comm
import ipywidgets
import keras
import numpy as np
import pytest
import traitlets
from ipywidgets.widgets.widget import _instances
from matplotlib.figure import Figure

from decomon_widgets.margin_chart import MarginChart
from decomon_widgets.sample_grid import SampleGrid

_PATIENCE = 30

Data = tuple[np.ndarray, np.ndarray]


def _fake(x: Any, label: int, epsilon: float, clip: Any, methods: tuple[str, ...]) -> Any:
    """Upper bounds that tell for what they were computed."""
    upper = np.full((1, 10), epsilon + 10 * float(x[0])) - 5 * (methods[0] == "crown")
    lower = upper - 3
    lower[:, label] = upper[:, label] = 0
    return lower, upper


class _SteppedMargins:
    """Stops at the start of each call until the test lets it go on."""

    def __init__(self) -> None:
        self.calls: list[float] = []
        self._entered = threading.Semaphore(0)
        self._released = threading.Semaphore(0)

    def __call__(self, x: Any, label: int, epsilon: float, clip: Any, methods: Any) -> Any:
        self.calls.append(epsilon)
        self._entered.release()
        assert self._released.acquire(timeout=_PATIENCE)
        return _fake(x, label, epsilon, clip, methods)

    def wait_for_call(self) -> None:
        assert self._entered.acquire(timeout=_PATIENCE)

    def finish(self, calls: int = 1) -> None:
        self._released.release(calls)


@pytest.fixture
def stepped_margins() -> Iterator[_SteppedMargins]:
    made = _SteppedMargins()
    yield made
    made.finish(1000)


@pytest.fixture
def grid(data: Data, by_label: Callable[..., Any]) -> SampleGrid:
    model: Any = None
    return SampleGrid(model, *data, epsilon=0.03, seed=0, executor="sync", _certify=by_label)


@pytest.fixture
def chart(grid: SampleGrid) -> MarginChart:
    return MarginChart(grid, executor="sync", _margins=_fake)


def _expected(grid: SampleGrid, methods: tuple[str, ...] = ("ibp", "crown")) -> np.ndarray:
    k = grid.selected
    point, label = grid.samples.x[grid.indices[k]], int(grid.labels[k])
    parts = [_fake(point, label, grid.epsilon, None, (method,))[1] for method in methods]
    return np.concatenate(parts)


def test_it_follows_the_selected_sample_and_epsilon(grid: SampleGrid, chart: MarginChart) -> None:
    assert (chart.sample, chart.label, chart.busy, chart.records()) == (-1, -1, False, [])
    for selected, epsilon in ((2, 0.03), (2, 0.05), (4, 0.05), (4, 0.01)):
        grid.selected, grid.epsilon = selected, epsilon
        assert chart.sample == grid.indices[selected]
        assert chart.label == grid.labels[selected]
        assert chart.verdict == grid.verdicts[selected]
        assert chart.epsilon == chart.evaluated_epsilon == epsilon
        assert (chart.upper == _expected(grid)).all()
        assert (chart.lower <= chart.upper).all()
        assert not chart.busy
    grid.selected = -1
    assert (chart.sample, chart.upper.size, chart.evaluated_epsilon) == (-1, 0, None)
    grid.selected = 1
    grid.reset()
    assert (chart.sample, chart.upper.size) == (-1, 0), "the selection ends with the samples"


def test_methods_may_be_changed_and_never_name_the_rows_of_others(
    grid: SampleGrid, chart: MarginChart
) -> None:
    grid.selected = 0
    seen: list[tuple[int, int]] = []
    chart.observe(lambda _: seen.append((len(chart.methods), chart._upper.size)))
    chart.methods = ("crown",)
    assert (chart.upper == _expected(grid, ("crown",))).all()
    assert set(seen) <= {(2, 20), (2, 0), (1, 0), (1, 10)}
    with pytest.raises(traitlets.TraitError, match="Received"):
        chart.methods = ("krown",)
    assert chart.methods == ("crown",)


def test_the_last_request_wins_and_stale_results_are_dropped(
    grid: SampleGrid, stepped_margins: _SteppedMargins
) -> None:
    grid.selected = 0
    chart = MarginChart(grid, ("crown",), _margins=stepped_margins)
    stepped_margins.wait_for_call()
    published: list[Any] = []
    chart.observe(lambda change: published.append(change["new"]), "evaluated_epsilon")
    for epsilon in np.linspace(0.031, 0.08, 50):
        grid.epsilon = float(epsilon)
        assert chart.busy
    stepped_margins.finish()
    stepped_margins.wait_for_call()
    assert chart.evaluated_epsilon is None, "the first result is of no use any more"
    stepped_margins.finish()
    assert chart.wait(_PATIENCE)
    assert stepped_margins.calls == [0.03, 0.08]
    assert published == [0.08]
    assert (chart.upper == _expected(grid, ("crown",))).all()
    assert not chart.busy


def test_a_newer_request_leaves_out_the_other_methods(
    grid: SampleGrid, stepped_margins: _SteppedMargins
) -> None:
    grid.selected = 0
    chart = MarginChart(grid, _margins=stepped_margins)
    stepped_margins.wait_for_call()
    grid.epsilon = 0.05
    stepped_margins.finish(3)
    assert chart.wait(_PATIENCE)
    assert stepped_margins.calls == [0.03, 0.05, 0.05]


def test_another_sample_never_shows_the_bounds_of_the_last(
    grid: SampleGrid, stepped_margins: _SteppedMargins
) -> None:
    grid.selected = 0
    stepped_margins.finish(2)
    chart = MarginChart(grid, _margins=stepped_margins)
    assert chart.wait(_PATIENCE)
    assert chart.upper.size == 20
    grid.selected = 1
    assert (chart.upper.size, chart.busy, chart.sample) == (0, True, grid.indices[1])


def test_an_exception_is_an_error_and_no_bound(grid: SampleGrid) -> None:
    def fail(x: Any, *_: Any) -> Any:
        if grid.epsilon > 0.04:
            raise ValueError("sample 0 is odd")
        return _fake(x, *_)

    grid.selected = 3
    chart = MarginChart(grid, executor="sync", _margins=fail)
    assert chart.upper.size == 20
    grid.epsilon = 0.05
    assert chart.error == f"ValueError: sample {grid.indices[3]} is odd"
    assert "Traceback" in chart._traceback
    assert (chart.upper.size, chart.evaluated_epsilon, chart.busy) == (0, None, False)
    assert isinstance(chart.to_figure(), Figure)
    grid.epsilon = 0.03
    assert (chart.error, chart._traceback, chart.upper.size) == ("", "", 20)


def test_a_model_that_changes_meanwhile_gives_no_bounds(data: Data) -> None:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(10)])
    grid = SampleGrid(model, *data, epsilon=0.01, seed=0, executor="sync")
    train = threading.Event()

    def margins(x: Any, *arguments: Any) -> Any:
        if train.is_set():
            model.layers[0].bias.assign_add(np.ones(10))
        return _fake(x, *arguments)

    chart = MarginChart(grid, executor="sync", _margins=margins)
    grid.selected = 0
    assert chart.upper.size == 20
    train.set()
    grid.epsilon = 0.02
    assert "changed" in chart.error
    assert chart.upper.size == 0


def test_a_real_model_after_training(data: Data) -> None:
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((64,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(10)]
    )
    grid = SampleGrid(model, *data, epsilon=0.01, seed=0, executor="sync")
    chart = MarginChart(grid, executor="sync")
    grid.selected = 0
    label = chart.label
    before = chart.upper
    assert before.shape == (2, 10)
    others = [k for k in range(10) if k != label]
    # The largest upper bound of a class is what decides the sample.
    assert grid.upper[0] == pytest.approx(before[1, others].max(), abs=1e-3)
    model.layers[-1].bias.assign(np.eye(10)[label] * 50.0)
    # The next request of the source finds out.
    grid.n_sub_boxes = 2
    assert np.allclose(chart.upper[:, others], before[:, others] - 50, atol=1e-4)
    assert all(record["standing"] in ("excluded", "label") for record in chart.records())


def test_closing_stops_the_work(grid: SampleGrid, stepped_margins: _SteppedMargins) -> None:
    grid.selected = 0
    chart = MarginChart(grid, _margins=stepped_margins)
    stepped_margins.wait_for_call()
    chart.close()
    stepped_margins.finish(100)
    assert chart._runner is not None
    assert chart._runner.wait(_PATIENCE)
    grid.epsilon = 0.05
    grid.selected = 2
    assert stepped_margins.calls == [0.03]
    chart.close()


def test_a_forgotten_chart_is_collected_even_while_it_computes(
    grid: SampleGrid, stepped_margins: _SteppedMargins
) -> None:
    grid.selected = 0
    chart = MarginChart(grid, _margins=stepped_margins)
    stepped_margins.wait_for_call()
    runner, seen = chart._runner, weakref.ref(chart)
    assert runner is not None
    # ipywidgets and the kernel keep every open widget; as if they did not:
    _instances.pop(chart.model_id)
    comm.get_comm_manager().unregister_comm(chart.comm)
    chart.comm.close = lambda: None
    del chart
    gc.collect()
    assert seen() is None
    stepped_margins.finish(100)
    assert runner.wait(_PATIENCE)
    assert runner.closed
    grid.epsilon = 0.07
    assert stepped_margins.calls == [0.03]


@pytest.mark.slow
def test_nothing_keeps_a_closed_chart(grid: SampleGrid) -> None:
    chart = MarginChart(grid, executor="sync", _margins=_fake)
    grid.selected = 1
    seen = weakref.ref(chart)
    chart.close()
    del chart
    gc.collect()
    assert seen() is None


def test_given_bounds_need_no_model() -> None:
    lower, upper = np.array([[-3, 0, -2.0]]), np.array([[-1, 0, 4.0]])
    chart = MarginChart.of_bounds(
        lower, upper, ("crown",), 1, epsilon=0.1, class_names=tuple("abc")
    )
    assert [record["standing"] for record in chart.records()] == ["excluded", "label", "open"]
    assert chart.records()[0] == {
        "class": 0,
        "name": "a",
        "is_label": False,
        "standing": "excluded",
        "lower_crown": -3.0,
        "upper_crown": -1.0,
    }
    assert chart.wait()
    flat = MarginChart.of_bounds(lower[0], upper[0], "crown", np.int64(1))
    assert (flat.upper == upper).all()
    with pytest.raises(traitlets.TraitError, match="Received"):
        flat.methods = ("one", "two")
    flat.methods = ("alpha-crown",)
    flat.order = "upper"
    with pytest.raises(traitlets.TraitError):
        flat.order = "lower"  # type: ignore[assignment]
    assert "1 excluded" in flat._summary()


@pytest.mark.parametrize(
    "changes",
    [
        {"lower": np.zeros((2, 3))},
        {"lower": np.zeros((1, 2)), "upper": np.zeros((1, 2))},
        {"lower": np.zeros((1, 0)), "upper": np.zeros((1, 0)), "methods": ("a",)},
        {"upper": np.array([[-4, 0, 4.0], [0, 0, 0]])},
        {"methods": ("one",)},
        {"label": 3},
        {"label": -1},
        {"label": True},
        {"label": 0.5},
        {"verdict": "green"},
        {"epsilon": -0.1},
        {"epsilon": float("nan")},
        {"class_names": ("a", "b")},
    ],
)
def test_bounds_that_do_not_fit_are_refused(changes: dict[str, Any]) -> None:
    usual: dict[str, Any] = {
        "lower": np.array([[-3, 0, -2.0], [-9, 0, -9]]),
        "upper": np.array([[-1, 0, 4.0], [9, 0, 9]]),
        "methods": ("one", "two"),
        "label": 1,
    }
    MarginChart.of_bounds(**usual)
    with pytest.raises(ValueError, match="Received"):
        MarginChart.of_bounds(**{**usual, **changes})


def test_unusable_arguments_are_refused(grid: SampleGrid) -> None:
    wrong: Any = "grid"
    with pytest.raises(TypeError, match="Received"):
        MarginChart(wrong)
    with pytest.raises(ValueError, match="Received"):
        MarginChart(grid, methods=("krown",))
    with pytest.raises(ValueError, match="Received"):
        MarginChart(grid, executor=wrong)
    with pytest.raises(TypeError, match=r"'method'.*'methods'"):
        MarginChart(grid, method="crown")
    with pytest.raises(TypeError, match=r"'labels'"):
        MarginChart.of_bounds([0, 1], [0, 2], "a", 0, labels=3)


@pytest.mark.parametrize("dark", [False, True])
def test_the_figure_draws_numbers_only(dark: bool) -> None:
    lower = np.array([[-3, 0, np.nan, -np.inf], [-2, 0, np.nan, -1]])
    upper = np.array([[-1, 0, np.nan, np.inf], [np.inf, 0, np.nan, 2]])
    names = ("$x^", "b", "c", "d")
    chart = MarginChart.of_bounds(lower, upper, ("$one", "two"), 1, class_names=names)
    figure = chart.to_figure(dark=dark)
    figure.canvas.draw()
    (axes,) = figure.axes
    low, high = axes.get_xlim()
    for line in axes.lines:
        values = np.asarray(line.get_xdata(), np.float64)
        assert np.isfinite(values).all()
        assert ((values >= low) & (values <= high)).all()
    texts = [text.get_text() for text in axes.texts]
    assert sum("not known" in text for text in texts) == 2


def test_a_page_without_widgets_shows_a_picture(grid: SampleGrid, chart: MarginChart) -> None:
    grid.selected = 0
    bundle = chart._repr_mimebundle_()
    assert bundle is not None
    assert bundle[0]["image/png"].startswith("iVBOR")
    assert "sample" in bundle[0]["text/plain"]
    assert ipywidgets.HBox([grid, chart]).children[1] is chart
