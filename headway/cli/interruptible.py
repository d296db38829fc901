"""Ends a command that computes, in this process or in others, by Ctrl-C and SIGTERM.

Knows nothing of event loops: a command that runs on one is ended by ``run_async``.
"""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

from .runtime import Interrupted


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Turn Ctrl-C and SIGTERM into ``Interrupted``."""

    def stop(signum: int, frame: FrameType | None) -> None:
        raise Interrupted(signum)

    before = {signum: signal.signal(signum, stop) for signum in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
