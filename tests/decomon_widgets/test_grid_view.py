"""How a grid is shown: its own traits, the order of its samples, and pictures of all kinds."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import traitlets

from decomon_widgets import SampleGrid
from decomon_widgets._grid_view import SORTS, view_order

_CASES = json.loads(Path(__file__).with_name("order_cases.json").read_text())
Data = tuple[np.ndarray, np.ndarray]


@pytest.fixture
def make(data: Data, by_label: Callable[..., Any]) -> Callable[..., SampleGrid]:
    def make(**arguments: Any) -> SampleGrid:
        model: Any = None
        x, y = arguments.pop("x", data[0]), arguments.pop("y", data[1])
        defaults = {"executor": "sync", "seed": 0, "epsilon": 0.03, "_certify": by_label}
        return SampleGrid(model, x, y, **defaults | arguments)

    return make


@pytest.mark.parametrize("case", _CASES["cases"], ids=str)
def test_the_order_is_that_of_the_front_end(
    make: Callable[..., SampleGrid], case: dict[str, Any]
) -> None:
    samples = _CASES["samples"]

    def filled(name: str, missing: float) -> list[float]:
        return [missing if value is None else value for value in samples[name]]

    keys = (
        tuple(samples["verdicts"]),
        samples["labels"],
        filled("certified", -np.inf),
        filled("falsified", np.inf),
        filled("upper", np.nan),
    )
    order = view_order(case["sort_by"], case["descending"], *keys)
    assert sorted(order) == list(range(6))
    wanted = [k for k in order if not case["shown"] or samples["verdicts"][k] in case["shown"]]
    assert wanted == case["order"]
    if set(case["shown"]) <= set(samples["verdicts"]):
        grid = make()
        grid.shown, grid.sort_by, grid.descending = (
            case["shown"],
            case["sort_by"],
            case["descending"],
        )
        assert list(grid.shown_order(*keys)) == case["order"]


def test_the_view_is_told_in_any_form(make: Callable[..., SampleGrid]) -> None:
    grid = make()
    grid.shown = ["unknown", "robust", "unknown"]
    assert grid.shown == ("robust", "unknown")
    grid.pinned = np.array([7, 3, 7])
    assert grid.pinned == (7, 3)
    grid.brushed = {9, 0, 4}
    assert grid.brushed == (0, 4, 9)
    for sort_by in SORTS:
        grid.sort_by = sort_by


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("shown", ("green",)),
        ("shown", "robust"),
        ("sort_by", "name"),
        ("descending", "yes"),
        ("pinned", (60,)),
        ("pinned", (-1,)),
        ("pinned", (0.5,)),
        ("brushed", (10,)),
        ("brushed", 3),
        ("columns", 0),
    ],
)
def test_a_view_that_cannot_be_is_refused(
    make: Callable[..., SampleGrid], name: str, value: Any
) -> None:
    grid = make()
    before = grid.get_state()
    with pytest.raises(traitlets.TraitError):
        setattr(grid, name, value)
    assert grid.get_state() == before


def test_pinned_samples_stay_and_a_brush_does_not(make: Callable[..., SampleGrid]) -> None:
    grid = make()
    keep = grid.indices[4]
    grid.pinned, grid.brushed = (keep,), (1, 2)
    before = set(grid.indices)
    grid.reset()
    assert grid.indices[0] == keep
    assert set(grid.indices) & before == {keep}
    assert grid.brushed == ()
    grid._handle_custom_msg({"type": "undo"}, [])
    assert set(grid.indices) == before
    grid._handle_custom_msg({"type": "draw", "seed": 77}, [])
    assert grid.seed == 77
    assert keep in grid.indices


_KINDS = {
    "grey": np.random.default_rng(1).uniform(size=(70, 8, 8)),
    "colour": np.random.default_rng(1).uniform(size=(70, 8, 8, 3)),
    "row": np.random.default_rng(1).normal(size=(70, 4)),
    "long row": np.random.default_rng(1).normal(size=(70, 30)),
    "constant row": np.zeros((70, 3)),
    "signal": np.random.default_rng(1).normal(size=(70, 50, 1)),
    "constant signal": np.zeros((70, 50, 2)),
}


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("kind", _KINDS)
def test_every_kind_has_a_figure(make: Callable[..., SampleGrid], kind: str, dark: bool) -> None:
    names = ["length $x", "width"] if kind.endswith("row") else None
    x = _KINDS[kind]
    names = [f"$feature {k}" for k in range(x.shape[1])] if names else None
    grid = make(
        x=x,
        y=np.arange(70) % 10,
        clip=None,
        feature_names=names,
        class_names=[f"class $_{k}" for k in range(10)],
    )
    figure = grid.to_figure(dark=dark)
    figure.canvas.draw()
    titles = [axes.get_title() for axes in figure.axes]
    assert sum(bool(title) for title in titles) == 10
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert f"label class $_{grid.labels[0]}" in texts[0]


def test_a_figure_follows_the_view_and_stays_small(make: Callable[..., SampleGrid]) -> None:
    grid = make(n_samples=60)
    grid.indices = list(range(60)) * 3
    figure = grid.to_figure()
    assert len([axes for axes in figure.axes if axes.images]) == 40
    assert "40 of 180" in figure.get_supxlabel()
    grid.indices = range(10)
    grid.shown, grid.sort_by, grid.descending = ("robust", "misclassified"), "label", True
    figure = grid.to_figure()
    figure.canvas.draw()
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    wanted = [k for k in reversed(range(10)) if grid.verdicts[k] in grid.shown]
    assert [text.split(",")[0] for text in texts] == [f"label {k}" for k in wanted]
    assert f"{len(wanted)} of 10" in figure.get_supxlabel()
    grid.shown = ("pending",)
    figure = grid.to_figure()
    figure.canvas.draw()
    assert not [axes for axes in figure.axes if axes.images]
