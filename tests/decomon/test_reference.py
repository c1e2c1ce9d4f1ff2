"""As tight as an independent implementation on trained networks."""

from __future__ import annotations

import functools

import numpy as np
import pytest

import decomon
from decomon.domains import BoxDomain
from decomon.verifier import as_tensor
from tests.decomon.helpers import Array, largest_margin, rng_of, rounding
from tests.decomon.reference import FOLDER, NETWORKS, network, stored

pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason=f"no reference bounds: {FOLDER} does not exist"
)

METHODS = {"IBP": "forward-ibp", "CROWN-IBP": "crown-forward-ibp", "CROWN": "crown"}


@functools.cache
def engine(name: str, method: str, finetune: bool = False) -> decomon.DecomonModel:
    """Compiled once for all radii and batches."""
    return decomon.clone(network(name)[0], method, finetune=finetune)


# The reference adds epsilon in float32: its corners are off by half a unit in the last place of a
# number below 1, 2**-25.  Ours are rounded outward, by at most 2**-24.
CORNER = 2.0**-23


def box(x: Array, epsilon: float) -> tuple[Array, Array]:
    wide = x.astype(np.float64)
    return np.clip(wide - epsilon, 0, 1), np.clip(wide + epsilon, 0, 1)


def float32_noise(theirs: Array) -> Array:
    """What the reference's own rounding does to a bound near zero, ``(batch,)``.

    It is float32 itself, so 1e-4 of a bound that happens to be near zero is below what it
    resolves.  Roundings in a sum of n terms are as good as independent: their size is sqrt(n) u
    times the size of the result's parts (Higham and Mary 2019); n is 784 pixels, and the size is
    that of the largest of the margins of the sample.
    """
    unit = float(np.finfo(np.float32).eps) / 2
    return 28 * unit * np.nanmax(np.abs(theirs), axis=1)


def every(count: int, methods: set[str]) -> list[tuple[str, str, float, int]]:
    if not FOLDER.is_dir():
        return []
    return [
        (name, method, epsilon, n)
        for name in NETWORKS
        for method, epsilon, n in stored(name)
        if method in methods and n == count
    ]


def compare(name: str, method: str, epsilon: float, count: int) -> None:
    _, x, y = network(name)
    x, y = x[:count], y[:count]
    x_min, x_max = box(x, epsilon - CORNER)
    theirs = stored(name)[method, epsilon, count]
    verified = engine(name, METHODS[method])
    noise = float32_noise(theirs)
    worst = np.nanmax(theirs, axis=1)
    ours = decomon.get_adv_box(verified, x_min, x_max, y)
    assert (ours <= worst + 1e-4 * np.abs(worst) + noise).all(), (ours - worst).max()
    for target in range(0, 10, 3):  # single margins, not only the largest
        asked = y != target
        one = decomon.get_adv_box(verified, x_min[asked], x_max[asked], y[asked], target)
        bound = theirs[asked, target]
        assert (one <= bound + 1e-4 * np.abs(bound) + noise[asked]).all(), (one - bound).max()
    full = decomon.get_adv_box(verified, *box(x, epsilon), y)
    assert (full < 0).sum() >= (worst < -noise - 1e-3 * np.abs(worst)).sum()


@pytest.mark.parametrize(("name", "method", "epsilon", "count"), every(10, set(METHODS)))
def test_no_looser_than_the_reference(name: str, method: str, epsilon: float, count: int) -> None:
    compare(name, method, epsilon, count)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "method", "epsilon", "count"), every(100, set(METHODS)))
def test_no_looser_than_the_reference_on_all_images(
    name: str, method: str, epsilon: float, count: int
) -> None:
    compare(name, method, epsilon, count)


TUNED = [
    pytest.param(*case[:1], *case[2:], marks=[] if case[0] == "mlp_tuto3" else pytest.mark.slow)
    for case in every(10, {"CROWN-Optimized"})
]


@pytest.mark.parametrize(("name", "epsilon", "count"), TUNED)
def test_tuned_slopes_are_never_looser(name: str, epsilon: float, count: int) -> None:
    _, x, y = network(name)
    x_min, x_max = box(x[:count], epsilon)
    start = decomon.get_adv_box(engine(name, "crown"), x_min, x_max, y[:count])
    tuned = decomon.get_adv_box(engine(name, "crown", finetune=True), x_min, x_max, y[:count])
    noise = float32_noise(stored(name)["CROWN-Optimized", epsilon, count])
    assert (tuned <= start + noise).all()
    assert (tuned < start - noise).any()


ALL_IMAGES = [
    pytest.param(*case[:1], *case[2:], marks=pytest.mark.slow)
    for case in every(100, {"CROWN-Optimized"})
]


def margins(y: Array) -> tuple[Array, Array]:
    """All other classes of each sample, and the rows that subtract its own from them."""
    others = np.array([[j for j in range(10) if j != label] for label in y])
    return others, np.eye(10)[others] - np.eye(10)[y][:, None]


@pytest.mark.parametrize(("name", "epsilon", "count"), [*TUNED, *ALL_IMAGES])
def test_tuned_slopes_are_as_tight_as_the_reference(name: str, epsilon: float, count: int) -> None:
    """After as many steps, 99 % of all margins are no looser, and all together are tighter."""
    _, x, y = network(name)
    others, rows = margins(y[:count])
    verifier = engine(name, "crown", finetune=True).verifier
    corners = box(x[:count], epsilon - CORNER)
    domain = BoxDomain(*(as_tensor(corner, verifier.dtype) for corner in corners))
    ours = verifier.bounds(domain, as_tensor(rows, verifier.dtype)).upper.numpy()
    every_class = stored(name)["CROWN-Optimized", epsilon, count]
    theirs = np.take_along_axis(every_class, others, axis=1)
    noise = float32_noise(every_class)[:, None]
    no_looser = ours <= theirs + 1e-4 * np.abs(theirs) + noise
    assert no_looser.mean() >= 0.99, (no_looser.mean(), (ours - theirs).max())
    assert ours.mean() <= theirs.mean()


@pytest.mark.parametrize("name", ["mlp_tuto3", "conv_small"])
def test_no_attack_beats_a_bound_of_a_trained_network(name: str) -> None:
    model, x, y = network(name)
    x, y = x[:20], y[:20]
    rng = rng_of(0)
    for epsilon in (0.01, 0.05):
        x_min, x_max = box(x, epsilon)
        upper = decomon.get_adv_box(engine(name, "crown"), x_min, x_max, y)
        lower, points = decomon.check_adv_box(
            engine(name, "crown"), x_min, x_max, y, return_points=True
        )
        noise = rounding(model, x_min, x_max)
        attained = largest_margin(np.asarray(model(points.astype(np.float32))), y)
        assert (np.abs(attained - lower) <= noise).all()
        assert (lower <= upper + noise).all()
        for _ in range(20):
            corner = np.where(rng.uniform(size=x.shape) < 0.5, x_min, x_max).astype(np.float32)
            assert (largest_margin(np.asarray(model(corner)), y) <= upper + noise).all()
