"""The suites for engines with room for a few thousand tokens of context: fewer turns, shorter ones.

Scaling a suite's tokens down to 4K contexts would leave observations of a few dozen tokens, whose prefill
costs nothing; here turns are dropped instead, so that to recompute a context costs several times what a turn
does with its context in the cache, as it does at full size. Knows nothing of engines.
"""

from typing import Protocol

from headway.engine.simulated.hardware import Hardware

from .suites import Lengths, Shape, draw_suite, make_suite
from .workload import Workload

LEAST_FULL_SIZE = 12288  # tokens of context that the least of the full-size suites needs

MATH = Shape(
    group=8,
    prompt=Lengths(120, 0.4, 40, 300),
    turns=Lengths(3.6, 0.22, 2, 6),
    generated=Lengths(160, 0.6, 20, 512),
    observed=Lengths(60, 0.9, 10, 300),
    tool_s=Lengths(0.3, 0.5, 0.05, 3),
    max_context=4096,
    turn_limit=512,
)
SWE = Shape(
    group=4,
    prompt=Lengths(400, 0.3, 200, 800),
    turns=Lengths(10, 0.2, 6, 14),
    generated=Lengths(25, 0.6, 10, 160),
    observed=Lengths(270, 0.6, 30, 1200),
    tool_s=Lengths(1.0, 0.7, 0.2, 8),
    max_context=4096,
    turn_limit=160,
    system=64,
)
SEARCH = Shape(
    group=4,
    prompt=Lengths(100, 0.4, 40, 300),
    turns=Lengths(5, 0.2, 3, 7),
    generated=Lengths(50, 0.6, 15, 256),
    observed=Lengths(600, 0.3, 200, 1000),
    tool_s=Lengths(0.6, 0.6, 0.1, 5),
    max_context=4096,
    turn_limit=256,
    system=64,
)
_SHAPES = {"math": [MATH], "swe": [SWE], "search": [SEARCH], "mixed": [MATH, SWE, SEARCH]}


class SuiteMaker(Protocol):
    """``make_suite`` or ``make_small_suite``."""

    def __call__(
        self,
        name: str,
        *,
        seed: int,
        hardware: Hardware,
        engines: int,
        kv_tokens: int,
        pressure: float,
        groups: int | None = None,
    ) -> Workload:
        """Make a suite."""
        ...


def make_small_suite(
    name: str,
    *,
    seed: int,
    hardware: Hardware,
    engines: int,
    kv_tokens: int,
    pressure: float,
    groups: int | None = None,
) -> Workload:
    """Make a suite as ``make_suite`` does, of these shapes."""
    return draw_suite(
        name,
        _SHAPES,
        kind="small",
        seed=seed,
        hardware=hardware,
        engines=engines,
        kv_tokens=kv_tokens,
        pressure=pressure,
        groups=groups,
    )


def suite_maker(hardware: Hardware) -> SuiteMaker:
    """``make_suite`` for engines that take its contexts, otherwise ``make_small_suite``."""
    return make_small_suite if hardware.max_context < LEAST_FULL_SIZE else make_suite
