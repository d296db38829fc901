"""``headway bench sandbox``: from options to a plan, through the rounds, to tables and files.

Invariant: what was measured is shown and written, however the command ends.
"""

import contextlib
import math
import shlex
import sys
import warnings
from pathlib import Path

import msgspec
from rich.console import Console

from headway.errors import HeadwayError, InputError
from headway.sandbox import SandboxError, Tier, ZygoteSandbox
from headway.sandbox.bench.executors import (
    Executor,
    SandboxExecutor,
    bubblewrap_executor,
    subprocess_executor,
)
from headway.sandbox.bench.page import html_page
from headway.sandbox.bench.plan import BARE_FORK, BASELINE, BUBBLEWRAP, EXECUTORS, OURS, Plan
from headway.sandbox.bench.report import Report, make_header, make_report
from headway.sandbox.bench.rounds import Rounds
from headway.sandbox.bench.row import Measured
from headway.sandbox.bench.snippets import KINDS

from .bench_options import names, numbers
from .bench_progress import MeasurementProgress
from .bench_sandbox_tables import print_report
from .endings import finally_all, try_all
from .output_file import write_json, write_whole
from .runtime import run_async


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for; None where nothing was."""

    executors: str | None
    snippets: str | None
    outstanding: str | None
    calls: int | None
    rate: float | None
    load: float | None
    rounds: int | None
    workers: int
    seed: int
    seconds: float | None
    quick: bool


class _Defaults(msgspec.Struct, frozen=True):
    snippets: str
    burst: int | None
    rounds: int
    seconds: float


_FULL = _Defaults(",".join(KINDS), 1024, rounds=3, seconds=5.0)
_QUICK = _Defaults("light,numpy,sympy", None, rounds=1, seconds=2.0)
_LOAD = 0.6


def run_sandbox_bench(
    choice: Choice, *, json_file: Path | None, html_file: Path | None, console: Console
) -> Report:
    """Measure everything that was asked for; raises ``HeadwayError`` where this sandbox lost a call."""
    if json_file is not None and json_file == html_file:
        raise InputError(f"--json and --html both name {json_file}; give two files")
    session = _Session(make_plan(choice), asked=choice.executors is not None)
    report: list[Report] = []

    def conclude() -> None:
        if session.taken:
            report.append(session.report())
            try_all(
                lambda: print_report(console, report[0]),
                lambda: write_json(json_file, report[0]) if json_file else None,
                lambda: write_whole(html_file, html_page(report[0]).encode()) if html_file else None,
            )

    with finally_all(conclude):
        run_async(session.run)
    if report[0].lost:
        raise HeadwayError(f"{report[0].lost} calls of {OURS} were lost: not answered, or wrongly")
    return report[0]


def make_plan(choice: Choice) -> Plan:
    """Fill in the defaults and read what was asked for; raises ``InputError``."""
    if choice.rate is not None and choice.load is not None:
        raise InputError("--rate and --load both say how fast calls arrive; give one of them")
    if choice.calls is not None and choice.seconds is not None:
        raise InputError("--calls and --seconds both say how long a measurement is; give one of them")
    default = _QUICK if choice.quick else _FULL
    usual = [4 * choice.workers, *([default.burst] if default.burst else [])]
    outstanding = usual if choice.outstanding is None else numbers("--outstanding", choice.outstanding, int)
    if min(outstanding) < choice.workers:
        raise InputError(
            f"--outstanding {min(outstanding)}: with {choice.workers} workers some would have nothing to do; "
            f"give {choice.workers} or more, or fewer --workers"
        )
    return Plan(
        executors=_chosen("--executors", choice.executors, EXECUTORS),
        snippets=_chosen(
            "--snippets", default.snippets if choice.snippets is None else choice.snippets, KINDS
        ),
        outstanding=sorted(outstanding),
        calls=choice.calls,
        rate=None if choice.rate is None else _positive("--rate", choice.rate),
        load=_share(_LOAD if choice.load is None else choice.load),
        rounds=choice.rounds or default.rounds,
        workers=choice.workers,
        seed=choice.seed,
        seconds=_positive("--seconds", default.seconds if choice.seconds is None else choice.seconds),
    )


def _chosen(option: str, text: str | None, known: tuple[str, ...]) -> list[str]:
    chosen = list(known) if text is None else names(text)
    for name in chosen:
        if name not in known:
            raise InputError(f"{option} {name}: choose from {', '.join(known)}")
    if not chosen:
        raise InputError(f"{option} {text!r}: choose from {', '.join(known)}")
    return [name for name in known if name in chosen]


def _positive(option: str, value: float) -> float:
    if not 0 < value < math.inf:
        raise InputError(f"{option} {value:g}: give a number above 0")
    return value


def _share(load: float) -> float:
    if not 0 < load <= 0.9:
        raise InputError(f"--load {load:g}: give a share of the closed rate above 0 and up to 0.9")
    return load


class _Session:
    """One run of the command: the executors that it starts, and what it has measured so far."""

    def __init__(self, plan: Plan, *, asked: bool) -> None:
        self.taken: list[Measured] = []
        self._plan = plan
        self._asked = asked
        self._notes: list[str] = []
        self._left_out: dict[str, str] = {}
        self._tier: Tier | None = None
        self._complete = False

    def report(self) -> Report:
        """What was measured by now."""
        header = make_header(shlex.join(["headway", *sys.argv[1:]]), self._tier, self._plan)
        left_out = [f"Left out: {what}: {why}." for what, why in self._left_out.items()]
        return make_report(header, self.taken, [*self._notes, *left_out], complete=self._complete)

    async def run(self) -> None:
        """Start the executors and measure."""
        async with contextlib.AsyncExitStack() as stack:
            executors, references = await self._start(stack)
            progress = stack.enter_context(MeasurementProgress(Console(stderr=True), self._plan.measurements))

            def taken(one: Measured) -> None:
                self.taken.append(one)
                row = one.row
                progress.note(f"measured {row.snippet}, {row.mode}, {row.executor}, round {row.round + 1}")

            def left_out(what: str, why: str) -> None:
                self._left_out.setdefault(what, why)
                progress.note(f"left out {what}")

            await Rounds(self._plan, executors, references, taken=taken, left_out=left_out).run()
            self._complete = True

    async def _start(self, stack: contextlib.AsyncExitStack) -> tuple[list[Executor], list[Executor]]:
        """Start what the plan names, and the unconfined sandbox that ours is compared with."""
        plan, executors, references = self._plan, list[Executor](), list[Executor]()
        if OURS in plan.executors:
            sandbox = await stack.enter_async_context(await ZygoteSandbox.start(workers=plan.workers))
            self._tier = sandbox.tier
            executors.append(SandboxExecutor(OURS, sandbox))
            with warnings.catch_warnings(action="ignore", category=RuntimeWarning):
                unsafe = await ZygoteSandbox.start(workers=plan.workers, unsafe_no_isolation=True)
            references.append(SandboxExecutor(BARE_FORK, await stack.enter_async_context(unsafe)))
        if BASELINE in plan.executors:
            executors.append(subprocess_executor(plan.workers))
        if BUBBLEWRAP in plan.executors:
            try:
                executors.append(await bubblewrap_executor(plan.workers))
            except SandboxError as error:
                if self._asked:
                    raise
                self._notes.append(f"Without bubblewrap: {error}.")
                self._plan = msgspec.structs.replace(
                    plan, executors=[name for name in plan.executors if name != BUBBLEWRAP]
                )
        return executors, references
