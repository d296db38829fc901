"""What GPU counters add to the account of engines: busy time in which the SMs idled, and contradictions.

A sample's figures are held against what the engines of its GPU did since the sample before. Knows nothing of
drivers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from headway.scheduler.events import EngineStarted

from .attribution import Attribution
from .gpu.coverage import coverage
from .gpu.sample import GpuSample
from .profile import GpuProfile
from .survey import Survey

_BUSY = 0.1  # of SMs, on a GPU whose engines all claim to be idle
_WORTH_A_LINE = 0.01  # of the time


@dataclass
class _Gpu:
    engines: list[str]
    last: int
    busy: dict[str, int]
    seen: int = 0  # ns that samples cover
    unexplained: int = 0  # ns of SM time with no engine busy
    foreign: dict[int, int] = field(default_factory=dict)  # ns by process


def gpu_profiles(survey: Survey, *, start: int, end: int) -> list[GpuProfile]:
    """How each GPU was sampled, and how active it was in all."""
    profiles: list[GpuProfile] = []
    for told in coverage(survey.samples, start=start, end=end):
        found = survey.gpus.get(told.gpu)
        active = [(s.sm, s.span_ns) for s in survey.samples if s.gpu == told.gpu and s.sm is not None]
        seen = sum(span for _, span in active)
        profiles.append(
            GpuProfile(
                id=told.gpu,
                name=found.name if found else "",
                measure=(found.measure if found else None) or "not measured",
                resolution_s=told.resolution_s,
                coverage=told.share,
                sm_mean=sum(sm * span for sm, span in active) / seen if seen else None,
            )
        )
    return profiles


class GpuTime:
    """Takes samples in order, each after the attribution has been brought up to it."""

    def __init__(
        self,
        attribution: Attribution,
        engines: Mapping[str, EngineStarted],
        *,
        start: int,
        own_pid: int | None,
    ) -> None:
        self.idle: dict[str, int] = {}
        self.covered: dict[str, int] = {}
        self._attribution = attribution
        self._engines = engines
        self._start = start
        self._gpus: dict[str, _Gpu] = {}
        pids = {pid for engine in engines.values() for pid in engine.pids}
        self._own = pids | {own_pid} if pids and own_pid is not None else set()

    def take(self, sample: GpuSample) -> None:
        """Take one sample."""
        gpu = self._gpus.get(sample.gpu) or self._join(sample.gpu)
        window = sample.t - gpu.last
        covered = min(sample.span_ns, window)
        busy = {id: self._attribution.busy_ns(id) for id in gpu.engines}
        if window > 0 and covered > 0:
            most = 0
            for id in gpu.engines:
                worked = (busy[id] - gpu.busy[id]) * covered // window
                most = max(most, worked)
                self._note_busy(id, worked, covered, sample.sm)
            if sample.sm is not None and not most and sample.sm > _BUSY and gpu.engines:
                gpu.unexplained += round(covered * sample.sm)
            for pid in set(sample.pids or ()) - self._own if self._own else ():
                gpu.foreign[pid] = gpu.foreign.get(pid, 0) + covered
            gpu.seen += covered
        gpu.last, gpu.busy = sample.t, busy

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
            for pid, ns in gpu.foreign.items():
                if ns > _WORTH_A_LINE * gpu.seen:
                    lines.append(
                        f"{named}: process {pid}, which is none of the run's, was on it for {ns / 1e9:.1f} s"
                    )
        return lines

    def _note_busy(self, engine: str, worked: int, covered: int, sm: float | None) -> None:
        if sm is None:
            return
        self.covered[engine] = self.covered.get(engine, 0) + worked
        idle = min(max(worked - round(covered * sm), 0), worked)
        self.idle[engine] = self.idle.get(engine, 0) + idle

    def _join(self, id: str) -> _Gpu:
        engines = [name for name, facts in self._engines.items() if id in facts.gpus]
        gpu = self._gpus[id] = _Gpu(engines, self._start, dict.fromkeys(engines, 0))
        return gpu
