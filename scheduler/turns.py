"""The asyncio shell around the decision core: a ready turn waits here until the core places it, then runs.

Invariants: a decision is carried out in the same step of the event loop in which its event came; every turn
that runs has a time limit. All choices are the core's: nothing is decided here.
"""

import asyncio
import itertools
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from headway.engine import Engine, EngineDead, EngineError, Generation, Request, Sampling
from headway.engine.weight_transfer import HandOver

from .block_names import BlockNames
from .common_prefixes import CommonPrefixes
from .dispatcher import Decision, Dispatch, Dispatcher, Hold, Park, Refuse
from .episode import Episode, Turn
from .events import (
    EngineChanged,
    EventSink,
    Parked,
    TurnAbandoned,
    TurnDispatched,
    TurnEnded,
    TurnHeld,
    TurnReady,
    now_ns,
)
from .failures import Overload
from .ledger import Capacity
from .policy import Policy
from .pulse import load


class TurnConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How turns are sampled, and how long a turn, or taking in new weights, may take in seconds."""

    temperature: float = 1.0
    top_p: float = 1.0
    stop_token_ids: tuple[int, ...] = ()
    timeout_s: float = 1800.0


class _Waiting(msgspec.Struct):
    turn: int
    placed: asyncio.Future[str]


class Turns:
    """Runs the turns of many episodes on a fleet of engines."""

    def __init__(
        self,
        engines: Sequence[Engine],
        *,
        config: TurnConfig,
        policy: Policy,
        sink: EventSink,
        max_context: int,
        block_names: BlockNames | None = None,
    ) -> None:
        self._engines = {engine.info.id: engine for engine in engines}
        self._config = config
        self._sink = sink
        self._dispatcher = Dispatcher(
            {id: Capacity(e.info.kv_tokens, e.info.block_size) for id, e in self._engines.items()},
            policy,
            clock=lambda: asyncio.get_running_loop().time(),
            max_context=max_context,
        )
        self._prefixes = CommonPrefixes()
        self._block_names = block_names
        self._alarm: asyncio.Handle | None = None
        self._alarm_at: float | None = None  # uvloop's handle for a moment that is over does not know it
        self._decisions = self._decision_ns = 0
        self._waiting: dict[str, _Waiting] = {}
        self._requests = itertools.count()
        self._loads: dict[str, tuple[int, int]] = {}

    async def run(self, episode: Episode, max_tokens: int) -> Turn:
        """Wait until the episode's next turn is placed, and run it; on another engine if its engine dies.

        Raises ``Overload`` for a turn that can never fit, ``EngineError`` for an engine that fails or hangs.
        """
        while True:
            try:
                return await self._attempt(episode, max_tokens)
            except EngineDead:
                if not self._engines:
                    raise

    async def _attempt(self, episode: Episode, max_tokens: int) -> Turn:
        id, turn, context = episode.id, len(episode.turns), len(episode.tokens)
        blocks = self._block_names.new(id, episode.tokens) if self._block_names else []
        self._sink.emit(
            TurnReady(t=now_ns(), trajectory=id, turn=turn, context=context, limit=max_tokens, blocks=blocks)
        )
        try:
            engine = await self._place(episode, max_tokens)
            self._note_load(engine)
            generation = await self._generate(engine, episode, max_tokens)
        except BaseException:
            self._sink.emit(TurnAbandoned(t=now_ns(), trajectory=id, turn=turn))
            self._decide(self._dispatcher.turn_abandoned, id)
            raise
        self._note_load(engine)
        self._note_end(engine, episode, generation)
        self._decide(
            self._dispatcher.turn_ended,
            id,
            context=context + len(generation.tokens),
            preemptions=generation.preemptions,
            stats=engine.stats(),
        )
        return Turn(engine.info.id, generation)

    async def _place(self, episode: Episode, max_tokens: int) -> Engine:
        """Wait until the core has placed the episode's turn."""
        waiting = _Waiting(len(episode.turns), asyncio.get_running_loop().create_future())
        self._waiting[episode.id] = waiting
        try:
            self._decide(
                self._dispatcher.turn_ready,
                episode.id,
                group=episode.group,
                prompt=episode.prompt,
                context=len(episode.tokens),
                turn_limit=max_tokens,
                shared=self._prefixes.segments(episode.group, episode.tokens[: episode.prompt])
                if not episode.turns
                else None,
            )
            engine = await waiting.placed
        finally:
            del self._waiting[episode.id]
        if engine not in self._engines:
            raise EngineDead(f"engine {engine} died as a turn was placed on it")
        return self._engines[engine]

    def ended(self, id: str, *, failed: bool) -> None:
        """Take in that an episode is over and wants no more turns; safe to call again."""
        if self._block_names:
            self._block_names.forget(id)
        self._decide(self._dispatcher.ended, id, failed=failed)

    async def update_weights(self, weights: Path | HandOver, version: int) -> None:
        """Bring new weights into every living engine; the KV they cached counts no more."""
        updates = [
            asyncio.create_task(self._update(engine, weights, version)) for engine in self._engines.values()
        ]
        try:
            await asyncio.gather(*updates)
        finally:
            for update in updates:  # where one has failed
                update.cancel()
            await asyncio.gather(*updates, return_exceptions=True)
            self._decide(self._dispatcher.caches_dropped)

    async def _update(self, engine: Engine, weights: Path | HandOver, version: int) -> None:
        id = engine.info.id
        self._sink.emit(EngineChanged(t=now_ns(), engine=id, state="weight_sync"))
        try:
            async with asyncio.timeout(self._config.timeout_s):
                if isinstance(weights, Path):
                    await engine.update_weights(weights, version)
                else:
                    await weights(engine, version)
        except EngineDead:
            self._lose(engine)
            if not self._engines:
                raise
            return
        except BaseException as error:
            self._sink.emit(EngineChanged(t=now_ns(), engine=id, state="ready"))
            if not isinstance(error, TimeoutError):
                raise
            raise EngineError(
                f"engine {id}: new weights were not taken in within {self._config.timeout_s:g} s"
            ) from None
        self._sink.emit(EngineChanged(t=now_ns(), engine=id, state="ready", weight_version=version))

    async def _generate(self, engine: Engine, episode: Episode, max_tokens: int) -> Generation:
        config = self._config
        request = Request(
            id=f"{episode.id}.{next(self._requests)}",
            prompt=episode.tokens.copy(),
            sampling=Sampling(
                max_tokens=max_tokens,
                temperature=config.temperature,
                top_p=config.top_p,
                stop_token_ids=config.stop_token_ids,
            ),
            priority=episode.priority,
        )
        try:
            async with asyncio.timeout(config.timeout_s):
                return await engine.generate(request)
        except EngineDead:
            self._lose(engine)
            raise
        except TimeoutError:
            raise EngineError(
                f"engine {engine.info.id}: a turn did not end within {config.timeout_s:g} s"
            ) from None

    def _lose(self, engine: Engine) -> None:
        """Place nothing more on an engine that has died; only the first call about it counts."""
        if self._engines.pop(engine.info.id, None) is not None:
            self._sink.emit(EngineChanged(t=now_ns(), engine=engine.info.id, state="down"))
            self._decide(self._dispatcher.engine_lost, engine.info.id)

    @property
    def decision_us(self) -> float:
        """Mean microseconds that the core took to decide on an event; other work on its core counts too."""
        return self._decision_ns / 1000 / max(self._decisions, 1)

    def _decide(self, event: Callable[..., list[Decision]], *args: Any, **details: Any) -> None:
        """Tell the core of an event, carry out what it decides, and see that it is woken when it wants.

        Where the core fails, decisions may be lost, so all that wait learn of the error.
        """
        start = time.perf_counter_ns()
        try:
            decisions = event(*args, **details)
            wake_at = self._dispatcher.wake_at()
        except Exception as error:
            self._fail(error)
            raise
        self._decision_ns += time.perf_counter_ns() - start
        self._decisions += 1
        self._carry_out(decisions)
        self._set_alarm(wake_at)

    def _set_alarm(self, wake_at: float | None) -> None:
        if self._alarm is not None:
            if self._alarm_at == wake_at:
                return
            self._alarm.cancel()
            self._alarm = None
        if wake_at is not None:
            self._alarm = asyncio.get_running_loop().call_at(wake_at, self._wake)
        self._alarm_at = wake_at

    def _wake(self) -> None:
        """Let time pass for the core; an error goes to all that wait, and to the loop's handler."""
        self._alarm = None
        self._decide(self._dispatcher.wake)

    def _fail(self, error: Exception) -> None:
        for waiting in self._waiting.values():
            if not waiting.placed.done():
                waiting.placed.set_exception(error)
                waiting.placed.exception()  # one that is cancelled meanwhile need not look at it

    def _carry_out(self, decisions: Sequence[Decision]) -> None:
        for decision in decisions:
            id = decision.trajectory
            match decision:
                case Dispatch(engine=engine, reason=reason):
                    waiting = self._waiting[id]
                    self._sink.emit(
                        TurnDispatched(
                            t=now_ns(), trajectory=id, turn=waiting.turn, engine=engine, reason=reason
                        )
                    )
                    if not waiting.placed.done():
                        waiting.placed.set_result(engine)
                case Hold(reason=reason):
                    self._sink.emit(TurnHeld(t=now_ns(), trajectory=id, reason=reason))
                case Park(engine=engine, reason=why):
                    self._sink.emit(Parked(t=now_ns(), trajectory=id, engine=engine, reason=why))
                case Refuse(needed=needed, available=available):
                    self._refuse(id, needed, available)

    def _refuse(self, id: str, needed: int, available: int) -> None:
        placed = self._waiting[id].placed
        if not placed.done():
            placed.set_exception(
                Overload(
                    f"trajectory {id} needs {needed} tokens of KV cache for its next turn, and the largest "
                    f"engine has {available}: allow shorter contexts or give engines more"
                )
                if available
                else EngineDead(f"trajectory {id}: no engine is left")
            )

    def _note_load(self, engine: Engine) -> None:
        try:
            stats = engine.stats()
        except EngineDead:
            self._lose(engine)
            raise
        if self._loads.get(engine.info.id) != (stats.running, stats.waiting):
            self._loads[engine.info.id] = (stats.running, stats.waiting)
            self._sink.emit(load(engine.info.id, stats, now_ns()))

    def _note_end(self, engine: Engine, episode: Episode, generation: Generation) -> None:
        versions = generation.versions or [-1]
        self._sink.emit(
            TurnEnded(
                t=now_ns(),
                trajectory=episode.id,
                turn=len(episode.turns),
                engine=engine.info.id,
                prompt=len(episode.tokens),
                cached=generation.cached_tokens,
                generated=len(generation.tokens),
                preemptions=generation.preemptions,
                queue_s=generation.queue_s,
                first_token_s=generation.first_token_s,
                first_version=versions[0],
                last_version=versions[-1],
                finish=generation.finish_reason,
            )
        )
