"""Names for blocks of a context, so that a record says which contexts begin alike without saying how.

A name is a keyed hash of all tokens up to the end of its block; the key is drawn anew for every
``BlockNames`` and kept nowhere, so nobody can try out which text a name belongs to. Knows nothing of caches.
"""

import os
from array import array
from collections.abc import Sequence
from hashlib import blake2b

BLOCK = 64  # tokens


class BlockNames:
    """Names the whole blocks of contexts that only grow."""

    def __init__(self) -> None:
        self._key = os.urandom(16)
        self._last: dict[str, tuple[int, bytes]] = {}  # blocks named so far and the last name, by trajectory

    def new(self, trajectory: str, tokens: Sequence[int]) -> list[str]:
        """Names of the whole blocks that a trajectory's context has gained since the last call."""
        count, name = self._last.get(trajectory, (0, b""))
        names: list[str] = []
        for start in range(count * BLOCK, len(tokens) - BLOCK + 1, BLOCK):
            block = array("q", tokens[start : start + BLOCK])
            name = blake2b(name + block.tobytes(), digest_size=8, key=self._key).digest()
            names.append(name.hex())
        if names:
            self._last[trajectory] = count + len(names), name
        return names

    def forget(self, trajectory: str) -> None:
        """A trajectory is over."""
        self._last.pop(trajectory, None)
