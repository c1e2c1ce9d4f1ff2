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


@pytest.fixture(scope="module")
def image_network() -> keras.Model:
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            layers.Conv2D(2, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )


def _classes(network: Any, images: np.ndarray) -> np.ndarray:
    shape = (-1, *network.input_shape[1:])
    return np.asarray(network(images.reshape(shape))).argmax(axis=-1)


@pytest.mark.parametrize("shape", [(36,), (6, 6), (6, 6, 1)])
@pytest.mark.parametrize("converted", [False, True])
@pytest.mark.parametrize("kind", ["network", "image_network"])
def test_flat_and_image_shaped_samples_fit_any_model(
    request: pytest.FixtureRequest,
    images: np.ndarray,
    kind: str,
    converted: bool,
    shape: tuple[int, ...],
) -> None:
    model = request.getfixturevalue(kind)
    labels = _classes(model, images)
    used = clone(model) if converted else model
    grid = SampleGrid(
        used, images.reshape(-1, *shape), labels, epsilon=0.001, executor="sync", seed=1
    )
    chosen = list(grid.indices)
    expected = certify(used, images[chosen], labels[chosen], 0.001)
    assert (grid.error, grid.verdicts) == ("", tuple(map(str, expected.verdicts)))
    assert "robust" in grid.verdicts
    grid.to_figure()


@pytest.mark.parametrize("converted", [False, True])
@pytest.mark.parametrize("shape", [(35,), (5, 6), (4, 9), (3, 12, 1)])
def test_samples_that_do_not_fit_the_model_are_refused(
    image_network: Any, converted: bool, shape: tuple[int, ...]
) -> None:
    model = clone(image_network) if converted else image_network
    with pytest.raises(ValueError, match="Received") as error:
        SampleGrid(model, np.zeros((4, *shape)), np.zeros(4), n_samples=2)
    assert "(6, 6, 1)" in str(error.value)
    assert str(shape) in str(error.value)


@pytest.mark.parametrize("converted", [False, True])
def test_labels_that_are_no_classes_of_the_model_are_refused(
    network: Any, images: np.ndarray, converted: bool
) -> None:
    model = clone(network) if converted else network
    labels = np.zeros(40, int)
    labels[[17, 30]] = 3
    with pytest.raises(ValueError, match=r"0 to 2.*Received: 3 for sample 17"):
        SampleGrid(model, images, labels)
    with pytest.raises(ValueError, match=r"3 classes.*Received"):
        SampleGrid(model, images, np.eye(4)[labels])


def _network(seed: int) -> Any:
    keras.utils.set_random_seed(seed)
    layers = keras.layers
    return keras.Sequential(
        [keras.Input((36,)), layers.Dense(12, activation="relu"), layers.Dense(3)]
    )


@pytest.mark.parametrize("converted", [False, True])
def test_a_changed_model_makes_everything_known_void(images: np.ndarray, converted: bool) -> None:
    model, other = _network(1), _network(2)
    before, labels = model.get_weights(), _classes(model, images)
    used = clone(model) if converted else model
    grid = SampleGrid(used, images, labels, 40, epsilon=0.02, executor="sync")
    first = grid.verdicts
    assert "robust" in first
    model.set_weights(other.get_weights())
    grid.epsilon = 0.0199
    order = list(grid.indices)
    expected = certify(used, images[order], labels[order], 0.0199)
    assert grid.verdicts == tuple(map(str, expected.verdicts)) != first
    assert "misclassified" in grid.verdicts
    model.set_weights(before)
    grid.epsilon = 0.02
    assert (grid.verdicts, grid.error) == (first, "")


def test_an_exchanged_activation_is_a_changed_model(images: np.ndarray) -> None:
    model = _network(1)
    labels = _classes(model, images)
    grid = SampleGrid(model, images, labels, 40, epsilon=0.02, executor="sync")
    model.layers[0].activation = keras.activations.linear
    grid.epsilon = 0.0199
    order = list(grid.indices)
    expected = certify(model, images[order], labels[order], 0.0199)
    assert grid.verdicts == tuple(map(str, expected.verdicts))


def test_nothing_is_concluded_when_the_model_changes_meanwhile(images: np.ndarray) -> None:
    model, other = _network(1), _network(2)
    labels = _classes(model, images)
    training = [False]

    def certify_and_train(*arguments: Any, **options: Any) -> Any:
        certificate = certify(*arguments, **options)
        if training[0]:
            model.set_weights([2 * weight for weight in other.get_weights()])
        return certificate

    grid = SampleGrid(
        model, images, labels, 40, epsilon=0.02, executor="sync", _certify=certify_and_train
    )
    assert "robust" in grid.verdicts
    training[0] = True
    grid.epsilon = 0.01
    assert "changed" in grid.error
    assert (set(grid.verdicts), grid.busy) == ({"pending"}, False)
    assert np.isnan(grid.upper).all()
    training[0] = False
    grid.epsilon = 0.02
    assert grid.error == ""
    assert "pending" not in grid.verdicts
    assert not ((np.array(grid.verdicts) == "robust") & (grid.upper >= 0)).any()


def test_errors_name_samples_by_their_place_in_the_data(images: np.ndarray) -> None:
    def fail(model: Any, x: Any, labels: Any, epsilon: float, **options: Any) -> Any:
        if len(x) and (x[1] == images[31]).all():
            raise ArithmeticError("The bounds of sample 1 are not finite")
        return certify(model, x, labels, epsilon, **options)

    model = _network(1)
    grid = SampleGrid(
        model, images, _classes(model, images), 40, executor="sync", seed=0, _certify=fail
    )
    for order in ([20, 31, 22], [*range(10), 31, *range(20, 26)]):  # one slice, two slices
        grid.indices = order
        assert "sample 31 " in grid.error
        assert "sample 31 " in grid._traceback
        assert "sample 1 " not in grid.error
    grid.indices = [20, 22]
    assert grid.error == ""


def test_what_is_drawn_is_what_is_certified(images: np.ndarray) -> None:
    model, x = _network(1), images.copy()
    labels = _classes(model, x)
    grid = SampleGrid(model, x, labels, epsilon=0.01, executor="sync", seed=0)
    pictures, chosen = grid._pictures, list(grid.indices)
    x[:] = 0.5
    grid.epsilon = 0.02
    assert grid._pictures == pictures
    expected = certify(model, images[chosen], labels[chosen], 0.02)
    assert grid.verdicts == tuple(map(str, expected.verdicts))
