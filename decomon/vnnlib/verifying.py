"""Deciding properties of networks."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, cast, final

import numpy as np
from numpy.typing import NDArray

from decomon._backend import keras
from decomon._tensors import size_of
from decomon.complete.clock import Clock, Watcher
from decomon.complete.goals import Goals
from decomon.complete.replay import contains
from decomon.complete.solve import DISAGREE, Confirm, Outcome, solve
from decomon.domains import BoxDomain
from decomon.inputs import Regions, check_domain, check_memory
from decomon.models import clone, signature_of, verifier_of
from decomon.onnx_reader.reading import read_network
from decomon.replay import real_outputs
from decomon.search import room_for_rounding
from decomon.verifier import Verifier
from decomon.vnnlib.properties import VnnlibProperty
from decomon.vnnlib.reading import read_vnnlib

Array = NDArray[np.floating]
Positions = NDArray[np.intp]

_ONNX = (".onnx", ".onnx.gz")


class Status(StrEnum):
    """What is known of a property."""

    HOLDS = "holds"
    VIOLATED = "violated"
    UNKNOWN = "unknown"


@final
@dataclass(frozen=True, eq=False)
class VnnlibResult:
    """What was found out about a property.

    Attributes
    ----------
    status : ``holds`` (unsat): it is proven that no input is unsafe; ``violated`` (sat): there is a
        counterexample; or ``unknown``
    counterexample : ``(*input shape)``, float64, or None
        An input between the bounds of the property, read in double precision, with unsafe outputs.
        The real model was run on it, and the reference implementation of ONNX too, if the
        network came from an ONNX file.
    outputs : ``(n_outputs,)``: what the real model makes of the counterexample, or None
    reason : why it is unknown, else empty
        Begins with ``timeout``, ``memory``, ``precision``, ``cancelled`` or ``interrupted``.
    n_domains : how many parts of the input boxes were bounded
    elapsed : seconds, without the time to read files
    """

    status: Status
    counterexample: NDArray[np.float64] | None
    outputs: Array | None
    reason: str
    n_domains: int
    elapsed: float


def verify_vnnlib(
    model: Any,
    prop: VnnlibProperty | str | os.PathLike[str],
    timeout: float | None = 60.0,
    memory_limit: int | None = None,
    progress: Watcher | None = None,
) -> VnnlibResult:
    """Decide whether a network has a property in the VNN-LIB format.

    Parameters
    ----------
    model : keras.Model or path
        A built Keras model with one input and one flat output, or the path of a ``.keras``,
        ``.onnx`` or ``.onnx.gz`` file.  ``X_i`` is entry ``i`` of its own input in row-major
        order, and ``Y_i`` entry ``i`` of its output; a final softmax counts.
    prop : VnnlibProperty or path
        See :func:`read_vnnlib`.
    timeout : float, optional
        Seconds; None goes on until it is decided.
    memory_limit : int, optional
        About how many bytes the parts that are still open may take; a quarter of what is free by
        default.
    progress : callable, optional
        Called as ``progress(solved, open_domains, worst_gap)``, as for :func:`decomon.verify`:
        here, every box of inputs counts as a sample.

    Returns
    -------
    VnnlibResult

    Raises
    ------
    VnnlibError
        If the property cannot be read, or is about another number of inputs or outputs.
    OnnxError
        If the network cannot be read.
    ValueError, TypeError
        If another argument is unusable.
    UnsupportedModelError, NonFiniteBoundError
        As :func:`decomon.get_adv`.

    Examples
    --------
    >>> found = decomon.verify_vnnlib("ACASXU_run2a_1_1.onnx", "prop_1.vnnlib", timeout=20)
    >>> found.status, found.counterexample
    """
    memory = check_memory(memory_limit)
    # The arguments are checked before anything is read.
    Clock(timeout, progress)
    network, original = _network(model)
    n_inputs, n_outputs = _sizes(network)
    if not isinstance(prop, VnnlibProperty):
        prop = read_vnnlib(prop, n_inputs, n_outputs)
    if (prop.n_inputs, prop.n_outputs) != (n_inputs, n_outputs):
        raise ValueError(
            f"{prop.name} is about a network with {prop.n_inputs} inputs and {prop.n_outputs} "
            f"outputs. Received: a network with {n_inputs} inputs and {n_outputs} outputs"
        )
    return _verify(network, original, prop, timeout, progress, memory)


Original = Callable[[Array], Array]


def _network(model: Any) -> tuple[Any, Original | None]:
    """Return the Keras model and, of an ONNX file, what runs the file itself."""
    if isinstance(model, keras.Model):
        return model, None
    if not isinstance(model, str | Path):
        raise TypeError(
            "model must be a keras.Model, or the path of a .keras or .onnx file. "
            f"Received: {type(model)}"
        )
    path = Path(cast("str | os.PathLike[str]", model))
    if path.name.endswith(_ONNX):
        network = read_network(path, flat=True)
        return network.model, network.original
    if path.suffix != ".keras" or not path.is_file():
        raise ValueError(f"model must be the path of a .keras or .onnx file. Received: {path}")

    try:
        return keras.saving.load_model(path, compile=False), None
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise ValueError(f"Keras cannot load {path}: {reason}") from error


def _sizes(model: Any) -> tuple[int, int]:
    signature = signature_of(model) if model.built else None
    if signature is None or len(signature.inputs) != 1 or len(signature.outputs) != 1:
        raise ValueError(
            f"A property needs a built model with one input and one output. Received: {model!r}"
        )
    (taken,), (given,) = signature.inputs, signature.outputs
    sides: list[Any] = [*taken.shape, *given.shape]
    if any(side is None for side in sides) or len(given.shape) != 1:
        raise ValueError(
            "A property needs a model whose input has a fixed shape, and whose output has the "
            "shape (batch, n_outputs): put a Flatten layer at its end. "
            f"Received: input {taken} and output {given}"
        )
    return size_of(taken.shape), given.shape[0]


def _unstripped(model: Any) -> Verifier:
    """Return a verifier of the outputs themselves, by CROWN."""
    verifier = verifier_of(model)
    return clone(model, rm_last_softmax=False).verifier if verifier.graph.stripped else verifier


def _verify(
    model: Any,
    original: Original | None,
    prop: VnnlibProperty,
    timeout: float | None,
    progress: Watcher | None,
    memory: int,
) -> VnnlibResult:
    verifier = _unstripped(model)
    regions = check_domain(BoxDomain(prop.x_min, prop.x_max), signature_of(model))
    goals = prop.goals()
    watch = _Watch(_confirm(model, original, regions, goals), progress)
    clock = Clock(timeout, watch.progress)
    center = regions.inside(np.asarray(regions.domain.center()))
    every = np.arange(len(regions))
    outcome = None
    if not watch.confirm(every, center).any():
        outcome = solve(
            verifier,
            regions,
            goals,
            clock=clock,
            confirm=watch.confirm,
            below=-room_for_rounding(verifier, regions, _rows(goals, len(regions)), center),
            memory=memory,
        )
        # The real model has the last word about the best points as well.
        watch.confirm(every, outcome.points)
        outcome.finish(clock)
    return _result(model, prop, watch, outcome, clock.elapsed)


def _result(
    model: Any, prop: VnnlibProperty, watch: _Watch, outcome: Outcome | None, elapsed: float
) -> VnnlibResult:
    n_domains = 0 if outcome is None else int(outcome.n_domains.sum())
    if watch.found is not None:
        outputs = real_outputs(model, [watch.found])[0]
        point = watch.found[0].astype(np.float64)
        return VnnlibResult(Status.VIOLATED, point, outputs, "", n_domains, elapsed)
    if outcome is not None and (outcome.robust & (outcome.upper < 0)).all():
        return VnnlibResult(Status.HOLDS, None, None, "", n_domains, elapsed)
    reasons = [] if outcome is None else [reason for reason in outcome.reasons if reason]
    reason = reasons[0] if reasons else DISAGREE
    if len(prop.cases) > 1 and outcome is not None:
        left = int((~outcome.robust).sum())
        reason += f" ({left} of {len(prop.cases)} boxes of inputs are open)"
    return VnnlibResult(Status.UNKNOWN, None, None, reason, n_domains, elapsed)


def _rows(goals: Goals, count: int) -> NDArray[np.float64]:
    """Return the rows of each sample's goals, ``(count, most, n_outputs)``, padded with zeros."""
    goal, part = np.nonzero(goals.valid)
    samples = goals.samples[goal]
    counts = np.bincount(samples, minlength=count)
    position = np.arange(len(samples)) - np.repeat(np.cumsum(counts) - counts, counts)
    rows = np.zeros((count, int(counts.max()), goals.rows.shape[2]))
    rows[samples, position] = goals.rows[goal, part]
    return rows


@final
class _Watch:
    """Notes the first counterexample: one of all boxes is enough, so that the others may stop."""

    def __init__(self, confirm: Confirm, watcher: Watcher | None) -> None:
        self._confirm = confirm
        self._watcher = watcher
        self.found: Array | None = None

    def confirm(self, samples: Positions, points: Array) -> NDArray[np.bool_]:
        """Say which points are counterexamples."""
        confirmed = self._confirm(samples, points)
        if self.found is None and confirmed.any():
            self.found = points[[int(np.argmax(confirmed))]]
        return confirmed

    def progress(self, solved: int, open_domains: int, worst_gap: float) -> object:
        """Stop when there is a counterexample, or when the user says so."""
        if self.found is not None:
            return False
        return None if self._watcher is None else self._watcher(solved, open_domains, worst_gap)


def _confirm(model: Any, original: Original | None, regions: Regions, goals: Goals) -> Confirm:
    """Return what looks at points with the real model, and with the ONNX file where there is one.

    Counterexamples lie in their box as it was given, and their outputs meet all conditions of
    one goal, computed in double precision from what the model returns.
    """
    signature = signature_of(model)
    # Goals are ordered by sample.
    first = np.searchsorted(goals.samples, np.arange(len(regions) + 1))

    def unsafe(sample: int, outputs: Array) -> bool:
        mine = goals[first[sample] : first[sample + 1]]
        # Outputs that are not numbers are neither safe nor unsafe.
        values = mine.of(np.broadcast_to(outputs, (len(mine), 1, outputs.shape[-1])))
        return bool((values >= 0).any())

    def confirm(samples: Positions, points: Array) -> NDArray[np.bool_]:
        found = np.zeros(len(samples), dtype=bool)
        if not len(samples):
            return found
        outputs = real_outputs(model, signature.split(points))
        found[:] = [unsafe(int(s), y) for s, y in zip(samples, outputs, strict=True)]
        found[found] = contains(regions, samples[found], points[found])
        if original is not None:
            for i in np.flatnonzero(found):
                found[i] = unsafe(int(samples[i]), original(points[[i]])[0])
        return found

    return confirm
