"""How far a benchmark is. Knows nothing of what it measures."""

from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


class MeasurementProgress:
    """A bar on a terminal, and elsewhere a line for each measurement."""

    def __init__(self, console: Console, total: int) -> None:
        self._console = console
        self._bar = Progress(
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.description}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("starting", total=total)
        self._done, self._total = 0, total

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def note(self, text: str) -> None:
        """Take in that one more measurement is over."""
        self._done += 1
        self._bar.update(self._task, advance=1, description=text)
        if not self._console.is_terminal:
            self._console.print(f"{self._done}/{self._total} {text}", highlight=False, soft_wrap=True)
