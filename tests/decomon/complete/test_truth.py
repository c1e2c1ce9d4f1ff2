"""Complete verification of tiny networks against their true largest margins."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import decomon
from decomon import Verdict
from tests.decomon.complete.cases import CLIP, Question, questions, rounding_of
from tests.decomon.complete.networks import NETWORKS, build, centres, weigh
from tests.decomon.complete.pieces import Network, read
from tests.decomon.helpers import Array

NORMS = (np.inf, 2, 1)
SAMPLES = 7

# In units of what single precision can move a margin: proofs stay away from zero by four times
# what is seen of it, and bounds round as well.
DECIDED = 8.0
TIGHT = 4.0

# Each kind of set has to be traced for each network, which takes longer than everything else.
QUICK = [("dense", 2), ("conv", np.inf)]


@functools.cache
def network(name: str) -> Any:
    return build(name)


def pairs(*, slow: bool) -> list[tuple[str, float]]:
    every = [(name, p) for name in NETWORKS for p in NORMS]
    return [pair for pair in every if (pair in QUICK) != slow]


class Asked:
    """Questions about one network, all of which have the same kind of targets."""

    def __init__(self, name: str, p: float, seed: int, *, some: bool) -> None:
        self.model = weigh(network(name), seed, whole=seed % 3 == 2)
        self.p, self.some = p, some
        self.network: Network = read(self.model)
        x = centres(self.model, SAMPLES, seed + 10 * some)
        self.questions: Sequence[Question] = questions(self.model, x, p, seed, some=some)
        self.x = np.array([q.x for q in self.questions])
        self.eps = np.array([q.eps for q in self.questions])
        self.source = np.array([q.source for q in self.questions])
        self.targets = np.array([q.targets for q in self.questions])
        self.low = np.array([q.truth.lower for q in self.questions])
        self.high = np.array([q.truth.upper for q in self.questions])
        flat, reach = self.x.reshape(len(self.x), -1).astype(np.float64), self.eps[:, None]
        ends = np.clip(flat - reach, *CLIP), np.clip(flat + reach, *CLIP)
        self.rounding = rounding_of(self.network, *ends)
        assert (self.high - self.low < 1e-9).all()  # the truth is known

    @property
    def labels(self) -> tuple[Array, Array | None]:
        return self.source, self.targets if self.some else None

    def verify(self, **options: Any) -> decomon.Verification:
        return decomon.verify_noise(
            self.model, self.x, self.eps, self.p, CLIP, *self.labels, timeout=300, **options
        )

    def check(self, found: decomon.Verification) -> None:
        slack = TIGHT * self.rounding
        assert (found.upper >= self.low - slack).all(), self.worst(self.low - found.upper)
        assert (found.lower <= self.high + slack).all(), self.worst(found.lower - self.high)
        for sample, (status, reason) in enumerate(zip(found.status, found.reason, strict=True)):
            told = f"{self.told(sample)}: {status} {reason!r}"
            if abs(self.high[sample]) > DECIDED * self.rounding[sample]:
                expected = Verdict.ROBUST if self.high[sample] < 0 else Verdict.NON_ROBUST
                assert status == expected, told
            elif status == Verdict.UNKNOWN:
                assert reason.startswith("precision"), told
            assert (found.counterexample[sample] is not None) == (status == Verdict.NON_ROBUST)
            if status == Verdict.ROBUST:
                assert found.upper[sample] < 0, told
            if status == Verdict.NON_ROBUST:
                self.replay(sample, found.counterexample[sample])

    def replay(self, sample: int, point: Array) -> None:
        """Look at a counterexample with the Keras model."""
        told = self.told(sample)
        assert point.shape == self.x[sample].shape, told
        moves = (point.astype(np.float64) - self.x[sample]).ravel()
        assert np.linalg.norm(moves, self.p) <= self.eps[sample] * (1 + 1e-12), told
        assert (point >= CLIP[0]).all(), told
        assert (point <= CLIP[1]).all(), told
        logits = np.asarray(self.model(point[None].astype(np.float32), training=False))[0]
        best = logits[self.targets[sample]].max()
        assert best >= logits[self.source[sample]], told

    def told(self, sample: int) -> str:
        return (
            f"sample {sample} at p={self.p}, eps={self.eps[sample]:.6g}: the largest margin is "
            f"{self.high[sample]:.3g}, rounding {self.rounding[sample]:.1g}"
        )

    def worst(self, excess: Array) -> str:
        return f"{self.told(int(excess.argmax()))}, wrong by {excess.max():.3g}"


def compared(name: str, p: float, seed: int) -> None:
    """Verify, and look at what was asked: close calls of either kind."""
    for some in (False, True):
        asked = Asked(name, p, seed, some=some)
        asked.check(asked.verify())


@pytest.mark.parametrize(("name", "p"), pairs(slow=False))
def test_the_answer_is_true(name: str, p: float) -> None:
    compared(name, p, 0)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "p"), pairs(slow=True))
@pytest.mark.parametrize("seed", range(3))
def test_the_answer_is_true_for_every_network(name: str, p: float, seed: int) -> None:
    compared(name, p, seed)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "p"), pairs(slow=False))
@pytest.mark.parametrize("seed", range(1, 6))
def test_the_answer_is_true_for_more_weights(name: str, p: float, seed: int) -> None:
    compared(name, p, seed)


def test_questions_are_close_calls_of_either_kind() -> None:
    asked = Asked("dense", np.inf, 0, some=False)
    assert 0.25 < (asked.high < 0).mean() < 0.75
    assert (np.abs(asked.high) < 1e-2).mean() > 0.2
    assert (np.abs(asked.high) > DECIDED * asked.rounding).mean() > 0.7


@pytest.mark.parametrize(
    ("name", "p"),
    [pytest.param("dense", p, marks=pytest.mark.slow) for p in (np.inf, 2)],
)
def test_both_bounds_come_near_the_truth(name: str, p: float) -> None:
    asked = Asked(name, p, 0, some=False)
    gap = 1e-2
    found = asked.verify(gap=gap)
    asked.check(found)
    assert (found.upper - found.lower <= gap + TIGHT * asked.rounding).all()


@pytest.mark.slow
@pytest.mark.parametrize(("name", "p"), [("dense", np.inf), ("dense", 2)])
def test_bounds_and_attack_enclose_the_truth(name: str, p: float) -> None:
    asked = Asked(name, p, 0, some=True)
    given = (asked.model, asked.x, asked.eps, *asked.labels, p, CLIP)
    slack = TIGHT * asked.rounding
    assert (decomon.get_adv_noise(*given) >= asked.low - slack).all()
    assert (decomon.check_adv_noise(*given) <= asked.high + slack).all()
