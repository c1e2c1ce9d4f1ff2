from typing import Any

import ipywidgets
import numpy as np
import pytest
import traitlets

from decomon_widgets import EpsilonSlider, SampleGrid


def test_defaults() -> None:
    slider = EpsilonSlider()
    assert (slider.value, slider.min, slider.max, slider.step) == (0.0, 0.0, 25 / 255, 1e-4)
    assert (slider.readout_format, slider.continuous_update) == (".4f", True)
    assert (slider.description, slider.disabled) == ("epsilon", False)


def test_positional_arguments_and_layout() -> None:
    slider = EpsilonSlider(0.2, 0.1, 0.3, layout=ipywidgets.Layout(width="50%"))
    assert (slider.value, slider.min, slider.max) == (0.2, 0.1, 0.3)
    assert slider.layout.width == "50%"
    slider.layout = {"width": "10px"}
    assert slider.layout.width == "10px"


@pytest.mark.parametrize(
    "arguments",
    [
        {"value": float("nan")},
        {"value": 1.0},
        {"value": -0.1},
        {"value": True},
        {"value": 0.0, "min": 0.05},
        {"min": 1.0, "max": 0.0},
        {"min": 0.0, "max": 0.0},
        {"max": float("inf")},
        {"step": 0.0},
        {"step": float("nan")},
        {"readout_format": "d"},
        {"readout_format": ".4f "},
        {"unit": "256"},
        {"min": -0.1, "log": True},
        {"marks_certified": [[0.1]]},
    ],
    ids=str,
)
def test_unusable_numbers_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(traitlets.TraitError, match="Received"):
        EpsilonSlider(**arguments)


def test_a_misspelt_argument_is_an_error_with_a_proposal() -> None:
    with pytest.raises(TypeError, match=r"'continous_update'.*'continuous_update'"):
        EpsilonSlider(continous_update=False)  # pyright: ignore[reportCallIssue]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("value", 1.0),
        ("value", float("nan")),
        ("min", 0.2),
        ("max", 0.0),
        ("step", -1.0),
        ("unit", "levels"),
        ("preview", 1.0),
        ("preview", float("nan")),
    ],
)
def test_a_refused_assignment_changes_nothing(name: str, value: float) -> None:
    slider = EpsilonSlider(value=0.03)
    before = slider.get_state()
    with pytest.raises(traitlets.TraitError, match="Received"):
        setattr(slider, name, value)
    assert slider.get_state() == before


def test_a_smaller_range_moves_the_value_into_it() -> None:
    slider = EpsilonSlider(value=0.05)
    slider.max = 0.02
    assert slider.value == 0.02
    slider.min = 0.01
    slider.max = 0.5
    slider.min = 0.1
    assert slider.value == 0.1


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, np.longdouble])
def test_numbers_of_numpy_are_numbers(kind: Any) -> None:
    slider = EpsilonSlider(kind(0.02), kind(0.01), kind(0.05), kind(0.001))
    slider.value = kind(0.03)
    slider.min, slider.max, slider.step = kind(0.02), kind(0.2), kind(0.01)
    state = slider.get_state(["value", "min", "max", "step"])
    numbers = (0.03, 0.02, 0.2, 0.01)
    assert list(state.values()) == [float(kind(number)) for number in numbers]
    assert {type(number) for number in state.values()} == {float}
    slider.max = np.int64(2)
    slider.value = np.uint8(1)
    assert (slider.value, type(slider.value)) == (1.0, float)


@pytest.mark.parametrize("value", [True, "0.02", None, np.bool_(True), 1j])
def test_what_is_no_number_is_refused(value: Any) -> None:
    slider = EpsilonSlider(value=0.01)
    with pytest.raises(traitlets.TraitError, match="Received"):
        slider.value = value
    with pytest.raises(traitlets.TraitError, match="Received"):
        EpsilonSlider(step=value)
    assert slider.value == 0.01


@pytest.mark.parametrize(("low", "high", "start"), [(0.05, 0.2, 0.05), (-0.2, 0.1, 0.0)])
def test_without_a_value_it_starts_inside_of_the_range(
    low: float, high: float, start: float
) -> None:
    assert EpsilonSlider(min=low, max=high).value == start


def test_the_value_is_kept_exactly() -> None:
    slider = EpsilonSlider(value=8 / 255)
    assert slider.value == 8 / 255
    slider.value = 7 / 255
    assert slider.value == 7 / 255


def test_it_works_with_the_tools_of_ipywidgets() -> None:
    slider = EpsilonSlider()
    calls: list[float] = []
    controls = ipywidgets.interactive(lambda eps: calls.append(eps), eps=slider)
    slider.value = 0.03
    assert calls == [0.0, 0.03]
    assert slider in controls.children
    other = ipywidgets.FloatSlider(max=1.0)
    ipywidgets.jslink((slider, "value"), (other, "value"))
    traitlets.link((slider, "value"), (other, "value"))
    other.value = 0.05
    assert slider.value == 0.05
    assert ipywidgets.HBox([slider, other]).children[0] is slider


def test_the_preview_is_the_value_when_released() -> None:
    slider = EpsilonSlider(value=0.03, continuous_update=False)
    assert slider.preview == 0.03
    slider.set_state({"preview": 0.05})
    assert (slider.value, slider.preview) == (0.03, 0.05)
    slider.set_state({"preview": 0.06, "value": 0.06})
    assert slider.value == slider.preview == 0.06
    slider.set_state({"preview": 0.07})
    slider.value = 0.01
    assert slider.preview == 0.01
    slider.max = 0.005
    assert slider.value == slider.preview == 0.005


def test_a_logarithmic_scale_has_nothing_below_zero() -> None:
    slider = EpsilonSlider(log=True)
    with pytest.raises(traitlets.TraitError, match="Received"):
        slider.min = -0.01
    assert slider.min == 0
    other = EpsilonSlider(min=-0.1)
    with pytest.raises(traitlets.TraitError, match="Received"):
        other.log = True
    assert other.log is False


def test_units_do_not_change_the_value() -> None:
    slider = EpsilonSlider(value=8 / 255, unit="255")
    assert slider.value == 8 / 255
    slider.unit = "value"
    assert slider.value == 8 / 255


def test_marks_are_arrays_and_records() -> None:
    slider = EpsilonSlider(marks_certified=(0.01, 0.02), marks_falsified=np.array([0.5], "f4"))
    assert slider.records() == [
        {"certified": 0.01, "falsified": 0.5},
        {"certified": 0.02, "falsified": None},
    ]
    slider.marks_certified = [np.nan, np.inf, -np.inf]
    assert len(slider.records()) == 3


def test_marks_follow_the_radii_of_a_grid(data: Any, by_label: Any) -> None:
    model: Any = None
    grids = [
        SampleGrid(model, *data, epsilon=0.03, seed=seed, executor="sync", _certify=by_label)
        for seed in (0, 1)
    ]
    slider = EpsilonSlider()
    slider.mark_radii(grids[0])

    def marked(grid: SampleGrid) -> bool:
        radii = {(record["certified"], record["falsified"]) for record in grid.records()}
        return {(mark["certified"], mark["falsified"]) for mark in slider.records()} == radii

    for epsilon in (0.03, 0.01, 0.06):
        grids[0].epsilon = epsilon
        assert marked(grids[0])
    slider.mark_radii(grids[1])
    assert marked(grids[1])
    grids[0].epsilon = 0.02
    assert marked(grids[1])
    slider.mark_radii(None)
    before = slider.records()
    grids[1].epsilon = 0.05
    assert slider.records() == before
    wrong: Any = slider
    with pytest.raises(TypeError, match="Received"):
        slider.mark_radii(wrong)
    slider.mark_radii(grids[1])
    slider.close()
    before = slider.records()
    grids[1].epsilon = 0.07
    assert slider.records() == before


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("unit", ["value", "255"])
@pytest.mark.parametrize("low", [0.0, 0.001])
def test_the_figure_has_a_line_for_each_mark(log: bool, unit: Any, low: float) -> None:
    slider = EpsilonSlider(
        value=0.03,
        min=low,
        max=0.1,
        log=log,
        unit=unit,
        marks_certified=[0.02, 0.2, np.nan],
        marks_falsified=[0.05, 0.06],
        description="$\\epsilon",
    )
    for dark in (False, True):
        figure = slider.to_figure(dark=dark)
        figure.canvas.draw()
        axes = figure.axes[0]
        scale = 255 if unit == "255" else 1
        assert axes.get_xlim() == pytest.approx((low * scale, 0.1 * scale))
        marks = [group for group in axes.collections if len(group.get_paths()) > 0]
        assert sorted(len(group.get_paths()) for group in marks) == [1, 1, 2], "track and marks"
        assert axes.lines[-1].get_xdata()[0] == pytest.approx(0.03 * scale)  # pyright: ignore[reportIndexIssue, reportArgumentType]


def test_a_page_without_widgets_shows_a_picture() -> None:
    bundle = EpsilonSlider(value=8 / 255, unit="255")._repr_mimebundle_()
    assert bundle is not None
    assert bundle[0]["image/png"].startswith("iVBOR")
    assert "epsilon = 8/255" in bundle[0]["text/plain"]


def test_an_empty_description_is_filled_by_interact() -> None:
    slider = EpsilonSlider(description="")
    ipywidgets.interactive(lambda eps: None, eps=slider)
    assert slider.description == "eps"
