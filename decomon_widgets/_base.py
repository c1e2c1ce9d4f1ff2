"""What the widgets share: bundles, strict arguments, and pictures for pages without widgets."""

import base64
import difflib
import io
import os
from abc import abstractmethod
from importlib import resources
from pathlib import Path
from typing import Any

import anywidget
import traitlets
from matplotlib.figure import Figure

__all__ = ["DecomonWidget", "FigureWidget", "static_file"]

_DOM_ARGUMENTS = frozenset({"layout", "tooltip", "tabbable", "_dom_classes"})


def static_file(name: str) -> str:
    """Text of a built file of the front end.

    The text and not the path: anywidget watches a path for changes, and by that keeps every widget
    alive, with its data, after it was closed.
    """
    return resources.files("decomon_widgets").joinpath("static", name).read_text(encoding="utf-8")


class DecomonWidget(anywidget.AnyWidget):
    """Base of the widgets: an unknown argument is an error.

    Parameters
    ----------
    **kwargs
        The arguments of every Jupyter widget: `layout`, `tooltip`, `tabbable`.

    Raises
    ------
    TypeError
        If another argument is given.
    """

    # Whether the page has no kernel: an exported page says so to its views.
    _static = traitlets.Bool(False).tag(sync=True)

    def __init__(self, **kwargs: Any) -> None:
        self.check_arguments(kwargs)
        super().__init__(**kwargs)

    def to_html(self, path: str | os.PathLike[str], *, title: str | None = None) -> Path:
        """Write the present state as one self-contained HTML file.

        The page needs no kernel, no network and no other file; verdicts, selection, filters and
        charts still work in it, from the radii and bounds known so far.

        Parameters
        ----------
        path
            Of the file; an existing one is replaced.
        title
            Heading of the page, None for the name of the widget.

        Returns
        -------
        pathlib.Path
            The file.
        """
        from ._html import write_html

        return write_html(self, path, title=title)

    @classmethod
    def check_arguments(cls, kwargs: dict[str, Any]) -> None:
        """Refuse arguments that are not those of every Jupyter widget."""
        unknown = sorted(kwargs.keys() - _DOM_ARGUMENTS)
        if not unknown:
            return
        known = [*_arguments(cls), *sorted(_DOM_ARGUMENTS - {"_dom_classes"})]
        close = difflib.get_close_matches(unknown[0], known, n=1)
        hint = f" Did you mean '{close[0]}'?" if close else ""
        raise TypeError(
            f"{cls.__name__} has no argument '{unknown[0]}'.{hint} Arguments: {', '.join(known)}. "
            f"Received: {', '.join(unknown)}"
        )


def _arguments(cls: type) -> list[str]:
    """Names of the public arguments of a constructor."""
    code = cls.__init__.__code__
    names = code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount]
    return [name for name in names if not name.startswith("_")]


class FigureWidget(DecomonWidget):
    """A widget with a picture for notebooks that are shown without their widgets."""

    @abstractmethod
    def to_figure(self, *, dark: bool = False) -> Figure:
        """Draw the present state with matplotlib.

        Parameters
        ----------
        dark
            Draw for a dark background.
        """

    @abstractmethod
    def _summary(self) -> str:
        """One line of text with the present state."""

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]] | None:
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is None:
            return None
        data, metadata = bundle
        png = io.BytesIO()
        # The background is painted, so the text is readable on any page.
        self.to_figure().savefig(png, format="png", dpi=80, bbox_inches="tight")
        data["image/png"] = base64.b64encode(png.getvalue()).decode("ascii")
        data["text/plain"] = self._summary()
        return data, metadata
