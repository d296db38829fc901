"""The trained model: one batch of rollouts at a time, and its weights in and out of files.

Invariants: an update whose loss or gradient is not finite changes nothing and says so; files appear whole or
not at all, and never hold a step's weights in part, whatever thread each call comes from.
Knows nothing of rollouts' origin, engines or schedules.
"""

import math
import shutil
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from headway.errors import HeadwayError

from .batch import MicroBatch, Sample, micro_batches, split
from .loss import BatchSize, chosen, policy_loss
from .network import load_network, predictions
from .optimizer_config import OptimizerConfig
from .replace_folder import replace_folder
from .schedule import learning_rate
from .step_report import StepReport, Totals, larger
from .vetting import require_whole, scorable

__all__ = ["OptimizerConfig", "PolicyModel"]


class PolicyModel:
    """A causal language model with its optimiser."""

    def __init__(self, folder: Path, config: OptimizerConfig, *, device: str = "cpu") -> None:
        self._folder = folder
        self._config = config
        self._device = torch.device(device)
        self._model = load_network(folder, config.network, self._device)
        self._reference = None
        if config.kl:
            reference = Path(config.reference) if config.reference else folder
            self._reference = load_network(reference, config.network, self._device).requires_grad_(False)
        self._steps = 0
        self._optimizer = torch.optim.AdamW(
            self._model.parameters(),
            lr=config.learning_rate,
            betas=config.betas,
            weight_decay=config.weight_decay,
        )
        # A thread cannot be cancelled: after Ctrl-C a step may still run while the weights are to be saved.
        self._whole = threading.Lock()

    def step(
        self,
        samples: Sequence[Sample],
        *,
        sizes: Sequence[BatchSize] | None = None,
        version: int | None = None,
    ) -> StepReport:
        """Update on a batch of samples, one at least; raises ``InputError`` at a broken record.

        ``sizes``: what the loss of each update divides by, where other ranks have more of the batch (the
        gradient is this rank's summand). ``version``: that of the weights in force, which staleness is
        counted from.
        """
        require_whole(samples)
        parts = split(samples, self._config.updates)
        sizes = sizes or [BatchSize.of(sample.rollout for sample in part) for part in parts]
        left = [scorable(part) for part in parts]
        totals = Totals()
        totals.dropped = len(samples) - sum(map(len, left))
        with self._whole:
            # The first update is on the weights that the anchor is of: its ratio is 1, whatever they were.
            anchors = [None, *(self._anchors(part) for part in left[1:])]
            for part, size, anchor in zip(left, sizes, anchors, strict=True):
                self._update(part, size, anchor, totals)
            return totals.report(samples, parts=len(parts), version=version)

    def write_weights(self, file: Path) -> None:
        """Write the weights to one safetensors file, in HF names, tied ones once."""
        partial = file.with_suffix(".partial")
        try:
            with self._whole:
                save_file(self._state(), partial)
            partial.replace(file)
        except Exception as error:
            partial.unlink(missing_ok=True)
            raise HeadwayError(f"{file}: cannot write the weights: {error}") from error

    def save(self, folder: Path) -> None:
        """Write an HF model folder, tokenizer included; an older one of the name is replaced at the end."""
        partial = folder.with_name(folder.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        try:
            with self._whole:
                self._model.save_pretrained(partial)
            for file in self._folder.iterdir():
                if file.is_file() and not (partial / file.name).exists() and not _is_weights(file):
                    shutil.copy2(file, partial)
            replace_folder(partial, folder)
        except Exception as error:
            shutil.rmtree(partial, ignore_errors=True)
            raise HeadwayError(f"{folder}: cannot write the checkpoint: {error}") from error

    def _update(
        self, samples: Sequence[Sample], size: BatchSize, anchors: list[Tensor] | None, totals: Totals
    ) -> None:
        """Take one optimiser step, unless it would not be finite or there is nothing to learn from."""
        loss = self._accumulate(samples, size, anchors, totals)
        norm = float(torch.nn.utils.clip_grad_norm_(self._model.parameters(), self._config.max_grad_norm))
        totals.grad_norm = larger(totals.grad_norm, norm)
        totals.learning_rate = self._rate(self._steps + 1)
        if loss is None or not (math.isfinite(loss) and math.isfinite(norm)):
            return
        for group in self._optimizer.param_groups:
            group["lr"] = totals.learning_rate
        self._optimizer.step()
        self._steps += 1
        totals.updates += 1

    def _accumulate(
        self, samples: Sequence[Sample], size: BatchSize, anchors: list[Tensor] | None, totals: Totals
    ) -> float | None:
        """Leave the samples' gradient in the parameters; return their loss, None where there is none."""
        self._optimizer.zero_grad(set_to_none=True)
        losses = []
        for index, batch in enumerate(self._micro_batches(samples)):
            predicted = predictions(self._model, batch, self._config.network)
            logprobs = chosen(predicted, batch.targets)
            terms = policy_loss(
                logprobs,
                behaviour=batch.behaviour,
                advantage=batch.advantage,
                segments=batch.segments,
                size=size,
                config=self._config,
                anchor=anchors[index] if anchors else None,
                reference=self._logprobs(self._reference, batch) if self._reference is not None else None,
            )
            terms.loss.backward()  # type: ignore[no-untyped-call]
            totals.add(batch, predicted, logprobs, terms)
            losses.append(terms.loss.item())
        return sum(losses) if losses else None

    def _anchors(self, samples: Sequence[Sample]) -> list[Tensor]:
        """The log-probabilities of each micro-batch's tokens by the weights as they are."""
        return [self._logprobs(self._model, batch) for batch in self._micro_batches(samples)]

    @torch.no_grad()
    def _logprobs(self, model: Any, batch: MicroBatch) -> Tensor:
        return chosen(predictions(model, batch, self._config.network), batch.targets)

    def _micro_batches(self, samples: Sequence[Sample]) -> Iterator[MicroBatch]:
        """The micro-batches in which there is something to learn from."""
        config = self._config
        for batch in micro_batches(
            samples,
            token_budget=config.micro_batch_tokens,
            device=self._device,
            packing=config.network.packing,
        ):
            if len(batch.targets):
                yield batch

    def _rate(self, step: int) -> float:
        config = self._config
        return learning_rate(
            step,
            peak=config.learning_rate,
            warmup_steps=config.warmup_steps,
            decay_steps=config.decay_steps,
            decay_to=config.decay_to,
        )

    def _state(self) -> dict[str, torch.Tensor]:
        """The weights by name; of tensors that share memory (tied embeddings) the first name only."""
        seen: set[int] = set()
        state: dict[str, torch.Tensor] = {}
        for name, tensor in self._model.state_dict().items():
            if tensor.data_ptr() not in seen:
                seen.add(tensor.data_ptr())
                state[name] = tensor.detach().to("cpu").contiguous()
        return state


def _is_weights(file: Path) -> bool:
    return file.suffix in (".safetensors", ".bin") or file.name.endswith(".index.json")
