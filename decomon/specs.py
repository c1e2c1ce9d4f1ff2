"""What is asked of the outputs: margins between labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from decomon._backend import Shape
from decomon.domains._checks import as_array
from decomon.signature import Signature


@final
@dataclass(frozen=True)
class Margins:
    """The margins ``f_j - f_i`` of each sample, for its source labels i and target labels j.

    Attributes
    ----------
    rows : float array ``(batch, pairs, n_classes)``: one row ``e_j - e_i`` per pair
    valid : bool array ``(batch, pairs)``: samples with fewer pairs are padded with zero rows
    """

    rows: NDArray[np.float64]
    valid: NDArray[np.bool_]

    def __getitem__(self, chosen: Any) -> Margins:
        """Select samples."""
        return Margins(self.rows[chosen], self.valid[chosen])

    def largest(self, values: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return the largest value over each sample's pairs; values ``(batch, pairs, ...)``."""
        valid = self.valid.reshape(self.valid.shape + (1,) * (values.ndim - 2))
        return np.where(valid, values, -np.inf).max(axis=1)

    def of(self, logits: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return the largest margin at points with these logits, ``(batch, count, n_classes)``."""
        values = np.einsum("bpc,bkc->bpk", self.rows, logits.astype(np.float64))
        return self.largest(values)


def check_classes(asked: str, shapes: Sequence[Shape], signature: Signature) -> int:
    """Return the number of classes; ValueError if the outputs are not those of one classifier.

    Parameters
    ----------
    asked : what needs classes, for the message
    shapes : the shapes of the outputs
    signature : of the model
    """
    if len(shapes) > 1:
        flat = [port.name for port in signature.outputs if len(port.shape) == 1]
        example = (flat or [signature.outputs[0].name])[0]
        raise ValueError(
            f"{asked} are of one output. Choose it with decomon.clone(model, output=...), by its "
            f"position or its name, for instance output={example!r}. Received: a model with the "
            f"outputs {', '.join(map(str, signature.outputs))}"
        )
    if len(shapes[0]) != 1 or shapes[0][0] < 2:
        raise ValueError(
            f"{asked} need a classifier with one output per class, at least two. "
            f"Received: a model whose outputs have the shape {shapes[0]}"
        )
    return shapes[0][0]


def margins(source_labels: Any, target_labels: Any, batch: int, n_classes: int) -> Margins:
    """Build the margins that the labels ask for.

    Parameters
    ----------
    source_labels, target_labels
        A scalar, ``(batch,)`` or ``(batch, k)`` integer class indices, or a 0/1 mask
        ``(batch, n_classes)``.  ``target_labels=None`` means all classes but the sources; a source
        is never its own target.

    Raises
    ------
    ValueError
        If labels are of another form or out of range, or a sample has no target left.
    """
    sources = label_mask("source_labels", source_labels, batch, n_classes)
    if target_labels is None:
        targets = ~sources
    else:
        targets = label_mask("target_labels", target_labels, batch, n_classes) & ~sources
    empty = np.flatnonzero(~targets.any(axis=1))
    if empty.size:
        raise ValueError(
            "Every sample needs a target label that is not one of its source labels, otherwise "
            f"there is no margin to bound. Received: no such target for sample {empty[0]} "
            f"(source_labels {np.flatnonzero(sources[empty[0]]).tolist()})"
        )
    # One entry for each pair, ordered by sample, source and target.
    samples, source = np.nonzero(sources)
    which, target = np.nonzero(targets[samples])
    sample, source = samples[which], source[which]
    counts = np.bincount(sample, minlength=batch)
    position = np.arange(len(sample)) - np.repeat(np.cumsum(counts) - counts, counts)
    rows = np.zeros((batch, max(counts, default=1), n_classes))
    rows[sample, position, target] = 1
    rows[sample, position, source] = -1
    return Margins(rows, np.arange(rows.shape[1]) < counts[:, None])


def label_mask(name: str, labels: Any, batch: int, n_classes: int) -> NDArray[np.bool_]:
    """Turn labels of any accepted form into a boolean mask ``(batch, n_classes)``."""
    array = as_array(name, labels)
    accepted = (
        f"{name} must be a class index, (batch,) or (batch, k) integer class indices, or a 0/1 "
        f"mask of shape (batch, n_classes) = ({batch}, {n_classes})."
    )
    received = f"Received: {name} of shape {array.shape} and dtype {array.dtype}"
    if array.dtype.kind not in "iubf":
        raise ValueError(f"{accepted} {received}")
    if array.shape == (batch, n_classes) and np.isin(array, (0, 1)).all():
        mask = array.astype(bool)
        empty = np.flatnonzero(~mask.any(axis=1))
        if empty.size:
            raise ValueError(f"{accepted} Row {empty[0]} of the mask selects no class. {received}")
        return mask
    if array.dtype.kind not in "iu":
        raise ValueError(f"{accepted} {received}, first values {array.ravel()[:5].tolist()}")
    if array.ndim == 0:
        indices = np.full((batch, 1), array)
    elif array.shape == (batch,):
        indices = array[:, None]
    elif array.ndim == 2 and array.shape[0] == batch and array.shape[1] > 0:
        indices = array
    else:
        raise ValueError(f"{accepted} {received}")
    wrong = np.argwhere((indices < 0) | (indices >= n_classes))
    if wrong.size:
        sample, position = wrong[0]
        raise ValueError(
            f"{name} must lie between 0 and {n_classes - 1}. "
            f"Received: {int(indices[sample, position])} for sample {sample}"
        )
    mask = np.zeros((batch, n_classes), dtype=bool)
    mask[np.arange(batch)[:, None], indices.astype(np.int64)] = True
    return mask


def true_classes(name: str, labels: Any, batch: int, n_classes: int) -> NDArray[np.intp]:
    """Return one class per sample, ``(batch,)``; ValueError if labels do not give one."""
    mask = label_mask(name, labels, batch, n_classes)
    several = np.flatnonzero(mask.sum(axis=1) != 1)
    if several.size:
        raise ValueError(
            f"{name} must give one true class per sample. "
            f"Received: classes {np.flatnonzero(mask[several[0]]).tolist()} for sample {several[0]}"
        )
    return mask.argmax(axis=1)
