"""The grid with the verifier of the library instead of a fake one."""

from typing import Any

import keras
import numpy as np
import pytest

from decomon.certify import certify
from decomon.models import clone
from decomon_widgets import SampleGrid


@pytest.fixture(scope="module")
def network() -> keras.Model:
    keras.utils.set_random_seed(0)
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((36,)),
            layers.Dense(12, activation="relu"),
            layers.Dense(3, activation="softmax"),
        ]
    )


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(1).uniform(size=(40, 36)).astype("float32")


@pytest.mark.parametrize("converted", [False, True])
def test_the_grid_shows_what_certify_says(
    network: Any, images: np.ndarray, converted: bool
) -> None:
    labels = np.asarray(network(images)).argmax(axis=-1)
    labels[:4] = (labels[:4] + 1) % 3
    model = clone(network) if converted else network
    grid = SampleGrid(model, images, labels, n_samples=40, executor="sync")
    seen: set[str] = set()
    for epsilon in (0.0, 0.02, 0.1, 0.4):
        grid.epsilon = epsilon
        assert grid.error == ""
        order = list(grid.indices)
        expected = certify(model, images[order], labels[order], epsilon)
        assert grid.verdicts == tuple(map(str, expected.verdicts))
        np.testing.assert_allclose(grid.upper, expected.upper, rtol=1e-4, atol=1e-4)
        np.testing.assert_array_equal(grid.predictions, expected.predicted)
        seen |= set(grid.verdicts)
    assert {"robust", "non_robust", "misclassified"} <= seen


def test_an_argument_that_the_verifier_refuses_becomes_an_error(
    network: Any, images: np.ndarray
) -> None:
    grid = SampleGrid(network, images, np.full(40, 7), executor="sync", seed=0)
    assert "ValueError" in grid.error
    assert "Received" in grid.error
    assert set(grid.verdicts) == {"pending"}
