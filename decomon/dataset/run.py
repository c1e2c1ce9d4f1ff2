"""Certification of many samples, in chunks, wherever there are processors."""

from __future__ import annotations

import hashlib
import importlib
import os
import time
import warnings
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, final

import numpy as np

from decomon.dataset.certificate import Collector, DatasetCertificate, summary_of
from decomon.dataset.packing import network_digest, pack, update
from decomon.dataset.question import Question, default_chunk, question
from decomon.dataset.records import ResultsFile, open_results
from decomon.dataset.schedule import Chunk, Inline, Schedule, Submit
from decomon.dataset.worker import answer_here, answer_packed
from decomon.inputs import check_count, check_progress
from decomon.models import DecomonModel, signature_of, verifier_of
from decomon.robustness import Progress

_DIGITS = 12  # of a digest that is shown


class IncompleteWarning(UserWarning):
    """Some samples have no verdict, because their computation failed."""


@final
class CertificationInterrupted(KeyboardInterrupt):
    """A certification was interrupted from the keyboard.

    Attributes
    ----------
    certificate : DatasetCertificate
        What was done by then; the other samples are ``pending``.
    """

    def __init__(self, certificate: DatasetCertificate) -> None:
        super().__init__("certify_dataset was interrupted; .certificate has what was done")
        self.certificate = certificate


def certify_dataset(
    model: Any,
    x: Any,
    y: Any,
    eps: Any,
    *,
    executor: Executor | None = None,
    results: str | os.PathLike[str] | None = None,
    chunk_size: int | None = None,
    in_flight: int | None = None,
    retries: int = 1,
    progress: Progress | bool | None = None,
    p: float = np.inf,
    clip: Any = (0.0, 1.0),
    n_sub_boxes: int = 1,
    batch_size: int = -1,
) -> DatasetCertificate:
    """Decide for each sample of a data set whether its label can change within ``eps``.

    The samples are cut into chunks, which any executor computes, on this machine or on many.  The
    results are those of :func:`decomon.certify` on all samples at once, in their order.

    Parameters
    ----------
    model : keras.Model or DecomonModel
        A DecomonModel is rebuilt in the workers with its method and all its options.  Workers build
        the model once each, from what Keras saves of it, and compare some outputs with those
        of the original.
    x : array of shape ``(n, *input_shape)`` or ``(n, m)``
        For a model with several inputs: a list or tuple with one such array per input, in the order
        of ``model.inputs``, or a dict by input name.
    y : integer array ``(n,)``, or one-hot ``(n, n_classes)``
        The true class of each sample.
    eps : float or array ``(n,)``, at least 0
        The radius of the ball around each sample, or one of the other forms that
        :func:`decomon.certify` takes.
    executor : concurrent.futures.Executor, optional
        Where to compute: a ``ProcessPoolExecutor``, a ``ThreadPoolExecutor``, Dask's
        ``client.get_executor()`` or any other.  By default in this process, chunk by chunk.  It
        is left running.
    results : path that ends in .csv or .parquet, optional
        File to which rows are written as chunks finish: index, verdict, upper, lower, predicted,
        predicted_at_point, label, epsilon (the largest one, where features differ), reason and
        seconds, in the order in which they finish.  If it exists, the samples in it are not
        computed again; samples that failed are not in it.  A CSV file is complete after
        every chunk and has its settings in a file ``.settings.json`` beside it; a Parquet
        file (extra ``decomon[parquet]``) is replaced every few seconds and at the end.
    chunk_size : int, optional
        Samples per chunk: what is computed, retried and lost together.  By default, up to 256, so
        that there are several chunks for each place of ``in_flight``.
    in_flight : int, optional
        How many chunks are handed to the executor at once, which bounds memory.  By default, twice
        the number of processors of this computer; for a cluster, pass twice the number of its
        workers.
    retries : int
        How often a chunk that failed is tried again.
    progress : callable or bool, optional
        Called as ``progress(done, total)`` with numbers of samples after every chunk; True shows
        a bar of tqdm, in a terminal or notebook.
    p, clip, n_sub_boxes, batch_size
        As for :func:`decomon.certify`.

    Returns
    -------
    DatasetCertificate
        Chunks that failed at every attempt are in ``failures``; their samples are ``pending``, with
        an :class:`IncompleteWarning`, even if these are all samples.

    Raises
    ------
    TypeError, ValueError
        If an argument is unusable, before anything is computed: also if the model cannot be sent
        to workers, or ``results`` has results of another model, data or options.
    ImportError
        If a Parquet file or a bar is asked for without pyarrow or tqdm.
    CertificationInterrupted
        A ``KeyboardInterrupt`` with what was done by then as its ``certificate``, after an
        interrupt.  Chunks that were not begun are cancelled.

    Notes
    -----
    A script that starts processes must do so under ``if __name__ == "__main__":``.  A pool whose
    processes are forked, as on Linux before Python 3.14, works too: each forked process has a fresh
    one compute, because TensorFlow cannot be used in a forked process.

    If a process of a ``ProcessPoolExecutor`` dies, for instance because memory is short, the pool
    is broken, and all chunks that are left fail.  With ``results``, a second call with
    a new pool computes just those.

    Examples
    --------
    On the processors of this machine:

    >>> with ProcessPoolExecutor(4) as pool:
    ...     found = decomon.certify_dataset(model, x, y, 0.03, executor=pool, results="r.csv")
    >>> found.certified_accuracy

    On a cluster, with Dask (extra ``decomon[dask]``):

    >>> from distributed import Client
    >>> with Client("tcp://scheduler:8786") as client:
    ...     found = decomon.certify_dataset(
    ...         model, x, y, 0.03, executor=client.get_executor(), in_flight=64, progress=True
    ...     )
    >>> found.counts
    """
    begin = time.perf_counter()
    asked = question(
        model, x, y, eps, p=p, clip=clip, n_sub_boxes=n_sub_boxes, batch_size=batch_size
    )
    places = _places(executor, in_flight)
    size = default_chunk(len(asked), verifier_of(model).sample_limit, places)
    if chunk_size is not None:
        size = check_count("chunk_size", chunk_size)
    retries = check_count("retries", retries, zero=True)
    if not isinstance(progress, bool):
        check_progress(progress)
    collector = Collector(asked)
    with _opened(results, model, asked) as file, _shown(progress, len(asked)) as show:
        if file is not None:
            collector.add_rows(file.rows)
        left = _chunks(collector.left(), size)
        submit = _submitter(executor, model, asked, bool(left))
        schedule = Schedule(submit, left, places, retries)

        def certificate() -> DatasetCertificate:
            elapsed = time.perf_counter() - begin
            return collector.certificate(x, eps, signature_of(model), elapsed)

        def record(chunks: Iterator[Chunk]) -> Iterator[int]:
            for chunk in chunks:
                rows = collector.add(chunk)
                if file is not None and rows:
                    file.append(rows)
                yield collector.done

        try:
            if collector.done:
                show(collector.done, len(asked))
            for done in record(iter(schedule)):
                show(done, len(asked))
        except KeyboardInterrupt:
            for _ in record(schedule.finished()):
                pass
            raise CertificationInterrupted(certificate()) from None
        finally:
            schedule.cancel()
    found = certificate()
    if found.failures:
        again = (
            "call certify_dataset again with the same results file, which computes just them"
            if file is not None
            else "certify these samples again; results='FILE.csv' makes that simple"
        )
        warnings.warn(
            f"Some samples have no verdict and are pending: {summary_of(found.failures)}. "
            f"When the reason is removed, {again}.",
            IncompleteWarning,
            stacklevel=2,
        )
    return found


def _places(executor: Any, in_flight: int | None) -> int:
    if executor is not None and not isinstance(executor, Executor):
        raise TypeError(
            "executor must be a concurrent.futures.Executor, such as ProcessPoolExecutor(4), or, "
            "of a Dask client, client.get_executor(), or None. "
            f"Received: {type(executor).__name__}"
        )
    wanted = 2 * (os.cpu_count() or 1)
    if in_flight is not None:
        wanted = check_count("in_flight", in_flight)
    return 1 if executor is None else wanted


def _submitter(executor: Executor | None, model: Any, asked: Question, needed: bool) -> Submit:
    """Say how samples are handed over; threads use the model itself."""
    place = Inline() if executor is None else executor
    if not needed or isinstance(place, Inline | ThreadPoolExecutor):
        return lambda samples, _: place.submit(answer_here, model, asked[samples])
    packed = pack(model, asked.x)
    label = packed.label
    return lambda samples, whole: place.submit(
        answer_packed, packed if whole else label, asked[samples]
    )


def _chunks(left: np.ndarray[Any, np.dtype[np.intp]], size: int) -> list[slice]:
    """Cut the samples that are left into chunks of neighbours."""
    runs = np.split(left, np.flatnonzero(np.diff(left) > 1) + 1) if len(left) else []
    return [
        slice(begin, min(begin + size, int(run[-1]) + 1))
        for run in runs
        for begin in range(int(run[0]), int(run[-1]) + 1, size)
    ]


@contextmanager
def _opened(results: Any, model: Any, asked: Question) -> Generator[ResultsFile | None]:
    if results is None:
        yield None
        return
    file = open_results(results, _settings(model, asked))
    try:
        yield file
    finally:
        file.close()


def _settings(model: Any, asked: Question) -> dict[str, str]:
    """Return all that verdicts and bounds depend on, in words."""
    verifier = verifier_of(model)
    tuned = f"{verifier.steps} steps at rate {verifier.learning_rate:g}" if verifier.steps else "no"
    output = model.output if isinstance(model, DecomonModel) else None
    radii = asked.largest_radii()
    same = all((part == part.flat[:1]).all() for part in asked.radii) and len(set(radii)) == 1
    return {
        "format": "1",
        "model": network_digest(model)[:_DIGITS],
        "method": verifier.method.name,
        "slope": type(verifier.slopes).__name__,
        "finetune": tuned,
        "dtype": verifier.dtype.name,
        "output": str(output),
        "final activation removed": verifier.graph.stripped or "none",
        "samples": str(len(asked)),
        "x": _digest(asked.x),
        "y": _digest([asked.labels]),
        "eps": repr(float(radii[0])) if same else _digest(asked.radii),
        "p": repr(float(asked.p)),
        "clip": "; ".join(map(_range, asked.clips)),
        "n_sub_boxes": str(asked.n_sub_boxes),
    }


def _range(pair: tuple[Any, Any] | None) -> str:
    if pair is None:
        return "none"
    ends = [end.reshape(-1) for end in pair]
    return " to ".join(repr(float(end[0])) if len(end) == 1 else _digest([end]) for end in ends)


def _digest(arrays: Any) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        update(digest, array)
    return digest.hexdigest()[:_DIGITS]


@contextmanager
def _shown(progress: Progress | bool | None, total: int) -> Generator[Callable[[int, int], object]]:
    """Give a function to call with the numbers of samples done and of all."""
    if not isinstance(progress, bool):
        yield progress or _silent
        return
    if not progress:
        yield _silent
        return
    try:
        tqdm: Any = importlib.import_module("tqdm.auto").tqdm
    except ImportError as error:
        raise ImportError(
            "progress=True shows a bar of tqdm: python -m pip install tqdm. Or pass a function of "
            "the numbers done and total"
        ) from error
    with tqdm(total=total, unit="sample") as bar:
        yield lambda done, _: bar.update(done - bar.n)


def _silent(_done: int, _total: int) -> None:
    pass
