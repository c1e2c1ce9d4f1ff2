"""Drawing samples, pinning some, and undoing it: what is known stays with its samples."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from decomon_widgets import SampleGrid


@pytest.fixture
def make(
    data: tuple[np.ndarray, np.ndarray], by_label: Callable[..., Any]
) -> Callable[..., SampleGrid]:
    def make(**arguments: Any) -> SampleGrid:
        defaults: dict[str, Any] = {"epsilon": 0.02, "executor": "sync", "seed": 3}
        return SampleGrid(None, *data, _certify=by_label, **{**defaults, **arguments})  # pyright: ignore[reportArgumentType]

    return make


def _known(grid: SampleGrid) -> dict[int, tuple[float, float]]:
    radii = zip(grid._certified, grid._falsified, strict=True)
    return {i: (float(c), float(f)) for i, (c, f) in zip(grid.indices, radii, strict=True)}


def test_undo_shows_the_former_samples_and_what_was_known_of_them(
    make: Callable[..., SampleGrid],
) -> None:
    grid = make()
    assert not grid.can_undo
    # The larger epsilon refutes some, the smaller one proves them up to there.
    grid.epsilon = 0.09
    grid.epsilon = 0.02
    seed, indices, known = grid.seed, grid.indices, _known(grid)
    grid.reset()
    grid.seed = 17
    assert grid.can_undo
    grid.undo()
    grid.undo()
    assert (grid.seed, grid.indices, _known(grid)) == (seed, indices, known)
    assert "pending" not in grid.verdicts
    assert not grid.can_undo
    grid.undo()
    assert grid.indices == indices


def test_pinned_samples_stay_and_keep_what_is_known(make: Callable[..., SampleGrid]) -> None:
    grid = make()
    grid.epsilon = 0.09
    pinned = grid.indices[2:4]
    grid.pinned = pinned
    known = _known(grid)
    grid.reset()
    assert grid.indices[:2] == pinned
    assert len(set(grid.indices)) == 10
    assert not set(grid.indices[2:]) & set(known)
    assert all(_known(grid)[i] == known[i] for i in pinned)


def test_what_is_known_is_dropped_where_the_values_changed(
    data: tuple[np.ndarray, np.ndarray], by_label: Callable[..., Any]
) -> None:
    x, y = data
    grid = SampleGrid(None, x, y, epsilon=0.02, seed=3, executor="sync", _certify=by_label)  # pyright: ignore[reportArgumentType]
    first, second = grid.indices[:2]
    grid.pinned = (first, second)
    grid.epsilon = 0.09
    grid.epsilon = 0.0
    known = _known(grid)
    x[first] = 0.5
    grid.reset()
    now = _known(grid)
    assert now[second] == known[second]
    # Of the new values, only what was computed for them is known.
    assert now[first][1] == np.inf
    x[second] = 0.5
    grid.undo()
    assert _known(grid)[second][1] == np.inf


def test_messages_draw_and_undo(make: Callable[..., SampleGrid]) -> None:
    grid = make()
    indices = grid.indices
    grid._on_message(grid, {"type": "draw", "seed": 5}, [])
    assert grid.seed == 5
    assert grid.indices != indices
    grid._on_message(grid, {"type": "undo"}, [])
    assert grid.indices == indices


@pytest.mark.parametrize("seed", [-1, "three", None, 1.5, True])
def test_a_seed_that_is_none_is_answered_in_the_widget(
    make: Callable[..., SampleGrid], seed: object
) -> None:
    grid = make()
    indices = grid.indices
    grid._on_message(grid, {"type": "draw", "seed": seed}, [])
    assert "seed" in grid.error
    assert grid.indices == indices
