"""Questions about sets of inputs, asked and answered with NumPy arrays."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

from decomon._backend import tf
from decomon.diagnosis import check_bounds
from decomon.domains import Domain
from decomon.inputs import Regions, batches, check_count, check_domain
from decomon.models import DecomonModel, signature_of, verifier_of
from decomon.questions import Looked, all_of
from decomon.refine import all_rows, most_violated, split_sets
from decomon.rounding import doubtful, round_up
from decomon.search import check_margins, margins_at, search
from decomon.signature import Signature, split
from decomon.specs import Margins, check_classes, margins
from decomon.verifier import Verifier, as_tensor

Array = NDArray[np.floating]

Progress: TypeAlias = Callable[[int, int], object]
"""Called after every batch with the number of samples that are done and that of all."""

_LEAF_BYTES = 256 * 2**20
_ARRAYS_PER_LEAF = 8  # four that are kept, and their copies when a leaf is added


class Range(NamedTuple):
    """Bounds of the outputs, both of shape ``(batch, *output_shape)``.

    For a model with several outputs, both are lists, one array per output.
    """

    upper: Any
    lower: Any


class LogitsWarning(UserWarning):
    """Bounds are on the logits, because a final softmax or sigmoid was stripped.

    ``clone(model, rm_last_softmax=False)`` bounds what comes out of it.
    """


def get_adv(
    model: Any,
    domain: Domain,
    source_labels: Any,
    target_labels: Any = None,
    batch_size: int = -1,
    n_sub_boxes: int = 1,
    *,
    progress: Progress | None = None,
) -> Array:
    """Bound from above the largest margin ``f_j - f_i`` over each input set.

    Negative proves that, anywhere in the set, no target label j can win over a source label i.
    That is a proof in exact arithmetic; :func:`~decomon.certify` also looks at how far the model
    itself rounds.

    Parameters
    ----------
    model : keras.Model or DecomonModel
        A Keras model is bounded by ``crown``; it is converted once and remembered.
    domain : Domain
        The input sets, such as ``decomon.BallDomain(x, eps, p=2, clip=(0, 1))``.  Sets of several
        inputs are sets of one flat input ``(batch, n)``, in which they follow one another in
        the order of ``model.inputs``.
    source_labels : int, array ``(batch,)`` or ``(batch, k)`` of class indices, or 0/1 mask
        The labels i that must win.  An array of shape ``(batch, n_classes)`` that holds only 0
        and 1 is a mask, for instance one-hot labels.
    target_labels : same forms, optional
        The labels j that must not win; all but the sources by default.
    batch_size : int
        How many samples to treat at once; -1 takes as many as fit the memory budget.
    n_sub_boxes : int
        How many pieces each set is cut into.  More is tighter, and never looser than 1.
    progress : callable, optional
        Called as ``progress(done, total)`` after every batch.

    Returns
    -------
    array of shape ``(batch,)``
        Margins of logits: a final softmax or sigmoid is stripped.

    Raises
    ------
    ValueError
        If the sets, labels or options are unusable, or the model has several outputs and none was
        chosen by ``clone(model, output=...)``; nothing has been computed then.
    TypeError
        If ``domain`` is not a set of inputs.
    UnsupportedModelError
        If the model has layers without a certified rule.
    NonFiniteBoundError
        If the arithmetic overflowed, or, as a :class:`~decomon.errors.DomainError`, if a logarithm,
        a root or a division is not known to be defined on the whole set.
    """
    question = ask(pose(model, domain), source_labels, target_labels)
    return bound_margins(question, batch_size, n_sub_boxes, progress)


def bound_margins(
    question: Question, batch_size: int, n_sub_boxes: int, progress: Progress | None
) -> Array:
    """Answer :func:`get_adv`."""
    verifier, regions, asked = question
    n_sub_boxes = check_count("n_sub_boxes", n_sub_boxes)
    batch_size = check_count("batch_size", batch_size, minus_one=True)
    results: list[Array] = [np.zeros(0, verifier.dtype.as_numpy_dtype)]
    for part in batches(len(regions), batch_size, limit(verifier, n_sub_boxes), progress):
        results.append(
            _margin_bounds(verifier, regions[part], asked[part], n_sub_boxes, part.start)
        )
    return np.concatenate(results)


def _margin_bounds(
    verifier: Verifier, regions: Regions, asked: Margins, n_sub_boxes: int, first: int
) -> Array:
    """Return upper bounds of the largest margins, ``(batch,)``, with signs that rounding spares."""
    outer, nearest, questions = regions.sets(verifier)
    rows, valid = as_tensor(asked.rows, verifier.dtype), tf.constant(asked.valid)
    if n_sub_boxes == 1:
        outer = verifier.prepared(outer, rows.shape[1])
        questions = verifier.questions(outer, nearest, regions.whole)
        pieces = zip(verifier.pieces(rows), verifier.pieces(valid), strict=True)
        found = [questions.margins(outer, nearest, *piece) for piece in pieces]
        upper = np.concatenate([part.numpy() for part, _ in found], axis=1)
        looked = all_of([part for _, part in found])
        return settled(verifier, regions, asked, outer, upper, looked, first)
    leaves = split_sets(verifier, outer, rows, n_sub_boxes, most_violated(asked.valid), first)
    corners = as_tensor(leaves.corners, verifier.dtype)
    corners = verifier.geometry(nearest).project(nearest, corners)
    points = tf.concat([nearest.center()[:, None], corners], axis=1)
    attained = margins_at(verifier, asked, points, first)
    upper, magnitude = asked.largest(leaves.root()), leaves.magnitude()
    return _signed(verifier, regions, asked, upper, attained, magnitude, n_sub_boxes, first)


def settled(
    verifier: Verifier,
    regions: Regions,
    asked: Margins,
    outer: Domain,
    upper: Array,
    looked: Looked,
    first: int = 0,
) -> Array:
    """Return what is proven by bounds ``upper`` of rows over whole sets, ``(batch,)``."""
    upper = np.where(np.isfinite(upper), upper, np.inf)  # what is no number bounds nothing
    check_bounds(upper, verifier, outer, first)
    attained = asked.of(looked.logits.numpy())
    check_margins(verifier, attained, looked.points, first)
    magnitude = np.nan_to_num(looked.sizes.numpy(), nan=np.inf, posinf=np.inf)
    return _signed(verifier, regions, asked, asked.largest(upper), attained, magnitude, 1, first)


def _signed(
    verifier: Verifier,
    regions: Regions,
    asked: Margins,
    upper: Array,
    attained: Array,
    magnitude: Array,
    n_sub_boxes: int,
    first: int,
) -> Array:
    """Return bounds ``(batch,)`` whose signs are not owed to rounding.

    Parameters
    ----------
    upper : ``(batch,)``: the bounds as they were computed
    attained : ``(batch, count)``: margins of the network at some points
    magnitude : ``(batch,)``: how large the terms are that bounds are differences of
    """
    # Rounding can put a bound below a value that the network itself attains.
    upper = np.maximum(upper, round_up(attained.max(axis=1), verifier.dtype.as_numpy_dtype))
    if verifier.dtype.name == "float64":
        return upper
    for sample in np.flatnonzero(doubtful(upper, magnitude)):
        one = slice(sample, sample + 1)
        exact = _margin_bounds(
            verifier.precise, regions[one], asked[one], n_sub_boxes, first + int(sample)
        )
        upper[one] = round_up(exact, verifier.dtype.as_numpy_dtype)
    return upper


@overload
def check_adv(
    model: Any,
    domain: Domain,
    source_labels: Any,
    target_labels: Any = None,
    batch_size: int = -1,
    n_sub_boxes: int = 1,
    return_points: Literal[False] = False,
    *,
    progress: Progress | None = None,
) -> Array: ...
@overload
def check_adv(
    model: Any,
    domain: Domain,
    source_labels: Any,
    target_labels: Any = None,
    batch_size: int = -1,
    n_sub_boxes: int = 1,
    *,
    return_points: Literal[True],
    progress: Progress | None = None,
) -> tuple[Array, Any]: ...
def check_adv(
    model: Any,
    domain: Domain,
    source_labels: Any,
    target_labels: Any = None,
    batch_size: int = -1,
    n_sub_boxes: int = 1,
    return_points: bool = False,
    *,
    progress: Progress | None = None,
) -> Array | tuple[Array, Any]:
    """Bound from below the largest margin ``f_j - f_i`` over each set, by a point that attains it.

    Positive proves that the set contains a misclassified point.

    Parameters
    ----------
    model, domain, source_labels, target_labels, batch_size, progress
        As for :func:`get_adv`.
    n_sub_boxes : int
        How many pieces each set is cut into to find starting points.
    return_points : bool
        Whether to return the points too.

    Returns
    -------
    values : array of shape ``(batch,)``
        The largest margin of logits at the best point found, which is never below the maximum of
        the affine lower bounds that ``model``'s method starts from.
    points : array of shape ``(batch, *input_shape)``, if ``return_points``
        Those points; they lie in their sets.  For a model with several inputs, a list of arrays.

    Raises
    ------
    As :func:`get_adv`.
    """
    question = ask(pose(model, domain), source_labels, target_labels)
    value, points = search_margins(question, batch_size, n_sub_boxes, progress)
    return (value, by_input(model, points)) if return_points else value


def search_margins(
    question: Question, batch_size: int, n_sub_boxes: int, progress: Progress | None
) -> tuple[Array, Array]:
    """Answer :func:`check_adv`; points are those of one flat input."""
    verifier, regions, asked = question
    n_sub_boxes = check_count("n_sub_boxes", n_sub_boxes)
    batch_size = check_count("batch_size", batch_size, minus_one=True)
    values: list[Array] = [np.zeros(0)]
    points: list[Array] = [np.zeros((0, *verifier.graph.input_shape), regions.dtype)]
    for part in batches(len(regions), batch_size, limit(verifier, n_sub_boxes), progress):
        leaves = None
        if n_sub_boxes > 1:
            # Starting points need no optimised bounds.
            leaves = split_sets(
                verifier,
                regions[part].outer(verifier),
                as_tensor(asked.rows[part], verifier.dtype),
                n_sub_boxes,
                most_violated(asked.valid[part]),
                part.start,
                quick=True,
            )
        best = search(verifier, regions[part], asked[part], leaves, part.start)
        values.append(best.margin)
        points.append(best.points)
    return (
        np.concatenate(values).astype(verifier.dtype.as_numpy_dtype),
        np.concatenate(points),
    )


def get_range(
    model: Any,
    domain: Domain,
    batch_size: int = -1,
    n_sub_boxes: int = 1,
    *,
    progress: Progress | None = None,
) -> Range:
    """Bound every output over each input set from above and from below, in one pass.

    Parameters
    ----------
    model, domain, batch_size, n_sub_boxes, progress
        As for :func:`get_adv`.

    Returns
    -------
    Range
        A pair ``(upper, lower)`` of arrays of shape ``(batch, *output_shape)``.  They bound the
        logits: a final softmax or sigmoid is stripped, with a :class:`LogitsWarning`, unless the
        model was cloned with ``rm_last_softmax=False``.  For a model with several outputs, a pair
        of lists of arrays, in the order of ``model.outputs``; nothing is stripped from them.

    Raises
    ------
    As :func:`get_adv`.
    """
    upper, lower = bound_outputs(
        model, pose(model, domain), batch_size, n_sub_boxes, progress, (1.0, -1.0)
    )
    return Range(upper, lower)


def get_upper(
    model: Any,
    domain: Domain,
    batch_size: int = -1,
    n_sub_boxes: int = 1,
    *,
    progress: Progress | None = None,
) -> Any:
    """Bound every output over each input set from above; see :func:`get_range`."""
    return bound_outputs(model, pose(model, domain), batch_size, n_sub_boxes, progress, (1.0,))[0]


def get_lower(
    model: Any,
    domain: Domain,
    batch_size: int = -1,
    n_sub_boxes: int = 1,
    *,
    progress: Progress | None = None,
) -> Any:
    """Bound every output over each input set from below; see :func:`get_range`."""
    return bound_outputs(model, pose(model, domain), batch_size, n_sub_boxes, progress, (-1.0,))[0]


def limit(verifier: Verifier, n_sub_boxes: int) -> int:
    """Return how many samples to treat at once, given what their leaves keep in memory."""
    leaf = _ARRAYS_PER_LEAF * verifier.graph.nodes[0].size * verifier.dtype.size
    return max(1, min(verifier.sample_limit, _LEAF_BYTES // (leaf * n_sub_boxes)))


class Posed(NamedTuple):
    """Checked sets of inputs of a model."""

    verifier: Verifier
    signature: Signature
    regions: Regions


class Question(NamedTuple):
    """Checked sets, and the margins that are asked for."""

    verifier: Verifier
    regions: Regions
    asked: Margins


def pose(model: Any, domain: Any) -> Posed:
    """Check sets of inputs of a model; what is wrong with the model comes first."""
    verifier, signature = verifier_of(model), signature_of(model)
    return Posed(verifier, signature, check_domain(domain, signature))


def ask(posed: Posed, source_labels: Any, target_labels: Any) -> Question:
    """Check labels."""
    verifier, signature, regions = posed
    n_classes = check_classes("Margins", verifier.graph.output_shapes, signature)
    asked = margins(source_labels, target_labels, len(regions), n_classes)
    return Question(verifier, regions, asked)


def by_input(model: Any, points: Array) -> Any:
    """Return points by input, if there are several."""
    parts = signature_of(model).split(points)
    return parts[0] if len(parts) == 1 else parts


def warn_of_logits(model: Any, stacklevel: int) -> None:
    """Say that bounds of outputs are those of logits, unless the user made the DecomonModel."""
    stripped = verifier_of(model).graph.stripped
    if stripped and not isinstance(model, DecomonModel):
        warnings.warn(
            f"The model's final {stripped} was stripped: these are bounds of the logits. "
            "For bounds of what comes out of it, use clone(model, rm_last_softmax=False).",
            LogitsWarning,
            stacklevel=stacklevel,
        )


def bound_outputs(
    model: Any,
    posed: Posed,
    batch_size: int,
    n_sub_boxes: int,
    progress: Progress | None,
    signs: tuple[float, ...],
    *,
    tuning: tuple[int, float] | None = None,
    stacklevel: int = 3,
) -> list[Any]:
    """Bound every output from above (sign 1) or below (sign -1), for each of the signs.

    ``tuning`` is a number of steps and a learning rate for the relaxations; by default those of
    the model.
    """
    verifier, _, regions = posed
    graph = verifier.graph
    n_sub_boxes = check_count("n_sub_boxes", n_sub_boxes)
    batch_size = check_count("batch_size", batch_size, minus_one=True)
    if tuning is not None:
        verifier = verifier.tuned(*tuning)
    warn_of_logits(model, stacklevel + 1)
    eye = np.eye(graph.nodes[-1].size)
    rows = np.concatenate([sign * eye for sign in signs]).reshape(1, -1, *graph.output_shape)
    results: list[Array] = [np.zeros((0, rows.shape[1]), verifier.dtype.as_numpy_dtype)]
    for part in batches(len(regions), batch_size, limit(verifier, n_sub_boxes), progress):
        outer = regions[part].outer(verifier)
        if n_sub_boxes == 1:
            outer = verifier.prepared(outer, rows.shape[1])
        columns = [
            split_sets(
                verifier,
                outer,
                as_tensor(piece, verifier.dtype),
                n_sub_boxes,
                all_rows,
                part.start,
            ).root()
            for piece in verifier.pieces(rows)
        ]
        results.append(np.concatenate(columns, axis=1))
    both = np.concatenate(results).reshape(len(regions), len(signs), eye.shape[0])
    bounds = [
        split(sign * both[:, position], graph.output_shapes) for position, sign in enumerate(signs)
    ]
    return [parts[0] if len(parts) == 1 else parts for parts in bounds]
