"""What cost a run most, and the lever for each: a ranking by engine time that was lost.

For an idle cause that is the idle time, plus the busy time in which it kept the batch small (under-fill, an
estimate: as if a batch made progress in proportion to its trajectories). An engine that is slower than the
others costs what it is busy beyond their pace, and what the others wait for it at the end.
Knows nothing of events or of how findings are shown.
"""

import statistics
from collections.abc import Mapping, Sequence

from .cause import Cause
from .profile import Causes, EngineProfile, Finding
from .wording import duration, number, share

SLOW = 1.5  # times the others' seconds a token, at no better throughput
_WORTH_TELLING = 0.005  # of all engine time

_LEVERS: dict[Cause, str] = {
    Cause.UNATTRIBUTED: "the record has holes: keep event logs on a disk that does not lose writes",
    Cause.STARTUP: "start-up is paid once a run: longer runs, or engines that stay up between runs",
    Cause.WEIGHT_SYNC: "hand weights over from GPU to GPU (a trainer on GPUs of its own does), or less often",
    Cause.DOWN: "engines ended by themselves: their logs say why",
    Cause.STALLED: "an engine takes no steps: look at its log and GPU, and at who pauses it",
    Cause.BUSY_RECOMPUTE: "contexts were evicted, or left on another engine: more KV cache, fewer "
    "trajectories at once, or a policy that moves turns less",
    Cause.KV_FULL: "more KV cache an engine (kv_tokens, gpu_memory_utilization), more engines, shorter "
    "contexts, or fewer trajectories at once",
    Cause.CAP: "the policy's cap is below what the KV cache holds: raise the limit, or take headroom",
    Cause.AFFINITY_HOLD: "turns wait for the engine that has their cache while others idle: let them move "
    "(headroom does where it pays)",
    Cause.BARRIER: "the policy lets all trajectories take a turn together: take one without a barrier",
    Cause.TICK: "the policy decides at fixed times only: shorten its period, or take one that acts on events",
    Cause.HELD: "the policy holds turns back for reasons of its own: ask it, or take another",
    Cause.DISPATCH_LAG: "our own fault: the scheduler acted late; its process needs a core of its own, and "
    "agents must not block the event loop",
    Cause.IMBALANCE: "one engine queues while another idles: take a policy that places by load",
    Cause.TOOL_WAIT: "faster tools or more sandbox workers; more trajectories at once, so that others use "
    "the engines meanwhile; fewer engines for the same work",
    Cause.LONG_TAIL: "the last trajectories hold up the rest: stages with shorter responses first, "
    "max_staleness above 0 so that the next step's rollouts fill the gap, fewer engines",
    Cause.AGENT: "agents compute between their turns: move that into tools or threads, or run more at once",
    Cause.TRAINING: "engines idle while the trainer makes its step: roll out ahead with max_staleness above "
    "0, or give the trainer more ranks",
    Cause.NO_WORK: "nothing was submitted: submit the next tasks before the last have ended, or use fewer "
    "engines",
}


def find(
    engines: Sequence[EngineProfile], wall_ns: int, held: Causes, spent: Causes, *, late_ns: int = 0
) -> list[Finding]:
    """Rank what cost engine time, the most first.

    ``held`` and ``spent`` are the profile's; ``late_ns`` is how long the event loop was held up.
    """
    total = wall_ns * len(engines)
    slow = _slow_engines(engines)
    waited_for = sum(waiting for _, _, waiting in slow)
    found = [_slow(engine, engines, lost) for engine, lost, _ in slow]
    for cause in Cause:
        idle, under = _idle(engines, cause), _under_fill(engines, cause)
        if cause in (Cause.LONG_TAIL, Cause.IMBALANCE):
            part = min(idle, waited_for)
            idle, waited_for = idle - part, waited_for - part
        if cause is Cause.BUSY_RECOMPUTE:
            idle, under = 0, idle
        if cause is Cause.DISPATCH_LAG:
            under += late_ns * len(engines)
        if cause not in (Cause.BUSY, Cause.STOPPED) and idle + under > _WORTH_TELLING * total:
            seen = _seen(
                cause, idle, under, engines=engines, wall_ns=wall_ns, held=held, spent=spent, late_ns=late_ns
            )
            found.append(
                Finding(
                    cause=cause, lost_ns=idle + under, estimated_ns=under, seen=seen, lever=_LEVERS[cause]
                )
            )
    return sorted(found, key=lambda finding: -finding.lost_ns)


def _slow_engines(engines: Sequence[EngineProfile]) -> list[tuple[EngineProfile, int, int]]:
    """Engines slower than the rest, with the time that this cost in all, and the others' share of it."""
    slow: list[tuple[EngineProfile, int, int]] = []
    charged = 0
    for engine in engines:
        others = [other for other in engines if other is not engine and other.seconds_per_token]
        pace = statistics.median(other.seconds_per_token or 0.0 for other in others) if others else 0.0
        if not pace or not engine.seconds_per_token or engine.seconds_per_token < SLOW * pace:
            continue
        if _throughput(engine) * SLOW > statistics.median(_throughput(other) for other in others):
            continue  # its batches are larger, and it gets more done
        excess = round(_busy(engine) * (1 - pace / engine.seconds_per_token))
        tails = sum(
            other.causes.get(cause, 0) for other in others for cause in (Cause.LONG_TAIL, Cause.IMBALANCE)
        )
        waiting = min(tails - charged, excess * len(others))
        charged += waiting
        slow.append((engine, excess + waiting, waiting))
    return slow


def _slow(engine: EngineProfile, engines: Sequence[EngineProfile], lost: int) -> Finding:
    pace = statistics.median(
        other.seconds_per_token for other in engines if other is not engine and other.seconds_per_token
    )
    own = engine.seconds_per_token or 0.0
    return Finding(
        cause="slow_engine",
        lost_ns=lost,
        estimated_ns=lost,
        seen=f"{engine.id} takes {own * 1e3:.3g} ms a token, {own / pace:.1f} times as long as the others, "
        f"and makes {_throughput(engine):,.0f} tokens a busy second",
        lever="look for another process on its device, throttling, a narrower link or another clock; the "
        "others wait for its last turns",
    )


def _seen(
    cause: Cause,
    idle: int,
    under: int,
    *,
    engines: Sequence[EngineProfile],
    wall_ns: int,
    held: Causes,
    spent: Causes,
    late_ns: int,
) -> str:
    """What the figures are, in a sentence."""
    total = wall_ns * len(engines)
    where = _where(cause, engines)
    parts = [f"engines idle for {share(idle, total)} of their time{where}"] if idle else []
    if under and cause is Cause.BUSY_RECOMPUTE:
        parts.append(
            f"engines computed for {share(under, total)} of their time nothing but what had been computed "
            "before"
        )
    elif under and not (cause is Cause.DISPATCH_LAG and late_ns):
        parts.append(f"{share(under, total)} more in batches that it kept small")
    if held.get(cause):
        parts.append(f"turns waited for it during {share(held[cause], wall_ns)} of the run")
    match cause:
        case Cause.KV_FULL:
            parts.append(_kv(engines))
        case Cause.DISPATCH_LAG if late_ns:
            parts.append(
                f"the scheduler's event loop was held up for {duration(late_ns)} in all, in which no turn "
                "that had ended was noticed and none was dispatched"
            )
        case Cause.TOOL_WAIT:
            parts.append(_tools(spent))
        case _:
            pass
    return "; ".join(filter(None, parts))


def _where(cause: Cause, engines: Sequence[EngineProfile]) -> str:
    """The engines that it struck, where it did not strike all alike."""
    times = {engine.id: engine.causes.get(cause, 0) for engine in engines}
    most = max(times.values(), default=0)
    struck = [id for id, ns in times.items() if ns > most / 3]
    if len(struck) > len(times) / 2 or not most:
        return ""
    shown = ", ".join(struck[:4]) + (f" and {len(struck) - 4} more" if len(struck) > 4 else "")
    return f", most on {shown}"


def _kv(engines: Sequence[EngineProfile]) -> str:
    busy = sum(_busy(engine) for engine in engines)
    mean = sum(engine.mean_running * _busy(engine) for engine in engines) / busy if busy else 0.0
    again, prompt = (sum(getattr(engine, name) for engine in engines) for name in ("recomputed", "prompt"))
    preempted = sum(engine.preemptions for engine in engines)
    text = f"a busy engine ran {mean:.1f} turns"
    if again:
        text += f", {share(again, prompt)} of the prompt tokens were computed again"
    return text + (f", {number(preempted)} preemptions" if preempted else "")


def _tools(spent: Causes) -> str:
    tools = {name.removeprefix("tool:"): ns for name, ns in spent.items() if name.startswith("tool:")}
    total = sum(spent.values())
    if not tools or not total:
        return ""
    name, most = max(tools.items(), key=lambda item: item[1])
    return (
        f"trajectories spent {share(sum(tools.values()), total)} of their time in tools, most in {name} "
        + (f"({share(most, total)})")
    )


def _idle(engines: Sequence[EngineProfile], cause: Cause) -> int:
    return sum(engine.causes.get(cause, 0) for engine in engines)


def _under_fill(engines: Sequence[EngineProfile], cause: Cause) -> int:
    return sum(engine.under_fill.get(cause, 0) for engine in engines)


def _busy(engine: EngineProfile) -> int:
    return _of(engine.causes, Cause.BUSY) + _of(engine.causes, Cause.BUSY_RECOMPUTE)


def _of(causes: Mapping[str, int], cause: Cause) -> int:
    return causes.get(cause, 0)


def _throughput(engine: EngineProfile) -> float:
    """Tokens generated and prefilled, a busy second."""
    busy = _busy(engine)
    return (engine.generated + engine.prompt - engine.cached) / busy * 1e9 if busy else 0.0
