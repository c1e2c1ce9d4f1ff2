"""``decomon certify``: a verdict for each sample, as a table, as JSON or as CSV."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from decomon_widgets import datasets
from decomon_widgets._commands import (
    IncompleteError,
    UsageError,
    complete,
    pool,
    report,
    vnnlib,
)
from decomon_widgets._commands.progress import Progress
from decomon_widgets.quiet import load_tensorflow

if TYPE_CHECKING:
    import keras

    from decomon.certify import Certificate
    from decomon.models import DecomonModel

# Batches grow while they take less than so many seconds: large ones are efficient, but the user
# should see how far a slow run is.
_FIRST_BATCH: Final = 8
_LARGEST_BATCH: Final = 512
_QUICK: Final = 1.0
_KEYS: Final = (("x_test", "y_test"), ("x", "y"))


def run(arguments: argparse.Namespace) -> int:
    """Certify the samples and print the report on standard output."""
    if vnnlib.wanted(arguments):
        return vnnlib.run(arguments)
    if arguments.epsilon is None:
        raise UsageError(
            "--epsilon: must be given, for instance 0.03 or 8/255 (or --vnnlib, for a property)"
        )
    # What is quick to check comes first: loading TensorFlow takes seconds.
    complete.check(arguments)
    pool.check_results(arguments.results)
    model_path = _model_path(arguments.model)
    x, y = _read_data(arguments.data)
    if arguments.clip is not None and not arguments.clip[0] < arguments.clip[1]:
        low, high = arguments.clip
        raise UsageError(f"--clip: LOW must be less than HIGH. Received: {low:g} {high:g}")
    x, y = x[: arguments.limit], y[: arguments.limit]
    load_tensorflow()
    import decomon.models

    # Standard output is for the report alone, whatever a library may print, and standard error for
    # the progress and a single line if something is wrong.
    with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = _load_model(model_path)
        x = _fit_inputs(x, model)
        labels = _fit_labels(y, int(model.output_shape[-1]))
        _check_clip(x, arguments.clip)
        try:
            verifier = decomon.models.clone(
                model, method=arguments.method, finetune=arguments.finetune
            )
        except ValueError as error:
            raise UsageError(str(error)) from error
        result = _certify(verifier, x, labels, arguments)
    report.write(result, arguments.format)
    if result.interrupted:
        raise KeyboardInterrupt
    if result.failed:
        raise IncompleteError(_failure_line(result, arguments.results))
    return 0


def _certify(
    verifier: DecomonModel, x: np.ndarray, labels: np.ndarray, arguments: argparse.Namespace
) -> report.Report:
    start = time.monotonic()
    certificates: report.Certificates
    if arguments.complete:
        completed, interrupted = complete.certify(verifier, x, labels, arguments)
        certificates = (completed,)
    elif arguments.workers > 1 or arguments.results is not None:
        certificate, interrupted = pool.certify(
            verifier,
            x,
            labels,
            arguments.epsilon,
            workers=arguments.workers,
            results=arguments.results,
            batch_size=arguments.batch_size,
            p=float(arguments.norm),
            clip=arguments.clip,
            n_sub_boxes=arguments.n_sub_boxes,
        )
        certificates = (certificate,)
    else:
        certificates, interrupted = _certify_in_batches(verifier, x, labels, arguments)
    return report.Report(
        certificates=certificates,
        labels=labels[: sum(len(certificate.verdicts) for certificate in certificates)],
        seconds=time.monotonic() - start,
        interrupted=interrupted,
        failed=_failed(certificates),
        model=str(arguments.model),
        data="embedded" if arguments.data is None else str(arguments.data),
        method="complete" if arguments.complete else verifier.method,
        finetune=verifier.finetune,
        n_sub_boxes=arguments.n_sub_boxes,
        timeout=complete.timeout_of(arguments),
        epsilon=arguments.epsilon,
        norm=arguments.norm,
        clip=None if arguments.clip is None else tuple(arguments.clip),
        dtype=verifier.verifier.dtype.name,
        final_activation_removed=verifier.stripped or None,
    )


def _certify_in_batches(
    verifier: DecomonModel, x: np.ndarray, labels: np.ndarray, arguments: argparse.Namespace
) -> tuple[tuple[Certificate, ...], bool]:
    """Certify in this process; say also whether the user stopped it."""
    from decomon.certify import certify as decide
    from decomon.errors import NonFiniteBoundError

    certificates: list[Certificate] = []
    interrupted = False
    with Progress(len(x)) as progress:
        try:
            done, size = 0, arguments.batch_size or _FIRST_BATCH
            while done < len(x):
                part = slice(done, done + size)
                certificate = decide(
                    verifier,
                    x[part],
                    labels[part],
                    arguments.epsilon,
                    p=float(arguments.norm),
                    clip=arguments.clip,
                    n_sub_boxes=arguments.n_sub_boxes,
                )
                certificates.append(certificate)
                done += len(certificate.verdicts)
                progress.update(done)
                if arguments.batch_size is None and certificate.elapsed < _QUICK:
                    size = min(2 * size, _LARGEST_BATCH)
        except KeyboardInterrupt:
            # Hours of work are not thrown away: what is done is reported.
            interrupted = True
        except (ValueError, NonFiniteBoundError) as error:
            raise UsageError(str(error)) from error
    return tuple(certificates), interrupted


def _failed(certificates: report.Certificates) -> str:
    """The samples whose computation failed, and why."""
    from decomon.dataset import DatasetCertificate
    from decomon.dataset.certificate import summary_of

    return summary_of(
        [
            failure
            for certificate in certificates
            if isinstance(certificate, DatasetCertificate)
            for failure in certificate.failures
        ]
    )


def _failure_line(result: report.Report, results: Path | None) -> str:
    again = (
        "give the same command again"
        if results
        else "with --results FILE, the same command computes just those when it is given again"
    )
    return f"no verdict for {result.failed}. When the reason is removed, {again}"


def _model_path(name: str) -> Path:
    """The file of a model that is given by its path, or by the name of an embedded one."""
    for embedded in datasets.MODEL_NAMES:
        if name == embedded:
            return datasets.model_path(embedded)
    path = Path(name)
    if not path.is_file():
        names = ", ".join(datasets.MODEL_NAMES)
        raise UsageError(f"--model: no such file: {name} (embedded models: {names})")
    if path.suffix != ".keras" or not zipfile.is_zipfile(path):
        raise UsageError(
            f"--model: {name} is not a .keras file; save the model with model.save('FILE.keras')"
        )
    return path


def _read_data(path: Path | None) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and labels as they are in the file; uint8 inputs are scaled to [0, 1]."""
    if path is None:
        mnist = datasets.load_mnist(source="embedded")
        return mnist.x_test, mnist.y_test
    if not path.is_file():
        raise UsageError(f"--data: no such file: {path}")
    if not zipfile.is_zipfile(path):
        raise UsageError(f"--data: {path} is not an .npz file; write it with numpy.savez")
    try:
        with np.load(path, allow_pickle=False) as file:
            for x_key, y_key in _KEYS:
                if x_key in file and y_key in file:
                    x, y = file[x_key], file[y_key]
                    break
            else:
                raise UsageError(
                    f"--data: {path} must have the keys x_test and y_test, or x and y. "
                    f"Received: {', '.join(file.files) or 'no keys'}"
                )
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise UsageError(f"--data: {path} is not a readable .npz file: {error}") from error
    if x.ndim < 2 or y.ndim < 1 or len(x) != len(y) or len(x) == 0:
        raise UsageError(
            f"--data: {x_key} and {y_key} must have one input and one label per sample. "
            f"Received: shapes {x.shape} and {y.shape}"
        )
    if not all(np.issubdtype(part.dtype, np.number) or part.dtype == bool for part in (x, y)):
        raise UsageError(
            f"--data: {x_key} and {y_key} must hold numbers. Received: {x.dtype} and {y.dtype}"
        )
    if np.iscomplexobj(x) or not np.isfinite(x).all():
        raise UsageError(f"--data: {x_key} holds values that are not finite real numbers")
    return (x.astype(np.float32) / np.float32(255) if x.dtype == np.uint8 else x), y


def _load_model(path: Path) -> keras.Model:
    import keras

    try:
        model = keras.saving.load_model(path, compile=False)
    except Exception as error:
        raise UsageError(f"--model: Keras cannot load {path}: {_shortened(error)}") from error
    if not isinstance(model, keras.Model) or not model.built:
        raise UsageError(f"--model: {path} does not hold a model that is built")
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise UsageError(
            "--model: must have one input and one output. "
            f"Received: {len(model.inputs)} inputs and {len(model.outputs)} outputs"
        )
    if len(model.output_shape) != 2 or (model.output_shape[-1] or 0) < 2:
        raise UsageError(
            "--model: must be a classifier with an output of shape (batch, n_classes), at least 2 "
            f"classes. Received: {model.output_shape}"
        )
    if None in model.input_shape[1:]:
        raise UsageError(
            f"--model: must have inputs of a fixed shape. Received: {model.input_shape}"
        )
    return model


def _fit_inputs(x: np.ndarray, model: keras.Model) -> np.ndarray:
    """The inputs in the shape and type of the model.

    Flat inputs and inputs without (or with more) axes of length 1 will do; any other difference
    could mean that the values stand in another order.
    """
    wanted = tuple(model.input_shape[1:])
    given = x.shape[1:]
    fits = np.prod(wanted) == np.prod(given) and (
        len(wanted) == 1
        or len(given) == 1
        or [n for n in wanted if n != 1] == [n for n in given if n != 1]
    )
    if not fits:
        raise UsageError(
            f"--data: the model takes inputs of shape {wanted}. Received: inputs of shape {given}"
        )
    return x.reshape(-1, *wanted).astype(model.compute_dtype)


def _fit_labels(y: np.ndarray, n_classes: int) -> np.ndarray:
    """Labels as integers, shape ``(n,)``, from integers or one-hot rows."""
    if y.ndim == 2 and y.shape[1] == n_classes and n_classes > 1:
        if not (np.isin(y, (0, 1)).all() and (y.sum(axis=1) == 1).all()):
            raise UsageError("--data: rows of labels must be one-hot: a single 1, and 0 elsewhere")
        return y.argmax(axis=1)
    if y.size != len(y):
        raise UsageError(
            f"--data: labels must be integers of shape (n,) or one-hot rows of shape "
            f"(n, {n_classes}). Received: shape {y.shape}"
        )
    labels = y.reshape(-1)
    unusable = labels[~np.isin(labels, np.arange(n_classes))]
    if unusable.size:
        raise UsageError(
            f"--data: labels must be whole numbers from 0 to {n_classes - 1}, the classes of the "
            f"model. Received: {unusable[0]}"
        )
    return labels.astype(np.int64)


def _check_clip(x: np.ndarray, clip: tuple[float, float] | None) -> None:
    if clip is not None and (x.min() < clip[0] or x.max() > clip[1]):
        raise UsageError(
            f"--data: inputs from {x.min():g} to {x.max():g} leave the range {clip[0]:g} to "
            f"{clip[1]:g}; scale them, or give their range with --clip LOW HIGH or --no-clip"
        )


def _shortened(error: Exception, length: int = 300) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= length else text[: length - 1] + "…"
