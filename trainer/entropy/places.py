"""Says of each token that a model wrote what kind of place it stands in.

Invariant: every written token is in exactly one place, the first of the list below that fits. Tokens are only
looked at as text, one by one, so that any tokenizer will do. Knows nothing of entropy.
"""

import bisect
import re
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from itertools import accumulate

from headway.scheduler import Rollout

Piece = Callable[[int], str]
_Span = tuple[int, int]  # characters, the end excluded

_CALL = re.compile(r"<tool_call>(.*?)(?:</tool_call>|\Z)", re.DOTALL)
_CODE = re.compile(r'"code"\s*:\s*"((?:[^"\\]|\\.)*)', re.DOTALL)
_ANSWER = re.compile(r"<answer>(.*?)(?:</answer>|\Z)", re.DOTALL)
_BOXED = re.compile(r"\\boxed\s*\{")


class Place(StrEnum):
    """Kinds of places, in the order in which they are tried."""

    AFTER_TOOL = "after_tool"  # the first tokens of a turn that reads what a tool answered
    TURN_START = "turn_start"  # the first tokens of any other turn
    CODE = "code"  # inside the code of a tool call
    CALL = "call"  # the rest of a tool call: its tags and its JSON
    ANSWER = "answer"  # inside answer tags or a box
    ELSEWHERE = "elsewhere"


def places(rollout: Rollout, piece: Piece, *, first: int) -> list[Place]:
    """Return the place of every token of every turn, in order; ``piece`` is a token's text.

    ``first`` is how many tokens the beginning of a turn has.
    """
    called = {call.turn for call in rollout.tool_calls}
    found: list[Place] = []
    for number, turn in enumerate(rollout.turns):
        start = Place.AFTER_TOOL if number - 1 in called else Place.TURN_START
        inside = _inside([piece(token) for token in rollout.tokens[turn.start : turn.end]])
        found += [start] * min(first, len(inside)) + inside[first:]
    return found


def _inside(pieces: Sequence[str]) -> list[Place]:
    """The place of each token of a turn by where its text begins, its beginning aside."""
    starts = list(accumulate(map(len, pieces), initial=0))[:-1]
    found = [Place.ELSEWHERE] * len(pieces)
    for place, (start, end) in _spans("".join(pieces)):
        for token in range(bisect.bisect_left(starts, start), bisect.bisect_left(starts, end)):
            found[token] = place
    return found


def _spans(text: str) -> Iterator[tuple[Place, _Span]]:
    """Stretches of text; where two overlap the later one counts."""
    for answer in _ANSWER.finditer(text):
        yield Place.ANSWER, answer.span(1)
    for box in _BOXED.finditer(text):
        yield Place.ANSWER, (box.end(), _closing(text, box.end()))
    for call in _CALL.finditer(text):
        yield Place.CALL, call.span()
        for code in _CODE.finditer(text, *call.span(1)):
            yield Place.CODE, code.span(1)


def _closing(text: str, start: int) -> int:
    """Where the brace before ``start`` is closed, or the end."""
    depth = 1
    for brace in re.compile(r"[{}]").finditer(text, start):
        depth += 1 if brace[0] == "{" else -1
        if not depth:
            return brace.start()
    return len(text)
