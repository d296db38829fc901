"""Notes what the training loop says: on the screen, in the summary, in the metrics and in checkpoints.

Invariants: the summary on disk is current in every field whenever it is written; what a step trains on is on
disk before it does. Knows nothing of how steps are made.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

from headway.jsonl import JsonLines
from headway.scheduler import Group
from headway.trainer.batch import Sample
from headway.trainer.checkpoint_folder import checkpoint_of, keep_last
from headway.trainer.collapse import Alarm
from headway.trainer.in_thread import in_thread
from headway.trainer.loop_observer import Evaluation, GrpoStep, StageEntry
from headway.trainer.loop_state import LoopState
from headway.trainer.metrics_log import MetricsLog

from .endings import try_all
from .recorder import Recorder
from .resume import Kept
from .run_folder import RunFolder
from .step_transcripts import StepTranscripts
from .summary import Summary
from .view import View


class Savable(Protocol):
    """The policy, as far as files of it go."""

    def save(self, folder: Path) -> None:
        """Write it as an HF model folder."""
        ...

    def save_checkpoint(self, folder: Path, extra: Mapping[str, Any]) -> None:
        """Write all that training needs to go on."""
        ...


class RunObserver:
    """The observer of a whole run, which may go on from where ``summary`` was written.

    ``checkpoint_every`` counts steps; 0 saves at the end alone. The last ``keep_checkpoints`` are kept.
    """

    def __init__(
        self,
        *,
        folder: RunFolder,
        summary: Summary,
        recorder: Recorder,
        metrics: MetricsLog,
        view: View,
        policy: Savable,
        rollouts: JsonLines,
        transcripts: StepTranscripts | None = None,
        checkpoint_every: int = 0,
        keep_checkpoints: int = 2,
    ) -> None:
        self._folder = folder
        self._summary = summary
        self._before = summary.idle, summary.wall_ns
        self._recorder = recorder
        self._metrics = metrics
        self._view = view
        self._policy = policy
        self._rollouts = rollouts
        self._transcripts = transcripts
        self._checkpoint_every = checkpoint_every
        self._keep_checkpoints = keep_checkpoints
        self._unsaved: LoopState | None = None
        recorder.lap()

    def on_stage(self, entry: StageEntry) -> None:
        """Note that a stage begins."""
        self._metrics.write(entry.step, "stage", entry)
        self._view.on_stage(entry)

    def on_group(self, phase: str, group: Group, done: int, wanted: int) -> None:
        """Move the progress bar, and keep what there may be to read."""
        self._view.on_group(phase, done, wanted)
        if self._transcripts is not None and phase == "rollout":
            self._transcripts.add(group.rollouts)

    def on_batch(self, step: int, samples: Sequence[Sample]) -> None:
        """Have the step's rollouts on disk, and write a few of them to be read."""
        self._rollouts.flush()
        if self._transcripts is not None:
            self._transcripts.write(step, samples)

    def on_step(self, step: GrpoStep) -> None:
        """Note a step."""
        idle, wall_ns = self._recorder.lap()
        summary = self._summary.add_step(step, idle, wall_ns)
        self._write_summary()
        self._metrics.write(step.step, "step", step)
        self._view.on_step(summary)

    def on_evaluation(self, evaluation: Evaluation) -> None:
        """Note an evaluation."""
        self._recorder.lap()
        summary = self._summary.add_evaluation(evaluation)
        self._write_summary()
        self._metrics.write(evaluation.step, "eval", evaluation)
        self._view.on_evaluation(summary)

    def on_alarm(self, alarm: Alarm) -> None:
        """Note a sign of collapse."""
        self._summary.alarms.append(alarm)
        self._write_summary()
        self._metrics.write(alarm.step, "alarm", alarm)
        self._view.on_alarm(alarm)

    async def on_state(self, step: int, state: LoopState) -> None:
        """Make a checkpoint where one is due."""
        self._unsaved = state
        if self._checkpoint_every and step % self._checkpoint_every == 0:
            await self.checkpoint()
            await in_thread(self._save)

    async def checkpoint(self) -> None:
        """Keep the state as the last step left it, unless that has been done."""
        if (state := self._unsaved) is None:
            return
        self._rollouts.flush()
        self._update_summary()
        kept = Kept(loop=state, summary=self._summary, metrics_bytes=self._metrics.size)
        extra = msgspec.to_builtins(kept)
        await in_thread(
            lambda: self._policy.save_checkpoint(checkpoint_of(self._folder.checkpoints, state.step), extra)
        )
        keep_last(self._folder.checkpoints, self._keep_checkpoints)
        self._unsaved = None

    def conclude(self) -> None:
        """Write what is known at the end, however it came: the summary, and the weights as they stand."""
        try_all(self._write_summary, self._save)

    def _update_summary(self) -> None:
        self._summary.set_idle(*self._before, *self._recorder.total())
        self._summary.trajectories = self._view.trajectories

    def _write_summary(self) -> None:
        self._update_summary()
        self._summary.write(self._folder.summary)

    def _save(self) -> None:
        self._policy.save(self._folder.model)
