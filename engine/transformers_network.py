"""A causal language model as transformers has it: logits of token ids, and new weights into the live model.

Invariants: dropout is off and nothing keeps a gradient; after ``load`` it computes what a fresh load of the
same file computes. Knows nothing of turns.
"""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoModelForCausalLM, DynamicCache
from transformers.cache_utils import DynamicLayer

from headway.errors import InputError

from .config import EngineConfig
from .model_folder import TIED_HEAD, ModelFolder


class Network:
    """The model of a resolved ``config``."""

    def __init__(self, config: EngineConfig) -> None:
        torch.set_num_threads(config.threads)
        self._folder = ModelFolder.open(Path(config.model))
        self.device = torch.device("cuda" if config.device == "gpu" else "cpu")
        self._model: Any = AutoModelForCausalLM.from_pretrained(
            config.model, dtype=config.dtype, local_files_only=True
        )
        self._model.eval().requires_grad_(False).to(self.device)
        self.vocabulary = int(self._model.config.get_text_config().vocab_size)
        self.token_bytes = self._token_bytes()

    @torch.inference_mode()
    def logits(self, tokens: Tensor, mask: Tensor, cache: DynamicCache) -> Tensor:
        """The logits of what follows each row of ``tokens`` [N, T], as [N, V]; their KV goes into ``cache``.

        ``mask`` [N, cached + T] is 1 at tokens and 0 at the padding on their left.
        """
        positions = (mask.cumsum(dim=1) - 1).clamp(min=0)[:, -tokens.shape[1] :]
        logits: Tensor = self._model(
            input_ids=tokens,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits
        return logits[:, -1]

    def check(self, weights: Path) -> None:
        """Raise ``InputError`` for a file that does not hold just this model's tensors."""
        self._folder.check_weights(weights)

    def load(self, weights: Path) -> None:
        """Take in a file that was checked."""
        missing, unknown = self._model.load_state_dict(load_file(weights), strict=False)
        if unknown or set(missing) - {TIED_HEAD}:
            raise RuntimeError(f"transformers has other names for the tensors of {weights}: {unknown[:3]}")

    def _token_bytes(self) -> int:
        """What one token takes in the cache."""
        one = torch.ones((1, 1), dtype=torch.long, device=self.device)
        cache: Any = DynamicCache()
        self.logits(one, one, cache)
        if not all(type(layer) is DynamicLayer for layer in cache.layers):
            raise InputError(
                f"model {self._folder.path}: it has other layers than attention over all tokens, whose "
                "state cannot be batched here; use engines of kind 'vllm'"
            )
        return sum(int(layer.keys.nbytes + layer.values.nbytes) for layer in cache.layers)
