"""Balls as flat tensors: what a box leaves of them, and moves within."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from decomon._backend import Shape, Tensor, tf
from decomon._tensors import flatten
from decomon.domains._budget import linear, loose, quadratic
from decomon.rounding import units

_MOST_STEPS = 120


def power(values: Tensor, p: float) -> Tensor:
    """Return nonnegative values to the power of 1 or 2."""
    return tf.square(values) if p == 2 else values


@final
@dataclass(frozen=True)
class FlatBall:
    """A ball as flat tensors ``(batch, n)``, and what of it its box leaves.

    Attributes
    ----------
    p : 1 or 2
    x, eps, low, high : the parameters
    nearest : the point of the box that is nearest to the centre, in any norm
    forced : how many radii it is away, along each coordinate
    budget : ``(batch, 1)``: how much of ``sum_i (|x'_i - x_i| / eps_i)^p <= 1`` is left there
    input_shape : the shape of one sample
    """

    p: float
    x: Tensor
    eps: Tensor
    low: Tensor
    high: Tensor
    nearest: Tensor
    forced: Tensor
    budget: Tensor
    input_shape: Shape

    @classmethod
    def of(cls, p: float, tensors: tuple[Tensor, ...]) -> FlatBall:
        x, eps, low, high = (flatten(tf.convert_to_tensor(v)) for v in tensors)
        unit, _ = units(x)
        nearest = tf.clip_by_value(x, low, high)
        forced = tf.minimum(tf.abs(nearest - x) / tf.where(eps > 0, eps, 1), 1)
        forced = tf.where(eps > 0, forced, 0)
        # Zeros add no rounding error: each of the k others adds one, and has at most five.
        count = tf.math.count_nonzero(forced, axis=1, keepdims=True, dtype=x.dtype)
        total = tf.reduce_sum(power(forced, p), axis=1, keepdims=True)
        budget = 1 - total * (1 - (count + 6) * unit)
        budget = tf.maximum(budget, unit)
        return cls(p, x, eps, low, high, nearest, forced, budget, tuple(tensors[0].shape[1:]))

    @property
    def unit(self) -> Tensor:
        """The radii, 1 for features that are constant."""
        return tf.where(self.eps > 0, self.eps, 1)

    def moves(self, weights: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Maximise ``weights . x'``, starting from the nearest point.

        Returns
        -------
        gains : ``(batch, spec, n)``: what one radius along each coordinate gains
        room : ``(batch, spec, n)``: how many radii the box allows
        price : ``(batch, spec, 1)``: the multiplier of the budget
        amounts : ``(batch, spec, n)``: how many radii to move
        """
        up, down = (
            tf.where(self.eps > 0, tf.minimum(side / self.unit, 1), 0)[:, None]
            for side in (self.high - self.nearest, self.nearest - self.low)
        )
        gains = tf.abs(weights) * self.eps[:, None]
        room = tf.where(gains > 0, tf.where(weights > 0, up, down), 0)
        budget = self.budget[:, :, None]
        if self.p == 1:
            return gains, room, *linear(gains, room, budget)
        return gains, room, *quadratic(gains, room, self.forced[:, None], budget)

    def shrink(self, points: Tensor) -> Tensor:
        """Return the nearest points of the set for ``(batch, count, n)`` ones outside of it."""
        unit, tiny = units(self.x)
        x, eps, scale = self.x[:, None], self.eps[:, None], self.unit[:, None]
        low, high = self.low[:, None], self.high[:, None]
        largest = tf.maximum(tf.reduce_max(eps, axis=2, keepdims=True), tiny)
        relative = eps / largest
        moves = points - x

        def shrunk(multiplier: Tensor) -> Tensor:
            if self.p == 1:
                threshold = tf.math.divide_no_nan(multiplier, relative)
                kept = tf.sign(moves) * tf.nn.relu(tf.abs(moves) - threshold)
            else:
                square = tf.square(relative)
                kept = moves * tf.math.divide_no_nan(square, square + multiplier)
            return tf.clip_by_value(x + tf.where(eps > 0, kept, 0), low, high)

        def excess(multiplier: Tensor) -> Tensor:
            """Return what is positive outside of the ball, and nearly linear."""
            length = tf.abs(shrunk(multiplier) - x) / scale
            level = tf.reduce_sum(power(length, self.p), axis=2, keepdims=True)
            level = tf.maximum(level, tiny)
            return tf.math.log(level) if self.p == 1 else 1 - tf.math.rsqrt(level)

        size = tf.abs(moves) * relative
        if self.p == 1:
            most = tf.reduce_max(size, axis=2, keepdims=True)
        else:
            norm = tf.norm(size / largest, axis=2, keepdims=True)
            most = norm / tf.sqrt(self.budget[:, :, None])
        least = tf.zeros_like(most)

        def unfinished(step: Tensor, *state: Tensor) -> Tensor:
            return (step < _MOST_STEPS) & ~tf.reduce_all(state[-1])

        def advance(
            step: Tensor,
            low_end: Tensor,
            low_value: Tensor,
            high_end: Tensor,
            high_value: Tensor,
            above: Tensor,
            done: Tensor,
        ) -> tuple[Tensor, ...]:
            middle = 0.5 * low_end + 0.5 * high_end
            share = tf.math.divide_no_nan(low_value, low_value - high_value)
            secant = low_end + share * (high_end - low_end)
            usable = (secant > low_end) & (secant < high_end) & (step % 3 < 2)
            at = tf.where(usable, secant, middle)
            value = excess(at)
            over = value > 0
            # An end that stays twice counts half, so that neither end stays for long.
            low_value = tf.where(over, value, tf.where(above, low_value, 0.5 * low_value))
            high_value = tf.where(over, tf.where(above, 0.5 * high_value, high_value), value)
            close = tf.abs(value) <= 16 * unit
            low_end = tf.where(over & ~done, at, low_end)
            high_end = tf.where(~done & (close | ~over), at, high_end)
            close |= high_end - low_end <= 4 * unit * high_end
            return step + 1, low_end, low_value, high_end, high_value, over, done | close

        first = excess(least)
        within = first <= 0
        highest = tf.where(within, least, most)
        state = (tf.constant(0), least, first, highest, excess(highest), within, within)
        shapes = (tf.TensorShape([]), *[loose(most)] * 6)
        found = tf.while_loop(unfinished, advance, state, shape_invariants=shapes)
        return shrunk(found[3])

    def shape(self, values: Tensor) -> Tensor:
        """``(batch, n)`` to ``(batch, *input shape)``."""
        return tf.reshape(values, [-1, *self.input_shape])

    def shape_rows(self, values: Tensor) -> Tensor:
        """``(batch, count, n)`` to ``(batch, count, *input shape)``."""
        return tf.reshape(values, [*tf.unstack(tf.shape(values)[:2]), *self.input_shape])
