"""The state of the random number generators that a process has: Python's, numpy's and torch's.

Invariant: after ``restore`` they draw what they would have drawn after ``now``.
"""

import random
from typing import Any

import msgspec
import numpy as np
import torch


class RandomState(msgspec.Struct, frozen=True, kw_only=True):
    """Fit for JSON. ``cuda`` is that of the current GPU, if there is one."""

    python: tuple[int, tuple[int, ...], float | None]
    numpy: tuple[str, list[int], int, int, float]
    torch: bytes
    cuda: bytes | None

    @classmethod
    def now(cls) -> "RandomState":
        """Return the state that the generators are in."""
        legacy: Any = np.random.get_state()
        kind, keys, *rest = legacy
        return cls(
            python=random.getstate(),
            numpy=(kind, keys.tolist(), *rest),
            torch=_bytes(torch.get_rng_state()),
            cuda=_bytes(torch.cuda.get_rng_state()) if torch.cuda.is_available() else None,
        )

    def restore(self) -> None:
        """Bring the generators into this state."""
        random.setstate(self.python)
        np.random.set_state(self.numpy)  # type: ignore[arg-type]
        torch.set_rng_state(_tensor(self.torch))
        if self.cuda is not None and torch.cuda.is_available():
            torch.cuda.set_rng_state(_tensor(self.cuda))


def _bytes(state: torch.Tensor) -> bytes:
    return state.numpy().tobytes()


def _tensor(state: bytes) -> torch.Tensor:
    return torch.frombuffer(bytearray(state), dtype=torch.uint8)
