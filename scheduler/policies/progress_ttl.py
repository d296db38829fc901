"""Progress-TTL: hold a trajectory in a tool for as long as its cache is worth; admit where growth fits.

The program scheduling of vllm-router 0.1.17 as its documentation describes it (docs/program_scheduling),
with the coefficients and limits that are its defaults, each engine's KV cache as its token capacity, and
``global_queue``, the mode that it recommends. A trajectory is a program, an engine a rank.
- A new program is bound to an engine by a consistent hash, and queues for that engine.
- Admission needs its private tokens (context without the shared prompt) and 100 for its decode to fit
  beside those of the programs active there, and a reserve: the mean growth of a turn times the turns in a
  row that each is to get. A larger batch may be worth more than the reserve (``progress_factors``). At
  most 64 programs are active on an engine; one that reports a turn waiting admits none.
- The most recently used is admitted first. One that waited beyond its deadline (three times the estimated
  work ahead of it, 30 to 300 s) goes before all and needs no room.
- When a turn ends its program stays active for a TTL fitted to the tool times, 0 until 100 were seen;
  then it is paused, and queues when it comes back. After 14 turns in a row it yields to others that wait
  for the engine.
- An engine that is charged more than it has marks running programs to be paused when their turn ends.
- With ``global_queue`` a paused program may move to another engine that nobody waits for, with more room
  by 1.2 of its context, when its own is pressed.
Simplified: a turn where its trajectory was before counts as a cache hit; the shared prefix is the group's
prompt; an engine with nothing counted admits what it can hold, so that nothing waits for ever; the
prediction of output lengths and return times, which 0.1.17 has too, is left out. Written from the sources of
the versions before 0.1.17 and its configuration reference; not compared with the program itself.
"""

import heapq
import math
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ..fleet_state import FleetState
from ..policy import Place, Policy, Reason, Wait
from ..trajectory import State, Trajectory
from .placing import able, send
from .progress_admission import Admission
from .progress_factors import MAX_ROUNDS, Factors, Turn, miss_seconds
from .progress_programs import Program, Programs, private

SHORTEST_FORCE_S, LONGEST_FORCE_S = 30.0, 300.0


@dataclass(kw_only=True)
class ProgressTtl(Policy):
    """Admission with a growth reserve, and a time to live for what is in a tool."""

    name: ClassVar[str] = "progress_ttl"
    lookahead: ClassVar[int] = sys.maxsize

    global_queue: bool = True

    _programs: Programs = field(init=False, repr=False, default_factory=Programs)
    _factors: defaultdict[str, Factors] = field(
        init=False, repr=False, default_factory=lambda: defaultdict(Factors)
    )
    _admission: Admission = field(init=False, repr=False)
    _expiries: list[tuple[float, int, Trajectory]] = field(init=False, repr=False, default_factory=list)
    _admitted: dict[str, str] = field(init=False, repr=False, default_factory=dict)  # engine by trajectory
    _revision: tuple[int, int] = field(init=False, repr=False, default=(-1, 0))

    def __post_init__(self) -> None:
        self._admission = Admission(self._programs, self._factors, everywhere=self.global_queue)

    def place(self, trajectory: Trajectory, fleet: FleetState) -> Place | Wait:
        """Send an active program's turn home; any other where it was admitted."""
        program = self._programs.of(trajectory, fleet)
        engine = trajectory.home if trajectory.state is State.HELD else self._admit(trajectory, fleet)
        if engine is None or engine not in able(trajectory, fleet.engines, fleet):
            return Wait(Reason.KV_FULL, blocks=not self._admitted)
        if trajectory.state is State.HELD:
            self._note_return(trajectory, program, fleet)
        else:
            program.rounds, program.has_yielded, program.forced_at = 0, False, math.inf
            program.segment_from = fleet.now
        program.engine, program.prompt, program.dispatched = engine, trajectory.context, fleet.now
        program.expires, program.is_marked = math.inf, False
        return send(trajectory, engine)

    def rank(self, trajectory: Trajectory, fleet: FleetState) -> Any:
        """The most recently used first, those that never ran last."""
        program = self._programs.of_arrival(trajectory, fleet)
        self._note_return(trajectory, program, fleet)
        program.queued, program.forced_at = fleet.now, fleet.now + self._force_s(program, fleet)
        program.refused_by = None
        return program.has_yielded, -program.finished

    def held(self, trajectory: Trajectory, fleet: FleetState, preemptions: int) -> None:
        """Learn from the turn that ended, and say until when its program stays active."""
        program = self._programs.of(trajectory, fleet)
        factors = self._factors[program.engine]
        program.miss = miss_seconds(program.prompt - min(trajectory.prompt, program.prompt))
        program.expires = fleet.now + factors.ttl(program.miss)
        heapq.heappush(self._expiries, (program.expires, trajectory.arrival, trajectory))
        continues = program.last_prompt is None or trajectory.turn > 0
        program.rounds += continues
        program.unpaused_rounds += continues
        factors.add(_turn(trajectory, program, fleet.now))
        program.finished, program.last_prompt = fleet.now, program.prompt

    def park(self, engine: str, fleet: FleetState) -> Sequence[Trajectory]:
        """Pause what is marked, has had its turns, or outlived its TTL; mark more while it is too much."""
        waited_for = {program.engine for t in fleet.waiting if (program := self._programs.known(t))}
        victims = [t for t in fleet.in_tools(engine) if self._is_due(t, fleet, waited_for)]
        for victim in victims:
            self._pause(victim, fleet)
        self._repair(engine, fleet, {victim.id for victim in victims})
        return victims

    def ended(self, trajectory: Trajectory, fleet: FleetState) -> None:
        """Forget the program."""
        self._programs.forget(trajectory)
        self._admitted.pop(trajectory.id, None)

    def wake_at(self, fleet: FleetState) -> float | None:
        """The next TTL that ends, or deadline of a waiting program."""
        while self._expiries and not self._is_current(*self._expiries[0]):
            heapq.heappop(self._expiries)
        times = [program.forced_at for t in fleet.waiting if (program := self._programs.known(t))]
        times += [self._expiries[0][0]] if self._expiries else []
        at = min((time for time in times if time > fleet.now), default=math.inf)
        due = bool(self._expiries) and self._expiries[0][0] <= fleet.now
        return fleet.now if due else at if math.isfinite(at) else None

    def wake(self, fleet: FleetState) -> Sequence[Trajectory]:
        """Pause what has outlived its TTL."""
        victims = []
        while self._expiries and self._expiries[0][0] <= fleet.now:
            expiry, arrival, trajectory = heapq.heappop(self._expiries)
            if self._is_current(expiry, arrival, trajectory):
                self._pause(trajectory, fleet)
                victims.append(trajectory)
        return victims

    def _note_return(self, trajectory: Trajectory, program: Program, fleet: FleetState) -> None:
        if math.isfinite(program.finished) and program.dispatched <= program.finished:
            tool_times = self._factors[program.engine].tool_times
            tool_times.append(fleet.now - program.finished)

    def _is_current(self, expiry: float, arrival: int, trajectory: Trajectory) -> bool:
        program = self._programs.known(trajectory)
        return trajectory.state is State.HELD and program is not None and program.expires == expiry

    def _is_due(self, trajectory: Trajectory, fleet: FleetState, waited_for: set[str]) -> bool:
        program = self._programs.of(trajectory, fleet)
        program.has_yielded = program.rounds >= MAX_ROUNDS and program.engine in waited_for
        return program.is_marked or program.has_yielded or program.expires <= fleet.now

    def _pause(self, trajectory: Trajectory, fleet: FleetState) -> None:
        program = self._programs.of(trajectory, fleet)
        if program.expires <= fleet.now:
            program.unpaused_rounds = 0
        program.rounds, program.is_marked, program.expires = 0, False, math.inf

    def _repair(self, engine: str, fleet: FleetState, paused: Iterable[str]) -> None:
        """Mark running programs until what is charged, and what they will add, fits."""
        factors = self._factors[engine]
        held = [t for t in fleet.held(engine) if t.id not in paused]
        running = [t for t in held if t.state is State.RUNNING]
        excess = sum(map(private, held)) + factors.completion * len(running) - fleet.capacity(engine)
        marked = [t for t in running if self._programs.of(t, fleet).is_marked]
        excess -= sum(private(t) + factors.completion for t in marked)
        if excess <= 0:
            return
        score = {t.id: self._tenure(t, fleet, factors) for t in running}
        for victim in sorted(
            (t for t in running if t not in marked), key=lambda t: (-score[t.id], t.arrival)
        ):
            if excess <= 0:
                return
            self._programs.of(victim, fleet).is_marked = True
            excess -= private(victim) + factors.completion

    def _tenure(self, trajectory: Trajectory, fleet: FleetState, factors: Factors) -> float:
        """How long a program has been served, less for a large one."""
        share = max(trajectory.context / factors.prompt, 1e-6)
        return (fleet.now - self._programs.of(trajectory, fleet).segment_from) * max(
            1 / math.sqrt(share), 0.5
        )

    def _admit(self, trajectory: Trajectory, fleet: FleetState) -> str | None:
        """The engine that the waiting program is admitted to; decided for all that wait, once an event."""
        if (fleet.revision, len(fleet.waiting)) != self._revision:
            self._admitted = self._admission.admit(fleet)
        self._revision = fleet.revision, len(fleet.waiting) - (trajectory.id in self._admitted)
        return self._admitted.pop(trajectory.id, None)

    def _force_s(self, program: Program, fleet: FleetState) -> float:
        """How long it may wait: three times the turns ahead of it over the turns done in a second."""
        engines = list(fleet.engines) if self.global_queue else [program.engine]
        factors = {engine: self._factors[engine] for engine in engines}
        rate = sum(f.turns_per_second for f in factors.values())
        if rate <= 0 or not all(f.is_mature for f in factors.values()):
            return LONGEST_FORCE_S
        queued = Counter(
            other.engine
            for t in fleet.waiting
            if (other := self._programs.of(t, fleet)).finished > program.finished
        )
        ahead = 0.0
        for engine in engines:
            target = factors[engine].target_rounds
            for t in fleet.held(engine):
                least = 1.0 if t.state is State.RUNNING else 0.0
                ahead += max(target - self._programs.of(t, fleet).rounds, least)
            ahead += target * queued[engine]
        return min(max(3 * ahead / rate, SHORTEST_FORCE_S), LONGEST_FORCE_S)


def _turn(trajectory: Trajectory, program: Program, now: float) -> Turn:
    growth = None
    if program.last_prompt and 0 < program.prompt - program.last_prompt < program.last_prompt:
        growth = program.prompt - program.last_prompt
    return Turn(
        prompt=program.prompt,
        completion=trajectory.context - program.prompt,
        growth=growth,
        rounds=program.unpaused_rounds,
        ended=now,
    )
