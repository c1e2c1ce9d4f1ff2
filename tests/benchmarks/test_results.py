"""Tables, targets, slopes and comparisons say what the results say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.benchmarks import growth, process, table
from tests.benchmarks.machine import samples_of
from tests.benchmarks.targets import targets
from tests.benchmarks.tightness import compared, margin_rows

MACHINE = {
    "cpu": "Abacus",
    "cores": 2,
    "system": "Wood",
    "python": "3",
    "tensorflow": "2",
    "keras": "3",
    "numpy": "2",
    "product seconds": 0.05,
}
ROW = {
    "network": "mlp_tuto3",
    "method": "CROWN",
    "epsilon": 0.03,
    "count": 10,
    "at usual epsilon": True,
    "products": 0.1,
    "reference products": 0.4,
    "ratio": 0.25,
    "utilisation": 0.42,
    "peak bytes": 3e6,
    "first call seconds": 1.25,
    "sum of bounds": -3.14,
    "looser": 0,
    "certified": 7,
    "reference certified": 6,
}
MOVE = {
    "network": "tutorial_dense",
    "method": "slider",
    "count": 10,
    "seconds": 0.02,
    "slowest of twenty": 0.025,
    "first call seconds": 1.0,
}


def written(tmp_path: Path, *rows: dict[str, Any]) -> str:
    path = tmp_path / "results.json"
    path.write_text(json.dumps({"machine": MACHINE, "rows": rows}))
    return table.speed_table(path)


def test_the_table_has_every_number(tmp_path: Path) -> None:
    text = written(tmp_path, ROW, MOVE)
    (line,) = [line for line in text.splitlines() if "784-100-100-10" in line]
    for part in ("0.10", "0.40", "0.25", "42.0%", "3 MB", "1.2 s", "-3.1", "7 (6)", "met"):
        assert f"| {part} |" in line
    assert "20 ms" in text
    assert "Abacus" in text
    assert len({row.count("|") for row in text.splitlines() if row.startswith("|")}) == 1


def test_what_failed_or_is_unknown_is_said(tmp_path: Path) -> None:
    named = {key: ROW[key] for key in ("network", "method", "epsilon", "count", "at usual epsilon")}
    text = written(tmp_path, {**named, "error": "out of memory"}, {**ROW, "ratio": None})
    failed, unknown = [line for line in text.splitlines() if "784-100-100-10" in line]
    assert "| failed |" in failed
    assert "missed" in failed
    assert "missed" in unknown
    assert failed.count("|") == unknown.count("|")


@pytest.mark.parametrize(
    ("change", "missed"),
    [
        ({}, set()),
        ({"ratio": 0.51}, {"time / reference"}),
        ({"ratio": None}, {"time / reference"}),
        ({"ratio": 0.51, "at usual epsilon": False}, set()),
        ({"looser": 1}, {"margins looser than the reference's"}),
        ({"first call seconds": 2.1}, {"first call, seconds"}),
        ({"method": "CROWN-Optimized", "ratio": 0.31}, {"time / reference"}),
        ({"network": "conv_small", "ratio": 0.26}, {"time / reference"}),
        ({"network": "tutorial_conv", "peak bytes": 1.1e9}, {"peak memory, bytes"}),
        ({"method": "IBP", "ratio": 9.0}, set()),
        ({**MOVE, "seconds": 0.031}, {"slider move, seconds"}),
    ],
)
def test_targets_are_missed_where_they_are(change: dict[str, Any], missed: set[str]) -> None:
    assert {target.name for target in targets({**ROW, **change}) if not target.met} == missed


def test_looser_margins_are_counted() -> None:
    theirs = np.array([[np.nan, -1.0, 2.0], [5.0, np.nan, -5.0]], np.float32)
    ours = np.where(np.isnan(theirs), 0.0, theirs)
    same = compared(ours, theirs)
    assert (same["margins"], same["looser"], same["most excess"]) == (4, 0, 0.0)
    assert compared(ours - 1, theirs)["looser"] == 0
    ours[0, 1] += 0.5
    looser = compared(ours, theirs)
    assert (looser["looser"], looser["most excess"]) == (1, 0.5)
    assert looser["most relative excess"] == 0.25
    assert looser["sum over all margins"] == pytest.approx(1.5)


def test_rows_subtract_the_label() -> None:
    logits = np.array([[3.0, 1.0, 2.0], [0.0, 5.0, 7.0]])
    labels = np.array([0, 2])
    margins = np.einsum("bpc,bc->bp", margin_rows(labels, 3), logits)
    np.testing.assert_array_equal(margins, logits - logits[[0, 1], labels][:, None])


def test_slopes_are_those_of_the_largest_sizes() -> None:
    curve = {"series": "batch", "method": "crown"}
    points = [
        {
            "series": "batch",
            "method": "crown",
            "size": n,
            "seconds": max(5.0, n**2),
            "peak bytes": n,
        }
        for n in (1, 2, 10, 20, 40)
    ]
    found = growth.slopes(points)
    assert found["batch|crown|seconds"] == pytest.approx(2)
    assert found["batch|crown|peak bytes"] == pytest.approx(1)
    failed = [{**curve, "size": 80, "error": "?"}]
    assert growth.slopes([*points, *failed]) == found


def test_calls_are_counted_and_stop_in_time() -> None:
    calls: list[int] = []
    assert len(samples_of(lambda: calls.append(1), 5, 0.0, 10.0)) == 5
    assert len(calls) > 5  # those that are not counted
    assert len(samples_of(lambda: None, 5, 0.0, 0.0)) == 1


@pytest.mark.skipif(process.resident_bytes() is None, reason="nothing is known without /proc")
def test_the_peak_is_seen_after_it_is_over() -> None:
    before = process.start_peak()
    block = np.ones(2**23)  # 64 MB
    assert block[-1] == 1
    del block
    peak = process.peak_bytes()
    assert peak is not None
    assert before is not None
    assert 0.9 * 2**26 < peak - before < 1.5 * 2**26  # pages are counted in bunches
    assert process.start_peak() is not None
    later = process.peak_bytes()
    assert later is not None
    assert later < peak


def test_a_process_that_fails_says_why() -> None:
    with pytest.raises(process.FailedError, match=r"No module named tests\.nothing"):
        process.ask("tests.nothing", {})
