"""The trained model: one optimiser step at a time, and its weights in and out of files.

Invariants: a step whose loss or gradient is not finite changes nothing and says so; files appear whole or
not at all, and never hold a step's weights in part, whatever thread each call comes from.
Knows nothing of rollouts' origin, engines or schedules.
"""

import math
import shutil
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import torch
from msgspec import Meta
from safetensors.torch import save_file

from headway.errors import HeadwayError, InputError

from .batch import MicroBatch, Sample, micro_batches
from .loss import ClipConfig, chosen, policy_loss
from .replace_folder import replace_folder
from .step_report import StepReport, Totals

_Beta = Annotated[float, Meta(ge=0, lt=1)]


class OptimizerConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """AdamW with linear warm-up; ``micro_batch_tokens`` bounds the padded tokens of one forward pass."""

    learning_rate: Annotated[float, Meta(gt=0, le=1)] = 1e-6
    warmup_steps: Annotated[int, Meta(ge=0)] = 20
    betas: tuple[_Beta, _Beta] = (0.9, 0.95)
    weight_decay: Annotated[float, Meta(ge=0)] = 0.0
    max_grad_norm: Annotated[float, Meta(gt=0)] = 1.0
    micro_batch_tokens: Annotated[int, Meta(ge=1)] = 8192
    clip: ClipConfig = ClipConfig()


class PolicyModel:
    """A causal language model in float32 with its optimiser."""

    def __init__(self, folder: Path, config: OptimizerConfig, *, device: str = "cpu") -> None:
        from transformers import AutoModelForCausalLM

        try:
            self._model: Any = AutoModelForCausalLM.from_pretrained(
                str(folder), dtype=torch.float32, local_files_only=True
            )
        except (OSError, ValueError) as error:
            raise InputError(f"{folder}: cannot load a model: {str(error).splitlines()[0]}") from error
        self._folder = folder
        self._config = config
        self._device = torch.device(device)
        # Gradients flow in evaluation mode too. In training mode a model's dropout would make these logprobs
        # those of another policy than the engines sampled from, and no ratio would be 1 on policy.
        self._model.to(self._device).eval()
        self._steps = 0
        self._optimizer = torch.optim.AdamW(
            self._model.parameters(),
            lr=config.learning_rate,
            betas=config.betas,
            weight_decay=config.weight_decay,
        )
        # A thread cannot be cancelled: after Ctrl-C a step may still run while the weights are to be saved.
        self._whole = threading.Lock()

    def step(self, samples: Sequence[Sample]) -> StepReport:
        """Take one optimiser step on a batch of samples, with at least one model-written token."""
        with self._whole:
            totals = self._accumulate(samples)
            norm = float(torch.nn.utils.clip_grad_norm_(self._model.parameters(), self._config.max_grad_norm))
            rate = self._config.learning_rate * min(
                1.0, (self._steps + 1) / max(self._config.warmup_steps, 1)
            )
            finite = math.isfinite(totals.loss) and math.isfinite(norm)
            if finite:
                for group in self._optimizer.param_groups:
                    group["lr"] = rate
                self._optimizer.step()
                self._steps += 1
            return totals.report(norm, rate, skipped=not finite)

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

    def _accumulate(self, samples: Sequence[Sample]) -> Totals:
        """Leave the gradient of the whole batch in the parameters."""
        config = self._config
        tokens = sum(sample.rollout.generated for sample in samples)
        totals = Totals(tokens)
        self._optimizer.zero_grad(set_to_none=True)
        for batch in micro_batches(samples, token_budget=config.micro_batch_tokens, device=self._device):
            if not len(batch.targets):
                continue
            predicted = self._predict(batch)
            logprobs = chosen(predicted, batch.targets)
            loss = policy_loss(logprobs, batch.behaviour, batch.advantage, tokens=tokens, clip=config.clip)
            loss.backward()  # type: ignore[no-untyped-call]
            totals.add(loss, predicted, logprobs, batch.behaviour, config.clip)
        return totals

    def _predict(self, batch: MicroBatch) -> torch.Tensor:
        """Log-probabilities in float32 of every token in place of each of the N written ones, [N, V].

        Logits, the widest tensors of a step, are computed only where some row has a written token.
        """
        columns = batch.mask.any(0).nonzero().flatten()
        output = self._model(input_ids=batch.tokens, use_cache=False, logits_to_keep=columns)
        logits: torch.Tensor = output.logits
        return logits[batch.mask[:, columns]].float().log_softmax(-1)

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
