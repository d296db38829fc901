"""One turn on the engine that samples with transformers: what was asked, and what has come of it so far.

Invariants: every token has a logprob and a version; ``finish`` is set once, and no token follows it. Knows
nothing of tensors.
"""

import time
from dataclasses import dataclass, field

from headway.errors import InputError

from .protocol import FinishReason, Generation, Request


@dataclass(eq=False, kw_only=True)
class Turn:
    """A turn that may grow by ``limit`` tokens; times are seconds of the monotonic clock."""

    request: Request
    arrival: int
    limit: int
    submitted: float = field(default_factory=time.monotonic)
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    versions: list[int] = field(default_factory=list)
    finish: FinishReason | None = None
    scheduled: float | None = None
    first_token: float | None = None

    @property
    def order(self) -> tuple[int, int]:
        """Where it stands in the queue."""
        return self.request.priority, self.arrival

    @property
    def context(self) -> list[int]:
        """The prompt and what was written after it."""
        return self.request.prompt + self.tokens

    @property
    def length(self) -> int:
        """Tokens so far."""
        return len(self.request.prompt) + len(self.tokens)

    @property
    def longest(self) -> int:
        """Tokens that it may come to."""
        return len(self.request.prompt) + self.limit

    def add(self, token: int, logprob: float, version: int) -> None:
        """Take in the next token."""
        if self.first_token is None:
            self.first_token = time.monotonic()
        self.tokens.append(token)
        self.logprobs.append(logprob)
        self.versions.append(version)
        if token in self.request.sampling.stop_token_ids:
            self.finish = "stop"
        elif len(self.tokens) == self.limit:
            self.finish = "length"

    def generation(self) -> Generation:
        """The answer to a turn that has ended; a moment that never came counts until now."""
        assert self.finish is not None
        now = time.monotonic()
        return Generation(
            tokens=self.tokens,
            logprobs=self.logprobs,
            versions=self.versions,
            finish_reason=self.finish,
            queue_s=(self.scheduled or now) - self.submitted,
            first_token_s=(self.first_token or now) - self.submitted,
        )


def check_turn(request: Request, *, vocabulary: int) -> None:
    """Raise ``InputError`` for tokens that the model does not have, and for sampling that makes no sense."""
    wrong = next((token for token in request.prompt if not 0 <= token < vocabulary), None)
    if wrong is not None:
        raise InputError(
            f"turn {request.id}: its prompt has token {wrong}, and the model has tokens 0 to "
            f"{vocabulary - 1}; use the tokenizer that was saved with the model"
        )
    sampling = request.sampling
    if sampling.temperature < 0:
        raise InputError(
            f"turn {request.id}: temperature must be non-negative, and it is {sampling.temperature}"
        )
    if not 0 < sampling.top_p <= 1:
        raise InputError(
            f"turn {request.id}: top_p must be above 0 and at most 1, and it is {sampling.top_p}"
        )
