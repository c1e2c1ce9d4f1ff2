import json
from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from decomon_widgets.knowledge import Findings, Knowledge, examine

_CASES = json.loads(Path(__file__).with_name("knowledge_cases.json").read_text())
_LABELS = np.array([3, 5], np.int32)


def _found(*verdicts: str, upper: float = 0.0, lower: float = 0.0) -> Findings:
    n = len(verdicts)
    return Findings(
        verdicts,
        np.full(n, upper),
        np.full(n, lower),
        np.zeros(n, np.int32),
        np.zeros((n, 2)),
        ("",) * n,
        (),
    )


@pytest.mark.parametrize("case", _CASES, ids=str)
def test_reuse_agrees_with_the_cases_shared_with_the_front_end(case: dict[str, Any]) -> None:
    def number(name: str, missing: float) -> np.ndarray:
        return np.array([missing if case[name] is None else case[name]])

    known = replace(
        Knowledge.nothing(1),
        certified=number("certified", -np.inf),
        falsified=number("falsified", np.inf),
        tried=number("tried", np.nan),
        misclassified=np.array([case["misclassified"]]),
    )
    assert known.verdicts(case["epsilon"]) == (case["verdict"],)


@given(
    proven=st.floats(0, 1),
    gap=st.floats(0, 1),
    tries=st.lists(st.floats(0, 2), max_size=12),
    asked=st.floats(0, 2),
)
def test_what_is_shown_is_never_more_than_what_is_true(
    proven: float, gap: float, tries: list[float], asked: float
) -> None:
    def truth(epsilon: float) -> str:
        if epsilon < proven:
            return "robust"
        return "non_robust" if epsilon > proven + gap else "unknown"

    known = Knowledge.nothing(1)
    for epsilon in tries:
        known, contradictions = known.learn(0, _found(truth(epsilon)), epsilon)
        assert contradictions == ()
        assert known.verdicts(epsilon) == (truth(epsilon),)
    assert known.certified[0] < known.falsified[0]
    assert known.verdicts(asked)[0] in (truth(asked), "pending")


def test_a_contradiction_is_reported_and_never_robust() -> None:
    known, _ = Knowledge.nothing(3).learn(1, _found("robust"), 0.05)
    known, contradictions = known.learn(1, _found("non_robust"), 0.04)
    assert [position for position, _ in contradictions] == [1]
    assert all("robust" not in known.verdicts(epsilon) for epsilon in (0.0, 0.01, 0.04, 0.05))
    assert known.verdicts(0.04) == ("pending", "unknown", "pending")


def test_learning_changes_only_a_copy_and_only_the_slice() -> None:
    nothing = Knowledge.nothing(4)
    known, _ = nothing.learn(2, _found("robust", "misclassified"), 0.1)
    assert nothing.verdicts(0.0) == ("pending",) * 4
    assert known.verdicts(0.05) == ("pending", "pending", "robust", "misclassified")


def test_forgetting_keeps_proofs_and_counterexamples() -> None:
    known, _ = Knowledge.nothing(3).learn(0, _found("robust", "non_robust", "unknown"), 0.1)
    assert known.verdicts(0.1) == ("robust", "non_robust", "unknown")
    assert known.forget_tried().verdicts(0.1) == ("robust", "non_robust", "pending")


def test_bounds_carry_over_as_verdicts_do() -> None:
    known, _ = Knowledge.nothing(2).learn(0, _found("robust", upper=-1.0, lower=-3.0), 0.2)
    known, _ = known.learn(1, _found("non_robust", upper=5.0, lower=2.0), 0.1)
    loose = np.array([4.0, 4.0]), np.array([-4.0, -4.0])
    for epsilon, upper, lower in ((0.05, -1, -4), (0.15, -1, 2), (0.3, 4, 2)):
        tight = known.tighten(*loose, epsilon)
        assert tight[0].tolist() == [upper, 4]
        assert tight[1].tolist() == [-4, lower]
        for k, verdict in enumerate(known.verdicts(epsilon)):
            assert (verdict == "robust") == (tight[0][k] < 0)
            assert (verdict == "non_robust") == (tight[1][k] > 0)


def test_the_newest_prediction_decides_what_is_misclassified() -> None:
    known, _ = Knowledge.nothing(1).learn(0, _found("misclassified"), 0.1)
    assert known.learn(0, _found("pending"), 0.1)[0].verdicts(0.1) == ("misclassified",)
    assert known.learn(0, _found("robust"), 0.1)[0].verdicts(0.1) == ("robust",)


def _certificate(**changes: Any) -> Any:
    values: dict[str, Any] = {
        "verdicts": ("robust", "non_robust"),
        "upper": np.array([-1.0, 2.0]),
        "lower": np.array([-2.0, 1.0]),
        "predicted": np.array([3, 5]),
        "predicted_points": np.array([3, 6]),
        "points": np.zeros((2, 4)),
        "reasons": ("", ""),
    }
    return SimpleNamespace(**values | changes)


def test_a_consistent_certificate_is_accepted() -> None:
    findings = examine(_certificate(), _LABELS)
    assert findings.verdicts == ("robust", "non_robust")
    assert findings.problems == ()


@pytest.mark.parametrize(
    ("position", "changes"),
    [
        (0, {"upper": np.array([np.nan, 2.0])}),
        (0, {"lower": np.array([np.nan, 1.0])}),
        (1, {"upper": np.array([-1.0, np.nan])}),
        (1, {"lower": np.array([-2.0, np.nan])}),
        (0, {"upper": np.array([0.0, 2.0])}),
        (0, {"upper": np.array([np.inf, 2.0])}),
        (0, {"predicted": np.array([4, 5])}),
        (1, {"predicted_points": np.array([3, 5])}),
        (0, {"verdicts": ("misclassified", "non_robust")}),
        (0, {"verdicts": ("pending", "non_robust")}),
        (0, {"verdicts": ("certainly", "non_robust")}),
    ],
)
def test_a_verdict_that_its_numbers_do_not_support_becomes_unknown(
    position: int, changes: dict[str, Any]
) -> None:
    findings = examine(_certificate(**changes), _LABELS)
    assert findings.verdicts[position] == "unknown"
    [(where, sentence)] = findings.problems
    assert where == position
    assert findings.reasons[position] in sentence


@pytest.mark.parametrize("name", ["verdicts", "upper", "lower", "predicted", "points", "reasons"])
def test_a_certificate_of_another_number_of_samples_is_refused(name: str) -> None:
    short = {name: getattr(_certificate(), name)[:1]}
    with pytest.raises(ValueError, match=r"2 samples\. Received"):
        examine(_certificate(**short), _LABELS)


def test_the_arrays_have_one_entry_per_sample() -> None:
    known = Knowledge.nothing(5)
    assert {len(getattr(known, field.name)) for field in fields(known)} == {5}
