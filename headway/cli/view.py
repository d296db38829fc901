"""What a run looks like while it runs: a live display on a terminal, one line a step elsewhere."""

from collections import deque
from types import TracebackType
from typing import Literal

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from headway.scheduler.events import (
    EngineChanged,
    EngineLoad,
    Event,
    Parked,
    PhaseChanged,
    ToolEnded,
    ToolStarted,
    TrajectoryEnded,
    TrajectoryStarted,
    TurnAbandoned,
    TurnDispatched,
    TurnEnded,
    TurnReady,
)
from headway.trainer.collapse import Alarm
from headway.trainer.loop_observer import StageEntry

from .resume import Resumed
from .run_folder import RunFolder
from .session import engine_ids
from .summary import EvalSummary, StepSummary, Trajectories
from .train_config import TrainConfig

_STEPS_SHOWN = 12
_LINES_AROUND = 12  # titles, headings and blank lines around the engines, evaluations and steps
_ENGINE_COLUMNS: dict[str, Literal["left", "right"]] = {
    "engine": "left",
    "state": "left",
    "turns": "right",
    "KV": "right",
    "in use": "left",
    "tokens": "right",
    "parked": "right",
}
_STEP_COLUMNS = (
    "step",
    "pass@1",
    "tool errors\nin correct",
    "kept",
    "tokens/s",
    "preempted",
    "logprob\ndifference",
    "seconds",
)


class _EngineView:
    def __init__(self) -> None:
        self.state = "waiting"
        self.turns: set[str] = set()
        self.kv_usage = 0.0
        self.tokens = 0
        self.parked = 0


class View:
    """An event sink that keeps the figures of the moment, and draws them."""

    def __init__(self, console: Console, config: TrainConfig, folder: RunFolder) -> None:
        self.trajectories = Trajectories()
        self._console = console
        self._title = Text.from_markup(
            f"[bold]headway {escape(config.name)}[/]  {escape(config.model)} · {config.policy} · "
            f"{escape(str(folder.path))}",
            overflow="ellipsis",
        )
        self._title.no_wrap = True
        self._steps_wanted = config.grpo.most_steps
        self._stages = len(config.grpo.stages)
        self._engines = {id: _EngineView() for id in engine_ids(config)}
        self._phase, self._step = "starting engines", 0
        self._groups = {"rollout": config.grpo.prompts, "evaluation": config.evaluation.tasks}
        self._done, self._wanted = 0, 0
        self._ready: set[str] = set()  # trajectories whose next turn waits for an engine
        self._tools = 0
        self._steps: deque[StepSummary] = deque(maxlen=_STEPS_SHOWN)
        self._evals: list[EvalSummary] = []
        self._live = Live(console=console, get_renderable=self.render, refresh_per_second=4, transient=True)

    async def __aenter__(self) -> "View":
        if self._console.is_terminal:
            self._live.start()
        else:
            self._console.print(self._title, soft_wrap=True)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def on_phase(self, engine: str, phase: str) -> None:
        """Take in how an engine's start goes."""
        self._engines[engine].state = phase
        if not self._console.is_terminal:
            self._console.print(f"{engine}: {phase}", highlight=False, soft_wrap=True)

    def on_group(self, phase: str, done: int, wanted: int) -> None:
        """Take in that a group is complete."""
        if phase == self._phase:  # of rollouts that run ahead, groups complete in any phase
            self._done, self._wanted = done, wanted

    def on_stage(self, entry: StageEntry) -> None:
        """Take in that a stage begins; of a run that has only one there is nothing to say."""
        if self._stages:
            self._console.print(_say_stage(entry), style="bold", highlight=False, soft_wrap=True)

    def resume(self, resumed: Resumed) -> None:
        """Take in what there was before the run was resumed."""
        since = 0
        if resumed.kept is not None:
            summary, since = resumed.kept.summary, resumed.kept.rollouts_bytes
            self._steps += summary.steps
            self._evals += summary.eval
            ended = summary.trajectories.finished + summary.trajectories.failed
            self.trajectories = Trajectories(  # those that were live start once more
                started=ended, finished=summary.trajectories.finished, failed=summary.trajectories.failed
            )
        begun = resumed.begun
        if begun is not None:
            ends = [place.failed for place in begun.places if place.start >= since]
            self.trajectories.started += len(ends)
            self.trajectories.failed += sum(ends)
            self.trajectories.finished += len(ends) - sum(ends)
            steps = len(resumed.kept.summary.steps) if resumed.kept else 0
            self._console.print(
                f"going on after step {steps}, with {begun.finished} rollouts that finished since",
                highlight=False,
                soft_wrap=True,
            )

    def on_step(self, step: StepSummary) -> None:
        """Take in that a step is over."""
        self._steps.append(step)
        if not self._console.is_terminal:
            self._console.print(
                f"step {step.step:3}/{self._steps_wanted}  pass@1 {step.pass_at_1:.3f}  "
                f"tool errors in correct {step.tool_error_in_correct:.3f}  kept {step.kept}  "
                f"{step.tokens_per_s:.0f} tokens/s  preemptions {step.preemptions}  "
                f"logprob diff {_difference(step)}  {step.seconds:.1f} s",
                highlight=False,
                soft_wrap=True,
            )

    def on_evaluation(self, evaluation: EvalSummary) -> None:
        """Take in that an evaluation is over."""
        self._evals.append(evaluation)
        if not self._console.is_terminal:
            self._console.print(_say_evaluation(evaluation), highlight=False, soft_wrap=True)

    def on_alarm(self, alarm: Alarm) -> None:
        """Take in a sign of collapse; on a terminal it is shown above the display and stays there."""
        self._console.print(
            f"step {alarm.step}: {alarm.reason}", style="bold red", highlight=False, soft_wrap=True
        )

    def emit(self, event: Event) -> None:
        """Keep count."""
        match event:
            case EngineChanged():
                self._engines[event.engine].state = event.state.replace("_", " ")
            case EngineLoad():
                self._engines[event.engine].kv_usage = event.kv_usage
            case TrajectoryStarted():
                self.trajectories.started += 1
            case TrajectoryEnded(status=status):
                if status == "finished":
                    self.trajectories.finished += 1
                else:
                    self.trajectories.failed += 1
                self._leave(event.trajectory)
            case TurnAbandoned():
                self._leave(event.trajectory)
            case TurnReady():
                self._ready.add(event.trajectory)
            case TurnDispatched():
                self._ready.discard(event.trajectory)
                self._engines[event.engine].turns.add(event.trajectory)
            case TurnEnded():
                self._engines[event.engine].turns.discard(event.trajectory)
                self._engines[event.engine].tokens += event.generated
            case Parked():
                self._engines[event.engine].parked += 1
            case ToolStarted():
                self._tools += 1
            case ToolEnded():
                self._tools -= 1
            case PhaseChanged():
                self._phase, self._step = event.phase, event.step
                self._done, self._wanted = 0, self._groups.get(event.phase, 0)
            case _:
                pass

    def _leave(self, trajectory: str) -> None:
        self._ready.discard(trajectory)
        for engine in self._engines.values():
            engine.turns.discard(trajectory)

    def render(self) -> RenderableType:
        """The display of the moment."""
        # Drawn from a thread of its own: what grows is copied before it is walked through.
        evals, steps = list(self._evals), list(self._steps)
        shown = evals if len(evals) <= 2 else [evals[0], evals[-1]]
        room = max(self._console.height - len(self._engines) - len(shown) - _LINES_AROUND, 1)
        parts: list[RenderableType] = [self._title, "", self._render_engines(), "", self._render_progress()]
        parts += [Text(f"  waiting for headroom: {len(self._ready)}, in tools: {self._tools}", style="dim")]
        if shown:
            parts += ["", *(Text("  " + _say_evaluation(evaluation)) for evaluation in shown)]
        if steps:
            parts += ["", _render_steps(steps[-room:])]
        return Group(*parts)

    def _render_engines(self) -> Table:
        table = Table(box=None, header_style="dim", padding=(0, 1))
        for column, justify in _ENGINE_COLUMNS.items():
            table.add_column(column, justify=justify)
        for id, engine in list(self._engines.items()):
            table.add_row(
                Text(id, style="bold"),
                Text(engine.state, style="green" if engine.state == "ready" else "yellow"),
                str(len(engine.turns)),
                Text(f"{engine.kv_usage:.0%}", style="cyan"),
                ProgressBar(total=1.0, completed=engine.kv_usage, width=12),
                f"{engine.tokens:,}",
                f"{engine.parked:,}",
            )
        return table

    def _render_progress(self) -> Table:
        table = Table.grid(padding=(0, 2))
        step = f"step {self._step}/{self._steps_wanted}" if self._step else "before the first step"
        row: list[RenderableType] = [Text(f"  {step}", style="bold"), Text(self._phase, style="magenta")]
        if self._wanted:
            row += [
                ProgressBar(total=self._wanted, completed=self._done, width=20),
                f"{self._done}/{self._wanted} groups",
            ]
        table.add_row(*row)
        return table


def _render_steps(steps: list[StepSummary]) -> Table:
    table = Table(box=None, header_style="dim", padding=(0, 1))
    for column in _STEP_COLUMNS:
        table.add_column(column, justify="right")
    for step in steps:
        table.add_row(
            str(step.step),
            f"{step.pass_at_1:.3f}",
            f"{step.tool_error_in_correct:.1%}",
            str(step.kept),
            f"{step.tokens_per_s:,.0f}",
            str(step.preemptions),
            _difference(step),
            f"{step.seconds:.1f}",
        )
    return table


def _say_stage(entry: StageEntry) -> str:
    said = f"stage {entry.stage} begins after step {entry.step}"
    if entry.tasks is None:
        return said
    said += f", with {entry.tasks} tasks"
    if entry.left_out or entry.screened:
        said += f" ({entry.left_out} solved every time are left out, {entry.screened} were tried for it)"
    return said


def _difference(step: StepSummary) -> str:
    return "-" if step.logprob_max_abs_diff is None else f"{step.logprob_max_abs_diff:.1e}"


def _say_evaluation(evaluation: EvalSummary) -> str:
    return (
        f"held-out, step {evaluation.step}: pass@1 {evaluation.pass_at_1:.3f} of {evaluation.n}, "
        f"tool errors in correct {evaluation.tool_error_in_correct:.1%}"
    )
