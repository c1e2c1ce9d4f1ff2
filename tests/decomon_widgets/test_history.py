"""Bounds at every epsilon from those at a few."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from decomon_widgets.history import History

_EPSILON = st.floats(0, 1)


@given(st.lists(st.tuples(_EPSILON, st.floats(0, 0.5)), max_size=90), _EPSILON)
def test_bounds_hold_between_the_epsilons_tried(
    tried: list[tuple[float, float]], asked: float
) -> None:
    history = History.nothing(2)
    for epsilon, gap in tried:
        # The largest margin is epsilon - 0.5 for the first sample, and twice that for the second.
        truth = (epsilon - 0.5) * np.array([1.0, 2.0])
        history = history.add(epsilon, truth + gap, truth - gap)
    assert (np.diff(history.epsilons) > 0).all()
    assert len(history.epsilons) <= 64
    upper, lower = history.at(asked)
    truth = (asked - 0.5) * np.array([1.0, 2.0])
    assert (upper >= truth).all()
    assert (lower <= truth).all()
    if tried:
        assert np.isfinite(upper).all() == (asked <= history.epsilons[-1])


def test_what_is_no_number_says_nothing() -> None:
    history = History.nothing(1).add(0.1, np.array([np.nan]), np.array([np.nan]))
    assert history.at(0.1)[0][0] == np.inf
    assert history.at(0.1)[1][0] == -np.inf


def test_many_samples_keep_few_rows_and_both_ends() -> None:
    history = History.nothing(5000)
    for epsilon in np.linspace(0, 1, 30):
        history = history.add(float(epsilon), np.zeros(5000), np.zeros(5000))
    assert len(history.epsilons) <= 8
    assert (history.epsilons[0], history.epsilons[-1]) == (0, 1)
