"""The band of a function of one variable: what is drawn must hold."""

import itertools
import threading
from typing import Any

import keras
import numpy as np
import pytest
import traitlets
from matplotlib.figure import Figure

import decomon
from decomon_widgets._base import static_file
from decomon_widgets._curve_jobs import CurveDesk
from decomon_widgets._one_input import OneInput, method_names
from decomon_widgets.bound_band import BoundBand

_ROOM = 1e-5  # the model itself computes in single precision


def _wave(x: Any) -> Any:
    return keras.ops.sin(3 * x) + 0.2 * x * x


def _network(activation: str, seed: int = 1) -> keras.Model:
    keras.utils.set_random_seed(seed)
    layers = [keras.layers.Dense(8, activation=activation) for _ in range(2)]
    return keras.Sequential([keras.Input((1,)), *layers, keras.layers.Dense(1)])


def _check_contained(band: BoundBand, values: Any) -> None:
    """No point of the function leaves the numbers or the lines of its piece."""
    for piece in band.records():
        x = np.linspace(piece["low"], piece["high"], 60)
        y = values(x)
        room = _ROOM * (1 + np.abs(y).max())
        assert (piece["lower"] - room <= y).all()
        assert (y <= piece["upper"] + room).all()
        if piece["upper_slope"] is None:
            continue
        assert (piece["lower_slope"] * x + piece["lower_offset"] - room <= y).all()
        assert (y <= piece["upper_slope"] * x + piece["upper_offset"] + room).all()


@pytest.mark.parametrize(
    "activation", ["relu", pytest.param("tanh", marks=pytest.mark.slow), "gelu"]
)
def test_the_band_contains_a_network(activation: str) -> None:
    model = _network(activation)
    band = BoundBand(model, (-1.5, 2), 5, executor="sync")
    function = OneInput.of(model)
    for method in ("crown", "forward-affine", "forward-ibp"):
        band.method = method
        assert band.error == ""
        assert len(band.records()) == 5
        _check_contained(band, function.values)
    heights = band._upper - band._lower
    band.n_pieces = 20
    _check_contained(band, function.values)
    assert (band._upper - band._lower).mean() < heights.mean()


def test_the_pieces_cover_the_interval_without_gaps() -> None:
    band = BoundBand(_wave, (-1, 0.7), 7, executor="sync")
    records = band.records()
    assert (records[0]["low"], records[-1]["high"]) == (-1, 0.7)
    assert all(a["high"] == b["low"] for a, b in itertools.pairwise(records))
    assert band.lower == min(r["lower"] for r in records)
    assert band.upper == max(r["upper"] for r in records)
    _check_contained(band, lambda x: np.sin(3 * x) + 0.2 * x * x)


def test_changes_are_followed() -> None:
    band = BoundBand(_wave, (-1, 1), x_range=(-3, 3), executor="sync")
    band.interval = np.array([0, 2])
    assert (band._edges[0], band._edges[-1]) == (0, 2)
    _check_contained(band, lambda x: np.sin(3 * x) + 0.2 * x * x)
    band.form = "step"
    band.method = "ibp"
    assert band.method == "forward-ibp"
    assert all(record["upper_slope"] is None for record in band.records())
    assert "forward-ibp" in band._summary()


def test_new_weights_are_seen_after_refresh() -> None:
    model = _network("relu")
    band = BoundBand(model, (-1, 1), executor="sync")
    model.layers[-1].bias.assign([100.0])
    band.refresh()
    assert band.lower > 50
    assert band._y.min() > 50


def test_a_model_that_changes_meanwhile_gives_no_band() -> None:
    model = _network("relu")
    function = OneInput.of(model)
    compute = function.bounds

    def disturbed(*arguments: Any) -> Any:
        pieces = compute(*arguments)
        model.layers[-1].bias.assign([7.0])
        return pieces

    function.bounds = disturbed  # pyright: ignore[reportAttributeAccessIssue]
    band = BoundBand(model, (-1, 1), executor="sync")
    (outcome,) = CurveDesk(lambda _: function)(band._request(1), None)
    assert "changed while it was bounded" in outcome.error
    assert len(outcome.pieces.lower) == 0


def test_what_a_decomon_model_says_is_taken_over() -> None:
    verified = decomon.clone(_network("tanh"), "forward-hybrid")
    band = BoundBand(verified, (-1, 1), 3, executor="sync")
    assert band.method == "forward-hybrid"
    expected = verified(decomon.BoxDomain([[-1.0]], [[-1 / 3]]))
    assert band._upper[0] == pytest.approx(float(expected.upper[0, 0]), abs=1e-4)
    band.method = "crown"
    assert band.error == ""


def test_a_final_sigmoid_stays() -> None:
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, activation="sigmoid")])
    band = BoundBand(model, (-9, 9), executor="sync")
    assert band.lower >= 0
    assert band.upper <= 1


def test_an_undefined_function_is_an_error_and_no_band() -> None:
    band = BoundBand(lambda x: keras.ops.log(x), (0.5, 1), x_range=(-1, 2), executor="sync")
    assert band.error == ""
    band.interval = (-0.5, 1)
    assert "log" in band.error
    assert band._traceback
    assert band.records() == []
    assert np.isnan(band.lower)
    assert "no bounds" in band._summary()
    band.interval = (0.25, 1)
    assert band.error == ""
    assert len(band.records()) == 8


@pytest.mark.parametrize(
    ("function", "kind", "text"),
    [
        (3, TypeError, "must be a keras.Model"),
        (lambda x: np.sin(x), ValueError, "keras.ops"),
        (lambda x: None, ValueError, "must return"),
        (lambda x: keras.ops.concatenate([x, x], axis=1), ValueError, "one number as its output"),
        (
            keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)]),
            ValueError,
            "one number as its input",
        ),
        (keras.Sequential([keras.layers.Dense(1)]), ValueError, "Received"),
    ],
)
def test_unusable_functions(function: Any, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=text):
        BoundBand(function, executor="sync")


def test_wrong_values_change_nothing() -> None:
    band = BoundBand(_wave, executor="sync")
    for name, value in (
        ("interval", (1, 1)),
        ("interval", (0, np.inf)),
        ("interval", (-9, 0)),
        ("interval", "ab"),
        ("x_range", (0, 1)),
        ("n_pieces", 0),
        ("n_pieces", 5000),
        ("n_pieces", 2.5),
        ("form", "round"),
        ("method", "magic"),
    ):
        before = getattr(band, name)
        with pytest.raises(traitlets.TraitError, match="Received"):
            setattr(band, name, value)
        assert getattr(band, name) == before
        given: Any = {"x_range": (-2, 2), name: value}
        with pytest.raises(traitlets.TraitError, match="Received"):
            BoundBand(_wave, **given, executor="sync")
    assert len(band.records()) == band.n_pieces == 8


def test_misspelt_arguments() -> None:
    with pytest.raises(TypeError, match="Did you mean 'n_pieces'"):
        BoundBand(_wave, n_piece=3)  # pyright: ignore[reportCallIssue]
    with pytest.raises(ValueError, match="executor"):
        BoundBand(_wave, executor="process")  # pyright: ignore[reportArgumentType]


def test_the_last_request_wins_beside_the_kernel() -> None:
    band = BoundBand(_wave, (-1, 1), x_range=(-2, 2))
    assert band.wait(60)
    begun, go_on = threading.Semaphore(0), threading.Semaphore(0)
    compute, seen = band._function.bounds, []

    def stepped(edges: Any, *arguments: Any) -> Any:
        seen.append(float(edges[0]))
        begun.release()
        assert go_on.acquire(timeout=30)
        return compute(edges, *arguments)

    band._function.bounds = stepped  # pyright: ignore[reportAttributeAccessIssue]
    band.interval = (-1.1, 1)
    assert begun.acquire(timeout=30)
    for low in (-1.2, -1.3, -1.4):
        band.interval = (low, 1)
    assert band.busy
    go_on.release(2)
    assert band.wait(30)
    assert seen == [-1.1, -1.4]
    assert band._edges[0] == -1.4
    assert not band.busy
    band.close()
    band.interval = (-1, 1)
    assert band.wait(1)
    assert seen == [-1.1, -1.4]


def test_figures_and_bundle() -> None:
    band = BoundBand(_wave, executor="sync")
    for form in ("affine", "step"):
        band.form = form
        figure = band.to_figure(dark=form == "step")
        assert isinstance(figure, Figure)
        figure.canvas.draw()
    bundle = band._repr_mimebundle_()
    assert bundle is not None
    assert {"image/png", "text/plain"} <= bundle[0].keys()
    size = sum(len(static_file(f"bound_band.{kind}").encode()) for kind in ("js", "css"))
    assert size <= 30_000
    assert band.methods == method_names()
