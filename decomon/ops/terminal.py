"""Activations that are stripped from the end of a classifier.

Both keep the order of the logits, so margins between logits decide the same labels; bounds are
then on the logits, and :attr:`decomon.graph.Graph.stripped` says so.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import final

from decomon._backend import Tensor, tf
from decomon.bounds import Interval
from decomon.ops._base import Op


class Terminal(Op):
    """An increasing map from logits to scores."""

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """What users call it."""


@final
@dataclass(frozen=True)
class Softmax(Terminal):
    """Softmax along the last axis."""

    @property
    def name(self) -> str:
        return "softmax"

    def __call__(self, *inputs: Tensor) -> Tensor:
        return tf.nn.softmax(inputs[0])

    def interval(self, *inputs: Interval) -> Interval:
        """Return the trivial interval: probabilities lie in [0, 1]."""
        (z,) = inputs
        return Interval(tf.zeros_like(z.lower), tf.ones_like(z.upper))


@final
@dataclass(frozen=True)
class Sigmoid(Terminal):
    """The logistic function, elementwise."""

    @property
    def name(self) -> str:
        return "sigmoid"

    def __call__(self, *inputs: Tensor) -> Tensor:
        return tf.math.sigmoid(inputs[0])

    def interval(self, *inputs: Interval) -> Interval:
        """Return the image of the ends: the function is increasing."""
        (z,) = inputs
        return Interval(self(z.lower), self(z.upper))
