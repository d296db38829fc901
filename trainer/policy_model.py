"""The trained model: one optimiser step at a time, and its weights in and out of files.

Invariants: a step whose loss or gradient is not finite changes nothing and says so; files appear whole or
not at all. Knows nothing of rollouts' origin, engines or schedules.
"""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import torch
from safetensors.torch import save_file

from headway.errors import HeadwayError, InputError

from .batch import Sample, micro_batches
from .loss import ClipConfig, policy_loss, token_logprobs


class OptimizerConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """AdamW with linear warm-up; ``micro_batch_tokens`` bounds the padded tokens of one forward pass."""

    learning_rate: float = 1e-6
    warmup_steps: int = 20
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    micro_batch_tokens: int = 16384
    clip: ClipConfig = ClipConfig()


class StepReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one optimiser step did. Logarithms are natural; means are over model-written tokens."""

    loss: float
    grad_norm: float
    learning_rate: float
    tokens: int
    entropy: float
    clip_fraction: float
    ratio_max: float
    mismatch_kl: float
    logprob_max_abs_diff: float
    skipped: bool


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
        self._model.to(self._device).train()
        self._steps = 0
        self._optimizer = torch.optim.AdamW(
            self._model.parameters(),
            lr=config.learning_rate,
            betas=config.betas,
            weight_decay=config.weight_decay,
        )

    def step(self, samples: Sequence[Sample]) -> StepReport:
        """Take one optimiser step on a batch of samples."""
        tokens = sum(sample.rollout.generated for sample in samples)
        totals = _Totals()
        self._optimizer.zero_grad(set_to_none=True)
        for batch in micro_batches(
            samples, token_budget=self._config.micro_batch_tokens, device=self._device
        ):
            logits = self._model(input_ids=batch.tokens, attention_mask=batch.attention).logits
            logprobs = token_logprobs(logits, batch.tokens)
            loss = policy_loss(
                logprobs, batch.behaviour, batch.advantage, batch.mask, tokens=tokens, clip=self._config.clip
            )
            loss.backward()  # type: ignore[no-untyped-call]
            totals.add(loss, logits, logprobs, batch.behaviour, batch.mask, self._config.clip)
        norm = float(torch.nn.utils.clip_grad_norm_(self._model.parameters(), self._config.max_grad_norm))
        rate = self._config.learning_rate * min(1.0, (self._steps + 1) / max(self._config.warmup_steps, 1))
        finite = totals.is_finite() and norm == norm and norm != float("inf")
        if finite:
            for group in self._optimizer.param_groups:
                group["lr"] = rate
            self._optimizer.step()
        self._steps += 1
        return totals.report(tokens, norm, rate, skipped=not finite)

    def write_weights(self, file: Path) -> None:
        """Write the weights to one safetensors file, in HF names, tied ones once."""
        kept = self._state()
        partial = file.with_suffix(".partial")
        try:
            save_file(kept, partial)
            partial.replace(file)
        except Exception as error:
            partial.unlink(missing_ok=True)
            raise HeadwayError(f"{file}: cannot write the weights: {error}") from error

    def save(self, folder: Path) -> None:
        """Write an HF model folder, tokenizer included; an older one of the name is replaced at the end."""
        partial = folder.with_name(folder.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        try:
            self._model.save_pretrained(partial)
            for file in self._folder.iterdir():
                if file.is_file() and not (partial / file.name).exists() and not _is_weights(file):
                    shutil.copy2(file, partial)
            shutil.rmtree(folder, ignore_errors=True)
            os.replace(partial, folder)
        except Exception as error:
            shutil.rmtree(partial, ignore_errors=True)
            raise HeadwayError(f"{folder}: cannot write the checkpoint: {error}") from error

    def _state(self) -> dict[str, torch.Tensor]:
        """The weights by name; of tensors that share memory (tied embeddings) the first name only."""
        seen: set[int] = set()
        state: dict[str, torch.Tensor] = {}
        for name, tensor in self._model.state_dict().items():
            if tensor.data_ptr() not in seen:
                seen.add(tensor.data_ptr())
                state[name] = tensor.detach().to("cpu").contiguous()
        return state


class _Totals:
    """Sums over the micro-batches of a step."""

    def __init__(self) -> None:
        self.loss = self.entropy = self.clipped = self.kl = self.ratio_max = self.diff_max = 0.0

    @torch.no_grad()
    def add(
        self,
        loss: torch.Tensor,
        logits: torch.Tensor,
        logprobs: torch.Tensor,
        behaviour: torch.Tensor,
        mask: torch.Tensor,
        clip: ClipConfig,
    ) -> None:
        difference = (logprobs - behaviour)[mask]
        if not len(difference):
            return
        ratio = difference.exp()
        predicted = logits[:, :-1][mask].float().log_softmax(-1)
        self.loss += float(loss)
        self.entropy += float(-(predicted.exp() * predicted).sum())
        self.clipped += float(((ratio < 1 - clip.low) | (ratio > 1 + clip.high)).sum())
        self.kl += float((ratio - 1 - difference).sum())  # k3 estimator (Schulman 2020)
        self.ratio_max = max(self.ratio_max, float(ratio.max()))
        self.diff_max = max(self.diff_max, float(difference.abs().max()))

    def is_finite(self) -> bool:
        return abs(self.loss) < float("inf")

    def report(self, tokens: int, norm: float, rate: float, *, skipped: bool) -> StepReport:
        return StepReport(
            loss=self.loss,
            grad_norm=norm,
            learning_rate=rate,
            tokens=tokens,
            entropy=self.entropy / tokens,
            clip_fraction=self.clipped / tokens,
            ratio_max=self.ratio_max,
            mismatch_kl=self.kl / tokens,
            logprob_max_abs_diff=self.diff_max,
            skipped=skipped,
        )


def _is_weights(file: Path) -> bool:
    return file.suffix in (".safetensors", ".bin") or file.name.endswith(".index.json")
