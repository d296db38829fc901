"""Which of the programs that wait Progress-TTL admits, and to which engines.

An engine whose account has not changed refuses what it has refused: so an event costs what it changes, and
not a look at every engine for every turn that waits. Knows nothing of when programs are paused.
"""

import math
from collections import defaultdict
from dataclasses import replace

from ..fleet_state import FleetState
from ..trajectory import State, Trajectory
from .placing import able
from .progress_factors import Factors, Load, miss_seconds
from .progress_programs import Program, Programs, private

MAX_ACTIVE = 64  # programs on an engine
CROSS_RANK_HEADROOM = 1.2  # contexts that another engine must have free beyond what home has
OBSERVED_S = 1.0  # that a program must have queued before it may move

Waiting = list[tuple[Trajectory, Program]]


class Admission:
    """Admits from one queue; with ``everywhere`` also to engines that are not a program's own."""

    def __init__(self, programs: Programs, factors: defaultdict[str, Factors], *, everywhere: bool) -> None:
        self._programs = programs
        self._factors = factors
        self._everywhere = everywhere
        self._loads: dict[str, tuple[int, Load]] = {}  # and the changes of the ledger when it was made

    def admit(self, fleet: FleetState) -> dict[str, str]:
        """The engine of each that is admitted, in their order: home first, then elsewhere."""
        programs = self._programs
        waiting = [(t, programs.of(t, fleet)) for t in fleet.waiting if t.state is not State.HELD]
        loads = {engine: self._load(engine, fleet) for engine in fleet.engines}
        admitted: dict[str, str] = {}
        for trajectory, program in sorted(waiting, key=lambda pair: pair[1].forced_at > fleet.now):
            engine, load = program.engine, loads[program.engine]
            is_late = program.forced_at <= fleet.now
            if program.refused_by is load and not is_late:
                continue
            if self._admits(engine, load, trajectory, is_late=is_late):
                loads[engine] = self._joined(load, trajectory, program)
                admitted[trajectory.id] = engine
            else:
                program.refused_by = load
        if self._everywhere and len(loads) > 1:
            left = [(t, program) for t, program in waiting if t.id not in admitted]
            self._relocate(left, loads, fleet, admitted)
        return admitted

    def _load(self, engine: str, fleet: FleetState) -> Load:
        """What is active on the engine; the same object until the ledger says that something has changed."""
        changes = fleet.ledger.changes_of(engine)
        kept = self._loads.get(engine)
        if kept is not None and kept[0] == changes:
            return kept[1]
        queues = fleet.reported(engine).waiting > 0 and fleet.running(engine) > 0
        load = Load(fleet.capacity(engine), queues=queues)
        for trajectory in fleet.held(engine):
            self._join(load, trajectory, self._programs.of(trajectory, fleet))
        self._loads[engine] = changes, load
        return load

    def _joined(self, load: Load, trajectory: Trajectory, program: Program) -> Load:
        """The load with one more program on it."""
        load = replace(load)
        self._join(load, trajectory, program)
        return load

    def _join(self, load: Load, trajectory: Trajectory, program: Program) -> None:
        rounds = program.rounds if trajectory.is_counted else 0
        left = max(self._factors[program.engine].target_rounds - rounds, 0.0)
        load.used += private(trajectory)
        load.active += 1
        load.rounds += left
        load.protected += left > 0
        load.misses += program.miss if left > 0 else 0.0
        if trajectory.state is not State.HELD:
            load.batch += 1
            load.batch_tokens += trajectory.context

    def _admits(self, engine: str, load: Load, candidate: Trajectory, *, is_late: bool) -> bool:
        if not load.active:
            return candidate.context + candidate.turn_limit <= load.capacity
        if load.queues or is_late:
            return not load.queues
        return load.active < MAX_ACTIVE and self._factors[engine].admits(
            load,
            needed=private(candidate),
            context=candidate.context,
            miss=miss_seconds(candidate.context - candidate.prompt),
        )

    def _relocate(
        self,
        waiting: Waiting,
        loads: dict[str, Load],
        fleet: FleetState,
        admitted: dict[str, str],
    ) -> None:
        """Admit paused programs to engines that nobody waits for, with much more room than their own."""
        mature = {engine for engine in loads if self._factors[engine].is_mature}
        unwanted = mature - {program.engine for _, program in waiting}
        if not unwanted:
            return
        latest: defaultdict[str, float] = defaultdict(lambda: -math.inf)
        for _, program in waiting:
            latest[program.engine] = max(latest[program.engine], program.finished)
        for trajectory, program in sorted(waiting, key=lambda pair: pair[1].queued):
            is_pressed = (
                latest[program.engine] > program.finished or fleet.reported(program.engine).waiting > 0
            )
            has_waited = fleet.now - program.queued >= OBSERVED_S and trajectory.state is State.RETURNED
            if not (is_pressed and has_waited and program.engine in mature):
                continue
            least = max(loads[program.engine].free, 0.0) + CROSS_RANK_HEADROOM * trajectory.context
            is_late = program.forced_at <= fleet.now
            options = [
                engine
                for engine in able(trajectory, sorted(unwanted), fleet)
                if loads[engine].free >= least
                and self._admits(engine, loads[engine], trajectory, is_late=is_late)
            ]
            if options:
                engine = max(options, key=lambda e: loads[e].free / loads[e].capacity)
                loads[engine] = self._joined(loads[engine], trajectory, program)
                admitted[trajectory.id] = engine
