"""Widgets that compute beside the kernel."""

from typing import Any

from ._base import FigureWidget
from .runner import Runner

__all__ = ["ComputingWidget"]


class ComputingWidget(FigureWidget):
    """A widget with a worker of its own, which stops with it. Abstract."""

    _runner: Runner[Any, Any] | None = None

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until everything asked for is computed and shown.

        Parameters
        ----------
        timeout
            At most this many seconds, None for no limit.

        Returns
        -------
        bool
            False if the time is over, or if called from an observer while publishing.
        """
        return self._runner is None or self._runner.wait(timeout)

    def close(self) -> None:
        """Stop computing and remove the views."""
        if self._runner is not None:
            self._runner.close()
        super().close()
