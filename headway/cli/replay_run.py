"""``headway replay``: from what was asked for to a plan, through the processes, to tables and a file.

Invariant: what was played is shown and written, however the command ends.
"""

import contextlib
import os
import shlex
import sys
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from headway.errors import HeadwayError, InputError
from headway.profiles.pool import FailedCall, call_all
from headway.profiles.replay.measure import Row, replay_real, replay_simulated
from headway.profiles.replay.plan import Asked, Plan, make_plan
from headway.profiles.replay.recorded_figures import figures_of
from headway.profiles.replay.report import FailedArm, RecordedRow, Report, make_header, make_report

from .bench_options import numbers
from .bench_progress import MeasurementProgress
from .endings import finally_all, try_all
from .interruptible import interruptible
from .output_file import write_json
from .replay_tables import print_report

AUTO = "auto"


def fleets(engines: str | None) -> tuple[list[int] | None, bool]:
    """What ``--engines`` says: numbers of engines, and whether to look for a number."""
    if engines is None or engines.strip() == AUTO:
        return None, engines is not None
    return numbers("--engines", engines, int), False


def run_replay(
    asked: Asked, *, model: str | None, jobs: int | None, json_file: Path | None, console: Console
) -> Report:
    """Play everything that was asked for; raises ``HeadwayError`` where a policy did not get through."""
    if model is not None and not asked.real:
        raise InputError("--model is what real engines run; give --real, too")
    with interruptible(), Console(stderr=True).status(f"reading {escape(str(asked.trace))}"):
        plan = make_plan(asked)
        recorded = _recorded(plan)
    if asked.real and model is None:
        model = _recorded_model(plan)
    command = shlex.join(["headway", *sys.argv[1:]])
    header = make_header(command, str(asked.trace), plan, simulated=not asked.real)
    rows: list[Row] = []
    failed: list[FailedArm] = []
    report: list[Report] = []

    def conclude() -> None:
        complete = len(rows) + len(failed) == len(plan.arms())
        report.append(make_report(header, recorded, rows, failed, complete=complete))
        try_all(
            lambda: print_report(console, report[0]) if rows or failed else None,
            lambda: write_json(json_file, report[0]) if json_file and rows else None,
        )

    with finally_all(conclude):
        _play(plan, asked, model, jobs or os.cpu_count() or 1, rows, failed)
    if failed:
        raise HeadwayError(f"{len(failed)} of {len(plan.arms())} replays failed; the first: {failed[0].why}")
    return report[0]


def _recorded(plan: Plan) -> RecordedRow | None:
    if plan.recorded is None:
        return None
    return RecordedRow(
        policy=plan.recorded.policy,
        engines=len(plan.recorded.engine_ids),
        figures=figures_of(plan.recorded),
    )


def _recorded_model(plan: Plan) -> str | None:
    """The folder of the model that the recorded run had, where it is still there."""
    from .session import model_folder

    folder = model_folder(plan.recorded.model) if plan.recorded is not None else None
    return str(folder) if folder is not None and (folder / "config.json").is_file() else None


def _play(
    plan: Plan, asked: Asked, model: str | None, jobs: int, rows: list[Row], failed: list[FailedArm]
) -> None:
    """Add to ``rows`` and ``failed`` as replays end."""
    arms = plan.arms()
    call = partial(replay_real, model=model) if asked.real else replay_simulated
    with (
        interruptible(),
        MeasurementProgress(Console(stderr=True), len(arms)) as progress,
        contextlib.closing(call_all(call, arms, jobs=1 if asked.real else jobs)) as outcomes,
    ):
        for outcome in outcomes:
            if isinstance(outcome, FailedCall):
                scene, policy = outcome.arguments
                failed.append(FailedArm(scene=scene.where, policy=policy, why=outcome.why))
                progress.note(f"failed {scene.where}, {policy}")
            else:
                rows.append(outcome)
                progress.note(f"played {outcome.engines} engines, {outcome.policy}, seed {outcome.seed}")
