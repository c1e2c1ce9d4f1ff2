"""Time and tightness on the reference networks, as multiples of a calibration product.

Usage: ``python -m tests.benchmarks.reference_times [--output FILE.json] [--repeat N] [--tuned]``

One *product* is the median time of the float32 NumPy product (4096 x 1024) @ (1024 x 1024) in this
process, so numbers of different machines can be compared.
"""

# ruff: noqa: T201
from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import decomon
from tests.decomon.reference import FOLDER, NETWORKS, network, stored

METHODS = {
    "IBP": ("forward-ibp", False),
    "CROWN-IBP": ("crown-forward-ibp", False),
    "CROWN": ("crown", False),
    "CROWN-Optimized": ("crown", True),
}


def median_seconds(work: Callable[[], Any], repeat: int) -> float:
    """Median time of one call, after one call that is not counted."""
    work()
    seconds = []
    for _ in range(repeat):
        begin = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds)


def product_seconds() -> float:
    """Time of the calibration product."""
    rng = np.random.default_rng(0)
    left = rng.normal(size=(4096, 1024)).astype(np.float32)
    right = rng.normal(size=(1024, 1024)).astype(np.float32)
    return median_seconds(lambda: left @ right, 9)


def measure(repeat: int, tuned: bool) -> Iterator[dict[str, Any]]:
    """One row per network, method, epsilon and batch of the reference."""
    reference = json.loads((FOLDER / "times.json").read_text())
    for name in NETWORKS:
        model, x, y = network(name)
        cases = sorted(stored(name), key=lambda case: (case[0], case[2], case[1]))
        engines: dict[str, decomon.DecomonModel] = {}
        for method, epsilon, count in cases:
            ours, finetune = METHODS[method]
            if finetune and not tuned:
                continue
            if method not in engines:
                engines[method] = decomon.clone(model, ours, finetune=finetune)
            points = x[:count].astype(np.float64)
            x_min, x_max = np.clip(points - epsilon, 0, 1), np.clip(points + epsilon, 0, 1)
            engine, labels = engines[method], y[:count]

            def work(e: Any = engine, a: Any = x_min, b: Any = x_max, i: Any = labels) -> Any:
                return decomon.get_adv_box(e, a, b, i)

            product = product_seconds()  # next to the measurement: machines change their speed
            seconds = median_seconds(work, 1 if finetune else repeat)
            known = reference.get(f"{name}|{method}|{epsilon:g}|{count}", {})
            products = seconds / product
            yield {
                "network": name,
                "method": method,
                "epsilon": epsilon,
                "count": count,
                "seconds": seconds,
                "products": products,
                "reference products": known.get("products"),
                "ratio": products / known["products"] if known else None,
                "certified": int((work() < 0).sum()),
                "reference certified": known.get("certified"),
            }


def main() -> None:
    """Print a table and write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, help="file for the rows, as JSON")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--tuned", action="store_true", help="optimised slopes too (minutes)")
    options = parser.parse_args()
    if not FOLDER.is_dir():
        parser.error(f"no reference networks: {FOLDER} does not exist")
    rows = []
    print(
        f"{'network':10} {'method':16} {'eps':>5} {'N':>4} {'products':>9} {'ratio':>7}  certified"
    )
    for row in measure(options.repeat, options.tuned):
        rows.append(row)
        ratio = "" if row["ratio"] is None else f"{row['ratio']:.2f}"
        print(
            f"{row['network']:10} {row['method']:16} {row['epsilon']:5g} {row['count']:4d} "
            f"{row['products']:9.2f} {ratio:>7}  {row['certified']} ({row['reference certified']})",
            flush=True,
        )
    if options.output:
        options.output.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
