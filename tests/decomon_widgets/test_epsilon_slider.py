from typing import Any

import ipywidgets
import numpy as np
import pytest
import traitlets

from decomon_widgets import EpsilonSlider


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
    [("value", 1.0), ("value", float("nan")), ("min", 0.2), ("max", 0.0), ("step", -1.0)],
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


def test_an_empty_description_is_filled_by_interact() -> None:
    slider = EpsilonSlider(description="")
    ipywidgets.interactive(lambda eps: None, eps=slider)
    assert slider.description == "eps"
