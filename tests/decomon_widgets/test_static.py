"""The built front end and what it shares with Python."""

import json
import re
from pathlib import Path

import pytest

from decomon.certify import Verdict
from decomon_widgets import BoundHistogram, EpsilonSlider, SampleGrid
from decomon_widgets._base import static_file
from decomon_widgets.verdicts import VERDICTS

_REPOSITORY = Path(__file__).parents[2]
_BUDGET = 30_000
_WIDGETS = {
    EpsilonSlider: "epsilon_slider",
    SampleGrid: "sample_grid",
    BoundHistogram: "bound_histogram",
}


@pytest.mark.parametrize(("widget", "name"), _WIDGETS.items())
def test_each_widget_is_one_small_self_contained_module(widget: type, name: str) -> None:
    script = static_file(f"{name}.js")
    style = static_file(f"{name}.css")
    assert widget._esm == script  # pyright: ignore[reportAttributeAccessIssue]
    assert widget._css == style  # pyright: ignore[reportAttributeAccessIssue]
    assert len(script.encode()) + len(style.encode()) <= _BUDGET
    assert not re.search(r"\bimport\b\s*[\"'({*]|\bfetch\(|@import", script + style)
    addresses = re.findall(r"https?://[^\"'`\s)]+", script + style)
    assert set(addresses) <= {"http://www.w3.org/2000/svg"}


@pytest.mark.parametrize("name", _WIDGETS.values())
def test_style_touches_nothing_but_the_widgets(name: str) -> None:
    style = static_file(f"{name}.css")
    selectors = re.findall(r"(?:^|[{}])\s*([^{}@]+)\{", style)
    assert selectors
    for group in selectors:
        for selector in group.split(","):
            steps = selector.strip() in ("from", "to", "0%", "100%")
            assert steps or ".dcm-" in selector, selector


def test_the_table_has_exactly_the_verdicts_of_the_verifier() -> None:
    assert set(VERDICTS) == {verdict.value for verdict in Verdict}
    assert len({style.frame for style in VERDICTS.values()}) == len(VERDICTS)
    assert len({style.title for style in VERDICTS.values()}) == len(VERDICTS)
    assert len({style.icon for style in VERDICTS.values()}) == len(VERDICTS)


def test_the_front_end_uses_the_colours_of_the_table() -> None:
    style = (_REPOSITORY / "js" / "src" / "theme.css").read_text("utf-8")
    for name, entry in VERDICTS.items():
        used = re.findall(rf"--dcm-{name}: (#\w+)", style)
        assert used == [entry.light, entry.dark, entry.dark]


def test_the_lock_file_names_no_particular_registry() -> None:
    lock = json.loads((_REPOSITORY / "js" / "package-lock.json").read_text("utf-8"))
    for name, package in lock["packages"].items():
        address = package.get("resolved", "https://registry.npmjs.org/")
        assert address.startswith("https://registry.npmjs.org/"), name
        assert not name or package["integrity"].startswith("sha512-")
