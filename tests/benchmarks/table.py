"""The results as a Markdown table: ``python -m tests.benchmarks.table [FILE.json]``.

``python -m tests.readme`` puts that of ``results.json``, next to this file, into the README.
"""

# ruff: noqa: T201
from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.networks import DESCRIPTIONS
from tests.benchmarks.targets import targets

RESULTS = Path(__file__).with_name("results.json")

_COLUMNS = (
    "network",
    "images",
    "ε",
    "method",
    "time, products",
    "reference",
    "ratio",
    "rate",
    "peak memory",
    "first call",
    "Σ bounds",
    "looser",
    "certified",
    "targets",
)


def speed_table(path: Path = RESULTS) -> str:
    """Return the table of a file of results, and what it was measured on."""
    results = json.loads(path.read_text())
    rows = [row for row in results["rows"] if row["method"] != "slider"]
    moves = [row for row in results["rows"] if row["method"] == "slider"]
    parts = [_table(rows), *(_moves(row) for row in moves), machine_line(results["machine"])]
    return "\n".join(parts)


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    head = f"| {' | '.join(_COLUMNS)} |\n|{'---|' * len(_COLUMNS)}\n"
    return head + "".join(f"| {' | '.join(_cells(row))} |\n" for row in rows)


def _cells(row: Mapping[str, Any]) -> list[str]:
    name = [DESCRIPTIONS[row["network"]], str(row["count"]), f"{row['epsilon']:g}", row["method"]]
    if "error" in row:
        return [*name, "failed", *["-"] * (len(_COLUMNS) - len(name) - 2), _verdict(row)]
    certified = _cell(row, "certified", str)
    if row.get("reference certified") is not None:
        certified += f" ({row['reference certified']})"
    return [
        *name,
        _cell(row, "products", _digits),
        _cell(row, "reference products", _digits),
        _cell(row, "ratio", _digits),
        _cell(row, "utilisation", "{:.1%}".format),
        _cell(row, "peak bytes", _megabytes),
        _cell(row, "first call seconds", "{:.1f} s".format),
        _cell(row, "sum of bounds", "{:.1f}".format),
        _cell(row, "looser", str),
        certified,
        _verdict(row),
    ]


def _cell(row: Mapping[str, Any], key: str, written: Callable[[Any], str]) -> str:
    value = row.get(key)
    return "-" if value is None else written(value)


def _digits(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _megabytes(value: float) -> str:
    return f"{value / 1e6:.0f} MB"


def _verdict(row: Mapping[str, Any]) -> str:
    asked = list(targets(row))
    missed = [f"{target.name} > {target.limit:g}" for target in asked if not target.met]
    return "missed: " + ", ".join(missed) if missed else "met" if asked else ""


def _moves(row: Mapping[str, Any]) -> str:
    if "error" in row:
        return "A slider move could not be measured.\n"
    longest, first = row["slowest of twenty"] * 1e3, row["first call seconds"]
    return (
        f"A slider move, `decomon.certify` on {row['count']} images of the dense network of "
        f"tutorial 3: {row['seconds'] * 1e3:.0f} ms, one in twenty longer than "
        f"{longest:.0f} ms; the first one {first:.1f} s.\n"
    )


def machine_line(machine: Mapping[str, Any]) -> str:
    """Say what something was measured on."""
    return (
        f"Measured on {machine['cpu']}, {machine['cores']} cores, {machine['system']}, "
        f"Python {machine['python']}, TensorFlow {machine['tensorflow']}, "
        f"Keras {machine['keras']}, NumPy {machine['numpy']}; "
        f"one product: {machine['product seconds'] * 1e3:.0f} ms.\n"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser("python -m tests.benchmarks.table", description=__doc__)
    parser.add_argument("file", type=Path, nargs="?", default=RESULTS, metavar="FILE.json")
    print(speed_table(parser.parse_args(arguments).file), end="")


if __name__ == "__main__":
    main()
