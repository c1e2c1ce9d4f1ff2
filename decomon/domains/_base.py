"""What every set of inputs can do."""

from __future__ import annotations

import abc
from collections.abc import Hashable
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from decomon._backend import Shape, Tensor, tf
from decomon.bounds import AffineBound, Interval


class Domain(abc.ABC):
    """A batch of input sets.

    Parameters are tensors or NumPy arrays whose first axis is the batch.  In compiled code they are
    run-time tensors; only ``kind`` is fixed.
    """

    @property
    def kind(self) -> Hashable:
        """What compiled code depends on: the class, and settings that are no tensors."""
        return type(self)

    @property
    def separable(self) -> bool:
        """Whether the maximum of every linear function is the one over :meth:`interval`."""
        return False

    @abc.abstractmethod
    def tensors(self) -> tuple[Tensor, ...]:
        """The parameters, all with a batch axis."""

    @abc.abstractmethod
    def rebuild(self, *tensors: Tensor) -> Self:
        """Return sets of the same kind with other parameters, which are not checked."""

    @abc.abstractmethod
    def specs(self, input_shape: Shape, dtype: Tensor) -> tuple[Any, ...]:
        """Return the ``tf.TensorSpec`` of every parameter, free in the batch."""

    @abc.abstractmethod
    def shaped(self, input_shape: Shape) -> Domain:
        """Return checked sets of points of this shape, with NumPy parameters.

        Samples may be flattened in what was given.  The result may be of a simpler kind, such as a
        box for a ball of the infinity norm.

        Raises
        ------
        ValueError
            If parameters are of another shape, not finite, or do not describe a set.
        """

    @abc.abstractmethod
    def interval(self) -> Interval:
        """A box that contains the set, the smallest one unless :meth:`split` says otherwise."""

    @abc.abstractmethod
    def concretize(self, bound: AffineBound) -> Tensor:
        """Return the maximum of ``bound`` over the set, shape ``(batch, spec)``."""

    @abc.abstractmethod
    def maximizer(self, weights: Tensor) -> Tensor:
        """Return the points of shape ``(batch, spec, *input shape)`` that attain the maximum."""

    @abc.abstractmethod
    def center(self) -> Tensor:
        """Return a point in the middle of each set, ``(batch, *input shape)``."""

    @abc.abstractmethod
    def project(self, points: Tensor) -> Tensor:
        """Return the nearest points of the set; ``points`` is ``(batch, count, *input shape)``."""

    @abc.abstractmethod
    def sample(self, count: int, seed: int) -> Tensor:
        """Return points of the set, shape ``(batch, count, *input shape)``, deterministic."""

    @abc.abstractmethod
    def contains(self, points: Tensor) -> Tensor:
        """Say which of the points ``(batch, count, *input shape)`` lie in the set."""

    @abc.abstractmethod
    def scores(self, weights: Tensor, importance: Tensor) -> Tensor:
        """Say how much of the variation of some linear functions each possible cut halves.

        Parameters
        ----------
        weights : ``(batch, spec, *input shape)``
        importance : ``(batch, spec)``, nonnegative: how much each function matters

        Returns
        -------
        tensor ``(batch, cuts)``, in the order that :meth:`split` understands
        """

    @abc.abstractmethod
    def split(self, scores: Tensor) -> tuple[Self, Self]:
        """Cut each set in two by the cut with the largest score; together they cover it."""

    @abc.abstractmethod
    def outer(self, *dtypes: Any) -> Domain:
        """Return sets of tensors that contain every point after rounding to each type in turn."""

    def nearest(self, *dtypes: Any) -> Domain:
        """Return sets of tensors with parameters rounded to each type in turn."""
        arrays = [np.asarray(values) for values in self.tensors()]
        for dtype in dtypes:
            arrays = [values.astype(dtype) for values in arrays]
        return self.rebuild(*map(tf.constant, arrays))

    @abc.abstractmethod
    def inside(self, points: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return points of the set, in its own float type, next to ones that rounding moved.

        ``points`` is ``(batch, *input shape)``; :meth:`contains` holds for the result.
        """

    def __len__(self) -> int:
        return int(self.tensors()[0].shape[0])

    def __getitem__(self, chosen: Any) -> Self:
        """Select samples."""
        return self.rebuild(*(values[chosen] for values in self.tensors()))

    def as_tensors(self, dtype: Tensor) -> Self:
        """Return the same sets with tensors of a type."""
        return self.rebuild(*(tf.cast(values, dtype) for values in self.tensors()))
