"""The bisection of radii: it ends, and its brackets hold what the verifier would say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from decomon_widgets.radii import Brackets

_LARGEST, _TOLERANCE = 0.1, 1e-3
_FRACTION = st.floats(0, 1.3)


def _answer(epsilons: np.ndarray, proven: np.ndarray, refuted: np.ndarray) -> tuple[str, ...]:
    names = np.where(
        epsilons <= proven, "robust", np.where(epsilons >= refuted, "non_robust", "unknown")
    )
    return tuple(map(str, names))


def _search(brackets: Brackets, proven: np.ndarray, refuted: np.ndarray) -> Brackets:
    for _ in range(200):
        epsilons = brackets.next()
        if epsilons is None:
            return brackets
        assert ((epsilons >= 0) & (epsilons <= _LARGEST)).all()
        brackets = brackets.add(epsilons, _answer(epsilons, proven, refuted))
    pytest.fail("the bisection does not end")


@given(st.lists(st.tuples(_FRACTION, _FRACTION), min_size=1, max_size=5))
def test_both_radii_are_found(ends: list[tuple[float, float]]) -> None:
    proven = _LARGEST * np.array([min(pair) for pair in ends])
    refuted = _LARGEST * np.array([max(pair) for pair in ends]) + 1e-6
    n = len(ends)
    start = Brackets.known(np.full(n, -np.inf), np.full(n, np.inf), _LARGEST, _TOLERANCE)
    start = start.add(_LARGEST, _answer(np.full(n, _LARGEST), proven, refuted))
    found = _search(start, proven, refuted)
    assert (found.certified <= proven).all()
    assert (found.falsified >= refuted).all()
    near = np.minimum(proven, _LARGEST) - found.certified
    assert (near <= _TOLERANCE).all()
    refutable = refuted <= _LARGEST
    assert np.isinf(found.falsified[~refutable]).all()
    assert (found.falsified[refutable] - refuted[refutable] <= _TOLERANCE).all()


@given(st.tuples(_FRACTION, _FRACTION), st.tuples(_FRACTION, _FRACTION))
def test_a_weaker_verifier_keeps_what_was_known(
    strong: tuple[float, float], weak: tuple[float, float]
) -> None:
    certified, falsified = _LARGEST * min(strong), _LARGEST * max(strong) + 1e-6
    # The weaker one proves less and refutes less.
    proven = np.array([min(certified, _LARGEST * min(weak)), 0.05])
    refuted = np.array([max(falsified, _LARGEST * max(weak)), 0.06])
    start = Brackets.known(
        np.array([certified, -np.inf]), np.array([falsified, np.inf]), _LARGEST, _TOLERANCE
    )
    found = _search(start, proven, refuted)
    assert found.certified[0] >= certified
    assert found.falsified[0] <= falsified


def test_misclassified_samples_are_left_alone() -> None:
    start = Brackets.known(np.array([-np.inf]), np.array([np.inf]), _LARGEST, _TOLERANCE)
    assert start.add(0.01, ("misclassified",)).next() is None
