"""``decomon certify`` with several processes, or with a results file to go on with."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import warnings
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from decomon_widgets._commands import UsageError
from decomon_widgets._commands.progress import Progress
from decomon_widgets.quiet import load_tensorflow

if TYPE_CHECKING:
    from decomon.dataset import DatasetCertificate


def check_results(path: Path | None) -> None:
    """Find out what is wrong with the name of a results file, before anything is loaded."""
    if path is None:
        return
    if path.suffix.lower() not in (".csv", ".parquet"):
        raise UsageError(
            f"--results: the name must end in .csv or .parquet. Received: {str(path)!r}"
        )
    if path.is_dir() or not path.parent.is_dir():
        raise UsageError(f"--results: {path} is a folder, or is in a folder that does not exist")


def certify(
    model: Any,
    x: np.ndarray,
    labels: np.ndarray,
    epsilon: float,
    *,
    workers: int,
    results: Path | None,
    batch_size: int | None,
    **options: Any,
) -> tuple[DatasetCertificate, bool]:
    """Certify samples in several processes; say also whether the user stopped it.

    Parameters
    ----------
    model : keras.Model or DecomonModel
    x, labels : np.ndarray
    epsilon : float
    workers : int
        Number of processes; 1 computes in this one.
    results : Path, optional
        File to write rows to, and to go on with.
    batch_size : int, optional
        Samples that are handed to a process at once.
    **options
        As for `decomon.certify`.
    """
    from decomon.dataset import CertificationInterrupted, certify_dataset

    with Progress(len(x)) as bar, _pool(min(workers, len(x))) as executor:
        try:
            certificate = certify_dataset(
                model,
                x,
                labels,
                epsilon,
                executor=executor,
                results=results,
                chunk_size=batch_size,
                in_flight=2 * workers,
                progress=lambda done, _: bar.update(done),
                **options,
            )
        except CertificationInterrupted as stop:
            return stop.certificate, True
        except (ValueError, ImportError, OSError) as error:
            raise UsageError(str(error)) from error
    return certificate, False


@contextlib.contextmanager
def _pool(workers: int) -> Iterator[Executor | None]:
    """Processes that are gone at the end, whatever they are doing then."""
    if workers == 1:
        yield None
        return
    before = set(multiprocessing.active_children())
    threads = max(1, (os.cpu_count() or 1) // workers)
    pool = ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), prepare_worker, (threads,)
    )
    try:
        with _interrupts_held_back():
            for _ in range(workers):
                pool.submit(int)  # starts a process
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in set(multiprocessing.active_children()) - before:
            process.terminate()
            process.join()


def prepare_worker(threads: int) -> None:
    """Give a process its share of the processors, and leave interrupts to the one that started it.

    Parameters
    ----------
    threads : int
        How many threads TensorFlow may use, which reads this when it is loaded.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(name, str(threads))
    warnings.simplefilter("ignore")  # as in the process that reports
    load_tensorflow()


@contextlib.contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Let no interrupt reach processes while they start; the signal mask is inherited."""
    if sys.platform == "win32":
        yield
        return
    earlier = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, earlier)
