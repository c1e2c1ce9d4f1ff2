"""Measures one case, in a process of its own: ``python -m tests.benchmarks.measure JSON``.

Loaded are TensorFlow, decomon and the model.  Then, in this order:

- *first call*: seconds from the Keras model to its first bounds, that is conversion, compilation
  and one call;
- *peak memory*: how far the resident set has grown since the model was loaded, at most, after
  three calls; compilation is a part of it;
- *time*: the median of further calls, as a multiple of the calibration product measured right
  before and after them;
- *tightness*: the sum of the bounds of the largest margins, and each margin compared with the
  reference's;
- *utilisation*: the time that the necessary arithmetic would take at the rate of the calibration
  product, as a share of the time.
"""

# ruff: noqa: T201
from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import decomon
from decomon.ops._base import NonlinearOp
from tests.benchmarks import arithmetic, machine, networks, process, tightness
from tests.benchmarks.networks import Array, Case

CALLS_FOR_PEAK = 3
SLIDER = np.linspace(0.001, 0.05, 50)
"""The positions that a slider takes."""


def first_and_peak(work: Callable[[], Any], calls: int = CALLS_FOR_PEAK) -> dict[str, Any]:
    """Call something for the first times; return seconds and bytes."""
    resident = process.start_peak()
    begin = time.perf_counter()
    work()
    first = time.perf_counter() - begin
    for _ in range(calls - 1):
        work()
    peak = process.peak_bytes()
    return {
        "first call seconds": first,
        "peak bytes": None if resident is None or peak is None else peak - resident,
    }


def bounds(case: Case, repeat: int, at_most: float) -> dict[str, Any]:
    """Measure bounds of the largest margins, ``decomon.get_adv_box``."""
    model, x, y = networks.load(case.network)
    method, finetune = networks.METHODS[case.method]
    x, y = x[: case.count], y[: case.count]
    x_min, x_max = (corner.astype(np.float32) for corner in networks.corners(x, case.epsilon))
    made: list[decomon.DecomonModel] = []

    def work() -> Array:
        if not made:
            made.append(decomon.clone(model, method, finetune=finetune))
        return decomon.get_adv_box(made[0], x_min, x_max, y)

    row = first_and_peak(work)
    seconds, product = machine.beside_products(work, repeat, at_most=at_most)
    upper = work()
    domain = decomon.BoxDomain(x_min, x_max)
    products = seconds / product
    known = networks.reference_times(case)
    row |= {
        "seconds": seconds,
        "product seconds": product,
        "products": products,
        "reference products": known.get("products"),
        "ratio": products / known["products"] if known else None,
        "certified": int((upper < 0).sum()),
        "reference certified": known.get("certified"),
        "sum of bounds": float(upper.sum(dtype=np.float64)),
    }
    row |= utilisation(made[0], domain, case, products)
    theirs = networks.reference_bounds(case)
    if theirs is not None:
        row["reference sum of bounds"] = float(np.nanmax(theirs, axis=1).sum(dtype=np.float64))
        inside = decomon.BoxDomain(*networks.corners(x, case.epsilon - networks.CORNER))
        ours = every_margin(model, inside, y, method, finetune)
        row |= tightness.compared(ours, theirs)
    return row


def every_margin(model: Any, domain: Any, y: Array, method: str, finetune: bool) -> Array:
    """Return the bounds of all margins, ``(batch, classes)``."""
    rows = tightness.margin_rows(y)
    verified = decomon.clone(
        model, method, finetune=finetune, back_bounds=[rows], final_affine=False, final_ibp=True
    )
    return verified.predict(domain).upper


def utilisation(
    verified: decomon.DecomonModel, domain: Any, case: Case, products: float
) -> dict[str, Any]:
    """Compare the time with that of the necessary arithmetic, for what is not optimised.

    How much optimising takes depends on when it stops, so there it is left open.
    """
    if networks.METHODS[case.method][1]:
        return {"necessary products": None, "utilisation": None}
    pairs = None if case.method == "IBP" else unstable_pairs(verified, domain)
    bounded = {} if case.method == "CROWN-IBP" else pairs
    classes = verified.graph.nodes[-1].size
    needed = arithmetic.necessary_multiply_adds(
        arithmetic.chain(verified.graph), case.count, classes - 1, bounded
    )
    necessary = needed / machine.PRODUCT_MULTIPLY_ADDS
    return {
        "unstable pairs": None if pairs is None else sum(pairs.values()),
        "necessary products": necessary,
        "utilisation": necessary / products,
    }


def unstable_pairs(verified: decomon.DecomonModel, domain: Any) -> dict[int, int]:
    """Count the unstable (sample, neuron) pairs by the step of the chain that gives them.

    Those whose exact interval is known without a backward pass are left out.
    """
    graph = verified.graph
    intervals = verified.verifier.intervals(domain.as_tensors(verified.verifier.dtype))
    counts: dict[int, int] = {}
    for index in graph.nonlinear:
        op, (source,) = graph.nodes[index].op, graph.nodes[index].inputs
        if isinstance(op, NonlinearOp) and source not in graph.exact:
            (unstable,) = op.unstable(intervals[source])
            counts[source - 1] = int(np.sum(unstable))
    return counts


def slider(repeat: int) -> dict[str, Any]:
    """Measure verdicts on ten images of the embedded dense network, epsilon by epsilon."""
    model, x, y = networks.load("tutorial_dense")
    x, y = x[:10], y[:10]
    row = first_and_peak(lambda: decomon.certify(model, x, y, SLIDER[0]))
    # The first bound near zero makes the double-precision verifier too: not a part of a move.
    for epsilon in SLIDER:
        decomon.certify(model, x, y, float(epsilon))
    position = iter(np.resize(SLIDER, 10**6))
    moves = machine.samples_of(
        lambda: decomon.certify(model, x, y, float(next(position))), 10 * repeat, 1.0, 60.0
    )
    return row | {
        "seconds": float(np.median(moves)),
        "slowest of twenty": float(np.quantile(moves, 0.95)),
        "moves": len(moves),
    }


def main(question: dict[str, Any]) -> dict[str, Any]:
    """Answer a question: ``{"slider": {...}}`` or ``{"case": {...}, ...}``."""
    if "slider" in question:
        return slider(**question["slider"])
    return bounds(Case(**question["case"]), question["repeat"], question["at_most"])


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
