"""Certification in chunks: the same results whatever computes them, and nothing lost."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import sys
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from distributed import Client, LocalCluster

import decomon
from decomon.certify import Certificate, Verdict, certify
from decomon.dataset import (
    CertificationInterrupted,
    ChunkFailure,
    DatasetCertificate,
    IncompleteWarning,
    certify_dataset,
)
from decomon.dataset.packing import pack
from tests.decomon.executors import (
    Backwards,
    CountedDense,
    Deadly,
    Direct,
    Failing,
    Forgetful,
    Forgetting,
    ForgottenDense,
    SilentDense,
    Unused,
    companion_of_this_process,
    times_rebuilt,
)
from tests.decomon.helpers import Array, dense_net, keras, layers, randomise, rng_of

N = 30
EPS = np.linspace(0.0, 0.4, N)
TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def model() -> Any:
    return randomise(dense_net([6, 16, 16, 3], softmax=True), 8, scale=1.5)


@pytest.fixture(scope="module")
def x() -> Array:
    return rng_of(0).uniform(size=(N, 6)).astype(np.float32)


@pytest.fixture(scope="module")
def y(model: Any, x: Array) -> Array:
    """What the model says, but for two samples."""
    found = np.asarray(model(x)).argmax(axis=1)
    found[:2] = (found[:2] + 1) % 3
    return found


@pytest.fixture(scope="module")
def whole(model: Any, x: Array, y: Array) -> Certificate:
    found = certify(model, x, y, EPS)
    assert {*found.verdicts} == {*Verdict} - {Verdict.PENDING}
    return found


@pytest.fixture(scope="module")
def spawned() -> Iterator[Executor]:
    """One process, started as the user's script would on any system."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        yield pool


def assert_same(found: DatasetCertificate, whole: Certificate, chosen: Any = slice(None)) -> None:
    """Check that the chosen samples have the results of one certification of all samples."""
    some = np.arange(len(whole.verdicts))[chosen]
    for i in some:
        assert found.verdicts[i] == whole.verdicts[i]
        assert bool(found.reasons[i]) == bool(whole.reasons[i])
    for name in ("upper", "lower"):
        got, expected = getattr(found, name), getattr(whole, name)
        np.testing.assert_allclose(got[some], expected[some], atol=TOLERANCE, rtol=TOLERANCE)
    for name in ("predicted", "predicted_points", "epsilon"):
        np.testing.assert_array_equal(getattr(found, name)[some], getattr(whole, name)[some])


@pytest.mark.parametrize("chunk_size", [1, 7, N, 1000, None])
def test_chunks_do_not_matter(
    chunk_size: int | None, model: Any, x: Array, y: Array, whole: Certificate
) -> None:
    found = certify_dataset(model, x, y, EPS, chunk_size=chunk_size)
    assert_same(found, whole)
    low, high = (np.clip(x.astype(float) + sign * EPS[:, None], 0, 1) for sign in (-1, 1))
    assert ((found.points >= low) & (found.points <= high)).all()
    at_points = np.asarray(model(found.points)).argmax(axis=1)
    np.testing.assert_array_equal(found.predicted_points, at_points)
    assert found.failures == ()
    assert (found.seconds > 0).all()
    assert found.elapsed > 0
    assert sum(found.counts.values()) == N
    assert found.certified_accuracy == whole.verdicts.count(Verdict.ROBUST) / N


OPTIONS: dict[str, dict[str, Any]] = {
    "eps": {"eps": 0.05},
    "eps per feature": {"eps": np.linspace(0, 0.1, 6)[None]},
    "eps of its own each": {"eps": rng_of(1).uniform(0, 0.1, (N, 6))},
    "no clip": {"clip": None},
    "clip per feature": {"clip": (np.zeros((1, 6)), np.linspace(1, 2, 6)[None])},
    "clip of its own each": {"clip": (np.linspace(-1, 0, 6 * N).reshape(N, 6), 1.0)},
    "pieces": {"n_sub_boxes": 2, "batch_size": 3},
    "one-hot": {"y": np.eye(3)},
    "p": {"p": 2},
}


@pytest.mark.parametrize(
    "change",
    [*(name for name in OPTIONS if name != "p"), pytest.param("p", marks=pytest.mark.slow)],
)
def test_options_are_those_of_certify(change: str, model: Any, x: Array, y: Array) -> None:
    options = dict(OPTIONS[change])
    labels = options.pop("y", np.arange(3))[y]
    eps = options.pop("eps", EPS)
    found = certify_dataset(model, x, labels, eps, chunk_size=11, executor=Direct(), **options)
    assert_same(found, certify(model, x, labels, eps, **options))


def test_several_inputs() -> None:
    ends = [keras.Input((3,), name="left"), keras.Input((2, 2), name="right")]
    joined = layers.Concatenate()([ends[0], layers.Flatten()(ends[1])])
    net = randomise(keras.Model(ends, layers.Dense(3)(layers.ReLU()(joined))), 3)
    parts = [rng_of(0).uniform(size=(9, 3)), rng_of(1).uniform(size=(9, 2, 2))]
    radii = [0.01, np.linspace(0.0, 0.1, 9)]
    clip = [(0.0, 1.0), (np.zeros((1, 2, 2)), 1.0)]
    for form in (list, tuple, lambda values: dict(zip(("left", "right"), values, strict=True))):
        x, eps = form(parts), form(radii)
        whole = certify(net, x, 1, eps, clip=clip)
        found = certify_dataset(net, x, 1, eps, clip=clip, chunk_size=4, executor=Direct())
        assert found.verdicts == whole.verdicts
        np.testing.assert_allclose(found.upper, whole.upper, atol=TOLERANCE)
        for name in ("points", "epsilon"):
            got, expected = getattr(found, name), getattr(whole, name)
            assert type(got) is type(expected) is type(x)
            for one, other in zip(*map(keras.tree.flatten, (got, expected)), strict=True):
                np.testing.assert_allclose(one, other, atol=TOLERANCE)


def test_no_samples(model: Any) -> None:
    found = certify_dataset(model, np.zeros((0, 6)), np.zeros(0, int), 0.1, executor=Unused())
    assert found.verdicts == found.reasons == found.failures == ()
    assert found.points.shape == (0, 6)
    assert np.isnan(found.certified_accuracy)


def test_threads_use_the_model_itself(x: Array) -> None:
    """It need not be possible to save it."""
    net = randomise(keras.Sequential([keras.Input((6,)), SilentDense(3)]))
    whole = certify(net, x, 1, 0.05)
    with ThreadPoolExecutor(2) as pool:
        found = certify_dataset(net, x, 1, 0.05, executor=pool, chunk_size=4)
    assert_same(found, whole)
    with pytest.raises(ValueError, match=r"cannot be saved .*no settings.*Received"):
        certify_dataset(net, x, 1, 0.05, executor=Unused())


def test_a_model_that_keras_does_not_save_completely_is_refused(x: Array) -> None:
    net = randomise(keras.Sequential([keras.Input((6,)), ForgottenDense(3, factor=-2.0)]))
    with pytest.raises(ValueError, match="computes something else.*get_config"):
        certify_dataset(net, x, 1, 0.05, executor=Unused())
    same = randomise(keras.Sequential([keras.Input((6,)), ForgottenDense(3)]))
    certify_dataset(same, x, 1, 0.05, executor=Direct())


def test_a_process_builds_the_model_once(spawned: Executor, x: Array) -> None:
    net = randomise(
        keras.Sequential(
            [keras.Input((6,)), CountedDense(8, activation="relu"), CountedDense(3)],
        )
    )
    whole = certify(net, x, 1, EPS)
    found = certify_dataset(net, x, 1, EPS, executor=spawned, chunk_size=5)
    assert found.failures == ()
    assert_same(found, whole)
    assert spawned.submit(times_rebuilt).result() == 2  # one model of two such layers


def test_the_model_travels_only_to_where_it_is_missing(
    model: Any, x: Array, y: Array, whole: Certificate
) -> None:
    executor = Forgetting(1, 4)
    found = certify_dataset(
        model, x, y, EPS, executor=executor, chunk_size=6, in_flight=1, retries=0
    )
    assert found.failures == ()
    assert_same(found, whole)
    size = len(pickle.dumps(pack(model, (x,))))
    # The fourth chunk goes to a process without the model, so it is sent again with it.
    assert [sent > size / 2 for sent in executor.sizes] == [True] + [False] * 3 + [True, False]


def test_a_decomon_model_keeps_its_options_in_another_process(
    spawned: Executor, model: Any, x: Array, y: Array, whole: Certificate
) -> None:
    verified = decomon.clone(model, "forward-ibp", dtype="float64")
    expected = certify(verified, x, y, EPS)
    assert (expected.upper > whole.upper + TOLERANCE).any()
    found = certify_dataset(verified, x, y, EPS, executor=spawned, chunk_size=10)
    assert_same(found, expected)


@pytest.mark.skipif(sys.platform == "win32", reason="no forks there")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_forked_processes_do_not_hang_and_leave_nothing_behind(
    model: Any, x: Array, y: Array, whole: Certificate
) -> None:
    with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool:
        found = certify_dataset(model, x, y, EPS, executor=pool, chunk_size=10)
        assert_same(found, whole)
        companion = pool.submit(companion_of_this_process).result()
        os.kill(companion, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(companion, 0)


NO_PAGE: Any = None  # of statistics


def test_dask(model: Any, x: Array, y: Array, whole: Certificate) -> None:
    with (
        LocalCluster(
            n_workers=1, threads_per_worker=2, processes=False, dashboard_address=NO_PAGE
        ) as cluster,
        Client(cluster) as client,
    ):
        found = certify_dataset(model, x, y, EPS, executor=client.get_executor(), chunk_size=10)
    assert_same(found, whole)


@pytest.mark.slow
def test_dask_in_processes(model: Any, x: Array, y: Array, whole: Certificate) -> None:
    with LocalCluster(n_workers=2, dashboard_address=NO_PAGE) as cluster, Client(cluster) as client:
        found = certify_dataset(model, x, y, EPS, executor=client.get_executor(), chunk_size=3)
    assert_same(found, whole)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("start", ["fork", "spawn", "forkserver"])
def test_pools_of_every_kind(
    start: str, model: Any, x: Array, y: Array, whole: Certificate
) -> None:
    if start not in multiprocessing.get_all_start_methods():
        pytest.skip("not on this system")
    with ProcessPoolExecutor(2, multiprocessing.get_context(start)) as pool:
        found = certify_dataset(model, x, y, EPS, executor=pool, chunk_size=3)
    assert_same(found, whole)


@pytest.mark.parametrize("in_flight", [1, 3, 100])
def test_order_is_that_of_the_samples_and_little_is_in_flight(
    in_flight: int, model: Any, x: Array, y: Array, whole: Certificate
) -> None:
    executor = Backwards(total=10, pile=min(in_flight, 10))
    seen: list[tuple[int, int]] = []
    found = certify_dataset(
        model,
        x,
        y,
        EPS,
        executor=executor,
        chunk_size=3,
        in_flight=in_flight,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert executor.most == min(in_flight, 10)
    assert_same(found, whole)
    assert seen == [(done, N) for done in range(3, N + 1, 3)]


def test_a_chunk_that_fails_once_is_tried_again(
    model: Any, x: Array, y: Array, whole: Certificate
) -> None:
    executor = Failing(label=2, times=1)
    found = certify_dataset(model, x, y, EPS, executor=executor, chunk_size=10, in_flight=1)
    assert_same(found, whole)
    assert found.failures == ()
    assert executor.submitted == 4


@pytest.mark.parametrize("retries", [0, 2])
def test_a_chunk_that_always_fails_is_reported_and_no_other_is_lost(
    retries: int, model: Any, x: Array, y: Array, whole: Certificate
) -> None:
    assert np.flatnonzero(y == 2).tolist() == [28]
    bad = np.arange(20, 30)
    executor = Failing(label=2)
    seen: list[int] = []
    with pytest.warns(IncompleteWarning) as warned:
        found = certify_dataset(
            model,
            x,
            y,
            EPS,
            executor=executor,
            chunk_size=10,
            retries=retries,
            progress=lambda done, _: seen.append(done),
        )
    assert seen == [10, 20, 30]
    assert found.failures == (ChunkFailure(20, 30, "OSError: the disk is full", retries + 1),)
    assert executor.submitted == 3 + retries
    assert_same(found, whole, np.setdiff1d(np.arange(N), bad))
    for i in bad:
        assert found.verdicts[i] == Verdict.PENDING
        assert found.reasons[i] == "OSError: the disk is full"
    assert (found.upper[bad] == np.inf).all()
    assert (found.lower[bad] == -np.inf).all()
    assert (found.predicted[bad] == -1).all()
    assert np.isnan(found.points[bad]).all()
    (warning,) = [found for found in warned if found.category is IncompleteWarning]
    assert "samples 20-29: OSError: the disk is full" in str(warning.message)
    assert warning.filename == __file__


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
def test_overflow_of_one_sample_is_a_failure_of_its_chunk_alone(
    model: Any, x: Array, y: Array, whole: Certificate
) -> None:
    eps = np.where(np.arange(N) == 12, 1e300, EPS)
    with pytest.warns(IncompleteWarning, match="samples 10-14: NonFiniteBoundError"):
        found = certify_dataset(model, x, y, eps, clip=None, chunk_size=5)
    others = np.setdiff1d(np.arange(N), np.arange(10, 15))
    assert {found.verdicts[i] for i in range(10, 15)} == {Verdict.PENDING}
    free = certify(model, x, y, EPS, clip=None)
    assert_same(found, free, others)


@pytest.mark.skipif(sys.platform == "win32", reason="no forks there")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_process_that_dies_breaks_the_pool_but_loses_nothing_that_is_done(
    model: Any, x: Array, y: Array, whole: Certificate
) -> None:
    with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool:
        with pytest.warns(IncompleteWarning, match="samples 10-19.*samples 20-29"):
            found = certify_dataset(
                model, x, y, EPS, executor=Deadly(pool), chunk_size=10, in_flight=1
            )
        assert_same(found, whole, slice(10))
        assert {*found.verdicts[10:]} == {Verdict.PENDING}
        assert [(f.first, f.stop, f.attempts) for f in found.failures] == [(10, 20, 1), (20, 30, 0)]
        for failure in found.failures:
            assert "BrokenProcessPool" in failure.reason
            assert "takes no more work" in failure.reason
        with pytest.raises(ValueError, match="takes no work.*BrokenProcessPool"):
            certify_dataset(model, x, y, EPS, executor=pool)


def test_cancelled_by_somebody_else(model: Any, x: Array, y: Array) -> None:
    executor = Forgetful(finished=1)

    def cancel(done: int, total: int) -> None:
        for future in executor.pending:
            future.cancel()

    with pytest.warns(IncompleteWarning, match="cancelled"):
        found = certify_dataset(
            *(model, x, y, EPS),
            executor=executor,
            chunk_size=10,
            in_flight=3,
            retries=0,
            progress=cancel,
        )
    assert [failure.first for failure in found.failures] == [10, 20]


def test_an_interrupt_keeps_what_is_done_and_cancels_the_rest(
    model: Any, x: Array, y: Array, whole: Certificate
) -> None:
    executor = Forgetful(finished=2)

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as stopped:
        certify_dataset(
            *(model, x, y, EPS), executor=executor, chunk_size=5, in_flight=4, progress=stop
        )
    assert isinstance(stopped.value, CertificationInterrupted)
    found = stopped.value.certificate
    assert_same(found, whole, slice(10))
    assert {*found.verdicts[10:]} == {Verdict.PENDING}
    assert found.failures == ()
    assert len(executor.pending) == 2
    assert all(future.cancelled() for future in executor.pending)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"eps": -0.1}, "eps"),
    ({"eps": np.full(3, 0.1)}, "eps"),
    ({"eps": np.where(np.arange(N) == 3, np.nan, 0.1)}, "eps"),
    ({"y": [0] * 29}, "y"),
    ({"y": [3] * N}, "between 0 and 2"),
    ({"y": np.ones((N, 3))}, "sample 0"),
    ({"x": np.full((N, 6), np.nan)}, "finite"),
    ({"x": np.zeros((N, 5))}, "shape"),
    ({"x": np.full((N, 6), 2.0)}, "clip"),
    ({"clip": (1, 0)}, "clip"),
    ({"p": 3}, "p"),
    ({"n_sub_boxes": 0}, "n_sub_boxes"),
    ({"batch_size": 0}, "batch_size"),
    ({"chunk_size": 0}, "chunk_size"),
    ({"chunk_size": 2.5}, "chunk_size"),
    ({"in_flight": 0}, "in_flight"),
    ({"retries": -1}, "retries"),
    ({"progress": "bar"}, "progress"),
    ({"executor": Client}, "get_executor"),
    ({"executor": 4}, "ProcessPoolExecutor"),
    ({"results": "results.txt"}, ".csv"),
    ({"results": 7}, "results"),
    ({"model": "model"}, "Received"),
]


@pytest.mark.parametrize(("change", "shown"), BAD, ids=[str(sorted(c)) + s for c, s in BAD])
def test_bad_arguments_are_found_before_anything_is_submitted(
    model: Any, x: Array, y: Array, change: dict[str, Any], shown: str
) -> None:
    arguments = {"model": model, "x": x, "y": y, "eps": EPS, "executor": Unused(), **change}
    with pytest.raises((ValueError, TypeError), match="Received") as error:
        certify_dataset(**arguments)
    assert shown in str(error.value)


def test_samples_far_behind_are_checked_too(model: Any) -> None:
    many = np.zeros((5000, 6), np.float32)
    many[4999, 2] = 3.0
    with pytest.raises(ValueError, match=r"sample 903 at position \(2,\).*counted from 4096"):
        certify_dataset(model, many, 0, 0.1, executor=Unused())


def test_an_executor_that_is_shut_down(model: Any, x: Array, y: Array) -> None:
    pool = ThreadPoolExecutor(1)
    pool.shutdown()
    with pytest.raises(ValueError, match="takes no work"):
        certify_dataset(model, x, y, EPS, executor=pool)


def test_bar(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, model: Any, x: Array
) -> None:
    certify_dataset(model, x, 1, 0.1, chunk_size=10, progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert f"{N}/{N}" in err
    certify_dataset(model, x, 1, 0.1, chunk_size=10, progress=False)
    assert capsys.readouterr() == ("", "")
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with pytest.raises(ImportError, match="pip install tqdm"):
        certify_dataset(model, x, 1, 0.1, progress=True)


def test_packing_leaves_the_model_alone(model: Any, x: Array) -> None:
    name, weights = model.name, list(model.weights)
    values = [np.array(value) for value in model.get_weights()]
    one, two = pack(model, (x,)), pack(decomon.clone(model, "crown-ibp"), (x,))
    assert one != two
    assert pack(model, (x[:3],)) == one  # a process that has it needs no other
    assert model.name == name
    assert all(old is new for old, new in zip(weights, model.weights, strict=True))
    for value, old in zip(model.get_weights(), values, strict=True):
        np.testing.assert_array_equal(value, old)


def test_layers_made_in_a_function(monkeypatch: pytest.MonkeyPatch, x: Array) -> None:
    """They can be sent as a whole by cloudpickle, which comes with Dask, but not by name."""

    class Local(layers.Dense):
        pass

    decomon.ops.register_like(layers.Dense, Local)
    net = randomise(keras.Sequential([keras.Input((6,)), Local(3)]))
    whole = certify(net, x, 1, EPS)
    assert_same(certify_dataset(net, x, 1, EPS, executor=Direct()), whole)
    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    with pytest.raises(ValueError, match="cannot be saved .*Local.*Received"):
        certify_dataset(net, x, 1, EPS, executor=Unused())
