"""One model on several ranks: rank 0 leads, where the loop is; the others follow, and do what it does.

Invariants: every rank makes the same calls in the same order; an error that all ranks raise alike ends the
call alone, one that a rank has for itself ends them all, with its message; a rank that has died is an error
of the others. A follower waits for the next call as long as rank 0 lives. Knows nothing of the loop.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple, TypeVar

from headway.errors import HeadwayError

from .policy import Policy
from .ranks import LIMIT, Ranks
from .relay import Call, RelayedPolicy

T = TypeVar("T")
_PATIENCE_S = 30.0  # how long rank 0, whose call has failed, waits to hear whether another's had first
_LAST_WORD_S = 5.0  # and a follower for rank 0's last word; rank 0 may be waiting for it to end


class _Done(NamedTuple):
    """A follower's word on a call: what went wrong, if anything, and whether it still follows."""

    fault: str | None = None
    follows: bool = True


class _End(NamedTuple):
    """Rank 0's last word: why all is over, None where its work is done."""

    reason: str | None


@contextmanager
def lead(build: Callable[[], Policy], lines: Sequence[Connection], ranks: Ranks) -> Iterator[Policy]:
    """On rank 0: build the model with the others, and yield what makes every call on all of them.

    ``lines`` lead to the others, in order; they end as the body does. Raises ``HeadwayError`` where a rank
    fails for itself.
    """
    leader = _Leader(lines, ranks)
    try:
        leader.model = leader.run(build)
        yield RelayedPolicy(leader.everywhere)
    except BaseException as error:
        leader.end(_reason(error))
        raise
    leader.end(None)


def follow(build: Callable[[], Policy], line: Connection) -> None:
    """On any other rank: do what rank 0 does, until it has ended.

    Raises ``HeadwayError`` where rank 0 ended with an error or without a word.
    """
    model = _do(build, line)
    while isinstance(word := _hear(line), Call) and model is not None:
        _do(partial(word.on, model), line)
    _heed(word)


class _Leader:
    model: Policy

    def __init__(self, lines: Sequence[Connection], ranks: Ranks) -> None:
        self._lines = lines
        self._ranks = ranks
        self._ended: str | None = None

    def everywhere(self, call: Call) -> Any:
        """Make a call on every rank."""
        if self._ended is not None:
            raise HeadwayError(self._ended)
        for line in self._lines:
            _tell(line, call)
        return self.run(lambda: call.on(self.model))

    def run(self, action: Callable[[], Any]) -> Any:
        """Do what the followers do, too, and hear how they got on."""
        try:
            self._ranks.use_device()
            result = action()
        except Exception as error:
            alike = isinstance(error, HeadwayError)
            fault = self._fault(_PATIENCE_S, alike=alike)
            if fault is not None:
                fault = f"{fault}; rank 0: {error!r}"
                self.end(fault)
                raise HeadwayError(fault) from error
            if not alike:
                self.end(f"rank 0: {error!r}")
            raise
        if (fault := self._fault(LIMIT.total_seconds())) is not None:
            self.end(fault)
            raise HeadwayError(fault)
        return result

    def end(self, reason: str | None) -> None:
        """Tell the followers that all is over; safe to call again."""
        if self._ended is None:
            self._ended = reason or "the ranks have parted"
            for line in self._lines:
                with suppress(OSError):
                    line.send(_End(reason))
                line.close()

    def _fault(self, limit_s: float, *, alike: bool = False) -> str | None:
        """What a follower has for itself; ``alike``: not what it may have in common with this rank."""
        waiting = {line: rank for rank, line in enumerate(self._lines, 1)}
        while waiting:
            ready = wait(list(waiting), timeout=limit_s)
            if not ready:
                return f"rank {min(waiting.values())} has not answered for {limit_s:g} s"
            for line in ready:
                assert isinstance(line, Connection)
                rank, done = waiting.pop(line), _hear(line)
                if not isinstance(done, _Done):
                    return f"rank {rank} has ended without a word; see what it printed"
                if done.fault is not None and not (alike and done.follows):
                    return f"rank {rank}: {done.fault}"
        return None


def _reason(error: BaseException) -> str:
    """Why rank 0 ended, for the others; of several errors, one that is explained."""
    if isinstance(error, BaseExceptionGroup):
        return _reason((error.subgroup(HeadwayError) or error).exceptions[0])
    if isinstance(error, HeadwayError):
        return str(error)
    return f"rank 0: {error!r}" if isinstance(error, Exception) else "rank 0 was stopped"


def _do(action: Callable[[], T], line: Connection) -> T | None:
    """Do as rank 0 does and tell it how it went; raise what ends this rank."""
    try:
        result = action()
    except Exception as error:
        follows = isinstance(error, HeadwayError)
        _tell(line, _Done(str(error) if follows else repr(error), follows))
        if follows:
            return None
        if line.poll(_LAST_WORD_S):
            _heed(_hear(line), error)
        raise
    _tell(line, _Done())
    return result


def _heed(word: Call | _Done | _End | None, cause: Exception | None = None) -> None:
    """Raise ``HeadwayError`` where rank 0 has ended and its work was not done."""
    if word is None:
        raise HeadwayError("rank 0 is gone without a word; see what it printed") from cause
    if isinstance(word, _End) and word.reason is not None:
        raise HeadwayError(word.reason) from cause


def _tell(line: Connection, word: Call | _Done) -> None:
    with suppress(OSError):  # who is gone is noticed by the next word, which does not come
        line.send(word)


def _hear(line: Connection) -> Call | _Done | _End | None:
    """The next word of the other side; None once it is gone."""
    try:
        word: Call | _Done | _End = line.recv()
    except (EOFError, OSError):
        return None
    return word
