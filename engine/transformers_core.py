"""Decides which turns run, and takes one step of them all: synchronous, for one caller at a time.

Invariants: turns begin in the order of their priority, each when a seat is free and the KV cache can hold
all that it may come to, so that none is ever preempted; a step gives every turn that runs one token, except
those whose prompts wait for a later step. ``kv_tokens`` bounds the tokens held, not the padding between turns
of different lengths. Knows nothing of asyncio.
"""

import bisect
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from .protocol import EngineStats
from .transformers_batch import Batch
from .transformers_network import Network
from .transformers_sampling import sample
from .transformers_turn import Turn


class Core:
    """The queue, the batch, and what has been counted."""

    def __init__(
        self,
        network: Network,
        *,
        kv_tokens: int,
        max_num_seqs: int,
        prefill_tokens: int,
        seed: int,
        version: int,
    ) -> None:
        self._network = network
        self._kv_tokens = kv_tokens
        self._seats = max_num_seqs
        self._prefill_tokens = prefill_tokens
        self._version = version
        self._generator = torch.Generator(network.device).manual_seed(seed)
        self._waiting: list[Turn] = []
        self._joining: list[Turn] = []
        self._batch = Batch(network)
        self._steps = self._generated = self._prompted = 0

    @property
    def busy(self) -> bool:
        """Whether there is anything to step for."""
        return bool(self._waiting or self._running)

    def submit(self, turn: Turn) -> None:
        """Queue a turn."""
        bisect.insort(self._waiting, turn, key=lambda one: one.order)

    def abort(self, turn: Turn) -> None:
        """End a turn, unless it has ended."""
        if turn.finish is None:
            turn.finish = "abort"
            self._waiting = [one for one in self._waiting if one is not turn]
            self._drop_ended()

    def step(self) -> list[Turn]:
        """Take one step; the turns that ended with it."""
        self._admit()
        if self._batch.turns:
            self._sample(self._batch.turns, self._batch.advance())
        if joining := self._next_to_join():
            self._sample(joining, self._batch.join(joining))
        self._steps += 1
        ended = [turn for turn in self._batch.turns if turn.finish is not None]
        self._drop_ended()
        return ended

    def load(self, weights: Path, version: int) -> None:
        """Go on with new weights; the KV of the turns that run is computed again."""
        self._network.load(weights)
        self._version = version
        self._joining = self._running
        self._batch.clear()

    def stats(self) -> EngineStats:
        """The figures as of the latest step or abort."""
        return EngineStats(
            steps=self._steps,
            running=len(self._running),
            waiting=len(self._waiting),
            kv_usage=sum(turn.length for turn in self._running) / self._kv_tokens,
            generated_tokens=self._generated,
            prompt_tokens=self._prompted,
        )

    @property
    def _running(self) -> list[Turn]:
        return self._batch.turns + self._joining

    def _admit(self) -> None:
        free = self._kv_tokens - sum(turn.longest for turn in self._running)
        while self._waiting and len(self._running) < self._seats and self._waiting[0].longest <= free:
            turn = self._waiting.pop(0)
            turn.scheduled = time.monotonic()
            free -= turn.longest
            self._prompted += len(turn.request.prompt)
            self._joining.append(turn)

    def _next_to_join(self) -> list[Turn]:
        """The first of those that have no KV yet, within the tokens of one prefill, padding included."""
        joining: list[Turn] = []
        longest = 0
        for turn in self._joining:
            longest = max(longest, turn.length)
            if joining and longest * (len(joining) + 1) > self._prefill_tokens:
                break
            joining.append(turn)
        self._joining = self._joining[len(joining) :]
        return joining

    def _sample(self, turns: Sequence[Turn], logits: Tensor) -> None:
        drawn = sample(logits, [turn.request.sampling for turn in turns], self._generator)
        for turn, token, logprob in zip(turns, *drawn, strict=True):
            turn.add(token, logprob, self._version)
        self._generated += len(turns)

    def _drop_ended(self) -> None:
        self._joining = [turn for turn in self._joining if turn.finish is None]
        self._batch.keep([turn for turn in self._batch.turns if turn.finish is None])
