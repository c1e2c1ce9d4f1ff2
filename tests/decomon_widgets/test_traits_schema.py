"""Python and the browser agree on the names and types of what they share."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import decomon_widgets
from tests import traits_schema
from tests.traits_schema import COMMAND, JSON_PATH, TYPES_PATH, schema

_SOURCE = Path(__file__).parents[2] / "js" / "src"

# Not of ours: what every Jupyter widget has, and what only concerns one view of the explorer.
_ELSEWHERE = {"layout", "tooltip", "_lost", "amplification"}

# What the explorer gives to a view, and the widget alone does not have.
_IN_EXPLORER = {"RobustnessCurve": {"min"}}

_USED = re.compile(r'\bmodel\s*\.\s*(?:get|set)\(\s*"(\w+)"')
_LISTS = re.compile(r"\bTRAITS\w* = \[(.*?)\]", re.DOTALL)


def used_names(text: str) -> set[str]:
    """Names of traits that a module reads, writes or watches."""
    listed = {name for block in _LISTS.findall(text) for name in re.findall(r'"(\w+)"', block)}
    return set(_USED.findall(text)) | listed


def view_of(widget: str) -> Path:
    snake = re.sub(r"(?<!^)(?=[A-Z])", "_", widget).lower()
    name = "explorer" if snake == "robustness_explorer" else snake
    return _SOURCE / "views" / f"{name}.js"


def test_files_are_up_to_date() -> None:
    out_of_date = f"js/src/lib/traits.* are out of date: run `{COMMAND}`"
    assert JSON_PATH.read_text() == traits_schema.schema_json(), out_of_date
    assert TYPES_PATH.read_text() == traits_schema.schema_types(), out_of_date


@pytest.mark.parametrize("widget", decomon_widgets.__all__)
def test_a_view_uses_the_traits_of_its_widget(widget: str) -> None:
    names = used_names(view_of(widget).read_text())
    assert names
    assert names <= set(schema()[widget]) | _ELSEWHERE | _IN_EXPLORER.get(widget, set())


def test_every_name_in_the_front_end_is_that_of_a_trait() -> None:
    known = {name for traits in schema().values() for name in traits} | _ELSEWHERE
    for path in sorted(_SOURCE.rglob("*.js")):
        assert used_names(path.read_text()) <= known, path.name


def test_what_a_module_uses_is_read_from_its_text() -> None:
    text = (
        'const TRAITS = [\n  "value",\n  "max",\n];\nouter.model.get("busy"); model.set("seed", 1)'
    )
    assert used_names(text) == {"value", "max", "busy", "seed"}


def test_a_new_kind_of_trait_is_not_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    import traitlets

    class Odd(decomon_widgets.EpsilonSlider):
        odd = traitlets.Dict().tag(sync=True)

    monkeypatch.setattr(decomon_widgets, "EpsilonSlider", Odd)
    with pytest.raises(TypeError, match="no type of TypeScript for the trait 'odd'"):
        schema()


def test_the_schema_is_that_of_the_classes() -> None:
    slider = json.loads(JSON_PATH.read_text())["EpsilonSlider"]
    assert slider["value"] == {"type": "number"}
    assert slider["marks_certified"] == {"type": "DataView", "elements": "float64"}
    assert slider["readout_format"] == {"type": "string"}
