"""Notes what the training loop says: on the screen, in the summary, in the metrics and in checkpoints.

Invariant: the summary on disk is current in every field whenever it is written. Knows nothing of how steps
are made.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from headway.scheduler import Group
from headway.trainer.batch import Sample
from headway.trainer.collapse import Alarm
from headway.trainer.grpo import Evaluation, GrpoStep
from headway.trainer.metrics_log import MetricsLog

from .endings import try_all
from .recorder import Recorder
from .run_folder import RunFolder
from .step_transcripts import StepTranscripts
from .summary import Summary
from .view import View


class Savable(Protocol):
    """The policy, as far as checkpoints go."""

    def save(self, folder: Path) -> None:
        """Write it as an HF model folder."""
        ...


class RunObserver:
    """The observer of a whole run. ``checkpoint_every`` counts steps; 0 saves at the end alone."""

    def __init__(
        self,
        *,
        folder: RunFolder,
        summary: Summary,
        recorder: Recorder,
        metrics: MetricsLog,
        view: View,
        model: Savable,
        transcripts: StepTranscripts | None = None,
        checkpoint_every: int = 0,
    ) -> None:
        self._folder = folder
        self._summary = summary
        self._recorder = recorder
        self._metrics = metrics
        self._view = view
        self._model = model
        self._transcripts = transcripts
        self._checkpoint_every = checkpoint_every
        recorder.lap()

    def on_group(self, phase: str, group: Group, done: int, wanted: int) -> None:
        """Move the progress bar, and keep what there may be to read."""
        self._view.on_group(phase, done, wanted)
        if self._transcripts is not None and phase == "rollout":
            self._transcripts.add(group.rollouts)

    def on_batch(self, step: int, samples: Sequence[Sample]) -> None:
        """Write a few of the step's rollouts to be read."""
        if self._transcripts is not None:
            self._transcripts.write(step, samples)

    def on_step(self, step: GrpoStep) -> None:
        """Note a step, and make a checkpoint where one is due."""
        idle, wall_ns = self._recorder.lap()
        summary = self._summary.add_step(step, idle, wall_ns)
        self._write_summary()
        self._metrics.write(step.step, "step", step)
        self._view.on_step(summary)
        if self._checkpoint_every and step.step % self._checkpoint_every == 0:
            self._save()

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

    def conclude(self) -> None:
        """Write what is known at the end, however it came: the summary, and the weights as they stand."""
        try_all(self._write_summary, self._save)

    def _write_summary(self) -> None:
        self._summary.set_idle(*self._recorder.total())
        self._summary.trajectories = self._view.trajectories
        self._summary.write(self._folder.summary)

    def _save(self) -> None:
        self._model.save(self._folder.checkpoint)
