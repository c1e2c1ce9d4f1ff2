"""What an op is: the mathematics of one node, with no idea of how bounds travel through a graph."""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias, final

from decomon._backend import Shape, Tensor, tf
from decomon.bounds import Interval, Relaxation


class Op(abc.ABC):
    """A function of one or more tensors, each with a batch axis first."""

    @property
    def diagonal(self) -> bool:
        """Whether every output depends on one coordinate of the input and no two on the same."""
        return False

    @property
    def narrows(self) -> bool:
        """Whether the op's interval is tighter than what its matrix or relaxation gives."""
        return False

    @abc.abstractmethod
    def __call__(self, *inputs: Tensor) -> Tensor:
        """Evaluate the op, exactly as the layer does at inference."""

    @abc.abstractmethod
    def interval(self, *inputs: Interval) -> Interval:
        """Return an interval that contains the image of the inputs' intervals."""


@final
@dataclass(frozen=True)
class Stencil:
    """How a local op acts, which is the same everywhere; channels come last.

    The output at place p depends on the input at the places ``stride * p + shift`` and following
    ones, ``sides`` many along each axis.

    Attributes
    ----------
    spread : transposes windows ``(n, *window, output channels)`` to ``(n, *larger window, input
        channels)``, as if there was no border
    """

    sides: tuple[int, ...]
    stride: tuple[int, ...]
    shift: tuple[int, ...]
    spread: Callable[[Tensor], Tensor]


class AffineOp(Op):
    """``y = sum_i W_i x_i + b``.

    A new affine layer has to say how it is evaluated and how ``|W|`` acts; the transpose and the
    offset follow from the evaluation.
    """

    @abc.abstractmethod
    def absolute(self, *radii: Tensor) -> Tensor:
        """Return ``sum_i |W_i| r_i`` for nonnegative ``r_i``."""

    def interval(self, *inputs: Interval) -> Interval:
        """Return the exact range of each output over independent inputs.

        The centre maps to the centre, and the range extends by ``|W|`` times the radius to either
        side, because each input coordinate may sit at whichever of its ends pushes the output
        further (Gowal et al. 2018, eq. 6).
        """
        center = self(*(x.center for x in inputs))
        radius = self.absolute(*(x.radius for x in inputs))
        return Interval(center - radius, center + radius)

    def transpose(self, rows: Tensor, shapes: Sequence[Shape]) -> tuple[Tensor | None, ...]:
        """Return ``W_i^T a`` for every row ``a``: the vector-Jacobian product of the op.

        Parameters
        ----------
        rows : tensor of shape ``(n, *output shape)``
        shapes : the input shapes, without batch axis

        Returns
        -------
        one tensor of shape ``(n, *input shape)`` per input, or None where ``W_i`` is zero
        """
        count = tf.shape(rows)[0]
        points = [tf.zeros([count, *shape], rows.dtype) for shape in shapes]
        with tf.GradientTape() as tape:
            tape.watch(points)
            values = self(*points)
        return tuple(
            tape.gradient(
                values,
                points,
                output_gradients=rows,
                unconnected_gradients=tf.UnconnectedGradients.ZERO,
            )
        )

    def select(
        self, places: Tensor, shape: Shape, shapes: Sequence[Shape], dtype: Tensor
    ) -> tuple[Tensor, ...] | None:
        """Return some rows of each ``W_i``, where that takes less than to transpose unit rows.

        Parameters
        ----------
        places : ``(n,)``: flattened positions of outputs
        shape : the output shape, without batch axis
        shapes : the input shapes

        Returns
        -------
        one tensor of shape ``(n, *input shape)`` per input, or None: there is no shorter way
        """
        del places, shape, shapes, dtype
        return None

    def stencil(self, shapes: Sequence[Shape]) -> Stencil | None:
        """Return how the op acts locally, if it does, and on one input; its offsets too are local.

        The offset of such an op is the same at all places.
        """
        del shapes
        return None

    def aligned(self, shapes: Sequence[Shape], shape: Shape) -> bool:
        """Whether entry i of the output depends on entry i of each input alone, in row-major order.

        Parameters
        ----------
        shapes : the input shapes, without batch axis
        shape : the output shape
        """
        del shapes, shape
        return False

    def factors(
        self, shapes: Sequence[Shape], shape: Shape, dtype: Tensor
    ) -> tuple[Tensor | None, ...]:
        """Return the diagonal of each ``W_i`` of an aligned op, ``(1, *shape)``, None for ones."""
        ones = tf.ones([1, *shape], dtype)
        parts = self.transpose(ones, shapes)
        return tuple(None if part is ones else part for part in parts)

    def offset(self, shapes: Sequence[Shape], dtype: Tensor) -> Tensor | None:
        """Return ``b``, shape ``(1, *output shape)``, or None if it is zero."""
        return self(*(tf.zeros([1, *shape], dtype) for shape in shapes))


class NonnegativeOp(AffineOp):
    """A linear op whose matrix has no negative entry: moving, averaging or adding values.

    It is monotone, so the interval's ends map to the image's ends, with no rounding where values
    are only moved.
    """

    def absolute(self, *radii: Tensor) -> Tensor:
        return self(*radii)

    def interval(self, *inputs: Interval) -> Interval:
        return Interval(self(*(x.lower for x in inputs)), self(*(x.upper for x in inputs)))

    def offset(self, shapes: Sequence[Shape], dtype: Tensor) -> Tensor | None:
        return None


class SlopeRule(abc.ABC):
    """Chooses the lower slope of an unstable convex piecewise-linear neuron."""

    @abc.abstractmethod
    def choose(self, interval: Interval, left: float, right: float) -> Tensor:
        """Return a slope in ``[left, right]`` for each neuron."""


Relaxer: TypeAlias = Callable[[tuple[Tensor, ...]], Relaxation]
"""Maps parameters to bounds that are valid on some intervals."""


class NonlinearOp(Op):
    """A function of one or more tensors, bounded by affine functions of them on a box.

    Parameters are what can be optimised (a slope, a tangent point, an interpolation): any values
    that ``project`` returns give valid bounds.  Each is a tensor ``(batch, 1 or spec, *any
    shape)``; there may be none.
    """

    @abc.abstractmethod
    def unstable(self, *intervals: Interval) -> tuple[Tensor, ...]:
        """Say where a tighter interval would give a tighter relaxation.

        Returns
        -------
        one boolean tensor per input, of the input's shape
        """

    @abc.abstractmethod
    def initial(self, intervals: Sequence[Interval], rule: SlopeRule) -> tuple[Tensor, ...]:
        """Return the starting parameters, each ``(batch, *any shape)``: no spec axis yet."""

    def project(self, parameters: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return the nearest admissible parameters: by default, those in [0, 1]."""
        return tuple(tf.clip_by_value(value, 0.0, 1.0) for value in parameters)

    @abc.abstractmethod
    def relax(self, intervals: Sequence[Interval], parameters: tuple[Tensor, ...]) -> Relaxation:
        """Return bounds that are valid on the intervals.

        Parameters
        ----------
        intervals : one per input, of shape ``(batch, *input shape)``
        parameters : admissible, each ``(batch, 1 or spec, *any shape)``
        """

    def relaxer(self, intervals: Sequence[Interval]) -> Relaxer:
        """Return :meth:`relax` for given intervals, what parameters do not change being done."""
        return partial(self.relax, intervals)


class ElementwiseOp(NonlinearOp):
    """A function of one tensor that acts on each of its entries alone.

    Subclasses bound it by lines; shapes of parameters are those of the tensor.
    """

    @property
    def diagonal(self) -> bool:
        return True

    @property
    def uniform(self) -> bool:
        """Whether all entries are relaxed alike, in few operations.

        Then relaxations of some entries are worth computing for each row that needs them.
        """
        return False

    @property
    def requirement(self) -> str:
        """What arguments the function needs, such as "values above 0"; empty if any will do."""
        return ""

    def cut(self, interval: Interval) -> Tensor:
        """Return where intervals are best cut in two, for relaxations of both parts to be tight.

        A function that is linear on each part, if there are such parts, has its kink there.
        """
        return interval.center

    def outside(self, interval: Interval) -> Tensor:
        """Say which intervals contain arguments that the function is not defined for."""
        return tf.zeros_like(interval.lower, dtype=tf.bool)
