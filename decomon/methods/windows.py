"""Rows that are zero but for a window, as those of neurons behind a convolution are.

A neuron of a convolutional layer depends on a window of every layer before it, and windows of
neighbouring neurons are shifted copies of each other.  Substituting windows instead of whole rows
takes the arithmetic of the receptive field alone, and the memory too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import final

import numpy as np
from numpy.typing import NDArray

from decomon._backend import Shape, Tensor, tf
from decomon.ops._base import Stencil


@final
@dataclass(frozen=True)
class View:
    """Where the windows of the neurons of one node lie on another node.

    Attributes
    ----------
    grid : sides of the node that is bounded, without its channels
    frame : shape of the other node, with channels last; values lie in this order, whatever shape
        the node has
    sides : of a window
    stride : how far apart the windows of neighbouring neurons are
    shift : where the window of the first neuron begins; parts of windows may lie outside
    """

    grid: Shape
    frame: Shape
    sides: Shape
    stride: Shape
    shift: tuple[int, ...]

    @classmethod
    def start(cls, shape: Shape) -> View:
        """Return the windows of the neurons of a node on the node itself."""
        ones = (1,) * (len(shape) - 1)
        return cls(shape[:-1], shape, ones, ones, (0,) * len(ones))

    @property
    def channels(self) -> int:
        """How many values there are at each place."""
        return self.frame[-1]

    @property
    def size(self) -> int:
        """How many values a window has."""
        return math.prod(self.sides) * self.channels

    def before(self, stencil: Stencil, frame: Shape) -> View:
        """Return the windows on the input of a local op."""
        axes = range(len(self.sides))
        return View(
            self.grid,
            frame,
            tuple((self.sides[i] - 1) * stencil.stride[i] + stencil.sides[i] for i in axes),
            tuple(self.stride[i] * stencil.stride[i] for i in axes),
            tuple(self.shift[i] * stencil.stride[i] + stencil.shift[i] for i in axes),
        )

    def joined(self, other: View) -> View | None:
        """Return windows that cover both, if they move alike."""
        if (self.frame, self.stride) != (other.frame, other.stride):
            return None
        shift = tuple(map(min, self.shift, other.shift))
        ends = [
            max(a + b, c + d)
            for a, b, c, d in zip(self.shift, self.sides, other.shift, other.sides, strict=True)
        ]
        return replace(
            self, shift=shift, sides=tuple(e - s for e, s in zip(ends, shift, strict=True))
        )

    @cached_property
    def places(self) -> NDArray[np.int32]:
        """Of each window, the places of its entries, ``(windows, places)``.

        They are counted over the frame; what lies outside has the number that follows the last.
        """
        dims = len(self.sides)
        number = np.zeros((1,) * (2 * dims), np.int64)
        inside = np.ones((1,) * (2 * dims), bool)
        for axis in range(dims):
            along = np.arange(self.grid[axis])[:, None] * self.stride[axis] + self.shift[axis]
            along = along + np.arange(self.sides[axis])
            shape = [1] * (2 * dims)
            shape[axis], shape[dims + axis] = along.shape
            along = along.reshape(shape)
            number = number * self.frame[axis] + along
            inside = inside & (along >= 0) & (along < self.frame[axis])
        found = np.where(inside, number, math.prod(self.frame[:-1]))
        return found.reshape(math.prod(self.grid), -1).astype(np.int32)

    @cached_property
    def inside(self) -> bool:
        """Whether no window reaches outside."""
        return bool((self.places < math.prod(self.frame[:-1])).all())

    def patches(self, values: Tensor) -> Tensor:
        """Cut the windows out of a node's values ``(batch, *shape)``: ``(batch, windows, size)``.

        Outside, values are zero.
        """
        batch = tf.shape(values)[0]
        flat = tf.reshape(values, [batch, math.prod(self.frame[:-1]), self.channels])
        if not self.inside:
            flat = tf.pad(flat, [[0, 0], [0, 1], [0, 0]])
        cut = tf.gather(flat, tf.constant(self.places), axis=1)
        cut = tf.reshape(cut, [batch, len(self.places), self.size])
        cut.set_shape([values.shape[0], len(self.places), self.size])
        return cut


@final
@dataclass(frozen=True)
class Windows:
    """Rows at a node that are zero outside a window.

    Attributes
    ----------
    view : where windows lie
    places : ``(batch or 1, n)``: which window each row has
    values : ``(batch or 1, spec, size)``; ``spec`` is n, or twice as many once rows of the other
        sign are stacked below
    """

    view: View
    places: Tensor
    values: Tensor

    def at(self, values: Tensor, view: View | None = None) -> Windows:
        """Return other rows with the same windows, or windows of the same neurons elsewhere."""
        return Windows(view or self.view, self.places, values)

    def own(self, patches: Tensor) -> Tensor:
        """Return the patch of every row, ``(batch or 1, n, size)``."""
        return own_patches(patches, self.places)

    def paired(self) -> Tensor:
        """Return the values as ``(batch or 1, 1 or 2, n, size)``: both signs of a row apart."""
        shape = tf.shape(self.places)
        return tf.reshape(self.values, [shape[0], -1, shape[1], self.view.size])

    def stacked(self, paired: Tensor) -> Windows:
        """Undo :meth:`paired`."""
        shape = tf.shape(paired)
        return self.at(tf.reshape(paired, [shape[0], shape[1] * shape[2], self.view.size]))

    def times(self, patches: Tensor) -> Windows:
        """Multiply every entry by what the windows have in its place."""
        return self.stacked(self.paired() * self.own(patches)[:, None])

    def summed(self, paired: Tensor) -> Tensor:
        """Sum what belongs to each row, as :meth:`paired`: ``(batch, spec, 1)``."""
        total = tf.reduce_sum(paired, axis=3)
        return tf.reshape(total, [tf.shape(total)[0], tf.shape(self.values)[1], 1])

    def both_signs(self) -> Windows:
        """Stack the negated rows below."""
        return self.at(tf.concat([self.values, -self.values], axis=1))

    def widened(self, view: View) -> Windows:
        """Return the same rows with larger windows."""
        if view == self.view:
            return self
        before = [a - b for a, b in zip(self.view.shift, view.shift, strict=True)]
        pads = [
            [left, whole - left - side]
            for left, side, whole in zip(before, self.view.sides, view.sides, strict=True)
        ]
        shape = tf.shape(self.values)
        values = tf.reshape(self.values, [-1, *self.view.sides, self.view.channels])
        values = tf.pad(values, [[0, 0], *pads, [0, 0]])
        return self.at(tf.reshape(values, [shape[0], shape[1], view.size]), view)

    def __add__(self, other: Windows) -> Windows:
        """Add rows with the same windows."""
        return self.at(self.values + other.values)

    def dense(self, shape: Shape) -> Tensor:
        """Return whole rows, ``(batch or 1, spec, *shape)``."""
        view, channels = self.view, self.view.channels
        area, places = view.size // channels, math.prod(view.frame[:-1])
        batch, spec = tf.shape(self.values)[0], tf.shape(self.values)[1]
        targets = tf.gather(tf.constant(view.places), self.places)  # (batch, n, area)
        targets = tf.tile(targets, [1, spec // tf.shape(self.places)[1], 1])
        rows = tf.range(batch * spec)[:, None] * (places + 1)
        targets = rows + tf.reshape(targets, [batch * spec, area])
        whole = tf.scatter_nd(
            tf.reshape(targets, [-1, 1]),
            tf.reshape(self.values, [-1, channels]),
            tf.stack([batch * spec * (places + 1), channels]),
        )
        whole = tf.reshape(whole, [batch * spec, places + 1, channels])[:, :places]
        whole = tf.reshape(whole, tf.stack([batch, spec, *shape]))
        whole.set_shape([self.values.shape[0], None, *shape])
        return whole

    def rise(self, width: Tensor) -> Tensor:
        """Say how much larger rows get than at the lower corner of a box, given its widths."""
        risen = self.summed(tf.nn.relu(self.paired()) * self.own(width)[:, None])
        return tf.squeeze(risen, axis=2)


def own_patches(patches: Tensor, places: Tensor) -> Tensor:
    """Pick from the patches of all windows, ``(batch or 1, windows, size)``."""
    if patches.shape[0] == 1:
        return tf.gather(patches[0], places)
    return tf.gather(patches, places, axis=1, batch_dims=1)
