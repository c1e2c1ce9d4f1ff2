"""A widget as one HTML file, which needs neither a kernel nor a network."""

import base64
import html
import json
import math
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._commands import version

if TYPE_CHECKING:
    from ._base import DecomonWidget

__all__ = ["page_of", "write_html"]

# Of a notebook, or in the page already.
_NOT_STATE = frozenset({"layout", "_esm", "_css", "_anywidget_id", "_dom_classes", "tabbable"})

# A page without a kernel waits for nothing.
_AT_REST: Mapping[str, object] = {
    "_static": True,
    "busy": False,
    "settling": False,
    "refining": False,
}

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="{generator}">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
<h1 class="dcm-page-title">{title}</h1>
<div id="dcm-widget"><noscript>This page needs JavaScript.</noscript></div>
</main>
<footer class="dcm-page-foot">{foot}</footer>
<script type="application/json" id="dcm-state">{state}</script>
<script type="application/json" id="dcm-module">{module}</script>
<script type="module">{script}</script>
</body>
</html>
"""


def write_html(
    widget: "DecomonWidget", path: str | os.PathLike[str], *, title: str | None = None
) -> Path:
    """Write a widget with its present state as one self-contained HTML file.

    The page needs no kernel, no network and no other file. What follows from the stored state still
    works in it: the verdicts at every epsilon, selection, filters and charts.

    Parameters
    ----------
    widget
        The widget.
    path
        Of the file; an existing one is replaced.
    title
        Heading of the page, None for the name of the widget.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    FileNotFoundError
        If the folder does not exist.
    TypeError
        If the title is not text.
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise FileNotFoundError(
            f"The folder of the page must exist: {target.parent}. Received: path={str(path)!r}"
        )
    # With the line ends as they are: a script is the same text on every system.
    target.write_text(page_of(widget, title=title), encoding="utf-8", newline="\n")
    return target


def page_of(widget: "DecomonWidget", *, title: str | None = None) -> str:
    """Make the text of the page that :func:`write_html` writes.

    Parameters
    ----------
    widget, title
        As in :func:`write_html`.

    Returns
    -------
    str
    """
    if title is not None and not isinstance(title, str):
        raise TypeError(f"title must be text, or None. Received: title={title!r}")
    maker = f"decomon {version()}"
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    state = {
        name: _encoded(name, value)
        for name, value in widget.get_state().items()
        if name not in _NOT_STATE and not name.startswith(("_model_", "_view_"))
    }
    state |= {name: value for name, value in _AT_REST.items() if name in state}
    return _PAGE.format(
        generator=html.escape(maker),
        title=html.escape(type(widget).__name__ if title is None else title),
        style=_raw(_built("static_page.css") + str(widget._css), "style"),
        foot=html.escape(f"{maker}, {now}. Nothing is computed in this page."),
        state=_json(state),
        module=_json(str(widget._esm)),
        script=_raw(_built("static_page.js"), "script"),
    )


def _built(name: str) -> str:
    return resources.files("decomon_widgets").joinpath("static", name).read_text(encoding="utf-8")


def _json(value: object) -> str:
    """JSON inside of a script element: nothing in it can end the element."""
    text = json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _raw(text: str, element: str) -> str:
    """A built file inside of an element that knows no escapes."""
    if f"</{element}" in text.lower() or "<!--" in text:
        raise RuntimeError(f"The built front end cannot stand in a <{element}> element.")
    return text


def _encoded(name: str, value: Any) -> Any:
    """A value for JSON: bytes and the numbers that JSON lacks get a name of their kind."""
    match value:
        case bytes() | bytearray() | memoryview():
            return {"$binary": base64.b64encode(value).decode("ascii")}
        case float() if math.isnan(value):
            return {"$number": "NaN"}
        case float() if math.isinf(value):
            return {"$number": "Infinity" if value > 0 else "-Infinity"}
        case None | bool() | int() | float() | str():
            return value
        case list() | tuple():
            return [_encoded(name, item) for item in value]
        case dict():
            return {str(key): _encoded(name, item) for key, item in value.items()}
        case _:
            raise TypeError(f"The trait '{name}' cannot be stored in a page. Received: {value!r}")
