"""A trajectory as formats of serving traces have it: calls of a model, each with the whole of its prompt.

A script is made of them by what each prompt has gained since the last call.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import msgspec

from ..workload import Script, ScriptedTurn, Workload


class Call(msgspec.Struct, frozen=True):
    """Tokens of its whole prompt, tokens generated, and seconds until the next call."""

    prompt: int
    generated: int
    wait_s: float = 0.0


def script_of(calls: Sequence[Call], *, least_observed: int = 0) -> Script:
    """The script of a trajectory, whose own prompt is that of its first call.

    It ends with the call after which a prompt shrinks: there the agent compacted its context, and what is
    not appended cannot be scripted. A prompt that lacks tokens which were generated before it (an agent may
    drop what its model thought) counts as if it had them, and ``least_observed`` more.
    """
    turns: list[ScriptedTurn] = []
    context = calls[0].prompt
    for call, after in pairwise(calls):
        if after.prompt < call.prompt:
            break
        generated = max(call.generated, 1)
        observed = max(after.prompt - context - generated, least_observed)
        turns.append(ScriptedTurn(generated, max(call.wait_s, 0.0), observed))
        context += generated + observed
    return Script([*turns, ScriptedTurn(max(calls[len(turns)].generated, 1))])


def calls_of(workload: Workload) -> Iterator[tuple[int, int, list[Call]]]:
    """Yield every trajectory's group and place in it, both from 0, and its calls."""
    for number, group in enumerate(workload.groups):
        for sibling, script in enumerate(group.scripts):
            contexts = script.contexts(workload.system + group.prompt)
            yield number, sibling, [Call(prompt, turn.generated, turn.tool_s) for prompt, turn in contexts]
