"""The trained model: one batch of rollouts at a time; its weights and all its state in and out of files.

Invariants: an update whose loss or gradient is not finite changes nothing and says so; files appear whole or
not at all, and never hold a step's weights in part, whatever thread each call comes from. Of several ranks
all call the same, in the same order, with the same batch: they decide alike, and the result is that of one.
Knows nothing of rollouts' origin, engines or schedules.
"""

import math
import shutil
import threading
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from headway.engine.weight_transfer import WeightTransfer
from headway.errors import HeadwayError, InputError

from .batch import MicroBatch, Sample, micro_batches, split
from .checkpoint import read_checkpoint, write_checkpoint
from .loss import BatchSize, chosen, policy_loss
from .network import load_network, predictions
from .offer import offer
from .optimizer_config import OptimizerConfig
from .ranks import ALONE, Ranks
from .replace_folder import replace_folder
from .schedule import learning_rate
from .sharding import whole
from .step_report import StepReport, Totals, larger
from .vetting import require_whole, scorable

__all__ = ["OptimizerConfig", "PolicyModel"]


class PolicyModel:
    """A causal language model with its optimiser; ``address`` is where engines reach this process."""

    def __init__(
        self,
        folder: Path,
        config: OptimizerConfig,
        *,
        device: str = "cpu",
        ranks: Ranks = ALONE,
        address: str = "127.0.0.1",
    ) -> None:
        self._folder = folder
        self._address = address
        self._config = config
        self._device = torch.device(device)
        self._ranks = ranks
        self._model = load_network(folder, config.network, self._device, ranks)
        self._reference = None
        if config.kl:
            reference = Path(config.reference) if config.reference else folder
            network = load_network(reference, config.network, self._device, ranks)
            self._reference = network.requires_grad_(False)
        self._steps = 0
        matrices = [parameter for parameter in self._model.parameters() if parameter.ndim > 1]
        vectors = [parameter for parameter in self._model.parameters() if parameter.ndim <= 1]
        groups: list[dict[str, Any]] = [{"params": matrices}, {"params": vectors, "weight_decay": 0.0}]
        self._optimizer = torch.optim.AdamW(
            groups,
            lr=config.learning_rate,
            betas=config.betas,
            weight_decay=config.weight_decay,
        )
        for parameter in self._model.parameters():  # as the first step would: a checkpoint may come before it
            self._optimizer.state[parameter] = {
                "step": torch.tensor(0.0),
                "exp_avg": torch.zeros_like(parameter, requires_grad=False),
                "exp_avg_sq": torch.zeros_like(parameter, requires_grad=False),
            }
        # A thread cannot be cancelled: after Ctrl-C a step may still run while the weights are to be saved.
        self._whole = threading.Lock()

    def step(self, samples: Sequence[Sample], *, version: int | None = None) -> StepReport:
        """Update on a batch of samples, one at least; raises ``InputError`` at a broken record.

        Every rank is given the whole batch, and computes its share. ``version``: that of the weights in
        force, which staleness is counted from.
        """
        totals = Totals(self._device)
        self._require_one_batch(samples)
        require_whole(samples)
        parts = split(samples, self._config.updates)
        sizes = [BatchSize.of(sample.rollout for sample in part) for part in parts]
        left = parts if self._config.imitates else [scorable(part) for part in parts]
        totals.dropped = len(samples) - sum(map(len, left))
        with self._whole:
            # The first update is on the weights that the anchor is of: its ratio is 1, whatever they were.
            anchors = [None, *(self._anchors(part, totals) for part in left[1:])]
            for part, size, anchor in zip(left, sizes, anchors, strict=True):
                self._update(part, size, anchor, totals)
            return totals.report(samples, parts=len(parts), version=version, ranks=self._ranks)

    def loss(self, samples: Sequence[Sample]) -> float:
        """Return the mean of -log-probability over all tokens written in the samples; nothing is trained."""
        self._require_one_batch(samples)
        require_whole(samples)
        with self._whole:
            mine = sum(
                -float(self._logprobs(self._model, batch).sum()) for batch in self._micro_batches(samples)
            )
        written = sum(sample.rollout.generated for sample in samples)
        return sum(self._ranks.gather(mine)) / max(written, 1)

    def reset_optimizer(self) -> None:
        """Forget the optimiser's moments and the steps taken, so that the warm-up begins again."""
        with self._whole:
            for state in self._optimizer.state.values():
                for value in state.values():
                    value.zero_()
            self._steps = 0

    def write_weights(self, file: Path) -> None:
        """Write the weights to one safetensors file, in HF names, tied ones once; rank 0 writes."""
        partial = file.with_suffix(".partial")
        try:
            with self._whole:
                state = self._state()
                self._ranks.on_first(lambda: save_file(state, partial))
            self._ranks.on_first(lambda: partial.replace(file))
        except Exception as error:
            partial.unlink(missing_ok=True)
            raise HeadwayError(f"{file}: cannot write the weights: {error}") from error

    def offer_weights(self, workers: int) -> WeightTransfer:
        """Say where an engine of so many GPUs gets the weights from this rank, and what will come."""
        return offer(self._named(), workers, address=self._address)

    def send_weights(self, transfer: WeightTransfer) -> None:
        """Send the weights by NCCL; rank 0 sends. No step may be under way.

        That is not seen to by the lock: a transfer whose engine has died may never end, and what it holds
        could not be saved.
        """
        from .nccl import send  # brings vLLM along

        if self._device.index is not None:
            torch.cuda.set_device(self._device)  # of this thread, which may not be the one that loaded
        send(transfer, self._named(), rank=self._ranks.rank)

    def save(self, folder: Path) -> None:
        """Write an HF model folder, tokenizer included; an older one of the name is replaced at the end."""
        partial = folder.with_name(folder.name + ".partial")

        def write(state: Mapping[str, Tensor]) -> None:
            shutil.rmtree(partial, ignore_errors=True)
            self._model.save_pretrained(partial, state_dict=dict(state))
            for file in self._folder.iterdir():
                if file.is_file() and not (partial / file.name).exists() and not _is_weights(file):
                    shutil.copy2(file, partial)
            replace_folder(partial, folder)

        try:
            with self._whole:
                state = self._state()
                self._ranks.on_first(lambda: write(state))
        except Exception as error:
            shutil.rmtree(partial, ignore_errors=True)
            raise HeadwayError(f"{folder}: cannot write the checkpoint: {error}") from error

    def save_checkpoint(self, folder: Path, extra: Mapping[str, Any]) -> None:
        """Write weights, optimiser, steps taken and random generators, and what the caller must keep.

        ``extra`` becomes JSON. Nothing is deleted but an older checkpoint of the same name, at the end.
        """
        with self._whole:
            write_checkpoint(folder, self._tensors(), steps=self._steps, extra=extra, ranks=self._ranks)

    def load_checkpoint(self, folder: Path) -> dict[str, Any]:
        """Go on where a checkpoint was written, by as many ranks as it may be; return its ``extra``.

        Raises ``InputError`` for what is not a whole checkpoint of this model.
        """
        with self._whole:
            self._steps, extra = read_checkpoint(folder, self._tensors(), ranks=self._ranks)
        return extra

    def _update(
        self, samples: Sequence[Sample], size: BatchSize, anchors: list[Tensor] | None, totals: Totals
    ) -> None:
        """Take one optimiser step, unless it would not be finite or there is nothing to learn from."""
        loss = self._accumulate(samples, size, anchors, totals)
        norm = self._clip()
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
            with totals.computing():
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
                # Over ranks gradients are averaged, but a loss is summed.
                (terms.loss * self._ranks.size).backward()  # type: ignore[no-untyped-call]
            totals.add(batch, predicted, logprobs, terms)
            losses.append(terms.loss.item())
        return sum(self._ranks.gather(sum(losses))) if losses else None

    def _clip(self) -> float:
        """Bound the gradient of all parameters together, and return the norm that it had."""
        parameters = list(self._model.parameters())
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        norm = whole(torch.nn.utils.get_total_norm(gradients))
        torch.nn.utils.clip_grads_with_norm_(parameters, self._config.max_grad_norm, norm)
        return float(norm)

    def _anchors(self, samples: Sequence[Sample], totals: Totals) -> list[Tensor]:
        """The log-probabilities of each micro-batch's tokens by the weights as they are."""
        anchors = []
        for batch in self._micro_batches(samples):
            with totals.computing():
                anchors.append(self._logprobs(self._model, batch))
        return anchors

    @torch.no_grad()
    def _logprobs(self, model: Any, batch: MicroBatch) -> Tensor:
        return chosen(predictions(model, batch, self._config.network), batch.targets)

    def _micro_batches(self, samples: Sequence[Sample]) -> Iterator[MicroBatch]:
        """This rank's micro-batches of the samples in which there is something to learn from."""
        return micro_batches(
            [sample for sample in samples if sample.rollout.generated],
            token_budget=self._config.micro_batch_tokens,
            device=self._device,
            packing=self._config.network.packing,
            ranks=self._ranks,
        )

    def _rate(self, step: int) -> float:
        config = self._config
        return learning_rate(
            step,
            peak=config.learning_rate,
            warmup_steps=config.warmup_steps,
            decay_steps=config.decay_steps,
            decay_to=config.decay_to,
        )

    def _require_one_batch(self, samples: Sequence[Sample]) -> None:
        """Raise ``InputError`` where ranks were given different batches, whose passes would not match."""
        told = repr([(sample.rollout.id, len(sample.rollout.tokens), sample.advantage) for sample in samples])
        if len(set(self._ranks.gather((len(samples), zlib.crc32(told.encode()))))) > 1:
            raise InputError(
                "the ranks were given different batches; give each the whole batch, in one order"
            )

    def _state(self) -> dict[str, Tensor]:
        """The whole weights by name, in memory; of several ranks, the first has them."""
        state: dict[str, Tensor] = {}
        for name, tensor in self._named().items():
            full = whole(tensor.detach())  # one at a time, for on a GPU there is no room for all
            if self._ranks.rank == 0:
                state[name] = full.to("cpu").contiguous()
        return state

    def _named(self) -> dict[str, Tensor]:
        """This rank's share of the weights by name; of those tied (embeddings) the first name only."""
        named: dict[int, tuple[str, Tensor]] = {}
        for name, tensor in self._model.state_dict(keep_vars=True).items():
            named.setdefault(id(tensor), (name, tensor))
        return dict(named.values())

    def _tensors(self) -> dict[str, Tensor]:
        """This rank's share of all that training changes, by name."""
        tensors: dict[str, Tensor] = {}
        for name, tensor in self._named().items():
            tensors[f"model.{name}"] = tensor.detach()
            for key, value in self._optimizer.state.get(tensor, {}).items():
                tensors[f"optimizer.{name}.{key}"] = value
        return tensors


def _is_weights(file: Path) -> bool:
    return file.suffix in (".safetensors", ".bin") or file.name.endswith(".index.json")
