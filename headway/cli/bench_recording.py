"""``headway bench recording``: what recording a run costs, against the same run without it."""

import asyncio
import contextlib
import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from headway.engine import Engine
from headway.profiles.closed_loop import play
from headway.profiles.hardware_profiles import load_hardware
from headway.profiles.real_engines import TURN_LIMIT_S, RealEngines, open_real_engines
from headway.profiles.small_suites import MATH, make_small_suite
from headway.profiles.workload import Workload, scaled
from headway.scheduler import make_policy
from headway.scheduler.block_names import BlockNames
from headway.scheduler.events import Event, TurnReady
from headway.scheduler.pulse import Pulse

from .endings import finally_all
from .output_file import write_json
from .recorder import Recorder
from .runtime import flushing, run_async
from .session import model_folder

_POLICY = "headroom"
_CONTEXT = 1024  # tokens, which the shipped policy takes
_TIMED = 20_000  # events at least


class RecordingCost(msgspec.Struct, kw_only=True):
    """The pairs, in order: tokens a second recorded and not; and the processor time of one event."""

    recorded: list[float] = []
    bare: list[float] = []
    events: int = 0
    cpu_us_per_event: float | None = None

    @property
    def ratios(self) -> list[float]:
        """Recorded over bare, pair by pair."""
        return [with_it / without for with_it, without in zip(self.recorded, self.bare, strict=False)]


class _Kept:
    def __init__(self) -> None:
        self.events: list[Event] = []

    def emit(self, event: Event) -> None:
        self.events.append(event)


def run_recording(*, pairs: int, engines: int, json_file: Path | None, console: Console) -> RecordingCost:
    """Measure; what was measured is shown and written, however it ends."""
    cost = RecordingCost()

    def write() -> None:
        if json_file is not None:
            write_json(json_file, cost)

    with finally_all(lambda: _print(cost, console), write):
        run_async(lambda: _measure(cost, pairs, engines, console))
    return cost


async def _measure(cost: RecordingCost, pairs: int, count: int, console: Console) -> None:
    what = RealEngines(engines=count, model=str(model_folder("tiny")), max_context=_CONTEXT)
    workload = scaled(
        make_small_suite(
            "math",
            seed=0,
            hardware=load_hardware("cpu-tiny"),
            engines=count,
            kv_tokens=what.kv_tokens,
            pressure=1.0,
            groups=16,
        ),
        tokens=_CONTEXT / MATH.max_context,
    )
    console.print(f"starting {count} engines", highlight=False)
    async with open_real_engines(what) as engines:
        kept = _Kept()
        await _play(workload, engines, kept)  # fills the caches, which all runs then find alike
        draw = random.Random(0)
        for number in range(1, pairs + 1):
            for recorded in draw.sample([True, False], 2):
                speed = await (_recorded if recorded else _bare)(workload, engines)
                (cost.recorded if recorded else cost.bare).append(speed)
            console.print(f"pair {number} of {pairs}: {cost.ratios[-1]:.3f}", highlight=False)
    cost.events = len(kept.events)
    cost.cpu_us_per_event = await _cpu_us(kept.events, [engine.info.id for engine in engines])


async def _bare(workload: Workload, engines: Sequence[Engine]) -> float:
    return (await play(workload, engines, make_policy(_POLICY), limit_s=TURN_LIMIT_S)).tokens_per_s


async def _recorded(workload: Workload, engines: Sequence[Engine]) -> float:
    with tempfile.TemporaryDirectory(prefix="headway-recording-") as folder:
        recorder = _recorder(Path(folder), [engine.info.id for engine in engines])
        async with flushing(*recorder.files):
            return await _play(workload, engines, recorder)


async def _play(workload: Workload, engines: Sequence[Engine], sink: Recorder | _Kept) -> float:
    pulse = Pulse(sink)
    async with pulse.watching(engines):
        result = await play(
            workload, engines, make_policy(_POLICY), sink=pulse, limit_s=TURN_LIMIT_S, name_blocks=True
        )
    return result.tokens_per_s


async def _cpu_us(events: Sequence[Event], engines: list[str]) -> float:
    """Processor time of an event on its way into the log and the attribution, its blocks' names included."""
    spent, count, tokens = 0, 0, list(range(1 << 16))
    while count < _TIMED:
        with (
            tempfile.TemporaryDirectory(prefix="headway-recording-") as folder,
            contextlib.closing(_recorder(Path(folder), engines)) as recorder,
        ):
            pulse, names = Pulse(recorder), BlockNames()
            start = time.thread_time_ns()
            for event in events:
                if isinstance(event, TurnReady):
                    names.new(event.trajectory, tokens[: event.context])
                pulse.emit(event)
            for file in recorder.files:
                file.flush()
            spent += time.thread_time_ns() - start
        count += len(events)
        await asyncio.sleep(0)
    return spent / count / 1000


def _recorder(folder: Path, engines: list[str]) -> Recorder:
    return Recorder(folder / "events.jsonl", engines=engines, model="random", policy=_POLICY)


def _print(cost: RecordingCost, console: Console) -> None:
    if not cost.ratios:
        return
    table = Table(box=None, header_style="dim")
    for column in ("", "median", "least", "most"):
        table.add_column(column, justify="right" if column else "left")
    rows = {"tokens/s, recorded": cost.recorded, "tokens/s, not recorded": cost.bare}
    for name, speeds in rows.items():
        table.add_row(name, *(f"{f(speeds):,.1f}" for f in (statistics.median, min, max)))
    figures = (f"{f(cost.ratios):.3f}" for f in (statistics.median, min, max))
    table.add_row("recorded over not, in a pair", *figures)
    console.print(table)
    if cost.cpu_us_per_event is not None:
        console.print(
            f"{cost.cpu_us_per_event:.1f} µs of processor time an event; {cost.events:,} events a run",
            highlight=False,
        )
