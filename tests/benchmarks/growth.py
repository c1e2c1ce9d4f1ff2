"""How time and memory grow with the batch, the depth, the width and the side of images.

``python -m tests.benchmarks.growth`` measures every point in a process of its own, fits a slope to
each curve in logarithms, and writes ``growth.json`` and ``growth.png`` next to this file.
``--plot`` only draws what was measured before.
"""

# ruff: noqa: T201
from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np

from tests.benchmarks import growth_plot, machine, process

MODULE = "tests.benchmarks.growth_point"
FILE = Path(__file__).with_name("growth.json")
METHODS = ("crown", "crown-ibp")
QUANTITIES = ("seconds", "peak bytes")
BATCH, DEPTH, WIDTH = 10, 3, 128
_POINTS_FITTED = 3


@final
@dataclass(frozen=True)
class Series:
    """A size that varies, while all others stay.

    Parameters
    ----------
    name : of the size
    network : a function of ``growth_networks``
    sizes : the values
    """

    name: str
    network: str
    sizes: tuple[int, ...]

    def question(self, size: int) -> dict[str, Any]:
        """Return the network and the batch of a point."""
        fixed = {"depth": DEPTH, "width": WIDTH} if self.network == "dense" else {}
        if self.name == "batch":
            return {"network": self.network, "size": fixed, "batch": size}
        return {"network": self.network, "size": {**fixed, self.name: size}, "batch": BATCH}


SERIES = (
    Series("batch", "dense", (1, 4, 16, 64, 256, 1000)),
    Series("depth", "dense", (2, 4, 8, 14, 20)),
    Series("width", "dense", (64, 128, 256, 512, 1024)),
    Series("side", "convolutional", (8, 16, 32, 64)),
)


def measured(chosen: Sequence[Series], methods: Sequence[str], repeat: int) -> Iterator[Any]:
    """Measure one point after the other; one that fails has ``error``."""
    for series in chosen:
        for size in series.sizes:
            for method in methods:
                question = {**series.question(size), "method": method, "repeat": repeat}
                row = {"series": series.name, "size": size, "method": method}
                try:
                    yield {**row, **process.ask(MODULE, question)}
                except process.FailedError as error:
                    yield {**row, "error": str(error)}


def slope(sizes: Sequence[float], values: Sequence[float]) -> float:
    """Fit ``log value = slope * log size + constant`` by least squares."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def slopes(points: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Fit the largest sizes of every curve: for small ones, constant costs prevail.

    Returns
    -------
    dict by ``"series|method|quantity"``
    """
    found: dict[str, float] = {}
    for series in dict.fromkeys(point["series"] for point in points):
        for method in dict.fromkeys(point["method"] for point in points):
            for quantity in QUANTITIES:
                sizes, values = curve(points, series, method, quantity)
                if len(sizes) >= _POINTS_FITTED:
                    fitted = slope(sizes[-_POINTS_FITTED:], values[-_POINTS_FITTED:])
                    found[f"{series}|{method}|{quantity}"] = fitted
    return found


def curve(
    points: Sequence[Mapping[str, Any]], series: str, method: str, quantity: str
) -> tuple[list[float], list[float]]:
    """Return the sizes and values of a curve, without what could not be measured."""
    chosen = sorted(
        (point["size"], point[quantity])
        for point in points
        if (point["series"], point["method"]) == (series, method) and point.get(quantity)
    )
    return [size for size, _ in chosen], [value for _, value in chosen]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, write and draw; 1 if something failed."""
    parser = argparse.ArgumentParser("python -m tests.benchmarks.growth", description=__doc__)
    parser.add_argument("--output", type=Path, default=FILE, metavar="FILE.json")
    parser.add_argument("--only", nargs="+", choices=[series.name for series in SERIES])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--repeat", type=int, default=5, help="calls to take the median of")
    parser.add_argument("--plot", action="store_true", help="only draw the results again")
    options = parser.parse_args(arguments)
    if options.plot:
        results = json.loads(options.output.read_text())
    else:
        chosen = [series for series in SERIES if not options.only or series.name in options.only]
        results = {"machine": machine.described(), "points": []}
        for point in measured(chosen, options.methods, options.repeat):
            results["points"].append(point)
            print(line(point), flush=True)
        results["slopes"] = slopes(results["points"])
        options.output.write_text(json.dumps(results, indent=1) + "\n")
    for name, value in results["slopes"].items():
        series, method, quantity = name.split("|")
        print(f"{quantity} of {method} grow like {series}^{value:.2f}")
    growth_plot.draw(results, options.output.with_suffix(".png"))
    return int(any("error" in point for point in results["points"]))


def line(point: Mapping[str, Any]) -> str:
    """Return what is printed of a point."""
    name = f"{point['series']:6} {point['size']:5} {point['method']:10}"
    if "error" in point:
        return f"{name} failed: {point['error'].splitlines()[-1]}"
    peak = "-" if point["peak bytes"] is None else f"{point['peak bytes'] / 1e6:.0f} MB"
    return (
        f"{name} {point['seconds'] * 1e3:9.1f} ms  {peak:>8}  "
        f"first call {point['first call seconds']:5.1f} s  {point['unstable']:.0%} unstable"
    )


if __name__ == "__main__":
    raise SystemExit(main())
