"""Says how many of the requests that wait for a node travel together.

Knows nothing of how they travel.
"""

from collections import deque

from .messages import Request, Requests, Run

MAX_CALLS = 64
MAX_BYTES = 1 << 20


def take_batch(waiting: deque[tuple[int, Request | None]]) -> Requests:
    """Remove and return the oldest requests: at most 64, and 1 MiB of code and input, but always one."""
    batch = [waiting.popleft()]
    size = _size(batch[0][1])
    while waiting and len(batch) < MAX_CALLS:
        size += _size(waiting[0][1])
        if size > MAX_BYTES:
            break
        batch.append(waiting.popleft())
    return batch


def _size(request: Request | None) -> int:
    return len(request.snippet.code) + len(request.snippet.stdin) if isinstance(request, Run) else 0
