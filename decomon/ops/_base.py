"""What an op is: the mathematics of one node, with no idea of how bounds travel through a graph."""

from __future__ import annotations

import abc
from collections.abc import Sequence

from decomon._backend import Shape, Tensor, tf
from decomon.bounds import Interval, Lines


class Op(abc.ABC):
    """A function of one or more tensors, each with a batch axis first."""

    @abc.abstractmethod
    def __call__(self, *inputs: Tensor) -> Tensor:
        """Evaluate the op, exactly as the layer does at inference."""

    @abc.abstractmethod
    def interval(self, *inputs: Interval) -> Interval:
        """Return an interval that contains the image of the inputs' intervals."""


class AffineOp(Op):
    """``y = sum_i W_i x_i + b``.

    A new affine layer has to say how it is evaluated and how ``|W|`` acts; the transpose and the
    offset follow from the evaluation.
    """

    @property
    def diagonal(self) -> bool:
        """Whether every output depends on one coordinate of the input and no two on the same."""
        return False

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

    def transpose(self, rows: Tensor, shapes: Sequence[Shape]) -> tuple[Tensor, ...]:
        """Return ``W_i^T a`` for every row ``a``: the vector-Jacobian product of the op.

        Parameters
        ----------
        rows : tensor of shape ``(n, *output shape)``
        shapes : the input shapes, without batch axis

        Returns
        -------
        one tensor of shape ``(n, *input shape)`` per input
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


class NonlinearOp(Op):
    """An elementwise function of one tensor, bounded by two lines.

    ``parameter`` is what can be optimised (a slope, a tangent point): any value that ``project``
    returns gives valid lines.
    """

    @abc.abstractmethod
    def unstable(self, interval: Interval) -> Tensor:
        """Say where a tighter interval would give tighter lines; boolean, shape of the interval."""

    @abc.abstractmethod
    def initial(self, interval: Interval, rule: SlopeRule) -> Tensor:
        """Return the starting parameter, shape ``(batch, *shape)``."""

    @abc.abstractmethod
    def project(self, parameter: Tensor) -> Tensor:
        """Return the nearest admissible parameter."""

    @abc.abstractmethod
    def relax(self, interval: Interval, parameter: Tensor) -> Lines:
        """Return a lower and an upper line, valid on the interval.

        Parameters
        ----------
        interval : bounds of shape ``(batch, *shape)``
        parameter : tensor of shape ``(batch, 1 or spec, *shape)``
        """
