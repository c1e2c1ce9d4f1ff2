"""Functions of one variable with bounds that are computed live on an interval."""

import math
import threading
from abc import abstractmethod
from typing import Any, Literal

import numpy as np
import traitlets

from ._computing import ComputingWidget
from ._curve_jobs import CurveDesk, CurveOutcome, CurveRequest
from ._one_input import Pieces
from .arrays import ArrayTrait
from .runner import Runner

__all__ = ["IntervalTrait", "LiveCurve", "check_executor", "widened"]


class IntervalTrait(traitlets.TraitType[Any, Any]):
    """Two finite numbers ``(low, high)`` with ``low < high``; any pair of them may be assigned."""

    info_text = "a pair (low, high) of numbers"

    def __init__(self, default: tuple[float, float]) -> None:
        super().__init__(default)
        self.tag(sync=True)

    def validate(self, obj: Any, value: object) -> tuple[float, float]:
        """Turn the value into a tuple of Python floats."""
        try:
            pair = np.asarray(value)
        except ValueError:  # rows of different lengths
            pair = np.empty(0)
        if pair.shape == (2,) and pair.dtype.kind in "iuf":
            low, high = float(pair[0]), float(pair[1])
            if math.isfinite(low) and math.isfinite(high) and low < high:
                return low, high
        raise traitlets.TraitError(
            f"{self.name} must be two finite numbers (low, high) with low < high. "
            f"Received: {self.name}={value!r}"
        )


class LiveCurve(ComputingWidget):
    """A function of one variable and certified bounds of it, recomputed when something changes.

    A change never blocks the kernel: a thread computes, and only the newest request waits. The
    arrays of the bounds and of the function change all at once; they belong to the ends of
    `_edges`, which differ from `interval` while a result is on its way.

    Parameters
    ----------
    interval, x_range
        See the subclasses.
    desk
        What computes.
    executor
        "thread" computes beside the kernel, "sync" inside of each assignment.
    **kwargs
        The arguments of every Jupyter widget, and values of the traits of the subclass.
    """

    interval = IntervalTrait((-1.0, 1.0))
    x_range = IntervalTrait((-2.0, 2.0))
    name = traitlets.Unicode("", read_only=True).tag(sync=True)
    busy = traitlets.Bool(False, read_only=True).tag(sync=True)
    error = traitlets.Unicode("", read_only=True).tag(sync=True)
    elapsed = traitlets.Float(0.0, read_only=True).tag(sync=True)

    _traceback = traitlets.Unicode("").tag(sync=True)
    _x = ArrayTrait(np.float64)
    _y = ArrayTrait(np.float64)
    _edges = ArrayTrait(np.float64)
    _lower = ArrayTrait(np.float64)
    _upper = ArrayTrait(np.float64)
    _lower_slope = ArrayTrait(np.float64)
    _lower_offset = ArrayTrait(np.float64)
    _upper_slope = ArrayTrait(np.float64)
    _upper_offset = ArrayTrait(np.float64)

    def __init__(
        self,
        interval: Any,
        x_range: Any,
        desk: CurveDesk,
        executor: Literal["thread", "sync"],
        **kwargs: Any,
    ) -> None:
        check_executor(executor)
        self._newest = 0
        # Messages of the front end may arrive in another thread than cells run in.
        self._lock = threading.RLock()
        with self.hold_trait_notifications():
            self.interval = interval
            self.x_range = widened(self.interval) if x_range is None else x_range
        super().__init__(**kwargs)
        self._runner = Runner(self._publish, self._lock, desk, inline=executor == "sync")
        self.observe(self._on_change, ["interval", "x_range", *self._asked_about()])
        self.refresh()

    @abstractmethod
    def _asked_about(self) -> tuple[str, ...]:
        """Names of further traits that the bounds depend on."""

    @abstractmethod
    def _request(self, number: int) -> CurveRequest:
        """Ask for what the traits say."""

    def refresh(self) -> None:
        """Compute again, for example after the model was trained."""
        with self._lock:
            if self._runner is None or self._runner.closed:
                return
            self._newest += 1
            self.set_trait("busy", True)
            self._runner.submit(self._request(self._newest))

    def records(self) -> list[dict[str, Any]]:
        """Bounds on each interval, for tables: ``pandas.DataFrame(widget.records())``.

        Returns
        -------
        list of dict
            With ``low, high`` (the interval), ``lower, upper`` (numbers that the function stays
            between) and ``lower_slope, lower_offset, upper_slope, upper_offset`` (lines that it
            stays between; None if the method computes none).
        """
        return self._pieces().records()

    @traitlets.validate("interval", "x_range")
    def _check_inside(self, proposal: Any) -> tuple[float, float]:
        changed = proposal["trait"].name
        interval, x_range = (
            proposal["value"] if name == changed else getattr(self, name)
            for name in ("interval", "x_range")
        )
        if not x_range[0] <= interval[0] < interval[1] <= x_range[1]:
            raise traitlets.TraitError(
                "interval must lie inside x_range, which is what is drawn; assign a wider x_range "
                f"first. Received: interval={interval}, x_range={x_range}"
            )
        return proposal["value"]

    def _on_change(self, _change: Any) -> None:
        self.refresh()

    def _handle_msg(self, msg: dict[str, Any]) -> None:
        with self._lock:
            super()._handle_msg(msg)

    def _pieces(self) -> Pieces:
        return Pieces(
            self._edges,
            self._lower,
            self._upper,
            self._lower_slope,
            self._lower_offset,
            self._upper_slope,
            self._upper_offset,
        )

    def _publish(self, outcome: CurveOutcome) -> None:
        if self.comm is None:
            return
        pieces = outcome.pieces
        # While somebody drags, each result is shown, though a newer one is on its way.
        values: dict[str, Any] = {
            "busy": outcome.request.number != self._newest,
            "name": outcome.request.function,
            "error": outcome.error,
            "elapsed": outcome.elapsed,
            "_traceback": outcome.traceback,
            "_x": outcome.x,
            "_y": outcome.y,
            **{f"_{field}": values for field, values in vars(pieces).items()},
        }
        with self.hold_sync(), self.hold_trait_notifications():
            for name, value in values.items():
                self.set_trait(name, value)


def check_executor(executor: object) -> None:
    """Refuse what is neither "thread" nor "sync"; raises ValueError."""
    if executor not in ("thread", "sync"):
        raise ValueError(f"executor must be 'thread' or 'sync'. Received: executor={executor!r}")


def widened(interval: tuple[float, float]) -> tuple[float, float]:
    """Return the interval with half of its width more at both ends."""
    low, high = interval
    more = 0.5 * (high - low)
    return low - more, high + more
