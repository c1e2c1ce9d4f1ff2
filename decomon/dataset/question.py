"""The arguments of a certification, checked as a whole and cut into chunks of samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from decomon.balls import balls, clips_of, given_each, radii_of
from decomon.certify import Certificate, certify
from decomon.inputs import check_count, check_inputs
from decomon.models import signature_of, verifier_of
from decomon.signature import Port, Signature, like
from decomon.specs import check_classes, true_classes

Array = NDArray[Any]

_CHECKED = 4096  # samples whose sets are checked at once: a check makes copies of them
_SMALLEST_CHUNK, _LARGEST_CHUNK = 8, 256
_CHUNKS_PER_PLACE = 4  # so that places become free at different times and none idles at the end


@final
@dataclass(frozen=True)
class Question:
    """What is asked of some samples, with one entry per input of the model.

    Attributes
    ----------
    x : ``(batch, *shape)`` each
    labels : ``(batch,)``: the true classes
    radii : ``(batch, ...)`` each, broadcastable to the points
    clips : a pair of arrays that broadcast to the points, or None, each
    p, n_sub_boxes, batch_size : as for :func:`decomon.certify`
    """

    x: tuple[Array, ...]
    labels: NDArray[np.intp]
    radii: tuple[Array, ...]
    clips: tuple[tuple[Array, Array] | None, ...]
    p: float
    n_sub_boxes: int
    batch_size: int

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, chosen: slice) -> Question:
        """Select samples."""
        return replace(
            self,
            x=tuple(part[chosen] for part in self.x),
            labels=self.labels[chosen],
            radii=tuple(radius[chosen] for radius in self.radii),
            clips=tuple(
                None if pair is None else _cut(pair, chosen, len(self)) for pair in self.clips
            ),
        )

    def answer(self, model: Any) -> Certificate:
        """Certify the samples; ``points`` is a list if the model has several inputs."""
        return certify(
            model,
            _given(self.x),
            self.labels,
            _given(self.radii),
            p=self.p,
            clip=_given(self.clips),
            n_sub_boxes=self.n_sub_boxes,
            batch_size=self.batch_size,
        )

    def largest_radii(self) -> NDArray[np.float64]:
        """Return one radius per sample: the largest one, where features have their own."""
        if not len(self):
            return np.zeros(0)
        flat = [radius.reshape(len(self), -1).max(axis=1) for radius in self.radii]
        return np.max(flat, axis=0).astype(np.float64)


def question(
    model: Any,
    x: Any,
    y: Any,
    eps: Any,
    *,
    p: Any,
    clip: Any,
    n_sub_boxes: Any,
    batch_size: Any,
) -> Question:
    """Check all arguments; see :func:`decomon.certify_dataset`.

    Raises
    ------
    TypeError, ValueError
        If one is unusable.
    """
    graph = verifier_of(model).graph
    signature = signature_of(model)
    n_classes = check_classes("Verdicts", graph.output_shapes, signature)
    parts = check_inputs("x", x, signature)
    batch = len(parts[0])
    asked = Question(
        tuple(parts),
        true_classes("y", y, batch, n_classes),
        tuple(radii_of("eps", eps, batch, signature.inputs)),
        tuple(clips_of(clip, batch, signature.inputs)),
        p,
        check_count("n_sub_boxes", n_sub_boxes),
        check_count("batch_size", batch_size, minus_one=True),
    )
    for begin in range(0, max(batch, 1), _CHECKED):
        _check_sets(signature, asked[begin : begin + _CHECKED], begin)
    return asked


def points_like(x: Any, ports: Sequence[Port], points: Sequence[Array]) -> Any:
    """Put points into the form in which the samples were given."""
    return like(x, ports, points)


def radii_like(eps: Any, ports: Sequence[Port], radii: Sequence[Array]) -> Any:
    """Put radii into the form in which they were given; ``(batch,)`` if features have the same."""
    slim = [r.reshape(len(r)) if r.size == len(r) else r for r in radii]
    return like(eps, ports, slim) if given_each(eps, ports) else slim[0]


def default_chunk(samples: int, fitting: int, in_flight: int) -> int:
    """Return how many samples to give to a worker at once.

    Parameters
    ----------
    samples : of the whole data
    fitting : how many the model is bounded on at once, given its size
    in_flight : number of chunks that are handed out at once
    """
    share = math.ceil(samples / (_CHUNKS_PER_PLACE * in_flight))
    return max(1, min(fitting, max(share, _SMALLEST_CHUNK), _LARGEST_CHUNK))


def _check_sets(signature: Signature, part: Question, begin: int) -> None:
    """Make the sets, as certification will: that checks the rest."""
    try:
        balls(signature, _given(part.x), _given(part.radii), part.p, _given(part.clips))
    except ValueError as error:
        if not begin:
            raise
        raise ValueError(f"{error} (samples are counted from {begin})") from error


def _given(parts: Sequence[Any]) -> Any:
    """Return what functions take: an entry for each input, or what the only one has."""
    return parts[0] if len(parts) == 1 else list(parts)


def _cut(pair: tuple[Array, Array], chosen: slice, batch: int) -> tuple[Array, Array]:
    """Select the samples of a range that differs between them."""
    low, high = np.broadcast_arrays(*pair)  # a list of pairs needs ends of one shape
    if low.ndim and len(low) == batch:
        return low[chosen], high[chosen]
    return low, high
