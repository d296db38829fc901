"""A workload as lengths and times: what every trajectory will generate, observe and wait for.

Closed loop: a trajectory's next turn starts when its last one has completed and its tool, whose time is part
of the workload, has run. Knows nothing of how it was made, nor of engines.
"""

import math
from collections.abc import Iterator

import msgspec

from headway.errors import InputError


class ScriptedTurn(msgspec.Struct, frozen=True, array_like=True):
    """Tokens generated, seconds in the tool after it, tokens observed from it; the last turn has no tool."""

    generated: int
    tool_s: float = 0.0
    observed: int = 0


class Script(msgspec.Struct, frozen=True):
    """One trajectory: its turns."""

    turns: list[ScriptedTurn]

    @property
    def tokens(self) -> int:
        """Tokens that it adds to its prompt; what is observed after the last turn is never read."""
        return sum(t.generated for t in self.turns) + sum(t.observed for t in self.turns[:-1])

    def contexts(self, prompt: int) -> Iterator[tuple[int, ScriptedTurn]]:
        """Yield every turn with the tokens that go into it, given those of the prompt."""
        for turn in self.turns:
            yield prompt, turn
            prompt += turn.generated + turn.observed


class ScriptedGroup(msgspec.Struct, frozen=True):
    """One task: the tokens of its prompt, and the trajectories that share it.

    It begins ``delay_s`` seconds after ``after`` groups of the workload have completed: so steps of training,
    refills and limits on what is live are replayed as what they were, reactions to completed work.
    """

    prompt: int
    scripts: list[Script]
    after: int = 0
    delay_s: float = 0.0


class Workload(msgspec.Struct, frozen=True, kw_only=True):
    """All trajectories of a run.

    ``system`` tokens at the start of every prompt are the same in all groups; ``ScriptedGroup.prompt`` comes
    after them. ``turn_limit`` is the most that a turn may generate and ``max_context`` the longest context:
    what a scheduler is told, as it is of real agents. ``notes`` says what to know of figures from it.
    """

    name: str
    groups: list[ScriptedGroup]
    max_context: int
    turn_limit: int
    system: int = 0
    notes: str = ""

    @property
    def trajectories(self) -> int:
        """How many there are."""
        return sum(len(group.scripts) for group in self.groups)

    @property
    def generated(self) -> int:
        """Tokens that will be generated."""
        return sum(
            turn.generated for group in self.groups for script in group.scripts for turn in script.turns
        )

    def check(self) -> None:
        """Raise ``InputError`` for a trajectory that its own limits would not let run as written."""
        begins = sorted(group.after for group in self.groups)
        for number, after in enumerate(begins):
            if after > number:
                raise InputError(
                    f"workload {self.name}: {after} groups have to complete before the next one begins, and "
                    f"only {number} begin before it"
                )
        for number, group in enumerate(self.groups, 1):
            for sibling, script in enumerate(group.scripts):
                where = f"workload {self.name}: trajectory g{number}.{sibling}"
                if not script.turns or any(turn.generated < 1 for turn in script.turns):
                    raise InputError(
                        f"{where}: every trajectory has a turn, and every turn a generated token"
                    )
                if any(turn.generated > self.turn_limit for turn in script.turns):
                    raise InputError(f"{where}: a turn is longer than turn_limit ({self.turn_limit} tokens)")
                needed = self.system + group.prompt + script.tokens
                if needed > self.max_context:
                    raise InputError(
                        f"{where}: grows to {needed} tokens, and max_context is {self.max_context}"
                    )


def scaled(workload: Workload, *, tokens: float = 1.0, times: float = 1.0) -> Workload:
    """Return the workload with token counts and tool times multiplied, for engines of another size."""
    if tokens == times == 1.0:
        return workload

    def count(n: int) -> int:
        return max(math.ceil(n * tokens), 1) if n else 0

    def script(old: Script) -> Script:
        return Script(
            [ScriptedTurn(count(t.generated), t.tool_s * times, count(t.observed)) for t in old.turns]
        )

    groups = [
        ScriptedGroup(count(g.prompt), [script(s) for s in g.scripts], g.after, g.delay_s * times)
        for g in workload.groups
    ]
    system = count(workload.system)
    longest = max((system + g.prompt + s.tokens for g in groups for s in g.scripts), default=0)
    note = f"tokens scaled by {tokens:g}, tool times by {times:g}"
    return msgspec.structs.replace(
        workload,
        groups=groups,
        max_context=max(count(workload.max_context), longest),  # every count was rounded up
        turn_limit=count(workload.turn_limit),
        system=system,
        notes="; ".join(filter(None, [workload.notes, note])),
    )
