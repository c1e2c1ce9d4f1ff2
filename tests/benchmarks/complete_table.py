"""Complete verification as Markdown tables: ``python -m tests.benchmarks.complete_table [FILE]``.

``python -m tests.readme`` puts those of ``complete.json``, next to this file, into the README.
"""

# ruff: noqa: T201
from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.networks import DESCRIPTIONS
from tests.benchmarks.table import machine_line

RESULTS = Path(__file__).with_name("complete.json")

MOST_UNKNOWN = {
    ("mlp_tuto3", 0.01): 0,
    ("mlp_tuto3", 0.02): 2,
    ("mlp_tuto3", 0.03): 10,
    ("conv_small", 0.03): 5,
    ("conv_small", 0.05): 15,
}
"""How many of 100 images may be left open after 30 seconds each."""

_IMAGES = (
    "network",
    "ε",
    "images",
    "limit",
    "robust",
    "non robust",
    "unknown",
    "median",
    "total",
    "domains",
    "target",
)
_PROPERTIES = ("network", "property", "answer", "ours", "time", "domains", "target")


def complete_table(path: Path = RESULTS) -> str:
    """Return the tables of a file of results, and what they were measured on."""
    results = json.loads(path.read_text())
    rows: Sequence[Mapping[str, Any]] = results["rows"]
    tried = [row for row in rows if "image" in row]
    asked = [row for row in rows if "property" in row]
    groups: dict[tuple[str, float, float], list[Mapping[str, Any]]] = {}
    for row in tried:
        groups.setdefault((row["network"], row["epsilon"], row["timeout"]), []).append(row)
    parts = [
        _table(_IMAGES, (_summary(*group, found) for group, found in sorted(groups.items()))),
        _table(_PROPERTIES, map(_property, asked)),
        machine_line(results["machine"]),
    ]
    return "\n".join(part for part in parts if part)


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(cells)} |\n" for cells in rows]
    head = f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}\n"
    return head + "".join(lines) if lines else ""


def _summary(
    network: str, epsilon: float, timeout: float, rows: Sequence[Mapping[str, Any]]
) -> list[str]:
    statuses = [row.get("status", "failed") for row in rows]
    robust, broken = statuses.count("robust"), statuses.count("non_robust")
    left = len(rows) - robust - broken
    seconds = [row["seconds"] for row in rows if "seconds" in row]
    return [
        DESCRIPTIONS[network],
        f"{epsilon:g}",
        str(len(rows)),
        f"{timeout:g} s",
        str(robust),
        str(broken),
        str(left) + (f" ({statuses.count('failed')} failed)" if "failed" in statuses else ""),
        _seconds(statistics.median(seconds)) if seconds else "-",
        _seconds(sum(seconds)),
        f"{sum(row.get('domains', 0) for row in rows):,}",
        _target(left, MOST_UNKNOWN.get((network, epsilon)), len(rows), timeout),
    ]


def _target(left: int, limit: int | None, count: int, timeout: float) -> str:
    """Say whether few enough are left; nothing if it was measured in another way."""
    if limit is None or count < 100 or timeout > 30:
        return ""
    return "met" if left <= limit else f"missed: unknown > {limit}"


def _property(row: Mapping[str, Any]) -> list[str]:
    name = [row["network"], row["property"], row["answer"]]
    if "error" in row:
        return [*name, "failed", "-", "-", "missed: no answer"]
    right = row["status"] == row["answer"]
    verdict = "met" if right else "missed: no answer"
    if row["status"] not in (row["answer"], "unknown"):
        verdict = "missed: wrong"
    return [*name, row["status"], _seconds(row["seconds"]), f"{row['domains']:,}", verdict]


def _seconds(value: float) -> str:
    return (
        f"{value:.0f} s" if value >= 100 else f"{value:.1f} s" if value >= 1 else f"{value:.2f} s"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser("python -m tests.benchmarks.complete_table")
    parser.add_argument("file", type=Path, nargs="?", default=RESULTS, metavar="FILE.json")
    print(complete_table(parser.parse_args(arguments).file), end="")


if __name__ == "__main__":
    main()
