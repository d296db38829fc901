"""The engines of a replay: one kind of hardware, and the KV cache of each.

Knows nothing of workloads or of policies.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from headway.engine.simulated import Hardware, SimulatedEngine
from headway.errors import InputError
from headway.scheduler.events import EngineStarted

from ..real_engines import RealEngines


class EngineSet(msgspec.Struct, frozen=True, kw_only=True):
    """``kv_tokens`` by engine id; that of ``hardware`` itself plays no part."""

    hardware: Hardware
    kv_tokens: dict[str, int]

    @property
    def count(self) -> int:
        """How many engines there are."""
        return len(self.kv_tokens)

    @property
    def usual_kv_tokens(self) -> int:
        """The KV cache that most of them have."""
        return Counter(self.kv_tokens.values()).most_common(1)[0][0]

    @property
    def longest_context(self) -> int:
        """Tokens that the largest of them can hold of one trajectory, in whole blocks."""
        size = self.hardware.block_size
        return min(max(self.kv_tokens.values()) // size * size, self.hardware.max_context)

    def resized(self, count: int) -> "EngineSet":
        """So many of them."""
        if count == self.count:
            return self
        return engine_set(self.hardware, count=count, kv_tokens=self.usual_kv_tokens)

    def simulated(self) -> list[SimulatedEngine]:
        """Fresh simulated engines."""
        return [SimulatedEngine(self.hardware, id=id, kv_tokens=kv) for id, kv in self.kv_tokens.items()]

    def real(self, *, model: str | None, max_context: int) -> RealEngines:
        """What to start for fresh vLLM engines of these sizes, all of them like the smallest."""
        return RealEngines(
            engines=self.count,
            kv_tokens=min(self.kv_tokens.values()),
            max_context=max_context,
            max_num_seqs=self.hardware.max_num_seqs,
            max_batched_tokens=self.hardware.max_batched_tokens,
            block_size=self.hardware.block_size,
            model=model,
        )


def engine_set(hardware: Hardware, *, count: int, kv_tokens: int | None = None) -> EngineSet:
    """``count`` engines that are all alike."""
    if count < 1:
        raise InputError(f"--engines {count}: at least one engine is needed")
    each = kv_tokens or hardware.kv_tokens
    if each < hardware.block_size:
        raise InputError(
            f"--kv-tokens {each}: is less than one block of {hardware.block_size} tokens; give more"
        )
    return EngineSet(hardware=hardware, kv_tokens={f"engine-{number}": each for number in range(count)})


def engines_of_run(
    hardware: Hardware, engine_ids: Sequence[str], facts: Sequence[EngineStarted]
) -> EngineSet:
    """The engines of a recorded run: its sizes as far as it recorded them, the times of ``hardware``."""
    known: Mapping[str, EngineStarted] = {fact.engine: fact for fact in facts}
    if facts:
        hardware = sized_like(hardware, facts[0])
    sizes = {id: known[id].kv_tokens if id in known else hardware.kv_tokens for id in engine_ids}
    return EngineSet(hardware=hardware, kv_tokens=sizes)


def sized_like(hardware: Hardware, fact: EngineStarted) -> Hardware:
    """``hardware`` with the sizes that an engine had."""
    seats = fact.max_num_seqs or hardware.max_num_seqs
    return msgspec.structs.replace(
        hardware,
        kv_tokens=fact.kv_tokens,
        block_size=fact.block_size,
        max_context=fact.max_context,
        max_num_seqs=seats,
        max_batched_tokens=max(hardware.max_batched_tokens, seats),
    )
