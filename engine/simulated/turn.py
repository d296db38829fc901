"""One turn inside a simulated engine: how far it has come, and the tokens that it pretends to write.

Invariant: the same request gets the same tokens wherever and whenever it runs, and different requests differ
in their first block. Knows nothing of batches, blocks' owners or clocks.
"""

from collections.abc import Container
from enum import Enum
from hashlib import blake2b

from ..protocol import FinishReason, Generation, Request
from .blocks import Node

_IDS = range(1, 500)
_TELLING = 4  # ids at the start of an answer that tell it from others


class State(Enum):
    """Where a turn is."""

    WAITING = "waiting"
    PREFILLING = "prefilling"
    DECODING = "decoding"
    ENDED = "ended"


class Turn:
    """``limit`` is how many tokens it writes. ``kv`` of its tokens have KV, the first ``cached_kv`` of these
    in blocks that end with ``node``. While it decodes, ``kv`` and ``written`` are those of step ``since``."""

    __slots__ = (
        "_answer",
        "aborted",
        "arrival",
        "cached",
        "cached_kv",
        "finish",
        "first_token_s",
        "kv",
        "limit",
        "node",
        "preemptions",
        "queue_s",
        "request",
        "since",
        "spans",
        "state",
        "submitted",
        "written",
    )

    def __init__(
        self, request: Request, *, arrival: int, submitted: float, limit: int, finish: FinishReason
    ) -> None:
        self.request = request
        self.arrival = arrival
        self.submitted = submitted
        self.limit = limit
        self.finish: FinishReason = finish
        self.state = State.WAITING
        self.written = 0
        self.kv = 0
        self.cached_kv = 0
        self.node: Node | None = None
        self._answer: list[int] | None = None
        self.since = 0  # the engine's step at which it began to decode
        self.aborted = False
        self.spans: list[tuple[int, int]] = []  # weight version, tokens
        self.cached: int | None = None
        self.preemptions = 0
        self.queue_s: float | None = None
        self.first_token_s: float | None = None

    @property
    def order(self) -> tuple[int, int]:
        """Its place in every queue: priority, then arrival."""
        return self.request.priority, self.arrival

    @property
    def target(self) -> int:
        """Tokens that need KV before it can write its next one."""
        return len(self.request.prompt) + self.written

    def tokens(self) -> list[int]:
        """The prompt and what it has written."""
        if not self.written:
            return self.request.prompt
        return self.request.prompt + self._whole_answer()[: self.written]

    def slice(self, start: int, stop: int) -> list[int]:
        """Some of ``tokens``."""
        prompt = self.request.prompt
        if stop <= len(prompt):
            return prompt[start:stop]
        answer = self._whole_answer()
        if start >= len(prompt):
            return answer[start - len(prompt) : stop - len(prompt)]
        return prompt[start:] + answer[: stop - len(prompt)]

    def generation(self, now: float) -> Generation:
        """What became of it; a moment that never came counts until now."""
        waited = now - self.submitted
        answer = self._whole_answer()
        versions: list[int] = []
        for version, count in self.spans:
            versions += [version] * count
        return Generation(
            tokens=answer if self.written == self.limit else answer[: self.written],
            logprobs=[0.0] * self.written,
            versions=versions,
            finish_reason="abort" if self.aborted else self.finish,
            cached_tokens=self.cached or 0,
            preemptions=self.preemptions,
            queue_s=waited if self.queue_s is None else self.queue_s,
            first_token_s=waited if self.first_token_s is None else self.first_token_s,
        )

    def _whole_answer(self) -> list[int]:
        """What it will have written in the end; made once, since long lists are what costs time here."""
        if self._answer is None:
            stops = self.request.sampling.stop_token_ids
            self._answer = pseudo_answer(self.request.id, self.limit, avoid=stops)
            if stops and self.finish == "stop":
                self._answer[-1] = stops[0]
        return self._answer


def pseudo_answer(id: str, count: int, *, avoid: Container[int] = ()) -> list[int]:
    """``count`` token ids that follow from ``id``: a few that tell it from others, then one repeated."""
    number = int.from_bytes(blake2b(id.encode(), digest_size=8).digest())
    ids = [token for token in _IDS if token not in avoid] if avoid else _IDS
    digits = [ids[number // len(ids) ** place % len(ids)] for place in range(_TELLING + 1)]
    return (digits[:_TELLING] + [digits[-1]] * (count - _TELLING))[:count]
