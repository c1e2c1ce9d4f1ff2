"""Certified accuracy: two curves that never rise, between which the truth lies."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

import decomon
from decomon.accuracy import CertifiedAccuracy, certified_accuracy
from decomon.certify import Verdict
from tests.decomon.helpers import Array, dense_net, rng_of, tf

GRID = (0, 0.02, 0.05, 0.1, 0.2, 0.4)
WRONG = 5


@pytest.fixture(scope="module")
def model() -> Any:
    return dense_net([4, 8, 8, 3], 8)


@pytest.fixture(scope="module")
def x() -> Array:
    return rng_of(1).uniform(size=(20, 4)).astype(np.float32)


@pytest.fixture(scope="module")
def y(model: Any, x: Array) -> Array:
    found = np.asarray(model(x)).argmax(axis=1)
    found[WRONG] = (found[WRONG] + 1) % 3
    return found


@pytest.fixture(scope="module", params=[np.inf, pytest.param(2, marks=pytest.mark.slow)])
def found(request: pytest.FixtureRequest, model: Any, x: Array, y: Array) -> CertifiedAccuracy:
    return certified_accuracy(model, x, y, GRID, request.param)


def check(found: CertifiedAccuracy, model: Any, x: Array, y: Array) -> None:
    """What holds of every result, however early the work was stopped."""
    assert found.certified.shape == found.attacked.shape == found.eps.shape
    assert found.status.shape == (len(x), len(found.eps))
    for curve in (found.certified, found.attacked):
        assert (np.diff(curve) <= 0).all()
        assert (curve >= 0).all()
        assert (curve <= found.clean).all()
    assert (found.certified <= found.attacked).all()
    robust = found.status == Verdict.ROBUST
    unknown = found.status == Verdict.UNKNOWN
    np.testing.assert_allclose(robust.mean(axis=0), found.certified)
    np.testing.assert_allclose((robust | unknown).mean(axis=0), found.attacked)
    right = np.asarray(model(x)).argmax(axis=1) == y
    assert found.clean == right.mean()
    np.testing.assert_array_equal((found.status == Verdict.MISCLASSIFIED).all(axis=1), ~right)
    np.testing.assert_array_equal((found.status == Verdict.MISCLASSIFIED).any(axis=1), ~right)
    # along the grid: robust, then unknown, then refuted
    order = [Verdict.ROBUST, Verdict.UNKNOWN, Verdict.NON_ROBUST]
    for row in found.status[right]:
        places = [order.index(Verdict(status)) for status in row]
        assert places == sorted(places)
    for i, point in enumerate(found.counterexample):
        refuted = found.status[i] == Verdict.NON_ROBUST
        if point is None:
            assert not refuted.any()
            assert found.falsified[i] == np.inf
            continue
        assert np.asarray(model(point[None].astype(np.float32))).argmax() != y[i]
        for eps in found.eps[refuted]:
            ball = decomon.BallDomain(x[i : i + 1].astype(float), eps, found.p, (0, 1))
            assert bool(ball.contains(tf.constant(point[None, None])).numpy()[0, 0])


def test_the_truth_lies_between(found: CertifiedAccuracy, model: Any, x: Array, y: Array) -> None:
    check(found, model, x, y)
    assert found.stopped == ""
    assert not (found.status == Verdict.UNKNOWN).any()
    assert found.certified[0] == found.attacked[0] == found.clean == 1 - 1 / len(x)
    assert found.certified[-1] < found.clean
    for k, eps in enumerate(found.eps):
        robust = found.status[:, k] == Verdict.ROBUST
        attacked = decomon.attack_noise(
            model, x[robust], eps, y[robust], p=found.p, clip=(0, 1), steps=100
        )
        assert (attacked.margin < 0).all()


def test_it_agrees_with_single_radii(
    found: CertifiedAccuracy, model: Any, x: Array, y: Array
) -> None:
    for k, eps in enumerate(found.eps):
        single = decomon.certify(model, x, y, eps, p=found.p).verdicts
        for one, other in zip(single, found.status[:, k], strict=True):
            assert one in (Verdict.UNKNOWN, other)


def test_the_grid_is_sorted_and_may_be_a_single_radius(model: Any, x: Array, y: Array) -> None:
    found = certified_accuracy(model, x, y, [0.1, 0.02, 0.1])
    np.testing.assert_array_equal(found.eps, [0.02, 0.1])
    check(found, model, x, y)
    one = certified_accuracy(model, x, np.eye(3)[y], np.array([0.1], np.float32))
    check(one, model, x, y)
    assert one.certified[0] == found.certified[1]


def test_time_is_limited(model: Any, x: Array, y: Array) -> None:
    found = certified_accuracy(model, x, y, GRID[1:], timeout=1e-9)
    check(found, model, x, y)
    assert found.stopped == "timeout"
    assert found.certified.max() == 0
    assert found.attacked.min() == found.clean
    assert "timeout" in repr(found)


def test_progress_is_told_and_can_cancel(model: Any, x: Array, y: Array) -> None:
    told: list[tuple[int, int, float]] = []

    def watch(solved: int, still_open: int, gap: float) -> bool:
        told.append((solved, still_open, gap))
        return False

    found = certified_accuracy(model, x, y, GRID, timeout=None, progress=watch)
    check(found, model, x, y)
    assert found.stopped == "cancelled"
    assert told == [(1, len(x) - 1, max(GRID))]  # a misclassified sample is decided


X = np.full((2, 4), 0.5)
BAD: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"x": np.zeros((0, 4)), "y": []}, ValueError, "x must hold at least one sample"),
    ({"x": X + 1}, ValueError, "x must lie within clip"),
    ({"y": [0, 3]}, ValueError, "y must lie between 0 and 2"),
    ({"y": [[0, 1], [1, 2]]}, ValueError, "y must give one true class"),
    ({"eps_grid": []}, ValueError, "eps_grid must be"),
    ({"eps_grid": 0.1}, ValueError, "eps_grid must be"),
    ({"eps_grid": [0.1, -0.1]}, ValueError, "eps_grid must be"),
    ({"eps_grid": [0.1, np.nan]}, ValueError, "eps_grid must be"),
    ({"eps_grid": ["a"]}, ValueError, "eps_grid must be"),
    ({"p": 0}, ValueError, "p must be 1, 2 or infinity"),
    ({"clip": 1}, ValueError, "clip must be"),
    ({"timeout": -1}, ValueError, "timeout must be"),
    ({"memory_limit": 1.5}, ValueError, "memory_limit must be"),
    ({"progress": "yes"}, TypeError, "progress must be"),
]


@pytest.mark.parametrize(("wrong", "error", "message"), BAD)
def test_bad_input(model: Any, wrong: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message) as raised:
        certified_accuracy(model, **{"x": X, "y": [0, 1], "eps_grid": [0.1], **wrong})
    assert "Received" in str(raised.value)


def made(certified: Array, attacked: Array, eps: Array) -> CertifiedAccuracy:
    """A result with these curves."""
    status = np.full((100, len(eps)), Verdict.UNKNOWN.value)
    nothing = (None,) * 100
    return CertifiedAccuracy(
        eps, certified, attacked, status, np.full(100, np.inf), nothing, np.inf, "", 1.0
    )


@pytest.mark.parametrize("count", [1, 2, 7])
def test_the_picture_shows_both_curves_and_hides_no_truth(count: int) -> None:
    eps = np.linspace(0.01, 0.07, count)
    certified, attacked = np.linspace(0.9, 0.1, count), np.linspace(0.95, 0.4, count)
    axes = made(certified, attacked, eps).plot()
    axes.figure.canvas.draw()
    assert "ε" in axes.get_xlabel()
    assert "∞" in axes.get_xlabel()
    assert "accuracy" in axes.get_ylabel()
    points = [line for line in axes.lines if line.get_linestyle() == "None"]
    for curve, line in zip((attacked, certified), points, strict=True):
        np.testing.assert_array_equal(line.get_xydata(), np.stack([eps, curve], axis=1))
    assert len({line.get_marker() for line in points}) == 2  # colour is not all that differs
    labels = [text.get_text() for text in axes.figure.legends[0].get_texts()]
    assert [label.partition(":")[0] for label in labels] == ["attacked", "unknown", "certified"]
    band = axes.patches[0].get_path()
    for k in range(count - 1):  # between two radii, all that the neighbours allow
        middle = (eps[k] + eps[k + 1]) / 2
        for value in (certified[k + 1] + 1e-3, attacked[k] - 1e-3):
            assert band.contains_point((middle, value))


def test_a_picture_in_given_axes_and_in_the_dark() -> None:
    found = made(np.array([0.8, 0.2]), np.array([0.9, 0.7]), np.array([0.0, 0.1]))
    figure = Figure()
    axes = figure.subplots()
    face = axes.get_facecolor()
    assert found.plot(axes) is axes
    assert axes.get_facecolor() == face
    assert axes.get_legend() is not None
    light, dark = found.plot(), found.plot(dark=True)
    for drawn in (light, dark):
        paper = np.array(drawn.figure.get_facecolor()[:3])
        for ink in (drawn.title.get_color(), drawn.xaxis.label.get_color()):
            shade = int(ink[1:3], 16) / 255
            assert abs(shade - paper.mean()) > 0.6
        for line in drawn.lines:
            colour = [int(line.get_color()[i : i + 2], 16) / 255 for i in (1, 3, 5)]
            assert abs(np.dot(colour, [0.3, 0.6, 0.1]) - paper.mean()) > 0.3


def test_pictures_are_loaded_only_when_one_is_drawn() -> None:
    """Who draws none needs no matplotlib."""
    for path in Path(decomon.__file__).parent.rglob("*.py"):
        for statement in ast.parse(path.read_text()).body:
            if isinstance(statement, ast.Import | ast.ImportFrom):
                named = [alias.name for alias in statement.names]
                named.append(getattr(statement, "module", None) or "")
                assert not any(name.startswith("matplotlib") for name in named), path
