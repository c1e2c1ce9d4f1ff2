"""A slider that is moved two hundred times compiles nothing again and keeps no memory."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import decomon
from decomon_widgets.datasets import load_mnist, load_model
from tests.benchmarks.process import resident_bytes
from tests.decomon.helpers import Array, dense_net

MOVES = 200
IMAGES = 10

Question = Callable[[Any, Array, Array, float], Any]


@dataclass(frozen=True)
class Memory:
    """What is held once garbage is collected.

    Attributes
    ----------
    traced : how often anything was traced, in both precisions
    graphs : functions that TensorFlow has traced, whoever holds them; those of other tests may
        vanish at any time
    objects : containers that the garbage collector knows
    arrays : references of those containers to NumPy arrays, which it does not know
    resident : bytes of the process in memory, if they are known
    """

    traced: int
    graphs: weakref.WeakSet[Any]
    objects: int
    arrays: int
    resident: int | None

    @classmethod
    def now(cls, model: Any) -> Memory:
        verifier = decomon.models.verifier_of(model)
        traced = verifier.trace_count + verifier.precise.trace_count
        gc.collect()
        found = gc.get_objects()
        graphs = weakref.WeakSet(thing for thing in found if type(thing).__name__ == "FuncGraph")
        arrays = sum(type(thing) is np.ndarray for thing in gc.get_referents(*found))
        return cls(traced, graphs, len(found), arrays, resident_bytes())


def box(x: Array, epsilon: float) -> tuple[Array, Array]:
    return np.clip(x - epsilon, 0, 1), np.clip(x + epsilon, 0, 1)


def bound(model: Any, x: Array, labels: Array, epsilon: float) -> Array:
    return decomon.get_adv_box(model, *box(x, epsilon), labels)


def find(model: Any, x: Array, labels: Array, epsilon: float) -> Array:
    return decomon.check_adv_box(model, *box(x, epsilon), labels)


def verdicts(model: Any, x: Array, labels: Array, epsilon: float) -> Any:
    return decomon.certify(model, x, labels, epsilon)


def small() -> tuple[Any, Array]:
    model, x = dense_net([6, 12, 12, 4]), np.random.default_rng(0).uniform(size=(IMAGES, 6))
    # Random networks prefer one class by far; no class is preferred on the average any more.
    model.layers[-1].bias.assign_sub(np.mean(model(x.astype(np.float32)), axis=0))
    return model, x


def embedded() -> tuple[Any, Array]:
    return load_model("dense"), load_mnist(source="embedded").x_test[:IMAGES]


def prepared(make: Callable[[], tuple[Any, Array]]) -> tuple[Any, Array, Array]:
    """The model, images and its own labels, after each question was asked once or twice.

    Some bound is so near zero then that it is computed again in double precision.
    """
    model, x = make()
    labels = np.asarray(model(x.astype(np.float32))).argmax(axis=1)
    for ask in (bound, find, verdicts):
        ask(model, x, labels, 0.01)
    proven, open_ = 0.0, 1.0
    assert bound(model, x, labels, proven).max() < 0 < bound(model, x, labels, open_).max()
    for _ in range(30):
        middle = (proven + open_) / 2
        if bound(model, x, labels, middle).max() < 0:
            proven = middle
        else:
            open_ = middle
    return model, x, labels


def halves(model: Any, move: Callable[[int, float], Any]) -> Iterator[Memory]:
    """What is held after each half of a sweep."""
    epsilons = np.linspace(0.0, 0.1, MOVES)
    for half in np.split(np.arange(MOVES), 2):
        for count in half:
            move(int(count), float(epsilons[count]))
        yield Memory.now(model)


def check(before: Memory, middle: Memory, end: Memory, *, alone: bool = False) -> None:
    """Compare; ``alone`` says that no other tests' objects come and go meanwhile.

    So the slow tests of this file want a process of their own.
    """
    assert middle.traced == end.traced == before.traced
    assert len(before.graphs) > 0
    assert not set(end.graphs) - set(before.graphs)
    # Whatever every other move of the second half leaves behind would be as many as this.
    if alone:
        assert end.objects - middle.objects < MOVES // 4
    assert end.arrays - middle.arrays < MOVES // 4


@pytest.mark.slow
def test_new_batch_sizes_and_radii_of_a_small_network() -> None:
    model, x, labels = prepared(small)
    questions: tuple[Question, ...] = (bound, find, verdicts)

    def move(count: int, epsilon: float) -> None:
        chosen = np.arange(1 + 7 * count % 13) % IMAGES  # 1 to 13 images
        questions[count % 3](model, x[chosen], labels[chosen], epsilon)

    check(Memory.now(model), *halves(model, move))


@pytest.mark.slow
def test_verdicts_of_the_embedded_network() -> None:
    model, x, labels = prepared(embedded)
    before = Memory.now(model)
    middle, end = halves(model, lambda _, epsilon: verdicts(model, x, labels, epsilon))
    check(before, middle, end)
    if end.resident is not None and middle.resident is not None:
        # If a move kept the coefficients of its margins, and nothing else, half of that.
        kept = IMAGES * 9 * x.shape[1] * 4 * MOVES // 2
        assert end.resident - middle.resident < kept // 2


@pytest.mark.slow
@pytest.mark.parametrize("make", [small, embedded])
@pytest.mark.parametrize("ask", [bound, find, verdicts])
def test_each_question_by_itself(make: Callable[[], tuple[Any, Array]], ask: Question) -> None:
    model, x, labels = prepared(make)
    before = Memory.now(model)
    sweep = halves(model, lambda _, epsilon: ask(model, x, labels, epsilon))
    check(before, *sweep, alone=True)
