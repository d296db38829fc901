"""Notes what the training loop says: on the screen, in the summary, in the metrics and in checkpoints.

Invariants: the summary on disk is current in every field whenever it is written; what a step trains on is on
disk before it does. Knows nothing of how steps are made.
"""

import copy
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from headway.jsonl import JsonLines
from headway.scheduler import Group, Rollout
from headway.trainer.batch import Sample
from headway.trainer.checkpoint import pack
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
    ``unfinished`` gives what there is of live rollouts; ``state`` is what the loop goes on from.
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
        unfinished: Callable[[], list[Rollout]] = list,
        transcripts: StepTranscripts | None = None,
        checkpoint_every: int = 0,
        keep_checkpoints: int = 2,
        state: LoopState | None = None,
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
        self._unfinished = unfinished
        self._state = state
        self._is_saved = False
        self._sizes: deque[tuple[int, int]] = deque([(0, 0)])  # groups drawn, and bytes of rollouts then
        recorder.lap()

    def on_stage(self, entry: StageEntry) -> None:
        """Note that a stage begins."""
        self._recorder.lap()
        self._rollouts.flush()
        self._metrics.write(entry.step, "stage", entry)
        self._view.on_stage(entry)

    def on_group(self, phase: str, group: Group, done: int, wanted: int) -> None:
        """Move the progress bar."""
        self._view.on_group(phase, done, wanted)

    def on_batch(self, step: int, rollouts: Sequence[Rollout], samples: Sequence[Sample]) -> None:
        """Have the step's rollouts on disk, and write a few of them to be read."""
        self._rollouts.flush()
        if self._transcripts is not None:
            self._transcripts.write(step, rollouts, samples)

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
        self._rollouts.flush()
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
        self._state, self._is_saved = state, False
        self._sizes.append((state.collector.drawn, self._rollouts.size))
        if self._checkpoint_every and step % self._checkpoint_every == 0:
            await self._checkpoint()
            await in_thread(self._save)

    async def finish(self) -> None:
        """Have the run on disk as complete: first the weights, at last the checkpoint that says so."""
        await in_thread(self._save)
        self._is_saved = self._summary.complete = True
        self._write_summary()
        await self._checkpoint()

    def conclude(self) -> None:
        """Write what is known at the end, however it came: the summary, and the weights as they stand."""
        try_all(self._write_summary, *([] if self._is_saved else [self._save]))

    async def _checkpoint(self) -> None:
        """Keep the state as the last step left it."""
        if (state := self._state) is None:
            return
        self._rollouts.flush()
        self._update_summary()
        kept = Kept(
            loop=state,
            unfinished=self._unfinished(),
            summary=self._summary.copy(),
            metrics_bytes=self._metrics.size,
            rollouts_bytes=self._rollouts.size,
            rollouts_from=self._first_of_use(state),
        )
        folder = checkpoint_of(self._folder.checkpoints, state.step)
        await in_thread(lambda: self._policy.save_checkpoint(folder, pack(kept)))
        keep_last(self._folder.checkpoints, self._keep_checkpoints)

    def _first_of_use(self, state: LoopState) -> int:
        """The bytes of rollouts that there were before any group was drawn that is not given out yet."""
        first = min((drawn.number for drawn in state.collector.pending), default=state.collector.drawn + 1)
        while len(self._sizes) > 1 and self._sizes[1][0] < first:
            self._sizes.popleft()
        return self._sizes[0][1]

    def _update_summary(self) -> None:
        self._summary.set_idle(*self._before, *self._recorder.total())
        self._summary.trajectories = copy.copy(self._view.trajectories)

    def _write_summary(self) -> None:
        self._update_summary()
        self._summary.write(self._folder.summary)

    def _save(self) -> None:
        self._policy.save(self._folder.model)
