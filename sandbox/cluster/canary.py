"""Attacks a node with snippets of which each must fail, to find out whether its isolation still holds.

Invariant: a node is healthy only if it answered every attack in time and every one was held. Knows nothing of
what is done with a node that is not.
"""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

from ..result import Limits, Result, Snippet, Status, Tier

Ask = Callable[[Snippet], Awaitable[Result]]

_MEMORY = 64 << 20
_LIMITS = Limits(wall_s=20.0, cpu_s=20.0, memory_bytes=_MEMORY)


class Canary(msgspec.Struct, frozen=True, kw_only=True):
    """An attack. It prints ``held`` where it is refused, or else is ended with ``ends``."""

    name: str
    code: str
    ends: Status = Status.OK
    needs_namespaces: bool = False

    def is_held(self, result: Result) -> bool:
        """Whether the result is that of an attack which failed."""
        return result.status is self.ends and (self.ends is not Status.OK or result.stdout == "held\n")


CANARIES = (
    Canary(
        name="read the host's passwords",
        code="""
try:
    open("/etc/shadow").read(); print("escaped")
except OSError:
    print("held")
""",
    ),
    Canary(
        name="open a socket",
        code="""
try:
    import socket
    socket.socket(); print("escaped")
except OSError:
    print("held")
""",
    ),
    Canary(
        name="see other processes",
        code="""
import os
others = [name for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]
print("escaped" if others or os.getppid() else "held")
""",
        needs_namespaces=True,
    ),
    Canary(
        name="exceed its memory",
        code=f"hog = bytearray({4 * _MEMORY})\nprint('escaped')",
        ends=Status.MEMORY_LIMIT,
    ),
)


async def find_fault(ask: Ask, tier: Tier, limit_s: float) -> str | None:
    """Try every attack that ``tier`` promises to hold; return what is wrong with the node, or None.

    No isolation at all promises nothing, so a node without any is tried as if it had the best.
    """
    canaries = [canary for canary in CANARIES if tier is not Tier.C or not canary.needs_namespaces]
    try:
        async with asyncio.timeout(limit_s):
            results = await asyncio.gather(*(ask(Snippet(code=c.code, limits=_LIMITS)) for c in canaries))
    except TimeoutError:
        return f"it did not answer its health probe within {limit_s:.0f} s"
    for canary, result in zip(canaries, results, strict=True):
        if result.is_sandbox_fault:
            return f"its sandbox failed in the health probe: {result.status} {result.stderr}".rstrip()
        if not canary.is_held(result):
            return f"a snippet could {canary.name}: its isolation does not hold"
    return None
