"""Sends the same turns through vllm-router and through a policy of ours, and counts where they agree.

``pytest -s tests/scheduler/router`` prints the figures. It needs vllm-router 0.1.17, in an environment of its
own: ``python -m venv /tmp/router && /tmp/router/bin/pip install vllm-router==0.1.17``, and then
HEADWAY_VLLM_ROUTER=/tmp/router/bin/vllm-router.
"""

import itertools
import os
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from headway.scheduler.dispatcher import Dispatch, Dispatcher
from headway.scheduler.ledger import Capacity
from headway.scheduler.policy import Policy
from tests.scheduler.router.stand_in import Router, running_router

ENGINES = 3
PROMPT = 64  # characters, each a token


def find_router() -> str | None:
    """The program vllm-router, if there is one."""
    return os.environ.get("HEADWAY_VLLM_ROUTER") or shutil.which("vllm-router")


@dataclass
class Agreement:
    """Where two routers sent the same turns, in order, as (trajectory, engine)."""

    theirs: list[tuple[str, int]] = field(default_factory=list)
    ours: list[tuple[str, int]] = field(default_factory=list)

    @property
    def turns(self) -> int:
        return len(self.theirs)

    @property
    def same(self) -> int:
        """Turns that went to the same engine."""
        return sum(a == b for a, b in zip(self.theirs, self.ours, strict=True))

    @property
    def same_move(self) -> int:
        """Turns that both sent, or both did not send, where the trajectory was before."""
        return sum(a == b for a, b in zip(_stays(self.theirs), _stays(self.ours), strict=True))


def _stays(placements: list[tuple[str, int]]) -> Iterator[bool]:
    before: dict[str, int] = {}
    for trajectory, engine in placements:
        yield before.get(trajectory, engine) == engine
        before[trajectory] = engine


@dataclass
class _Agent:
    id: str
    group: str
    text: str
    turns: int = 0


@dataclass
class _Event:
    """A turn that starts, with its engine, or one that ends; ``context`` is its trajectory's from then on."""

    agent: str
    group: str
    context: int
    engine: int | None = None


def compare(
    program: str, options: list[str], make: Callable[[], Policy], *, turns: int, seed: int
) -> Agreement:
    """Send one random course of turns through the router, and replay it through our policy.

    The router keeps its engines in an order of its own, which decides ties; ours is given each order in turn,
    and the one that agrees best is taken.
    """
    with running_router(program, options, ENGINES) as router:
        course = list(_drive(router, turns, random.Random(seed)))
    orders = itertools.permutations(range(ENGINES))
    return max((_replay(course, order, make()) for order in orders), key=lambda found: found.same)


def _drive(router: Router, turns: int, rng: random.Random) -> Iterator[_Event]:
    """Start and end turns of 48 agents in groups of four, at random, as many as are asked for."""
    resting = [_agent(number) for number in range(48)]
    running: list[_Agent] = []
    while turns or running:
        if not running or (turns and resting and rng.random() < 0.55):
            agent = resting.pop(rng.randrange(len(resting)))
            engine = router.send(f"{agent.id}/{agent.turns}", session=agent.id, prompt=agent.text)
            yield _Event(agent.id, agent.group, len(agent.text), engine)
            running.append(agent)
            turns -= 1
        else:
            agent = running.pop(rng.randrange(len(running)))
            router.finish(f"{agent.id}/{agent.turns}")
            agent.turns += 1
            agent.text += chr(0x9000 + agent.turns) + "x" * rng.randrange(16, 400)
            yield _Event(agent.id, agent.group, len(agent.text))
            resting.append(agent)


def _agent(number: int) -> _Agent:
    """Four agents share a prompt, that no other begins like; their texts part right after it."""
    group = number // 4
    prompt = chr(0x4E00 + group) * PROMPT
    return _Agent(
        f"g{group}.{number % 4}", f"g{group}", prompt + chr(0x3400 + number) + "y" * (number % 7) * 40
    )


def _replay(course: Sequence[_Event], order: Sequence[int], policy: Policy) -> Agreement:
    core = Dispatcher({str(engine): Capacity(10_000_000, 16) for engine in order}, policy)
    found = Agreement()
    for event in course:
        if event.engine is None:
            core.turn_ended(event.agent, context=event.context)
            continue
        decisions = core.turn_ready(
            event.agent, group=event.group, prompt=PROMPT, context=event.context, turn_limit=16
        )
        (engine,) = [int(d.engine) for d in decisions if isinstance(d, Dispatch)]
        found.theirs.append((event.agent, event.engine))
        found.ours.append((event.agent, engine))
    return found
