"""Rules for the lower slope of an unstable neuron, before any optimisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from decomon._backend import Tensor, tf
from decomon.bounds import Interval
from decomon.ops._base import SlopeRule


@final
@dataclass(frozen=True)
class VolumeSlope(SlopeRule):
    """The slope that leaves the smaller area between both lines (Zhang et al. 2018, CROWN-Ada)."""

    def choose(self, interval: Interval, left: float, right: float) -> Tensor:
        ones = tf.ones_like(interval.lower)
        return tf.where(interval.upper >= -interval.lower, right * ones, left * ones)


@final
@dataclass(frozen=True)
class SameSlope(SlopeRule):
    """The slope of the chord, so that both lines are parallel (Weng et al. 2018, Fast-Lin)."""

    def choose(self, interval: Interval, left: float, right: float) -> Tensor:
        width = interval.upper - interval.lower
        slope = tf.math.divide_no_nan(right * interval.upper - left * interval.lower, width)
        return tf.clip_by_value(slope, left, right)


@final
@dataclass(frozen=True)
class LeftSlope(SlopeRule):
    """The slope of the left piece: zero for ReLU."""

    def choose(self, interval: Interval, left: float, right: float) -> Tensor:
        return left * tf.ones_like(interval.lower)


@final
@dataclass(frozen=True)
class RightSlope(SlopeRule):
    """The slope of the right piece: one for ReLU."""

    def choose(self, interval: Interval, left: float, right: float) -> Tensor:
        return right * tf.ones_like(interval.lower)
