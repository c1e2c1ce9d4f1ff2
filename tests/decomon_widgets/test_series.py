"""How methods and models are told apart, the same in pictures and in the front end."""

import re
from pathlib import Path

import pytest
from matplotlib.colors import to_rgb

from decomon_widgets._series import SERIES, series_style

_SOURCES = Path(__file__).parents[2] / "js" / "src"


def _luminance(colour: str) -> float:
    parts = [v / 12.92 if v <= 0.03928 else ((v + 0.055) / 1.055) ** 2.4 for v in to_rgb(colour)]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def test_the_front_end_uses_the_same_table() -> None:
    style = (_SOURCES / "views" / "series.css").read_text("utf-8")
    script = (_SOURCES / "lib" / "series.js").read_text("utf-8")
    for k, one in enumerate(SERIES):
        assert re.findall(rf"--dcm-series-{k}: (#\w+)", style) == [one.light, one.dark, one.dark]
    dashes = [
        tuple(float(v) for v in dash.split()) for dash in re.findall(r'dash: "([^"]*)"', script)
    ]
    assert dashes == [one.dash for one in SERIES]


@pytest.mark.parametrize("dark", [False, True])
def test_each_stands_out_from_the_ground(dark: bool) -> None:
    ground = _luminance("#161616" if dark else "#ffffff")
    for one in SERIES:
        both = sorted([ground, _luminance(one.colour(dark=dark))])
        assert (both[1] + 0.05) / (both[0] + 0.05) >= 4.5


def test_no_two_have_a_colour_a_dash_or_a_marker_in_common() -> None:
    for name in ("light", "dark", "dash", "marker"):
        assert len({getattr(one, name) for one in SERIES}) == len(SERIES)
    assert series_style(len(SERIES)) == series_style(0)
