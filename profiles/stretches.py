"""Joins what is contiguous and has one cause, engine by engine, and tells of it once it is over."""

from collections.abc import Callable, Iterable

from .cause import Cause

OnInterval = Callable[[str, Cause, int, int], None]


class Stretches:
    """Takes changes of cause in order; ``tell`` gets each stretch's engine, cause, start and end."""

    def __init__(self, engines: Iterable[str], start: int, tell: OnInterval) -> None:
        self._open: dict[str, tuple[Cause, int]] = {}
        self._ended: dict[str, tuple[Cause, int, int]] = {}
        self._tell = tell
        for engine in engines:
            self._open[engine] = (Cause.NO_WORK, start)

    def join(self, engine: str, start: int) -> None:
        """An engine that was down from the start is there."""
        self._open[engine] = (Cause.DOWN, start)

    def note(self, engine: str, cause: Cause, now: int) -> None:
        """From ``now`` on the engine has this cause."""
        before, since = self._open[engine]
        if before is cause:
            return
        if now > since:
            self._end(engine, before, since, now)
        self._open[engine] = (cause, now)

    def close(self, now: int) -> None:
        """End every stretch."""
        for engine, (cause, since) in self._open.items():
            if now > since:
                self._end(engine, cause, since, now)
            if last := self._ended.pop(engine, None):
                self._tell(engine, *last)
            self._open[engine] = (cause, now)

    def _end(self, engine: str, cause: Cause, start: int, end: int) -> None:
        last = self._ended.get(engine)
        if last is not None and last[0] is cause:
            start = last[1]
        elif last is not None:
            self._tell(engine, *last)
        self._ended[engine] = (cause, start, end)
