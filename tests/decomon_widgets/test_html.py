"""Widgets as pages that need no kernel."""

import base64
import json
import math
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import traitlets

from decomon_widgets import EpsilonSlider, SampleGrid
from decomon_widgets._base import DecomonWidget
from decomon_widgets._html import page_of, write_html
from decomon_widgets.arrays import ArrayTrait


class _Elements(HTMLParser):
    """The elements of a page that matter here, as a browser sees them."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.text: dict[str, str] = {}
        self.names: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        if tag not in ("meta", "link", "img"):
            self._open.append(dict(attrs).get("id") or tag)

    def handle_endtag(self, tag: str) -> None:
        self._open.pop()

    def handle_data(self, data: str) -> None:
        if self._open:
            name = self._open[-1]
            self.text[name] = self.text.get(name, "") + data

    @property
    def state(self) -> dict[str, Any]:
        return json.loads(self.text["dcm-state"])


class _Odd(DecomonWidget):
    """A widget with every kind of value."""

    _esm = "export default { render() {} }; // </script><!--"
    _css = ".dcm-odd { color: red; }"
    numbers: ClassVar[Any] = ArrayTrait(np.float64)
    words = traitlets.Unicode("").tag(sync=True)
    one = traitlets.Float(0.0).tag(sync=True)
    many = traitlets.List().tag(sync=True)
    other = traitlets.Any().tag(sync=True)
    busy = traitlets.Bool(True).tag(sync=True)


def test_the_state_is_stored_as_it_is() -> None:
    widget = _Odd()
    widget.numbers = [1.5, math.nan, -math.inf]  # pyright: ignore[reportAttributeAccessIssue]
    widget.one = math.inf
    widget.many = [1, math.nan, "a", None, [True]]
    state = _Elements(page_of(widget)).state
    stored = np.frombuffer(base64.b64decode(state["numbers"]["$binary"]), "<f8")
    np.testing.assert_array_equal(stored, [1.5, math.nan, -math.inf])
    assert state["one"] == {"$number": "Infinity"}
    assert state["many"] == [1, {"$number": "NaN"}, "a", None, [True]]


def test_the_page_is_at_rest_and_the_widget_stays_as_it_was() -> None:
    widget = _Odd()
    state = _Elements(page_of(widget)).state
    assert state["_static"] is True
    assert state["busy"] is False
    assert widget.busy
    assert not widget._static
    assert not [name for name in state if name.startswith(("_model", "_view", "_esm", "_css"))]


@pytest.mark.parametrize(
    "text",
    [
        "</script><script>alert(1)</script>",
        "</SCRIPT >",
        "<!--<script>",
        "]]>",
        "& < > \" ' \u2028 \u2029",
        "{title} {0} %s",
        "ε ≤ 8/255 😀",
    ],
)
def test_no_text_of_the_user_becomes_markup(text: str) -> None:
    widget = _Odd()
    widget.words = text
    plain = _Elements(page_of(_Odd(), title="a"))
    page = _Elements(page_of(widget, title=text))
    assert page.names == plain.names
    assert page.state["words"] == text
    assert page.text["title"] == text
    assert json.loads(page.text["dcm-module"]) == _Odd._esm


def test_the_page_loads_nothing(tmp_path: Path) -> None:
    text = write_html(EpsilonSlider(), tmp_path / "slider.html").read_text("utf-8")
    assert set(re.findall(r"https?://[^\"'`\s)\\]+", text)) <= {"http://www.w3.org/2000/svg"}
    assert not re.search(r"<link|<img|<iframe|\bsrc=|@import|url\((?!#)", text.split("<script")[0])


def test_a_real_grid_is_stored_whole(data: Any, by_label: Callable[..., Any]) -> None:
    model: Any = None
    grid = SampleGrid(model, *data, epsilon=0.03, seed=0, executor="sync", _certify=by_label)
    state = _Elements(page_of(grid)).state
    assert tuple(state["indices"]) == grid.indices
    for name in ("_certified", "_falsified", "upper"):
        stored = np.frombuffer(base64.b64decode(state[name]["$binary"]), "<f8")
        np.testing.assert_array_equal(stored, getattr(grid, name))


def test_the_name_of_the_widget_is_the_usual_title() -> None:
    assert _Elements(page_of(EpsilonSlider())).text["title"] == "EpsilonSlider"


def test_bad_arguments_are_told(tmp_path: Path) -> None:
    missing = tmp_path / "no" / "page.html"
    with pytest.raises(FileNotFoundError, match=r"folder of the page must exist.*Received"):
        write_html(EpsilonSlider(), missing)
    with pytest.raises(TypeError, match="title must be text, or None. Received: title=3"):
        page_of(EpsilonSlider(), title=3)  # pyright: ignore[reportArgumentType]
    widget = _Odd()
    widget.other = {1, 2}
    with pytest.raises(TypeError, match="'other' cannot be stored in a page"):
        page_of(widget)
