"""What a replay plays: the scenes, and the policies; everything is checked before anything is played.

All fleets of a replay get the same work. What is drawn at a pressure is drawn for the largest of them.
"""

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import msgspec

from headway.engine.simulated.hardware import Hardware
from headway.errors import InputError
from headway.scheduler import make_policy
from headway.scheduler.policies import NAMES

from ..hardware_profiles import load_hardware
from ..traces import LoadedTrace, TraceOptions, load_trace
from ..traces.load import drawn
from ..traces.recorded import Recorded
from ..workload import Workload
from .engine_set import EngineSet, engine_set, engines_of_run
from .hardware_of_run import StandIn, hardware_of_run
from .scene import Scene, within

ALL = "all"
_POLICIES = ("headroom", "sticky_least_loaded", "thunder")
_HARDWARE, _REAL_HARDWARE = "h100-14b", "cpu-tiny"
_ENGINES = 8
_MOST_PRESSURE = 1000


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for; None where nothing was. ``auto`` looks for a fleet that is large enough."""

    trace: Path
    options: TraceOptions
    policies: list[str] | None = None
    engines: list[int] | None = None
    auto: bool = False
    hardware: Hardware | None = None
    kv_tokens: int | None = None
    pressure: float | None = None
    seeds: int = 1
    real: bool = False


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Every scene is played under every policy. ``recorded`` is the run that the replay can be held against:
    None where there is none, or its work was changed."""

    format: str
    engines: EngineSet
    scenes: list[Scene]
    policies: list[str]
    recorded: Recorded | None
    notes: list[str]

    def arms(self) -> list[tuple[Scene, str]]:
        """All that is to be played, small fleets first."""
        return list(product(self.scenes, self.policies))


def make_plan(asked: Asked) -> Plan:
    """Read the trace and fill in the defaults; raises ``InputError`` for what cannot be played."""
    _check(asked)
    trace = load_trace(asked.trace, options=asked.options)
    stand_in = _hardware(asked, trace.recorded)
    own = _own_engines(asked, trace.recorded, stand_in.hardware)
    fleets = [own.resized(count) for count in _counts(asked, own.count)]
    workloads = list(_workloads(asked, trace, fleets))
    scenes = [
        Scene(workload=workload, engines=engines, seed=seed)
        for engines in fleets
        for seed, workload in enumerate(workloads)
    ]
    unchanged = all(workload.groups == trace.workload.groups for workload in workloads)
    return Plan(
        format=trace.format,
        engines=fleets[0],
        scenes=scenes,
        policies=asked.policies or _default_policies(trace.recorded),
        recorded=trace.recorded if unchanged and not _is_limited(asked.options) else None,
        notes=[note for note in (stand_in.note, _joined([each.notes for each in workloads])) if note],
    )


def policies_of(names: list[str]) -> list[str]:
    """The policies meant, each once; ``all`` is every one there is."""
    return list(dict.fromkeys(spec for name in names for spec in (NAMES if name == ALL else [name])))


def _check(asked: Asked) -> None:
    for spec in asked.policies or ():
        make_policy(spec)
    if asked.policies == []:
        raise InputError("--policies names none; give one, or all")
    if asked.pressure is not None and not 0 < asked.pressure <= _MOST_PRESSURE:
        raise InputError(
            f"--pressure {asked.pressure:g}: give a number above 0 and at most {_MOST_PRESSURE}, such as 2"
        )
    drawn_anew = asked.pressure is not None or asked.real or asked.options.latency
    if asked.seeds > 1 and not drawn_anew:
        raise InputError(
            f"--seeds {asked.seeds}: the whole trace comes to the same every time; give --pressure to draw "
            "from it"
        )


def _hardware(asked: Asked, recorded: Recorded | None) -> StandIn:
    if asked.hardware is not None:
        return StandIn(asked.hardware, "")
    if recorded is None:
        return StandIn(load_hardware(_REAL_HARDWARE if asked.real else _HARDWARE), "")
    stand_in = hardware_of_run(recorded)
    return StandIn(stand_in.hardware, "") if asked.real else stand_in


def _own_engines(asked: Asked, recorded: Recorded | None, hardware: Hardware) -> EngineSet:
    """The engines of the recorded run, or as many as usual."""
    if recorded is None:
        return engine_set(hardware, count=_ENGINES, kv_tokens=asked.kv_tokens)
    engines = engines_of_run(hardware, recorded.engine_ids, recorded.engines)
    if asked.kv_tokens is None:
        return engines
    return engine_set(engines.hardware, count=engines.count, kv_tokens=asked.kv_tokens)


def _counts(asked: Asked, own: int) -> list[int]:
    if asked.auto:
        return sorted({max(own // 4, 1), max(own // 2, 1), own, own * 2})
    return sorted(set(asked.engines)) if asked.engines else [own]


def _workloads(asked: Asked, trace: LoadedTrace, fleets: list[EngineSet]) -> Iterator[Workload]:
    """The workload of each seed, as far as it fits every fleet."""
    largest = fleets[-1]
    tightest = min(fleets, key=lambda engines: engines.longest_context)
    for seed in range(asked.seeds):
        if seed and asked.options.latency:
            options = msgspec.structs.replace(asked.options, seed=asked.options.seed + seed)
            trace = load_trace(asked.trace, options=options)
        workload = within(trace.workload, tightest, too_long=asked.options.too_long)
        if asked.pressure is not None:
            workload = drawn(
                workload,
                pressure=asked.pressure,
                hardware=largest.hardware,
                engines=largest.count,
                kv_tokens=largest.usual_kv_tokens,
                seed=seed,
            )
            workload = _noting(workload, f"pressure {asked.pressure:g} on {largest.count} engines")
        yield workload


def _noting(workload: Workload, note: str) -> Workload:
    return msgspec.structs.replace(workload, notes="; ".join(filter(None, [workload.notes, note])))


def _joined(notes: list[str]) -> str:
    """The notes of several workloads, with what they have in common said once."""
    return "; ".join(dict.fromkeys(part for note in notes for part in note.split("; ") if part))


def _default_policies(recorded: Recorded | None) -> list[str]:
    if recorded is None:
        return list(_POLICIES)
    make_policy(recorded.policy)
    return [recorded.policy]


def _is_limited(options: TraceOptions) -> bool:
    return (options.clip_s, options.max_context, options.turn_limit) != (None, None, None)
