"""How to spend one budget on many coordinates, for the largest gain.

Both problems are ``max sum_i gain_i v_i`` over ``0 <= v_i <= room_i`` with ``cost(v) <= budget``.
They are solved through the price of the budget, a single number per row: nothing is sorted, and
an iteration takes a few passes over the gains.  Every price gives a bound (weak duality), so the
iterations decide how tight a result is, never whether it is right.
"""

from __future__ import annotations

from typing import Any

from decomon._backend import Tensor, tf
from decomon.rounding import units

_MOST_STEPS = 64


def linear(gains: Tensor, room: Tensor, budget: Tensor) -> tuple[Tensor, Tensor]:
    """Solve the fractional knapsack, ``cost(v) = sum_i v_i``.

    Parameters
    ----------
    gains, room : ``(batch, spec, n)``, nonnegative
    budget : ``(batch, 1, 1)``, positive

    Returns
    -------
    price : ``(batch, spec, 1)``
    amounts : ``(batch, spec, n)``, differentiable with respect to ``room``

    Notes
    -----
    The optimum fills all coordinates that gain more than the price, none that gain less.  The price
    is searched like a median by partitioning (Hoare 1961): two prices enclose it, and the next one
    is the mean, weighted with their room, of the gains in between, which is where the tangents
    of the dual function at both prices meet.  Each step excludes at least one coordinate,
    usually about half of them; it is done if all gains in between are equal.
    """
    unit, _ = units(gains)
    held, space, limit = map(tf.stop_gradient, (gains, room, budget))

    def taken(price: Tensor) -> tuple[Tensor, Tensor]:
        filled = tf.where(held > price, space, 0)
        return _sum(filled), _sum(filled * held)

    largest = tf.reduce_max(held, axis=2, keepdims=True)
    # One coordinate is enough in a ball that no box cuts, and all of them fit in a large one.
    below = tf.math.nextafter(largest, tf.zeros_like(largest))
    first, first_gain = taken(below)
    total, total_gain = taken(tf.zeros_like(largest))
    one, whole = first >= limit, total <= limit
    nothing = tf.zeros_like(largest)
    low = tf.where(one, below, nothing)
    high = tf.where(whole, nothing, largest)
    state = (
        tf.constant(0),
        high,
        low,
        tf.where(one, first, total),
        tf.where(one, first_gain, total_gain),
        high,
        nothing,
        nothing,
        one | whole,
    )

    def unfinished(step: Tensor, *rest: Tensor) -> Tensor:
        return (step < _MOST_STEPS) & ~tf.reduce_all(rest[-1])

    def advance(
        step: Tensor,
        price: Tensor,
        low: Tensor,
        most: Tensor,
        most_gain: Tensor,
        high: Tensor,
        least: Tensor,
        least_gain: Tensor,
        done: Tensor,
    ) -> tuple[Tensor, ...]:
        mean = tf.math.divide_no_nan(most_gain - least_gain, most - least)
        price = tf.where(done, price, tf.clip_by_value(mean, low, high))
        used, gain = taken(price)
        # What the dual function exceeds its two tangents by, which is how far it can still fall.
        gap = (gain - least_gain) - (used - least) * price
        solved = gap <= 2 * unit * (gain + tf.maximum(limit - used, 0) * price)
        over = used > limit
        stuck = tf.where(over, price <= low, price >= high)
        down, up = ~done & over, ~done & ~over
        return (
            step + 1,
            price,
            tf.where(down, price, low),
            tf.where(down, used, most),
            tf.where(down, gain, most_gain),
            tf.where(up, price, high),
            tf.where(up, used, least),
            tf.where(up, gain, least_gain),
            done | solved | stuck,
        )

    shapes = (tf.TensorShape([]), *[loose(nothing)] * 8)
    _, price, low, most, _, high, least, _, _ = tf.while_loop(
        unfinished, advance, state, shape_invariants=shapes
    )
    share = tf.clip_by_value(tf.math.divide_no_nan(limit - least, most - least), 0, 1)
    part = tf.where(held > high, tf.ones_like(share), tf.where(held > low, share, 0))
    return tf.stop_gradient(price), tf.stop_gradient(part) * room


def quadratic(gains: Tensor, room: Tensor, forced: Tensor, budget: Tensor) -> tuple[Tensor, Tensor]:
    """Solve the problem with ``cost(v) = sum_i (forced_i + v_i)^2 - forced_i^2``.

    Parameters
    ----------
    gains, room : ``(batch, spec, n)``, nonnegative
    forced : ``(batch, 1, n)``, nonnegative
    budget : ``(batch, 1, 1)``, positive

    Returns
    -------
    price : ``(batch, spec, 1)``
    amounts : ``(batch, spec, n)``, differentiable with respect to ``room`` and ``forced``

    Notes
    -----
    By the conditions of Karush, Kuhn and Tucker, ``v_i = clip(gain_i t - forced_i, 0, room_i)``
    with ``t = 1 / (2 price)``.  The cost is piecewise linear in ``t^2``; Newton's method finds the
    root in finitely many steps where the cost is concave, that is, where nothing is forced, as
    every step fixes at least one more coordinate at its room.  Elsewhere a bracket safeguards
    it.  It stops where the cost differs from the budget by rounding errors, and as the dual
    function is convex with that difference as slope, its excess is no larger.
    """
    unit, tiny = units(gains)
    held, space, used, limit = map(tf.stop_gradient, (gains, room, forced, budget))
    largest = tf.reduce_max(held, axis=2, keepdims=True)
    # Squares of scaled gains neither overflow nor vanish, unless they do not matter.
    scaled = held / tf.where(largest > 0, largest, tf.ones_like(largest))
    fits = _sum(space * (2 * used + space)) <= limit
    highest = tf.fill(tf.shape(largest), tf.constant(0.01 / tiny, largest.dtype))
    start = limit / tf.maximum(_sum(tf.square(scaled)), 1)  # costs no more than the budget

    def unfinished(step: Tensor, *rest: Tensor) -> Tensor:
        return (step < _MOST_STEPS) & ~tf.reduce_all(rest[-1])

    def advance(
        step: Tensor, square: Tensor, low: Tensor, high: Tensor, done: Tensor
    ) -> tuple[Tensor, ...]:
        wish = scaled * tf.sqrt(square) - used
        spent = tf.nn.relu(tf.minimum(wish, space))
        short = limit - _sum(spent * (2 * used + spent))
        slope = _sum(tf.where((wish > 0) & (wish < space), tf.square(scaled), 0))
        low = tf.where(short >= 0, square, low)
        high = tf.where(short >= 0, high, square)
        newton = square + tf.math.divide_no_nan(short, slope)
        between = tf.where(high < highest, tf.sqrt(low) * tf.sqrt(high), 16 * low)
        inside = (slope > 0) & (newton >= low) & (newton <= high)
        solved = (tf.abs(short) <= 8 * unit * limit) | (high <= low * (1 + 4 * unit))
        solved |= inside & (tf.abs(newton - square) <= 2 * unit * square)
        following = tf.minimum(tf.where(inside, newton, between), highest)
        done |= solved
        return step + 1, tf.where(done, square, following), low, high, done

    state = (tf.constant(0), start, start, highest, fits | (largest <= 0))
    shapes = (tf.TensorShape([]), *[loose(start)] * 4)
    square = tf.while_loop(unfinished, advance, state, shape_invariants=shapes)[1]
    price = tf.where(fits, tf.zeros_like(largest), 0.5 * largest / tf.sqrt(square))
    wish = tf.where(fits, tf.constant(float("inf"), scaled.dtype), scaled * tf.sqrt(square))
    return price, tf.nn.relu(tf.minimum(tf.stop_gradient(wish) - forced, room))


def _sum(values: Tensor) -> Tensor:
    return tf.reduce_sum(values, axis=2, keepdims=True)


def loose(values: Tensor) -> Any:
    """Return a shape of rows that is free in the batch and the number of rows, for loops."""
    return tf.TensorShape([None, None, values.shape[2]])
