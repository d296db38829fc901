"""What GPU counters add to the account of engines: busy time in which the SMs idled, and contradictions.

A sample's figures are held against what the engines of its GPU did since the sample before. While an engine
starts or takes in weights, its GPU works with every right. Knows nothing of drivers.
"""

from dataclasses import dataclass, field

from .attribution import Attribution
from .gpu.coverage import Tally
from .gpu.sample import GpuSample
from .profile import GpuProfile
from .survey import Survey

_BUSY = 0.1  # of SMs, on a GPU whose engines all claim to be idle
_WORTH_A_LINE = 0.01  # of the time


@dataclass
class _Gpu:
    engines: list[str]
    tally: Tally
    last: int
    busy: dict[str, int]
    seen: int = 0  # ns that samples cover
    active: float = 0.0  # ns of SM time
    told: int = 0  # ns of which SM time is known
    unexplained: int = 0  # ns of SM time with no engine busy
    is_known: bool = False  # whether a process of the run was seen on it
    foreign: dict[int, int] = field(default_factory=dict)  # ns by process


class GpuTime:
    """Takes samples in order, each after the attribution has been brought up to it."""

    def __init__(self, attribution: Attribution, survey: Survey, *, start: int, own_pid: int | None) -> None:
        self.idle: dict[str, int] = {}
        self.covered: dict[str, int] = {}
        self._attribution = attribution
        self._survey = survey
        self._start = start
        self._gpus: dict[str, _Gpu] = {}
        self._own = {own_pid, *(pid for engine in survey.engines.values() for pid in engine.pids)}

    def take(self, sample: GpuSample) -> None:
        """Take one sample."""
        gpu = self._gpus.get(sample.gpu) or self._join(sample.gpu)
        gpu.tally.take(sample)
        window = sample.t - gpu.last
        covered = min(sample.span_ns, window)
        busy = {id: self._attribution.busy_ns(id) for id in gpu.engines}
        if covered > 0:
            worked = {id: (busy[id] - gpu.busy[id]) * covered // window for id in gpu.engines}
            gpu.seen += covered
            self._note_processes(gpu, sample.pids or [], covered)
            if sample.sm is not None:
                self._note_activity(gpu, sample.sm, covered, worked)
        gpu.last, gpu.busy = sample.t, busy

    def profiles(self, end: int) -> list[GpuProfile]:
        """How each GPU was sampled up to ``end``, and how active it was in all."""
        profiles: list[GpuProfile] = []
        for id, gpu in self._gpus.items():
            found, told = self._survey.gpus.get(id), gpu.tally.coverage(end)
            profiles.append(
                GpuProfile(
                    id=id,
                    name=found.name if found else "",
                    measure=(found.measure if found else None) or "not measured",
                    resolution_s=told.resolution_s,
                    coverage=told.share,
                    sm_mean=gpu.active / gpu.told if gpu.told else None,
                )
            )
        return profiles

    def contradictions(self) -> list[str]:
        """What the counters and the engines do not agree on, a line each."""
        lines: list[str] = []
        for id, gpu in self._gpus.items():
            named = f"GPU {id} ({', '.join(gpu.engines)})" if gpu.engines else f"GPU {id}"
            if gpu.unexplained > _WORTH_A_LINE * gpu.seen:
                lines.append(
                    f"{named} computed for {gpu.unexplained / 1e9:.1f} s while every engine on it claimed "
                    "to be idle: look for another process, or for work that headway does not see"
                )
            for pid, ns in gpu.foreign.items() if gpu.is_known else ():
                if ns > _WORTH_A_LINE * gpu.seen:
                    lines.append(
                        f"{named}: process {pid}, which is none of the run's engines, was on it for "
                        f"{ns / 1e9:.1f} s"
                    )
        return lines

    def _note_processes(self, gpu: _Gpu, pids: list[int], covered: int) -> None:
        """Others count once one of ours was seen: a driver may number those of a container in its own way."""
        gpu.is_known |= not self._own.isdisjoint(pids)
        for pid in set(pids) - self._own:
            gpu.foreign[pid] = gpu.foreign.get(pid, 0) + covered

    def _note_activity(self, gpu: _Gpu, sm: float, covered: int, worked: dict[str, int]) -> None:
        gpu.active += covered * sm
        gpu.told += covered
        states = self._attribution.activity.engines
        has_reason = any(id in states and states[id].state in ("starting", "weight_sync") for id in worked)
        if worked and not any(worked.values()) and not has_reason and sm > _BUSY:
            gpu.unexplained += round(covered * sm)
        for id, ns in worked.items():
            on = max(len(self._survey.engines[id].gpus), 1)  # an engine on several is seen by each
            self.covered[id] = self.covered.get(id, 0) + ns // on
            self.idle[id] = self.idle.get(id, 0) + min(max(ns - round(covered * sm), 0), ns) // on

    def _join(self, id: str) -> _Gpu:
        engines = [name for name, facts in self._survey.engines.items() if id in facts.gpus]
        gpu = self._gpus[id] = _Gpu(engines, Tally(id, self._start), self._start, dict.fromkeys(engines, 0))
        return gpu
