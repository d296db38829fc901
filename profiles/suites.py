"""Workloads made up in the likeness of reinforcement learning on mathematics, software and search.

The shapes (turns, lengths, tool times) are round figures in the range that papers and traces of such agents
report; they are drawn, not recorded. A group has one difficulty that stretches the turns of all its siblings,
as siblings of one task do resemble each other. The same seed gives the same groups, whatever the pressure.
"""

import math
import random
from collections.abc import Iterator, Mapping

import msgspec

from headway.engine.simulated.hardware import Hardware
from headway.errors import InputError

from .pressure import closest, full_step_s
from .workload import Script, ScriptedGroup, ScriptedTurn, Workload


class Lengths(msgspec.Struct, frozen=True):
    """A lognormal: its median, the deviation of its logarithm, and what it is cut to."""

    median: float
    sigma: float
    low: float
    high: float

    def draw(self, rng: random.Random, stretch: float = 1.0) -> float:
        """One draw, its median stretched."""
        return min(max(self.median * stretch * math.exp(rng.gauss(0, self.sigma)), self.low), self.high)


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of agent. ``hang`` is the share of tool calls that take ``hang_s`` instead."""

    group: int
    prompt: Lengths
    turns: Lengths
    generated: Lengths
    observed: Lengths
    tool_s: Lengths
    hang: float = 0.0
    hang_s: Lengths = Lengths(1, 0, 1, 1)
    spread: float = 0.3  # deviation of the logarithm of a group's difficulty
    max_context: int
    turn_limit: int
    system: int = 0


MATH = Shape(
    group=32,
    prompt=Lengths(300, 0.4, 100, 900),
    turns=Lengths(3.6, 0.22, 2, 6),
    generated=Lengths(1100, 0.65, 60, 4096),
    observed=Lengths(120, 0.9, 10, 1000),
    tool_s=Lengths(0.3, 0.5, 0.05, 3),
    hang=0.02,
    hang_s=Lengths(4, 0.5, 2, 10),
    max_context=12288,
    turn_limit=4096,
    spread=0.45,
)
SWE = Shape(
    group=8,
    prompt=Lengths(4000, 0.4, 2000, 8000),
    turns=Lengths(35, 0.25, 20, 60),
    generated=Lengths(210, 0.9, 30, 4096),
    observed=Lengths(1100, 0.9, 50, 12000),
    tool_s=Lengths(2.5, 1.0, 0.2, 60),
    hang=0.01,
    hang_s=Lengths(60, 0.4, 30, 120),
    max_context=104_448,
    turn_limit=4096,
    system=4096,
)
SEARCH = Shape(
    group=16,
    prompt=Lengths(250, 0.4, 80, 800),
    turns=Lengths(7, 0.2, 5, 10),
    generated=Lengths(300, 0.7, 40, 2048),
    observed=Lengths(3600, 0.3, 2000, 6000),
    tool_s=Lengths(1.0, 0.6, 0.2, 15),
    max_context=65_536,
    turn_limit=2048,
    system=600,
)
NAMES = ("math", "swe", "search", "mixed")
_SHAPES = {"math": [MATH], "swe": [SWE], "search": [SEARCH], "mixed": [MATH, SWE, SEARCH]}


def make_suite(
    name: str,
    *,
    seed: int,
    hardware: Hardware,
    engines: int,
    kv_tokens: int | None = None,
    pressure: float = 1.0,
    groups: int | None = None,
) -> Workload:
    """Make a suite of as many whole groups as come closest to ``pressure``, or of exactly ``groups``.

    Raises ``InputError`` for a name that is none, and for a cache that cannot hold the suite's longest
    context.
    """
    return draw_suite(
        name,
        _SHAPES,
        kind="",
        seed=seed,
        hardware=hardware,
        engines=engines,
        kv_tokens=kv_tokens or hardware.kv_tokens,
        pressure=pressure,
        groups=groups,
    )


def draw_suite(
    name: str,
    shapes_of: Mapping[str, list[Shape]],
    *,
    kind: str,
    seed: int,
    hardware: Hardware,
    engines: int,
    kv_tokens: int,
    pressure: float,
    groups: int | None,
) -> Workload:
    """Make a suite, as ``make_suite`` does, of the shapes given; ``kind`` tells suites of one name apart."""
    if name not in shapes_of:
        raise InputError(f"no suite is named {name!r}; choose one of: {', '.join(shapes_of)}")
    shapes = shapes_of[name]
    system = min(shape.system for shape in shapes)  # a blend shares the least that all have
    max_context = max(shape.max_context for shape in shapes)
    check_fits(f"{kind} suite {name}".strip(), max_context, hardware, kv_tokens)
    source = _groups(shapes, random.Random(f"{kind} {name} {seed}".strip()), system)
    if groups is None:
        wanted = (pressure * kv_tokens - system) * engines
        taken = closest(source, wanted=wanted, token_s=full_step_s(hardware, kv_tokens))
    else:
        taken = [next(source) for _ in range(groups)]
    return Workload(
        name=f"{name} ({kind})" if kind else name,
        groups=taken,
        max_context=max_context,
        turn_limit=max(shape.turn_limit for shape in shapes),
        system=system,
    )


def check_fits(what: str, max_context: int, hardware: Hardware, kv_tokens: int) -> None:
    """Raise ``InputError`` where the longest context does not fit an engine."""
    if max_context > min(kv_tokens, hardware.max_context):
        raise InputError(
            f"{what}: contexts grow to {max_context} tokens, and an engine of {hardware.name} has "
            f"{kv_tokens} tokens of KV cache and takes contexts of at most {hardware.max_context}; "
            "give more (--kv-tokens), or take other hardware (--hardware)"
        )


def _groups(shapes: list[Shape], rng: random.Random, system: int) -> Iterator[ScriptedGroup]:
    """Groups without end, of each shape in turn."""
    while True:
        for shape in rng.sample(shapes, len(shapes)):
            yield _group(shape, rng, own_system=shape.system - system)


def _group(shape: Shape, rng: random.Random, own_system: int) -> ScriptedGroup:
    prompt = own_system + round(shape.prompt.draw(rng))
    difficulty = math.exp(rng.gauss(0, shape.spread))
    room = shape.max_context - (shape.system - own_system) - prompt
    return ScriptedGroup(prompt, [_script(shape, rng, difficulty, room) for _ in range(shape.group)])


def _script(shape: Shape, rng: random.Random, difficulty: float, room: int) -> Script:
    """Draw one trajectory; it ends early where the next turn would not fit into ``room`` tokens."""
    turns: list[ScriptedTurn] = []
    wanted = round(shape.turns.draw(rng, stretch=difficulty**0.5))
    for number in range(1, wanted + 1):
        generated = round(shape.generated.draw(rng, stretch=difficulty))
        observed = round(shape.observed.draw(rng))
        tool_s = (shape.hang_s if rng.random() < shape.hang else shape.tool_s).draw(rng)
        if generated > room:
            turns.append(ScriptedTurn(room))  # cut off by the end of the context, as real ones are
            break
        room -= generated + observed
        if number == wanted or room < 1:
            turns.append(ScriptedTurn(generated))
            break
        turns.append(ScriptedTurn(generated, tool_s, observed))
    return Script(turns)
