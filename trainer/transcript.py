"""A rollout as someone reads it: what the prompt said, what the model wrote, what the tools answered.

Invariants: the segments' tokens are the rollout's, in order, each in one segment; text is shown as it is,
except that characters which could steer a terminal are made visible. Knows nothing of colours.
"""

import random
import re
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Literal

import msgspec

from headway.scheduler import Rollout
from headway.scheduler.rollout import ToolCall

Kind = Literal["prompt", "model", "tool"]
Decode = Callable[[Sequence[int]], str]

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


class Segment(msgspec.Struct, frozen=True):
    """A stretch of tokens by one author, as text. ``calls``: those that a model's turn made."""

    kind: Kind
    text: str
    calls: list[ToolCall] = []


class Transcript(msgspec.Struct, frozen=True, kw_only=True):
    """One rollout to read. ``advantage`` is None where it was not trained on or nobody knows."""

    rollout: Rollout
    segments: list[Segment]
    advantage: float | None = None

    @property
    def outcome(self) -> str:
        """In a word: right, wrong, unscored or failed."""
        if self.rollout.failure is not None:
            return "failed"
        if self.rollout.reward is None:
            return "unscored"
        return "right" if self.rollout.reward > 0 else "wrong"

    @property
    def facts(self) -> list[str]:
        """What is known of it, most telling first."""
        rollout = self.rollout
        facts = [
            f"task {visible(rollout.task)}",
            f"reward {rollout.reward:g}" if rollout.reward is not None else None,
            f"advantage {self.advantage:+.2f}" if self.advantage is not None else None,
            f"answer {visible(rollout.answer)}" if rollout.answer is not None else None,
            f"ended by {rollout.finish_reason}",
            f"{rollout.generated} tokens in {len(rollout.turns)} turns",
            f"weights {written[0]}" if (written := self._versions()) else None,
            f"failed in its {rollout.failure.boundary}: {visible(rollout.failure.message)}"
            if rollout.failure
            else None,
        ]
        return [fact for fact in facts if fact is not None]

    def _versions(self) -> list[str]:
        versions = [v for v, model in zip(self.rollout.versions, self.rollout.mask, strict=True) if model]
        if not versions:
            return []
        low, high = min(versions), max(versions)
        return [f"{low}" if low == high else f"{low} to {high}"]


def transcribe(rollout: Rollout, decode: Decode, *, advantage: float | None = None) -> Transcript:
    """Return what there is to read; ``decode`` turns token ids into text, special tokens included."""
    segments: list[Segment] = []
    start = 0
    for written, run in groupby(rollout.mask):
        end = start + len(list(run))
        kind: Kind = "model" if written else "prompt" if start == 0 else "tool"
        turns = {i for i, turn in enumerate(rollout.turns) if start <= turn.start < end} if written else set()
        calls = [call for call in rollout.tool_calls if call.turn in turns]
        segments.append(Segment(kind, visible(decode(rollout.tokens[start:end])), calls))
        start = end
    return Transcript(rollout=rollout, segments=segments, advantage=advantage)


def visible(text: str) -> str:
    """The text with control characters, and those that turn the direction of writing, as pictures of them."""
    return _CONTROL.sub(lambda match: _picture(ord(match[0])), text)


def say_call(call: ToolCall) -> str:
    """One call in words, with a mark for how it went."""
    mark = "✗" if call.failed else "✓"
    took = f" in {call.wall_s:.2f} s" if call.wall_s else ""
    return f"{mark} {visible(call.tool) or 'no tool'}: {call.status}{took}"


def choose(rollouts: Sequence[Rollout], count: int, rng: random.Random) -> list[Rollout]:
    """Draw rollouts to read: right and wrong ones in turn while there are both, then whatever is left."""
    ordered = sorted(rollouts, key=lambda rollout: rollout.id)
    shuffled = rng.sample(ordered, len(ordered))
    right = [rollout for rollout in shuffled if rollout.reward]
    wrong = [rollout for rollout in shuffled if rollout.reward == 0]
    rest = [rollout for rollout in shuffled if rollout.reward is None]
    both = min(len(right), len(wrong))
    in_turn = [rollout for pair in zip(right, wrong, strict=False) for rollout in pair]
    return (in_turn + right[both:] + wrong[both:] + rest)[:count]


def _picture(code: int) -> str:
    if code < 0x20:
        return chr(0x2400 + code)
    return "␡" if code == 0x7F else f"<U+{code:04X}>"
