"""Time, memory and tightness on the reference networks, as multiples of a calibration product.

Every case runs in a process of its own; ``tests/benchmarks/measure.py`` says what is measured.
For numbers that mean something, nothing else should run on the machine.
"""

# ruff: noqa: T201
from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.benchmarks import machine, networks, process
from tests.benchmarks.networks import Case
from tests.benchmarks.targets import targets

MODULE = "tests.benchmarks.measure"
SLIDER = "tutorial_dense"


def chosen(options: argparse.Namespace) -> list[Case]:
    """Return the cases that the options ask for."""
    found = networks.cases(options.all)
    if options.quick:
        found = [case for case in found if case.count == 10 and case.method != "CROWN-Optimized"]
    return [
        case
        for case in found
        if (not options.only or case.network in options.only)
        and (not options.methods or case.method in options.methods)
    ]


def measured(cases: Sequence[Case], slider: bool, repeat: int, quick: bool) -> Iterator[Any]:
    """Measure one case after the other; one that fails gives a row with ``error``."""
    at_most = 10.0 if quick else 60.0
    for case in cases:
        question = {"case": asdict(case), "repeat": repeat, "at_most": at_most}
        usual = networks.EPSILONS[case.network] == case.epsilon
        yield {**asdict(case), "at usual epsilon": usual, **_answer(question)}
    if slider:
        row = {"network": SLIDER, "method": "slider", "count": 10}
        yield {**row, **_answer({"slider": {"repeat": repeat}})}


def _answer(question: dict[str, Any]) -> dict[str, Any]:
    try:
        return process.ask(MODULE, question)
    except process.FailedError as error:
        return {"error": str(error)}


def line(row: dict[str, Any]) -> str:
    """Return what is printed of a row."""
    name = f"{row['network']:14} {row['method']:15} {row.get('epsilon', ''):>5} {row['count']:4}"
    if "error" in row:
        return f"{name}  failed: {row['error'].splitlines()[-1]}"
    numbers = [
        f"{row['products']:8.2f}" if "products" in row else f"{row['seconds'] * 1e3:5.1f} ms",
        _shown(row, "ratio", "6.2f"),
        _shown(row, "utilisation", "6.1%"),
        _shown(row, "peak bytes", "7.0f", 1e-6),
        _shown(row, "first call seconds", "6.2f"),
        _shown(row, "sum of bounds", "10.2f"),
        _shown(row, "looser", "5.0f"),
        _shown(row, "certified", "4.0f") + _shown(row, "reference certified", "4.0f"),
    ]
    missed = [f"{t.name} > {t.limit:g}" for t in targets(row) if not t.met]
    verdict = "missed: " + ", ".join(missed) if missed else "met" if list(targets(row)) else ""
    return "  ".join([name, *numbers, verdict])


def _shown(row: dict[str, Any], key: str, style: str, factor: float = 1.0) -> str:
    value = row.get(key)
    width = int(style.split(".")[0])
    return "-".rjust(width) if value is None else format(value * factor, style)


HEADER = (
    f"{'network':14} {'method':15} {'eps':>5} {'N':>4}  {'products':>8}  {'ratio':>6}  {'rate':>6}"
    f"  {'peak MB':>7}  {'1st, s':>6}  {'bounds':>10}  loose  certified  targets"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a row for each case and write all of them as JSON; 1 if something failed."""
    parser = argparse.ArgumentParser("python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--output", type=Path, metavar="FILE.json", help="where to write results")
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=sorted(networks.DESCRIPTIONS))
    parser.add_argument("--methods", nargs="+", choices=list(networks.METHODS))
    parser.add_argument("--all", action="store_true", help="every radius of the reference")
    parser.add_argument("--quick", action="store_true", help="ten images, nothing optimised")
    parser.add_argument("--repeat", type=int, default=7, help="calls to take the median of")
    options = parser.parse_args(arguments)
    if options.repeat < 1:
        parser.error(f"--repeat must be at least 1. Received: {options.repeat}")
    from tests.decomon.reference import FOLDER

    if not FOLDER.is_dir():
        parser.error(f"no reference networks: {FOLDER} does not exist")
    results: dict[str, Any] = {"machine": machine.described(), "rows": []}
    print(json.dumps(results["machine"], indent=1))
    print(HEADER)
    slider = not options.methods and (not options.only or SLIDER in options.only)
    for row in measured(chosen(options), slider, options.repeat, options.quick):
        results["rows"].append(row)
        print(line(row), flush=True)
        if options.output:
            options.output.write_text(json.dumps(results, indent=1) + "\n")
    return int(any("error" in row for row in results["rows"]))


if __name__ == "__main__":
    raise SystemExit(main())
