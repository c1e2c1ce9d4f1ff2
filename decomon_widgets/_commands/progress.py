"""How far a long run has come, on standard error."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Final, Self

# rich comes with Keras, which draws its own tables with it.
import rich.progress
from rich.console import Console

# Seconds: a run that is over sooner needs no bar.
_QUIET_START: Final = 1.0


class Progress:
    """A bar on a terminal, its last state in a log file; nothing for a short run.

    Parameters
    ----------
    total : int
        Number of samples.
    """

    def __init__(self, total: int) -> None:
        self._total = total
        self._start = time.monotonic()
        self._shown = False
        console = Console(stderr=True)
        self._bar = rich.progress.Progress(
            rich.progress.BarColumn(),
            rich.progress.MofNCompleteColumn(),
            rich.progress.TextColumn("samples"),
            rich.progress.TimeElapsedColumn(),
            rich.progress.TextColumn("left:"),
            rich.progress.TimeRemainingColumn(),
            console=console,
            transient=console.is_terminal,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._bar.add_task("certify", total=total)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._shown:
            self._bar.stop()

    def update(self, done: int) -> None:
        """Show that `done` samples are finished."""
        self._bar.update(self._task, completed=done)
        late = time.monotonic() - self._start >= _QUIET_START
        if late and not self._shown and done < self._total:
            self._bar.start()
            self._shown = True
