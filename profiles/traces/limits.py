"""Makes a workload fit: waits clipped, turns cut, contexts cut or scaled to what a model can hold.

Invariants: a limit that nothing exceeds changes nothing; what was changed is said in the notes, with how much
of it there was. Knows nothing of where the workload came from.
"""

from collections import Counter
from collections.abc import Iterator

import msgspec

from headway.errors import InputError

from ..workload import Script, ScriptedGroup, ScriptedTurn, Workload
from .options import TooLong, TraceOptions

_SCALED_TO = 0.98  # of the limit, since every count is rounded up


def limited(workload: Workload, options: TraceOptions) -> tuple[Workload, list[int]]:
    """Apply the limits of ``options``; also gives the places of the groups that are left.

    Raises ``InputError`` where nothing is left.
    """
    if options.clip_s is None and options.max_context is None and options.turn_limit is None:
        return workload, list(range(len(workload.groups)))
    limiter = _Limiter(workload, options)
    fitting = {place: limiter.take(group) for place, group in enumerate(workload.groups)}
    left = {place: each for place, each in fitting.items() if each is not None}
    if not left:
        raise InputError(
            f"workload {workload.name}: no trajectory has a turn within {options.max_context} tokens; raise "
            "the longest context (--max-context), or scale longer ones"
        )
    system = min(each.system for each in left.values())
    within = msgspec.structs.replace(
        workload,
        groups=[
            ScriptedGroup(each.first - system, each.scripts, min(each.after, before), each.delay_s)
            for before, each in enumerate(left.values())
        ],
        system=system,
        max_context=options.max_context or workload.max_context,
        turn_limit=min(options.turn_limit or workload.turn_limit, workload.turn_limit),
        notes="; ".join(filter(None, [workload.notes, *limiter.notes()])),
    )
    return within, list(left)


class _Fitting(msgspec.Struct, frozen=True):
    """A group, with its whole first prompt and the part of it that it shares with all."""

    first: int
    system: int
    scripts: list[Script]
    after: int
    delay_s: float


class _Limiter:
    """Takes groups one by one, and counts what it changes."""

    def __init__(self, workload: Workload, options: TraceOptions) -> None:
        self._system = workload.system
        self._trajectories = workload.trajectories
        self._clip_s = options.clip_s
        self._limit = options.max_context or workload.max_context
        self._turn_limit = options.turn_limit or workload.turn_limit
        self._too_long: TooLong = options.too_long
        self._changed: Counter[str] = Counter()

    def take(self, group: ScriptedGroup) -> _Fitting | None:
        """What fits of a group; None for one of which nothing does."""
        first = self._system + group.prompt
        scale = 1.0
        longest = first + max(script.tokens for script in group.scripts)
        if self._too_long == "scale" and longest > self._limit:
            scale = self._limit * _SCALED_TO / longest
            self._changed["scaled"] += len(group.scripts)
        shrunk = max(round(first * scale), 1)
        scripts = [self._script(script, first, scale, shrunk) for script in group.scripts]
        fitting = [script for script in scripts if script.turns]
        self._changed["left out"] += len(scripts) - len(fitting)
        if not fitting:
            return None
        system = min(round(self._system * scale), shrunk - 1)
        return _Fitting(shrunk, system, fitting, group.after, group.delay_s)

    def notes(self) -> Iterator[str]:
        """What was changed."""
        changed, whole = self._changed, self._trajectories
        if changed["clipped"]:
            yield f"waits clipped to {self._clip_s:g} s: {changed['clipped']}"
        if changed["scaled"]:
            yield f"trajectories scaled to contexts of {self._limit} tokens: {changed['scaled']} of {whole}"
        if changed["cut"] or changed["left out"]:
            left_out = f", {changed['left out']} left out" if changed["left out"] else ""
            cut = f"{changed['cut']} of {whole}{left_out}"
            yield f"trajectories cut at {self._limit} tokens of context: {cut}"
        if changed["turns"]:
            yield f"turns cut to {self._turn_limit} tokens: {changed['turns']}"

    def _script(self, script: Script, first: int, scale: float, context: int) -> Script:
        """The turns up to where the context would outgrow the limit."""
        turns: list[ScriptedTurn] = []
        prompts = [prompt for prompt, _ in script.contexts(first)]
        for turn, after in zip(script.turns, [*prompts[1:], None], strict=True):
            generated = self._generated(turn, scale)
            if context + generated > self._limit:
                self._changed["cut"] += bool(turns)
                break
            if after is None:
                turns.append(ScriptedTurn(generated))
                break
            observed = max(round(after * scale) - context - generated, min(turn.observed, 1))
            turns.append(ScriptedTurn(generated, self._wait_s(turn), observed))
            context += generated + observed
        if turns:
            turns[-1] = ScriptedTurn(turns[-1].generated)
        return Script(turns)

    def _generated(self, turn: ScriptedTurn, scale: float) -> int:
        generated = max(round(turn.generated * scale), 1)
        self._changed["turns"] += generated > self._turn_limit
        return min(generated, self._turn_limit)

    def _wait_s(self, turn: ScriptedTurn) -> float:
        if self._clip_s is None or turn.tool_s <= self._clip_s:
            return turn.tool_s
        self._changed["clipped"] += 1
        return self._clip_s
