import asyncio
import gc
import re
import threading
import weakref
from collections.abc import Callable
from typing import Any

import comm
import ipywidgets
import numpy as np
import pytest
import traitlets
from ipywidgets.widgets.widget import _instances
from matplotlib.figure import Figure

from decomon_widgets import BoundHistogram, EpsilonSlider, SampleGrid

_PATIENCE = 30
Data = tuple[np.ndarray, np.ndarray]


@pytest.fixture
def make(data: Data, by_label: Callable[..., Any]) -> Callable[..., SampleGrid]:
    def make(**arguments: Any) -> SampleGrid:
        return SampleGrid(
            None,  # pyright: ignore[reportArgumentType]
            *data,
            **{"executor": "sync", "seed": 0, "_certify": by_label} | arguments,
        )

    return make


def _expected(grid: SampleGrid, epsilon: float, n_sub_boxes: int = 1) -> tuple[str, ...]:
    def verdict(label: int) -> str:
        radius = 0.01 + 0.004 * label
        if label == 9:
            return "misclassified"
        if epsilon < radius * (1 + 0.2 * (n_sub_boxes - 1)):
            return "robust"
        return "non_robust" if epsilon > 2 * radius else "unknown"

    return tuple(map(verdict, grid.labels))


# What is shown


def test_the_verdicts_are_those_of_the_verifier(
    make: Callable[..., SampleGrid], data: Data
) -> None:
    grid = make(epsilon=0.03)
    x, y = data
    assert grid.labels.tolist() == y[list(grid.indices)].tolist()
    for epsilon in (0.03, 0.0, 0.05, 0.02, 1.0):
        grid.epsilon = epsilon
        assert grid.verdicts == _expected(grid, epsilon)
        assert grid.evaluated_epsilon == epsilon
        radius = 0.01 + 0.004 * grid.labels
        np.testing.assert_allclose(grid.upper, 50 * (epsilon - radius))
        np.testing.assert_allclose(grid.lower, 50 * (epsilon - 2 * radius))
        assert grid.predictions.tolist() == [4 if k == 9 else k for k in grid.labels]
        assert (grid.busy, grid.error) == (False, "")
        assert grid.elapsed > 0
    pixels = np.frombuffer(grid._pictures, np.uint8).reshape(10, 64)
    np.testing.assert_array_equal(pixels, np.rint(255 * x[list(grid.indices)]))


def test_the_verifier_gets_the_samples_and_all_settings(data: Data, by_label: Any) -> None:
    x, y = data
    seen: list[tuple[Any, ...]] = []

    def certify(model: Any, part: Any, labels: Any, epsilon: float, **options: Any) -> Any:
        seen.append((model, part, labels, epsilon, options))
        return by_label(model, part, labels, epsilon, **options)

    model: Any = object()
    grid = SampleGrid(
        *(model, x, np.eye(10)[y], 20, 4, 0.02, (0, 2), 3, 7), executor="sync", _certify=certify
    )
    assert all(call[0] is model for call in seen)
    assert len(seen) > 1, "a batch is worked on in slices"
    np.testing.assert_array_equal(np.concatenate([call[1] for call in seen]), x[list(grid.indices)])
    np.testing.assert_array_equal(np.concatenate([call[2] for call in seen]), grid.labels)
    assert {call[3] for call in seen} == {0.02}
    assert all(call[4] == {"clip": (0.0, 2.0), "n_sub_boxes": 3} for call in seen)
    assert (len(grid.indices), grid.columns, grid.seed) == (20, 4, 7)


def test_more_sub_boxes_ask_again_and_keep_what_is_proven(make: Callable[..., SampleGrid]) -> None:
    grid = make(epsilon=0.03)
    before = grid.verdicts
    grid.n_sub_boxes = 4
    gained = [a for a, b in zip(grid.verdicts, before, strict=True) if a != b]
    assert gained
    assert set(gained) == {"robust"}
    grid.n_sub_boxes = 1
    assert grid.verdicts.count("robust") >= before.count("robust") + len(gained)


# Samples


def test_seeds_and_resets_are_reproducible(make: Callable[..., SampleGrid]) -> None:
    one, two = make(seed=5), make(seed=5)
    assert one.indices == two.indices
    assert one.indices != make(seed=6).indices
    for _ in range(3):
        before = one.indices
        one.reset()
        two.reset()
        assert one.indices == two.indices
        assert not set(one.indices) & set(before)
        assert make(seed=one.seed).indices == one.indices


def test_without_a_seed_every_grid_draws_its_own(make: Callable[..., SampleGrid]) -> None:
    assert len({make(seed=None).seed for _ in range(4)}) > 1


def test_the_reset_button_draws_others(make: Callable[..., SampleGrid]) -> None:
    grid = make(epsilon=0.03)
    grid.selected = 3
    before = grid.indices
    grid._handle_custom_msg({"type": "reset"}, [])
    assert not set(grid.indices) & set(before)
    assert grid.selected == -1
    assert grid.verdicts == _expected(grid, 0.03)
    assert len(grid._pictures) == 10 * 64


def test_chosen_samples_can_be_shown(make: Callable[..., SampleGrid], data: Data) -> None:
    grid = make(epsilon=0.03)
    grid.indices = (7, 3, 59)
    assert grid.labels.tolist() == data[1][[7, 3, 59]].tolist()
    assert grid.verdicts == _expected(grid, 0.03)
    grid.indices = np.flatnonzero(data[1] == 4)
    assert set(grid.labels) == {4}
    assert len(grid.verdicts) == 6
    grid.reset()
    assert len(grid.indices) == 10


@pytest.mark.parametrize("chosen", [[1, 2, 3], range(25), [4]])
def test_observers_see_only_samples_and_results_that_belong_together(
    make: Callable[..., SampleGrid], data: Data, chosen: Any
) -> None:
    grid = make(epsilon=0.03)
    histogram = BoundHistogram(grid)
    seen: list[bool] = []
    arrays = ("verdicts", "upper", "lower", "labels", "predictions", "reasons", "_certified")

    def check(change: Any) -> None:
        n = len(grid.indices)
        whole = all(len(getattr(grid, name)) == n for name in arrays)
        right = grid.labels.tolist() == data[1][list(grid.indices)].tolist()
        counted = len(histogram._upper_counts) == max(0, len(histogram._edges) - 1)
        seen.append(whole and right and counted and len(grid._pictures) == 64 * n)

    grid.observe(check)
    histogram.observe(check)
    grid.selected = 9
    grid.indices = chosen
    assert grid.verdicts == histogram.verdicts == _expected(grid, 0.03)
    assert histogram.n_bounds == len(grid.verdicts) == len(chosen)
    grid.reset()
    assert grid.verdicts == histogram.verdicts == _expected(grid, 0.03)
    with grid.hold_trait_notifications():
        grid.epsilon = 0.02
        grid.indices = [5, 6]
    assert grid.verdicts == histogram.verdicts == _expected(grid, 0.02)
    assert seen
    assert all(seen)


def test_other_samples_are_one_message(make: Callable[..., SampleGrid], monkeypatch: Any) -> None:
    grid = make(epsilon=0.03)
    messages: list[set[str]] = []

    def record(message: dict[str, Any], buffers: Any = None) -> None:
        messages.append({*message["state"], *(path[0] for path in message["buffer_paths"])})

    monkeypatch.setattr(grid, "_send", record)
    grid.indices = [1, 2]
    grid.reset()
    assert len(messages) == 2
    for message in messages:
        assert {"indices", "labels", "_pictures", "verdicts", "upper", "_certified"} <= message


def test_an_observer_that_fails_leaves_no_half_loaded_grid(
    data: Data, by_label: Any, caplog: pytest.LogCaptureFixture
) -> None:
    model: Any = None
    grid = SampleGrid(model, *data, epsilon=0.03, seed=0, _certify=by_label)
    assert grid.wait(_PATIENCE)

    def observer(change: Any) -> None:
        raise RuntimeError("from an observer")

    grid.observe(observer, "labels")
    with pytest.raises(RuntimeError, match="from an observer"):
        grid.indices = [1, 2, 3]
    assert grid.wait(_PATIENCE)
    assert grid.verdicts == _expected(grid, 0.03)
    assert (len(grid.verdicts), grid.busy) == (3, False)


def test_an_observer_may_ask_for_something_else(make: Callable[..., SampleGrid]) -> None:
    grid = make(epsilon=0.03)

    def observer(change: Any) -> None:
        grid.epsilon = 0.05

    grid.observe(observer, "labels")
    grid.indices = [1, 2, 3]
    assert (grid.busy, grid.evaluated_epsilon) == (False, 0.05)
    assert grid.verdicts == _expected(grid, 0.05)


# Arguments


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, np.longdouble])
def test_numbers_of_numpy_are_numbers(
    make: Callable[..., SampleGrid], data: Data, kind: Any
) -> None:
    grid = make(
        epsilon=kind(0.03),
        n_samples=np.int64(7),
        columns=np.int32(3),
        n_sub_boxes=np.uint8(2),
        seed=np.int64(4),
    )
    assert type(grid.epsilon) is float
    assert grid.epsilon == float(kind(0.03))
    grid.epsilon = kind(0.02)
    assert grid.epsilon == float(kind(0.02))
    assert grid.verdicts == _expected(grid, grid.epsilon, 2)
    grid.selected, grid.columns = np.int64(2), np.int64(4)
    assert (grid.selected, grid.columns) == (2, 4)
    assert type(grid.columns) is int
    grid.epsilon = np.uint8(1)
    assert grid.epsilon == 1.0


@pytest.mark.parametrize("clip", [[0, 1], np.array([0, 1]), np.array([0.0, 1.0], "float32")])
def test_any_pair_is_a_clip(make: Callable[..., SampleGrid], clip: Any) -> None:
    assert make(epsilon=0.03, clip=clip).verdicts == make(epsilon=0.03).verdicts


@pytest.mark.parametrize(
    "arguments",
    [
        {"epsilon": -0.1},
        {"epsilon": float("nan")},
        {"epsilon": float("inf")},
        {"columns": 0},
        {"n_sub_boxes": 0},
        {"seed": -1},
        {"n_samples": 0},
        {"n_samples": 61},
        {"clip": (1, 0)},
        {"clip": (0, float("nan"))},
        {"clip": 1},
        {"clip": (0, 0.5)},
        {"clip": (0, 1, 2)},
        {"clip": ("0", "1")},
        {"clip": ((0, 1), 2)},
        {"epsilon": True},
        {"epsilon": "0.1"},
        {"columns": 2.5},
        {"executor": "threads"},
        {"image_shape": (7, 7)},
    ],
    ids=str,
)
def test_unusable_arguments_are_refused(
    make: Callable[..., SampleGrid], arguments: dict[str, Any]
) -> None:
    with pytest.raises((ValueError, traitlets.TraitError), match="Received"):
        make(**arguments)


def test_a_misspelt_argument_is_an_error_with_a_proposal(make: Callable[..., SampleGrid]) -> None:
    with pytest.raises(TypeError, match=r"'colums'.*'columns'"):
        make(colums=3)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epsilon", -1.0),
        ("epsilon", float("nan")),
        ("selected", 10),
        ("selected", -2),
        ("indices", (60,)),
        ("indices", ()),
        ("indices", (0.5,)),
        ("indices", 3),
        ("columns", 0),
        ("verdicts", ("robust",) * 10),
        ("busy", True),
    ],
)
def test_a_refused_assignment_changes_nothing(
    make: Callable[..., SampleGrid], name: str, value: Any
) -> None:
    grid = make(epsilon=0.03)
    before = grid.get_state()
    with pytest.raises(traitlets.TraitError):
        setattr(grid, name, value)
    assert grid.get_state() == before


def test_results_cannot_be_changed_in_place(make: Callable[..., SampleGrid]) -> None:
    grid = make()
    with pytest.raises(ValueError, match="read-only"):
        grid.upper[0] = -1


# Errors


def test_an_exception_becomes_an_error_and_never_a_verdict(
    make: Callable[..., SampleGrid], by_label: Any
) -> None:
    def certify(*arguments: Any, **options: Any) -> Any:
        if arguments[3] == 0.04:
            raise ArithmeticError("no answer at 0.04")
        return by_label(*arguments, **options)

    grid = make(epsilon=0.03, _certify=certify)
    before = grid.verdicts
    grid.epsilon = 0.04
    assert grid.error == "ArithmeticError: no answer at 0.04"
    assert "by_label" not in grid._traceback
    assert "raise ArithmeticError" in grid._traceback
    assert (grid.busy, grid.evaluated_epsilon) == (False, 0.03)
    reused = {"robust": "pending", "unknown": "pending"}
    assert grid.verdicts == tuple(reused.get(name, name) for name in before)
    grid.epsilon = 0.05
    assert (grid.error, grid._traceback) == ("", "")
    assert grid.verdicts == _expected(grid, 0.05)


def test_a_nan_becomes_an_error_and_an_unknown(
    make: Callable[..., SampleGrid], by_label: Any
) -> None:
    def certify(*arguments: Any, **options: Any) -> Any:
        certificate = by_label(*arguments, **options)
        certificate.upper[0] = np.nan
        certificate.verdicts = ("robust", *certificate.verdicts[1:])
        return certificate

    grid = make(epsilon=0.0, n_samples=5, _certify=certify)
    assert grid.verdicts[0] == "unknown"
    assert "NaN" in grid.error
    assert f"Sample {grid.indices[0]}:" in grid.error
    assert "NaN" in grid.reasons[0]
    assert grid.verdicts[1:] == _expected(grid, 0.0)[1:]


def test_an_unsound_verifier_is_found_out(make: Callable[..., SampleGrid], by_label: Any) -> None:
    def certify(model: Any, x: Any, labels: Any, epsilon: float, **options: Any) -> Any:
        # Refutes at small epsilons what it proves at larger ones.
        return by_label(model, x, labels, 0.0 if epsilon > 0.05 else 1.0, **options)

    grid = make(epsilon=0.06, _certify=certify)
    assert "robust" in grid.verdicts
    grid.epsilon = 0.01
    assert "refuted" in grid.error
    named = {int(name) for name in re.findall(r"^Sample (\d+):", grid.error, re.MULTILINE)}
    assert named
    assert named <= set(grid.indices)
    assert set(grid.verdicts) <= {"unknown", "misclassified"}
    grid.epsilon = 0.0
    assert "robust" not in grid.verdicts


# Requests, with a verifier that answers when told


def _slices(grid: SampleGrid) -> int:
    return -(-len(grid.indices) // 16)


def test_the_constructor_and_assignments_do_not_compute(data: Data, stepped: Any) -> None:
    grid = SampleGrid(None, *data, seed=0, _certify=stepped)  # pyright: ignore[reportArgumentType]
    stepped.wait_for_call()
    assert grid.busy
    assert grid.verdicts == ("pending",) * 10
    assert np.isnan(grid.upper).all()
    stepped.finish(_slices(grid))
    assert grid.wait(_PATIENCE)
    assert not grid.busy
    assert grid.verdicts == _expected(grid, 0.0)


def test_the_last_request_wins(data: Data, stepped: Any) -> None:
    model: Any = None
    grid = SampleGrid(model, *data, n_samples=20, seed=0, _certify=stepped)
    stepped.wait_for_call()
    evaluated: list[float] = []
    grid.observe(lambda change: evaluated.append(change["new"]), "evaluated_epsilon")
    for epsilon in (0.01, 0.02, 0.03, 0.05):
        grid.epsilon = epsilon
    stepped.finish(100)
    assert grid.wait(_PATIENCE)
    assert _slices(grid) == 2
    # One slice of the first request, and then nothing but the last one.
    assert [epsilon for epsilon, _ in stepped.calls] == [0.0] + [0.05] * _slices(grid)
    assert evaluated == [0.05]
    assert grid.verdicts == _expected(grid, 0.05)


def test_an_old_result_is_reused_only_where_it_holds(data: Data, stepped: Any) -> None:
    model: Any = None
    grid = SampleGrid(model, data[0][:10], data[1][:10], epsilon=0.03, _certify=stepped)
    stepped.finish(_slices(grid))
    assert grid.wait(_PATIENCE)
    at_start = grid.verdicts
    for _ in range(_slices(grid)):
        stepped.wait_for_call()
    assert {"robust", "unknown", "non_robust", "misclassified"} == set(at_start)

    grid.epsilon = 0.04
    stepped.wait_for_call()
    larger = {"robust": "pending", "unknown": "pending"}
    assert grid.verdicts == tuple(larger.get(name, name) for name in at_start)
    assert (grid.busy, grid.evaluated_epsilon) == (True, 0.03)

    grid.epsilon = 0.029
    smaller = {"non_robust": "pending", "unknown": "pending"}
    assert grid.verdicts == tuple(smaller.get(name, name) for name in at_start)

    grid.epsilon = 0.03
    assert grid.verdicts == at_start
    stepped.finish(100)
    assert grid.wait(_PATIENCE)
    assert grid.verdicts == at_start


def test_a_result_for_other_samples_is_dropped(data: Data, stepped: Any) -> None:
    grid = SampleGrid(None, *data, seed=0, _certify=stepped)  # pyright: ignore[reportArgumentType]
    stepped.wait_for_call()
    published: list[tuple[str, ...]] = []
    grid.observe(lambda change: published.append(change["new"]), "verdicts")
    grid.reset()
    stepped.finish(1)
    stepped.wait_for_call()
    assert grid.verdicts == ("pending",) * 10
    assert (grid.predictions == -1).all()
    stepped.finish(100)
    assert grid.wait(_PATIENCE)
    assert published == [grid.verdicts]
    assert grid.verdicts == _expected(grid, 0.0)


def test_observers_see_one_consistent_result(make: Callable[..., SampleGrid]) -> None:
    grid = make(epsilon=0.03)
    seen: list[bool] = []

    def check(change: Any) -> None:
        radius = 0.01 + 0.004 * grid.labels
        consistent = grid.busy or np.allclose(grid.upper, 50 * (grid.evaluated_epsilon - radius))
        seen.append(bool(consistent) and len(grid.verdicts) == len(grid.upper))

    grid.observe(check, ["verdicts", "upper", "lower", "evaluated_epsilon", "busy"])
    for epsilon in (0.02, 0.04, 0.01):
        grid.epsilon = epsilon
    assert seen
    assert all(seen)


def test_a_result_is_one_message(make: Callable[..., SampleGrid], monkeypatch: Any) -> None:
    grid = make(epsilon=0.03)
    messages: list[dict[str, Any]] = []

    def record(message: dict[str, Any], buffers: Any = None) -> None:
        names = [*message["state"], *(path[0] for path in message["buffer_paths"])]
        messages.append(dict.fromkeys(names))

    monkeypatch.setattr(grid, "_send", record)
    grid.epsilon = 0.04
    [moved, begun, result] = messages
    assert set(moved) == {"epsilon"}
    assert "busy" in begun
    assert {"verdicts", "upper", "lower", "evaluated_epsilon", "busy"} <= set(result)


def test_arrays_travel_as_buffers(make: Callable[..., SampleGrid]) -> None:
    grid = make(epsilon=0.03)
    state = grid.get_state()
    for name in ("upper", "lower", "_certified", "_falsified", "_tried"):
        np.testing.assert_array_equal(
            np.frombuffer(state[name], "<f8"), getattr(grid, name), strict=True
        )
    assert isinstance(state["_pictures"], bytes)


def test_an_observer_that_fails_does_not_stop_the_grid(
    data: Data, by_label: Any, caplog: pytest.LogCaptureFixture
) -> None:
    grid = SampleGrid(None, *data, seed=0, _certify=by_label)  # pyright: ignore[reportArgumentType]
    assert grid.wait(_PATIENCE)

    def observer(change: Any) -> None:
        raise RuntimeError("from an observer")

    grid.observe(observer, "evaluated_epsilon")
    grid.epsilon = 0.03
    assert grid.wait(_PATIENCE)
    assert grid.verdicts == _expected(grid, 0.03)
    grid.unobserve(observer, "evaluated_epsilon")
    grid.epsilon = 0.05
    assert grid.wait(_PATIENCE)
    assert (grid.verdicts, grid.busy) == (_expected(grid, 0.05), False)
    assert "from an observer" in caplog.text


@pytest.mark.parametrize("with_loop", [False, True])
def test_an_observer_that_waits_is_told_that_it_cannot(
    data: Data, by_label: Any, with_loop: bool
) -> None:
    waited: list[bool] = []

    def cell() -> None:
        grid = SampleGrid(None, *data, seed=0, _certify=by_label)  # pyright: ignore[reportArgumentType]
        assert grid.wait(_PATIENCE)
        grid.observe(lambda change: waited.append(grid.wait(_PATIENCE)), "evaluated_epsilon")
        grid.epsilon = 0.03
        assert grid.wait(_PATIENCE)
        assert grid.verdicts == _expected(grid, 0.03)

    async def with_a_loop() -> None:
        cell()

    if with_loop:
        asyncio.run(with_a_loop())
    else:
        cell()
    assert waited == [False]


def test_waiting_has_a_limit(data: Data, stepped: Any) -> None:
    grid = SampleGrid(None, *data, seed=0, _certify=stepped)  # pyright: ignore[reportArgumentType]
    stepped.wait_for_call()
    assert not grid.wait(0.05)
    stepped.finish(100)
    assert grid.wait(_PATIENCE)


# Threads and event loops


def test_a_running_event_loop_publishes(data: Data, by_label: Any) -> None:
    threads: list[threading.Thread] = []

    async def cell() -> tuple[str, ...]:
        grid = SampleGrid(None, *data, seed=0, _certify=by_label)  # pyright: ignore[reportArgumentType]
        done = asyncio.Event()

        def observer(change: Any) -> None:
            threads.append(threading.current_thread())
            done.set()

        grid.observe(observer, "evaluated_epsilon")
        grid.epsilon = 0.03
        while grid.evaluated_epsilon != 0.03:
            await asyncio.wait_for(done.wait(), _PATIENCE)
            done.clear()
        assert grid.verdicts == _expected(grid, 0.03)
        return grid.verdicts

    asyncio.run(cell())
    assert set(threads) == {threading.main_thread()}


def test_a_busy_event_loop_does_not_hold_up_results(data: Data, by_label: Any) -> None:
    async def cell() -> None:
        grid = SampleGrid(None, *data, seed=0, _certify=by_label)  # pyright: ignore[reportArgumentType]
        published = threading.Event()
        grid.observe(lambda change: published.set(), "evaluated_epsilon")
        grid.epsilon = 0.03
        assert published.wait(_PATIENCE)  # keeps the loop from running anything
        assert grid.wait(_PATIENCE)
        assert grid.verdicts == _expected(grid, 0.03)

    asyncio.run(cell())


def test_a_closed_event_loop_is_no_obstacle(data: Data, by_label: Any) -> None:
    async def cell() -> SampleGrid:
        return SampleGrid(None, *data, seed=0, _certify=by_label)  # pyright: ignore[reportArgumentType]

    grid = asyncio.run(cell())
    grid.epsilon = 0.03
    assert grid.wait(_PATIENCE)
    assert grid.verdicts == _expected(grid, 0.03)


def test_closing_stops_the_work_at_the_next_slice(data: Data, stepped: Any) -> None:
    grid = SampleGrid(None, *data, n_samples=30, _certify=stepped)  # pyright: ignore[reportArgumentType]
    stepped.wait_for_call()
    grid.close()
    stepped.finish(100)
    assert grid._runner is not None
    assert grid._runner.wait(_PATIENCE)
    assert len(stepped.calls) == 1
    assert grid.verdicts == ("pending",) * 30
    grid.epsilon = 0.5
    assert grid._runner.idle
    grid.close()


def test_a_forgotten_grid_is_collected_even_while_it_computes(data: Data, stepped: Any) -> None:
    grid = SampleGrid(None, *data, n_samples=30, _certify=stepped)  # pyright: ignore[reportArgumentType]
    stepped.wait_for_call()
    runner = grid._runner
    assert runner is not None
    seen = weakref.ref(grid)
    # ipywidgets and the kernel keep every open widget; as if they did not:
    _instances.pop(grid.model_id)
    comm.get_comm_manager().unregister_comm(grid.comm)
    grid.comm.close = lambda: None
    del grid
    gc.collect()
    assert seen() is None
    stepped.finish(100)
    assert runner.wait(_PATIENCE)
    assert runner.closed
    assert len(stepped.calls) == 1


def test_nothing_keeps_a_closed_grid(make: Callable[..., SampleGrid]) -> None:
    grid = make()
    grid.epsilon = 0.03
    seen = weakref.ref(grid)
    grid.close()
    del grid
    gc.collect()
    assert seen() is None


# Other tools


def test_it_works_with_the_tools_of_ipywidgets(make: Callable[..., SampleGrid]) -> None:
    grid, slider = make(layout={"width": "50%"}), EpsilonSlider()
    assert grid.layout.width == "50%"
    ipywidgets.jslink((slider, "value"), (grid, "epsilon"))
    traitlets.link((slider, "value"), (grid, "epsilon"))
    slider.value = 0.03
    assert grid.verdicts == _expected(grid, 0.03)
    assert ipywidgets.HBox([slider, grid]).children[1] is grid


def test_a_message_of_the_front_end_moves_epsilon(make: Callable[..., SampleGrid]) -> None:
    grid = make()
    content = {"data": {"method": "update", "state": {"epsilon": 0.03, "selected": 2}}}
    grid._handle_msg({"content": content, "buffers": []})
    assert (grid.epsilon, grid.selected) == (0.03, 2)
    assert grid.verdicts == _expected(grid, 0.03)


def test_a_page_without_widgets_shows_a_picture(make: Callable[..., SampleGrid]) -> None:
    grid = make(epsilon=0.03)
    grid.indices = range(10)
    bundle = grid._repr_mimebundle_()
    assert bundle is not None
    data = bundle[0]
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == grid.model_id
    assert data["image/png"].startswith("iVBOR")
    for name in ("robust", "maybe robust", "non robust", "misclassified"):
        assert name in data["text/plain"]


def test_without_a_front_end_an_error_is_shown_too(data: Data) -> None:
    def certify(*arguments: Any, **options: Any) -> Any:
        raise ArithmeticError("no $answer$ today: " + "word " * 200)

    model: Any = None
    grid = SampleGrid(model, *data, executor="sync", _certify=certify)
    for widget in (grid, BoundHistogram(grid)):
        bundle = widget._repr_mimebundle_()
        assert bundle is not None
        assert "no $answer$ today" in bundle[0]["text/plain"]
        figure = widget.to_figure()
        assert "no $answer$ today" in figure.get_suptitle()
        figure.canvas.draw()


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 3)])
@pytest.mark.parametrize(("n_samples", "columns"), [(1, 5), (7, 3), (10, 5)])
def test_the_figure_has_one_framed_picture_per_sample(
    by_label: Any, shape: tuple[int, ...], n_samples: int, columns: int, dark: bool
) -> None:
    x = np.random.default_rng(0).uniform(size=(20, *shape))
    y = np.arange(20) % 10
    model: Any = None
    grid = SampleGrid(*(model, x, y, n_samples, columns, 0.03), executor="sync", _certify=by_label)
    figure = grid.to_figure(dark=dark)
    assert isinstance(figure, Figure)
    figure.canvas.draw()
    pictures = [axes for axes in figure.axes if axes.images]
    assert len(pictures) == n_samples
    for axes, verdict in zip(pictures, grid.verdicts, strict=True):
        assert axes.get_title().endswith(
            verdict.replace("unknown", "MAYBE ROBUST").replace("_", " ").upper()
        )
        assert len(axes.patches) == (2 if verdict == "non_robust" else 1)


def test_pyplot_is_not_touched(make: Callable[..., SampleGrid]) -> None:
    import matplotlib.pyplot as plt

    make().to_figure()
    assert plt.get_fignums() == []
