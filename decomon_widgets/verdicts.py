"""The vocabulary of verdicts: one table, shared with the front end."""

import json
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType

__all__ = [
    "MISCLASSIFIED",
    "NON_ROBUST",
    "PENDING",
    "ROBUST",
    "UNKNOWN",
    "VERDICTS",
    "VerdictStyle",
    "count_verdicts",
    "summary",
]

# The values of `decomon.certify.Verdict`, which takes seconds to import.
ROBUST = "robust"
NON_ROBUST = "non_robust"
UNKNOWN = "unknown"
MISCLASSIFIED = "misclassified"
PENDING = "pending"


@dataclass(frozen=True)
class VerdictStyle:
    """How one verdict is shown.

    Attributes
    ----------
    title
        Text above an image.
    plural
        Text after a number of samples.
    meaning
        One sentence for tooltips.
    light, dark
        Colours on a light and on a dark background.
    frame
        CSS border style, so that colour is never the only carrier.
    glyph
        Character with the same sense, for pictures without SVG icons.
    icon
        SVG path in a box of 16 by 16.
    """

    title: str
    plural: str
    meaning: str
    light: str
    dark: str
    frame: str
    glyph: str
    icon: str


def _read_table() -> dict[str, VerdictStyle]:
    text = resources.files("decomon_widgets").joinpath("verdicts.json").read_text(encoding="utf-8")
    return {name: VerdictStyle(**entry) for name, entry in json.loads(text).items()}


VERDICTS = MappingProxyType(_read_table())
"""Style of every verdict, in the order of display."""


def count_verdicts(verdicts: tuple[str, ...]) -> dict[str, int]:
    """Count the samples of each verdict.

    Parameters
    ----------
    verdicts
        One verdict per sample.

    Returns
    -------
    dict of str to int
        Every verdict of the vocabulary, in the order of display.
    """
    return {name: sum(verdict == name for verdict in verdicts) for name in VERDICTS}


def summary(name: str, epsilon: float, verdicts: tuple[str, ...], error: str) -> str:
    """One line of text in place of a widget.

    Parameters
    ----------
    name
        Of the widget.
    epsilon, verdicts
        What it shows.
    error
        What went wrong, "" if nothing did.

    Returns
    -------
    str
    """
    counts = count_verdicts(verdicts)
    parts = ", ".join(f"{n} {VERDICTS[key].plural}" for key, n in counts.items() if n)
    return f"{name} at epsilon = {epsilon:.4g}: {parts}" + (f". Error: {error}" if error else "")
