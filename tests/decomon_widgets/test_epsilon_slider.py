from typing import Any

import ipywidgets
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
        {"min": 0.05},
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
