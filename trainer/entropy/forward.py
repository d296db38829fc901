"""The entropy of a model's distribution at each token of rollouts that are given to it word by word.

The log-probability of the token that was drawn is not the entropy: it takes the whole distribution, which a
teacher-forced forward pass gives. Invariant: what is computed for a rollout does not depend on the batch that
it is in, beyond rounding. Knows nothing of what tokens mean.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import Tensor

from headway.errors import InputError
from headway.scheduler import Rollout

_ROWS = 2048  # distributions that are held in float32 at a time


class Measured(msgspec.Struct, frozen=True):
    """A rollout's written tokens, in order: entropy in nats, and the log-probability of the token itself."""

    rollout: Rollout
    entropy: list[float]
    logprob: list[float]


class EntropyModel:
    """A causal language model that is only read; in float32 on a CPU, in its own precision on a GPU."""

    def __init__(self, folder: Path, *, device: str = "cpu") -> None:
        from transformers import AutoModelForCausalLM

        self._device = torch.device(device)
        try:
            self._model: Any = AutoModelForCausalLM.from_pretrained(
                str(folder),
                dtype=torch.float32 if self._device.type == "cpu" else "auto",
                local_files_only=True,
            )
        except (OSError, ValueError) as error:
            raise InputError(f"{folder}: cannot load a model: {str(error).splitlines()[0]}") from error
        self._model.to(self._device).eval()
        self._vocabulary = int(self._model.config.get_text_config().vocab_size)

    @torch.inference_mode()
    def measure(self, rollouts: Sequence[Rollout]) -> list[Measured]:
        """Measure one batch in one forward pass; raises ``InputError`` for tokens that the model has not."""
        width = max(len(rollout.tokens) for rollout in rollouts)
        tokens = torch.zeros(len(rollouts), width, dtype=torch.long)
        written = torch.zeros(len(rollouts), width, dtype=torch.bool)
        for row, rollout in enumerate(rollouts):
            self._check(rollout)
            tokens[row, : len(rollout.tokens)] = torch.tensor(rollout.tokens)
            written[row, : len(rollout.mask)] = torch.tensor(rollout.mask)
        mask, targets = written[:, 1:].to(self._device), tokens[:, 1:].to(self._device)
        columns = mask.any(0).nonzero().flatten()  # logits are the widest tensors: only where one is wanted
        output = self._model(input_ids=tokens.to(self._device), use_cache=False, logits_to_keep=columns)
        entropy, logprob = _summed_up(output.logits[mask[:, columns]], targets[mask])
        counts = [rollout.generated for rollout in rollouts]
        rows = zip(rollouts, torch.split(entropy, counts), torch.split(logprob, counts), strict=True)
        return [Measured(rollout, e.tolist(), p.tolist()) for rollout, e, p in rows]

    def _check(self, rollout: Rollout) -> None:
        if max(rollout.tokens) >= self._vocabulary:
            raise InputError(
                f"rollout {rollout.id}: token {max(rollout.tokens)} is none of the model's "
                f"{self._vocabulary}; give the model that wrote it"
            )


def batches(rollouts: Sequence[Rollout], token_budget: int) -> Iterator[list[Rollout]]:
    """Cut rollouts into batches of at most ``token_budget`` padded tokens (one rollout at least)."""
    batch: list[Rollout] = []
    for rollout in sorted(rollouts, key=lambda rollout: len(rollout.tokens)):
        if batch and (len(batch) + 1) * len(rollout.tokens) > token_budget:
            yield batch
            batch = []
        batch.append(rollout)
    if batch:
        yield batch


def _summed_up(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Entropies and target log-probabilities, [N], of logits, [N, V]."""
    entropies, logprobs = [], []
    for rows, chosen in zip(torch.split(logits, _ROWS), torch.split(targets, _ROWS), strict=True):
        predicted = rows.float().log_softmax(-1)
        entropies.append(torch.special.entr(predicted.exp()).sum(-1))
        logprobs.append(predicted.gather(-1, chosen.unsqueeze(-1)).squeeze(-1))
    return torch.cat(entropies).cpu(), torch.cat(logprobs).cpu()
