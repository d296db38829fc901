"""One supervised run, from its start or from its last checkpoint to its end.

Invariants: a run that was killed and goes on ends with the weights of one that was not, bit for bit; it goes
on only with the data and the configuration that it began with. Knows nothing of files of chats or terminals.
"""

import zlib
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from headway.errors import InputError
from headway.jsonl import shorten

from .checkpoint import pack, read_packed
from .checkpoint_folder import checkpoint_of, keep_last, latest
from .metrics_log import MetricsLog
from .policy_model import PolicyModel
from .sft import SftConfig, SftStep, as_samples, batches, fit
from .tokens import Example


class SftEvaluation(msgspec.Struct, frozen=True):
    """The mean loss of all held-out tokens that have one, after so many epochs; in nats."""

    epoch: int
    loss: float


class SftProgress(msgspec.Struct, kw_only=True):
    """How far a run has come; ``seconds`` are those of its steps. Losses are in nats."""

    step: int = 0
    tokens: int = 0
    written_tokens: int = 0
    seconds: float = 0.0
    first_loss: float | None = None
    last_loss: float | None = None
    held_out: list[SftEvaluation] = msgspec.field(default_factory=list)

    def add(self, step: SftStep) -> None:
        """Take in a step."""
        self.step = step.step
        self.tokens += step.tokens
        self.written_tokens += step.update.tokens
        self.seconds += step.update.seconds
        self.first_loss = step.update.loss if self.first_loss is None else self.first_loss
        self.last_loss = step.update.loss


class _Kept(msgspec.Struct):
    """What a checkpoint keeps besides the model; ``plan`` is what must not change."""

    plan: dict[str, Any]
    progress: SftProgress
    metrics_bytes: int | None


class SftRun:
    """Trains in a run folder, which gets ``metrics.jsonl``, ``tensorboard/`` and ``checkpoints/``.

    Every epoch ends with a checkpoint, and so does every ``checkpoint_every`` steps; the last one is kept.
    With ``resume`` the run goes on from it, if there is one; raises ``InputError`` where it is another run's.
    """

    def __init__(
        self,
        model: PolicyModel,
        examples: Sequence[Example],
        config: SftConfig,
        *,
        folder: Path,
        held_out: Sequence[Example] = (),
        checkpoint_every: int | None = None,
        resume: bool = False,
    ) -> None:
        self.progress = SftProgress()
        self._model = model
        self._examples = examples
        self._config = config
        self._held_out = as_samples(held_out)
        self._checkpoints = folder / "checkpoints"
        self._checkpoint_every = checkpoint_every
        self._epoch_steps = config.steps_an_epoch(len(examples))
        self.steps = config.epochs * self._epoch_steps
        self._plan = {
            **msgspec.to_builtins(config),
            "data": f"{len(examples)} chats, {_checksum(examples):08x}",
            "held_out": f"{len(held_out)} chats, {_checksum(held_out):08x}",
        }
        if resume:
            self._resume(folder / "metrics.jsonl")
        self._saved = self.progress.step
        self._metrics = MetricsLog(folder, after=self.progress.step or (-1 if resume else None))

    def run(self) -> Iterator[SftStep | SftEvaluation]:
        """Yield every step and every evaluation: before the first step, and after each epoch."""
        progress = self.progress
        if not progress.held_out:
            yield from self._evaluate(0)
        source = batches(self._examples, self._config, done=progress.step)
        for step in fit(self._model, source, done=progress.step):
            progress.add(step)
            self._metrics.write(step.step, "step", step)
            epoch, inside = divmod(step.step, self._epoch_steps)
            if not inside:
                yield from self._evaluate(epoch)
            if not inside or (self._checkpoint_every and step.step % self._checkpoint_every == 0):
                self.save_checkpoint()
            yield step

    def save_checkpoint(self) -> None:
        """Write what the run needs to go on, unless the last checkpoint has it all."""
        if self.progress.step == self._saved:
            return
        kept = _Kept(plan=self._plan, progress=self.progress, metrics_bytes=self._metrics.size)
        self._model.save_checkpoint(checkpoint_of(self._checkpoints, self.progress.step), pack(kept))
        keep_last(self._checkpoints, 1)
        self._saved = self.progress.step

    def _evaluate(self, epoch: int) -> Iterator[SftEvaluation]:
        if self._held_out:
            evaluation = SftEvaluation(epoch, self._model.loss(self._held_out))
            self.progress.held_out.append(evaluation)
            self._metrics.write(self.progress.step, "held_out", evaluation)
            yield evaluation

    def _resume(self, metrics: Path) -> None:
        checkpoint = latest(self._checkpoints)
        kept = None
        if checkpoint is not None:
            kept = read_packed(checkpoint, _Kept)
            for name, begun in kept.plan.items():
                if begun != self._plan.get(name):
                    raise InputError(
                        f"{checkpoint}: the run was begun with another {name}, {begun} and not "
                        f"{self._plan.get(name)}; go on with that, or begin anew in another folder"
                    )
            self._model.load_checkpoint(checkpoint)
            self.progress = kept.progress
        shorten(metrics, (kept and kept.metrics_bytes) or 0)  # what came after the checkpoint comes once more


def _checksum(examples: Sequence[Example]) -> int:
    total = 0
    for example in examples:
        total = zlib.crc32(bytes(example.written), zlib.crc32(array("i", example.ids).tobytes(), total))
    return total
