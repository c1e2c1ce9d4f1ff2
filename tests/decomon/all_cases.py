"""Every configuration of every registered layer, all topics together."""

from __future__ import annotations

from tests.decomon import layer_cases
from tests.decomon.cases import activations, affine, composite, products, recurrent
from tests.decomon.layer_cases import LayerCase

_TOPICS = (layer_cases, activations, affine, composite, products, recurrent)


def _merged() -> dict[str, list[LayerCase]]:
    """What several topics have of one layer follows one another."""
    merged: dict[str, list[LayerCase]] = {}
    for topic in _TOPICS:
        for name, cases in topic.CASES.items():
            merged.setdefault(name, []).extend(cases)
    return merged


CASES = _merged()
"""For every registered layer, its configurations."""

ALL = [(name, case) for name, cases in CASES.items() for case in cases]
"""Every configuration with the name of its layer."""
