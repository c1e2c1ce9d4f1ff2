"""The networks that are measured, with their images and what the reference says about them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

METHODS = {
    "IBP": ("forward-ibp", False),
    "CROWN-IBP": ("crown-forward-ibp", False),
    "CROWN": ("crown", False),
    "CROWN-Optimized": ("crown", True),
}
"""Our method and whether it is optimised, by the reference's name of it."""

EMBEDDED = {"tutorial_conv": "conv", "tutorial_dense": "dense"}
"""Networks of ``decomon_widgets.datasets``, by the name that they have here."""

DESCRIPTIONS = {
    "mlp_tuto3": "dense 784-100-100-10",
    "mlp_2x256": "dense 784-256-256-10",
    "conv_small": "convolutional `conv_small`",
    "tutorial_conv": "convolutional, of tutorial 3",
    "tutorial_dense": "dense, of tutorial 3",
}

EPSILONS = {"mlp_tuto3": 0.03, "mlp_2x256": 0.03, "conv_small": 0.03, "tutorial_conv": 0.01}
"""The radius at which each network is measured unless all are asked for."""

# The reference adds epsilon in float32: its corners are off by half a unit in the last place of a
# number below 1.  Ours are rounded outward, by at most one.
CORNER = 2.0**-23
"""How much smaller our boxes must be to lie inside those of the reference."""

# The reference was measured on the embedded network once, with one method.
_EMBEDDED_REFERENCE = {("CROWN", 0.01, 10): 28.0}
_EMBEDDED_METHODS = ("IBP", "CROWN-IBP", "CROWN")


@final
@dataclass(frozen=True)
class Case:
    """One thing to measure.

    Parameters
    ----------
    network, method : names, as in the reference
    epsilon : radius of the boxes
    count : how many images at once
    """

    network: str
    method: str
    epsilon: float
    count: int


def cases(every_epsilon: bool = False) -> list[Case]:
    """Return what the reference was measured on, and the embedded network."""
    from tests.decomon.reference import NETWORKS, stored

    found = [
        Case(name, method, epsilon, count)
        for name in NETWORKS
        for method, epsilon, count in stored(name)
        if every_epsilon or epsilon == EPSILONS[name]
    ]
    epsilon = EPSILONS["tutorial_conv"]
    found += [Case("tutorial_conv", method, epsilon, 10) for method in _EMBEDDED_METHODS]
    order = list(METHODS)
    return sorted(found, key=lambda case: (case.network, case.count, order.index(case.method)))


def load(name: str) -> tuple[Any, Array, Array]:
    """Return the Keras model, its images ``(count, 784)`` and their labels."""
    if name in EMBEDDED:
        from decomon_widgets.datasets import load_mnist, load_model

        mnist = load_mnist(source="embedded")
        model = load_model("conv" if EMBEDDED[name] == "conv" else "dense")
        return model, mnist.x_test, mnist.y_test
    from tests.decomon.reference import network

    return network(name)


def reference_bounds(case: Case) -> Array | None:
    """Return the reference's bounds ``(count, 10)`` of f_j - f_y, NaN at j = y, or None."""
    if case.network in EMBEDDED:
        return None
    from tests.decomon.reference import stored

    return stored(case.network).get((case.method, case.epsilon, case.count))


def reference_times(case: Case) -> dict[str, Any]:
    """Return ``products`` and ``certified`` of the reference, as far as they are known."""
    if case.network in EMBEDDED:
        known = _EMBEDDED_REFERENCE.get((case.method, case.epsilon, case.count))
        return {} if known is None else {"products": known}
    from tests.decomon.reference import FOLDER

    times = json.loads((FOLDER / "times.json").read_text())
    return times.get(f"{case.network}|{case.method}|{case.epsilon:g}|{case.count}", {})


def corners(x: Array, epsilon: float) -> tuple[Array, Array]:
    """Return the corners of the boxes, in double precision; bounds round them outward."""
    wide = x.astype(np.float64)
    return np.clip(wide - epsilon, 0, 1), np.clip(wide + epsilon, 0, 1)
