"""What a notebook has to carry for each widget."""

from pathlib import Path

import pytest

_STATIC = Path(__file__).parents[2] / "decomon_widgets" / "static"
_MODULE = 30_000
_STYLE = 15_000
_EXPLORER_MODULE = 100_000
_EXPLORER_STYLE = 40_000
_PAGE = 4_000  # comes on top of a widget in an exported page

_NAMES = sorted(path.stem for path in _STATIC.glob("*.js"))


def _size(name: str) -> int:
    return (_STATIC / name).stat().st_size


def test_every_bundle_is_measured() -> None:
    assert {"epsilon_slider", "sample_grid", "explorer", "static_page"} <= set(_NAMES)
    assert sorted(path.stem for path in _STATIC.glob("*.css")) == _NAMES


@pytest.mark.parametrize("name", _NAMES)
def test_bundles_are_small(name: str) -> None:
    most = {
        "explorer": (_EXPLORER_MODULE, _EXPLORER_STYLE),
        "static_page": (_PAGE, _PAGE),
    }.get(name, (_MODULE, _STYLE))
    assert 0 < _size(f"{name}.js") <= most[0]
    assert 0 < _size(f"{name}.css") <= most[1]


def test_the_explorer_shares_what_its_views_have_in_common() -> None:
    views = ("epsilon_slider", "sample_grid", "bound_histogram", "margin_chart")
    views += ("robustness_curve", "counterexample_viewer")
    apart = sum(_size(f"{name}.js") + _size(f"{name}.css") for name in views)
    assert _size("explorer.js") + _size("explorer.css") < apart
