"""An activation and its two lines: the lines must be decomon's, and must hold."""

from typing import Any

import keras
import numpy as np
import pytest
import traitlets

from decomon.ops import supported
from decomon_widgets._base import static_file
from decomon_widgets._figures_curves import line_text
from decomon_widgets.relaxation_plot import RelaxationPlot

_ROOM = 1e-6


@pytest.fixture
def plot() -> RelaxationPlot:
    return RelaxationPlot("relu", (-1, 2), executor="sync")


def _values(name: str, z: np.ndarray) -> np.ndarray:
    return np.asarray(getattr(keras.activations, name)(keras.ops.convert_to_tensor(z)))


def _check_contained(plot: RelaxationPlot) -> None:
    low, high = plot.interval
    z = np.linspace(low, high, 400)
    y = _values(plot.activation, z)
    (slope, offset), (low_slope, low_offset) = plot.upper_line, plot.lower_line
    room = _ROOM * (1 + np.abs(y).max())
    assert (y <= slope * z + offset + room).all(), plot.activation
    assert (low_slope * z + low_offset - room <= y).all(), plot.activation


def test_what_is_offered_are_the_activations_with_lines(plot: RelaxationPlot) -> None:
    assert set(plot.activations) <= set(supported().activations)
    usual = {"relu", "leaky_relu", "elu", "sigmoid", "tanh", "gelu", "softplus", "silu", "selu"}
    assert usual <= set(plot.activations)
    assert "softmax" not in plot.activations


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "elu", "sigmoid", "gelu", "softplus"])
def test_the_lines_contain_the_function(plot: RelaxationPlot, name: str) -> None:
    plot.activation = name
    for interval in ((-1, 2), (-3.5, -0.5), (0.25, 0.5)):
        plot.interval = interval
        assert plot.error == ""
        _check_contained(plot)


@pytest.mark.slow
def test_the_lines_contain_every_function_that_is_offered(plot: RelaxationPlot) -> None:
    for name in plot.activations:
        plot.activation = name
        assert plot.error == "", name
        for interval in ((-1, 2), (-3.5, 3.25)):
            plot.interval = interval
            _check_contained(plot)


def test_the_lines_of_relu_are_those_of_the_literature(plot: RelaxationPlot) -> None:
    low, high = plot.interval
    assert plot.upper_line == pytest.approx((high / (high - low), -low * high / (high - low)))
    slopes = {"zero-lb": 0, "one-lb": 1, "same-slope": high / (high - low), "volume-slope": 1}
    assert set(plot.slopes) == set(slopes)
    for rule, slope in slopes.items():
        plot.slope = rule
        assert plot.lower_line == pytest.approx((slope, 0))
        _check_contained(plot)
    for interval, line in (((0.5, 2), (1, 0)), ((-2, -0.5), (0, 0))):
        plot.interval = interval
        assert plot.upper_line == pytest.approx(line, abs=1e-9)
        assert plot.lower_line == pytest.approx(line, abs=1e-9)


def test_only_rectifiers_have_a_choice_of_slopes(plot: RelaxationPlot) -> None:
    assert plot._has_slope
    plot.activation = "tanh"
    assert not plot._has_slope
    plot.activation = "leaky_relu"
    assert plot._has_slope


def test_layers_with_settings() -> None:
    layer = keras.layers.LeakyReLU(negative_slope=0.5)
    plot = RelaxationPlot(layer, (-2, 2), executor="sync")
    assert plot.activation in plot.activations
    assert plot.upper_line == pytest.approx((0.75, 0.5))
    assert plot._y[0] == pytest.approx(-2)
    assert not layer._inbound_nodes
    plot.activation = "relu"
    plot.activation = layer.name
    assert plot.upper_line == pytest.approx((0.75, 0.5))


def test_functions_of_keras_ops() -> None:
    plot = RelaxationPlot("square", (-1, 2), executor="sync")
    assert plot.upper_line == pytest.approx((1, 2))
    plot.interval = (-1, 1)
    assert plot.upper_line == pytest.approx((0, 1))


def test_an_undefined_function_is_an_error_and_no_lines() -> None:
    plot = RelaxationPlot("log", (0.5, 1), executor="sync")
    assert plot.error == ""
    plot.interval = (-1, 1)
    assert "log" in plot.error
    assert plot.records() == []
    assert np.isnan(plot.upper_line).all()
    assert "no lines" in plot._summary()


@pytest.mark.parametrize("name", ["softmax", "magic", ""])
def test_unusable_names(plot: RelaxationPlot, name: str) -> None:
    with pytest.raises(traitlets.TraitError, match="Received"):
        plot.activation = name
    assert plot.activation == "relu"
    with pytest.raises(traitlets.TraitError, match="Received"):
        RelaxationPlot(name, executor="sync")


def test_unusable_layers() -> None:
    dense = keras.layers.Dense(1)
    dense.build((None, 1))
    for layer in (dense, keras.layers.Softmax()):
        with pytest.raises(ValueError, match="Received"):
            RelaxationPlot(layer, executor="sync")
    wrong: Any = 3
    with pytest.raises(TypeError, match="activation layer"):
        RelaxationPlot(wrong, executor="sync")


def test_wrong_values_and_misspelt_arguments(plot: RelaxationPlot) -> None:
    with pytest.raises(traitlets.TraitError, match="Unknown slope"):
        plot.slope = "steep"
    with pytest.raises(traitlets.TraitError, match="inside x_range"):
        plot.interval = (-9, 0)
    with pytest.raises(TypeError, match="Did you mean 'interval'"):
        RelaxationPlot("relu", intervall=(0, 1))  # pyright: ignore[reportCallIssue]
    assert RelaxationPlot("relu", (-9, 1), executor="sync").x_range == (-9, 4)


@pytest.mark.parametrize(
    ("line", "text"),
    [((1, 0), "z"), ((0, 2), "2"), ((-1, 0.5), "-z + 0.5"), ((0.5, -1), "0.5 z - 1")],
)
def test_lines_in_words(line: tuple[float, float], text: str) -> None:
    assert line_text(*line) == text.replace("-", "\N{MINUS SIGN}")


def test_records_figure_and_bundle(plot: RelaxationPlot) -> None:
    (record,) = plot.records()
    assert (record["low"], record["high"]) == plot.interval
    assert (record["upper_slope"], record["upper_offset"]) == plot.upper_line
    for dark in (False, True):
        plot.to_figure(dark=dark).canvas.draw()
    bundle = plot._repr_mimebundle_()
    assert bundle is not None
    assert "relu(z)" in bundle[0]["text/plain"]
    size = sum(len(static_file(f"relaxation_plot.{kind}").encode()) for kind in ("js", "css"))
    assert size <= 30_000
