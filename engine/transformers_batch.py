"""The KV of the turns that decode together: one cache, a row a turn, padded on the left to the longest.

Invariant: between two calls the cache holds all tokens of each turn but the last, which was sampled from it.
Knows nothing of sampling or of who may join.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers import DynamicCache

from .transformers_network import Network
from .transformers_turn import Turn


class Batch:
    """Starts empty."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self.clear()

    def clear(self) -> None:
        """Forget every turn and its KV."""
        self.turns: list[Turn] = []
        self._cache: Any = DynamicCache()
        self._mask = torch.zeros((0, 0), dtype=torch.long, device=self._network.device)

    def join(self, turns: Sequence[Turn]) -> Tensor:
        """Compute the KV of ``turns``, one or more, and keep it; the logits of what follows each, [N, V]."""
        longest = max(turn.length for turn in turns)
        rows = [[0] * (longest - turn.length) + turn.context for turn in turns]
        held = [[0] * (longest - turn.length) + [1] * turn.length for turn in turns]
        mask, cache = self._tensor(held), DynamicCache()
        logits = self._network.logits(self._tensor(rows), mask, cache)
        self._add(turns, mask, cache)
        return logits

    def advance(self) -> Tensor:
        """Add the last token of every turn; the logits of what follows each, [N, V]."""
        last = self._tensor([turn.tokens[-1:] for turn in self.turns])
        self._mask = pad(self._mask, (0, 1), value=1)
        return self._network.logits(last, self._mask, self._cache)

    def keep(self, turns: Sequence[Turn]) -> None:
        """Drop all turns but these, and the padding that none of these needs."""
        if len(turns) == len(self.turns):
            return
        if not turns:
            self.clear()
            return
        places = {turn: row for row, turn in enumerate(self.turns)}
        rows = self._tensor([places[turn] for turn in turns])
        self.turns, self._mask = list(turns), self._mask[rows]
        spare = self._mask.shape[1] - int(self._mask.sum(dim=1).max())
        self._mask = self._mask[:, spare:]
        for layer in self._cache.layers:
            layer.keys = layer.keys[rows, :, spare:]
            layer.values = layer.values[rows, :, spare:]

    def _add(self, turns: Sequence[Turn], mask: Tensor, cache: Any) -> None:
        if not self.turns:
            self.turns, self._mask, self._cache = list(turns), mask, cache
            return
        width = max(mask.shape[1], self._mask.shape[1])
        self.turns += turns
        self._mask = torch.cat([_widened(self._mask, width), _widened(mask, width)])
        for layer, new in zip(self._cache.layers, cache.layers, strict=True):
            layer.keys = torch.cat([_widened_kv(layer.keys, width), _widened_kv(new.keys, width)])
            layer.values = torch.cat([_widened_kv(layer.values, width), _widened_kv(new.values, width)])

    def _tensor(self, values: Sequence[object]) -> Tensor:
        return torch.tensor(values, dtype=torch.long, device=self._network.device)


def _widened(mask: Tensor, width: int) -> Tensor:
    return pad(mask, (width - mask.shape[1], 0))


def _widened_kv(kv: Tensor, width: int) -> Tensor:
    """``kv`` is [rows, heads, tokens, width of a head]."""
    return pad(kv, (0, 0, width - kv.shape[2], 0))
