"""Tables of complete verification say what the results say, and runs go on where they stopped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks import complete
from tests.benchmarks.complete import Task, added, remaining
from tests.benchmarks.complete_table import complete_table
from tests.benchmarks.test_results import MACHINE

KEY = {"network": "mlp_tuto3", "epsilon": 0.02, "timeout": 30.0}
FOUND = {"status": "robust", "reason": "", "seconds": 0.5, "domains": 1000}
PROPERTY = {"network": "ACAS", "property": "prop_1", "answer": "holds", "timeout": 20.0}


def rows(robust: int, broken: int, unknown: int) -> list[dict[str, Any]]:
    statuses = ["robust"] * robust + ["non_robust"] * broken + ["unknown"] * unknown
    return [
        {**KEY, **FOUND, "image": image, "status": status} for image, status in enumerate(statuses)
    ]


def written(tmp_path: Path, found: list[dict[str, Any]]) -> str:
    path = tmp_path / "complete.json"
    path.write_text(json.dumps({"machine": MACHINE, "rows": found}))
    return complete_table(path)


def cells(text: str, word: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if word in line]
    return [cell.strip() for cell in line.split("|")[1:-1]]


@pytest.mark.parametrize(
    ("counts", "verdict"),
    [((70, 28, 2), "met"), ((70, 27, 3), "missed: unknown > 2"), ((70, 20, 3), "")],
)
def test_images_are_counted(tmp_path: Path, counts: tuple[int, int, int], verdict: str) -> None:
    text = written(tmp_path, rows(*counts))
    found = cells(text, "784-100-100-10")
    assert found[4:7] == [str(count) for count in counts]
    assert found[7] == "0.50 s"
    assert found[-1] == verdict
    assert "Abacus" in text
    assert len({line.count("|") for line in text.splitlines() if line.startswith("|")}) == 1


def test_failures_are_left_unknown(tmp_path: Path) -> None:
    failed = [{**KEY, "image": 5, "error": "OSError: no"}]
    assert cells(written(tmp_path, rows(5, 0, 0) + failed), "784-100-100-10")[6] == "1 (1 failed)"
    assert cells(written(tmp_path, failed), "784-100-100-10")[7] == "-"


@pytest.mark.parametrize(
    ("status", "verdict"),
    [("holds", "met"), ("unknown", "missed: no answer"), ("violated", "missed: wrong")],
)
def test_properties_have_known_answers(tmp_path: Path, status: str, verdict: str) -> None:
    found = cells(written(tmp_path, [{**PROPERTY, **FOUND, "status": status}]), "ACAS")
    assert found[3:] == [status, "0.50 s", "1,000", verdict]


def test_runs_go_on_where_they_stopped() -> None:
    tasks = [Task({**KEY, "image": image}, dict) for image in range(4)]
    done = rows(2, 0, 0)
    done[1] = {**KEY, "image": 1, "error": "RuntimeError"}
    left = remaining(tasks, done)
    assert [task.key["image"] for task in left] == [1, 2, 3]
    after = added(done, {**left[0].key, **FOUND}, left[0].key)
    assert len(after) == 2
    assert [task.key["image"] for task in remaining(tasks, after)] == [2, 3]
    assert remaining([Task({**KEY, "timeout": 60.0, "image": 0}, dict)], after)


def test_what_fails_is_a_row() -> None:
    def broken() -> dict[str, Any]:
        raise ValueError("unusable")

    assert complete.measured(Task(KEY, broken)) == {**KEY, "error": "ValueError: unusable"}
