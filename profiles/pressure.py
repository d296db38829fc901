"""How much KV cache a workload would fill if everything in it were live at once, as a multiple of what there
is.

    pressure = (sum over trajectories of the time-averaged private context
                + prompts, once a group + the system prompt, once an engine) / (engines * kv_tokens)

Time runs as on an engine whose cache is full: a token takes one step of it, a tool its seconds.
"""

from collections.abc import Iterator

from headway.engine.simulated.hardware import Hardware

from .workload import Script, ScriptedGroup, Workload


def pressure_of(workload: Workload, hardware: Hardware, *, engines: int, kv_tokens: int) -> float:
    """The pressure of a workload that is submitted all at once."""
    token_s = full_step_s(hardware, kv_tokens)
    live = sum(group_tokens(group, token_s) for group in workload.groups) + engines * workload.system
    return live / (engines * kv_tokens)


def full_step_s(hardware: Hardware, kv_tokens: int) -> float:
    """Seconds of a decode step that reads the whole cache."""
    return hardware.step.seconds(kv_read=kv_tokens)


def group_tokens(group: ScriptedGroup, token_s: float) -> float:
    """A group's prompt, and the time-averaged private contexts of its trajectories."""
    return group.prompt + sum(_mean_private(script, token_s) for script in group.scripts)


def closest(groups: Iterator[ScriptedGroup], *, wanted: float, token_s: float) -> list[ScriptedGroup]:
    """Take as many whole groups as come closest to the wanted live tokens; at least one."""
    taken: list[ScriptedGroup] = []
    live = 0.0
    for group in groups:
        more = group_tokens(group, token_s)
        if taken and live + more - wanted > wanted - live:
            break
        taken.append(group)
        live += more
    return taken


def _mean_private(script: Script, token_s: float) -> float:
    area = seconds = 0.0
    for context, turn in script.contexts(0):
        writing = turn.generated * token_s
        area += (context + turn.generated / 2) * writing + (context + turn.generated) * turn.tool_s
        seconds += writing + turn.tool_s
    return area / seconds if seconds else float(script.tokens)
