"""Measures one point of a curve, in a process of its own: ``python -m ...growth_point JSON``."""

# ruff: noqa: T201
from __future__ import annotations

import json
import statistics
import sys
from typing import Any

import numpy as np

import decomon
from tests.benchmarks import growth_networks, machine
from tests.benchmarks.measure import first_and_peak, unstable_pairs


def main(
    network: str, size: dict[str, int], batch: int, method: str, repeat: int
) -> dict[str, Any]:
    """Measure time, memory and the share of unstable neurons."""
    model = vars(growth_networks)[network](**size)
    x_min, x_max = growth_networks.boxes(model.input_shape[1:], batch)
    labels = np.zeros(batch, np.int64)
    made: list[decomon.DecomonModel] = []

    def work() -> Any:
        if not made:
            made.append(decomon.clone(model, method))
        return decomon.get_adv_box(made[0], x_min, x_max, labels)

    row = first_and_peak(work, 2)
    seconds = statistics.median(machine.samples_of(work, repeat, 0.2, 5.0))
    pairs = unstable_pairs(made[0], decomon.BoxDomain(x_min, x_max))
    nodes = made[0].graph.nodes
    neurons = batch * sum(nodes[step + 1].size for step in pairs)
    return row | {"seconds": seconds, "unstable": sum(pairs.values()) / neurons}


if __name__ == "__main__":
    print(json.dumps(main(**json.loads(sys.argv[1]))))
