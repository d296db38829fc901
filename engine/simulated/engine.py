"""A simulated engine behind the ``Engine`` protocol, on whatever event loop runs it.

Reads that loop's clock only, so it runs in virtual time. Invariants: the core is asked and told everything at
the loop's time; one timer stands at the core's next change, and none while it is idle. Knows nothing of how
steps are planned.
"""

import asyncio
from collections.abc import Callable
from itertools import count
from pathlib import Path

from headway.errors import InputError

from ..errors import EngineDead, EngineError
from ..protocol import EngineInfo, EngineStats, FinishReason, Generation, Request
from ..request_check import check_request
from .core import Core
from .hardware import Hardware
from .turn import Turn

TurnLength = Callable[[Request], int]


class SimulatedEngine:
    """An engine with the step times and the KV cache of ``hardware``.

    A turn writes ``max_tokens`` made-up tokens, or ``turn_length(request)`` of them where that is fewer: it
    then ends with "stop" and, if the request has stop tokens, with the first of these.
    """

    def __init__(
        self,
        hardware: Hardware,
        *,
        id: str = "engine-0",
        kv_tokens: int | None = None,
        max_num_seqs: int | None = None,
        turn_length: TurnLength | None = None,
    ) -> None:
        seats = hardware.max_num_seqs if max_num_seqs is None else max_num_seqs
        size = hardware.block_size
        blocks = (hardware.kv_tokens if kv_tokens is None else kv_tokens) // size
        _check(id, hardware, blocks=blocks, seats=seats)
        self.info = EngineInfo(
            id=id,
            kind="simulated",
            version="1",
            device=hardware.name,
            kv_tokens=blocks * size,
            block_size=size,
            max_context=min(hardware.max_context, blocks * size),
        )
        self._weight_update_s = hardware.weight_update_s
        self._turn_length = turn_length
        self._core = Core(hardware, blocks=blocks, max_num_seqs=seats)
        self._turns: dict[str, tuple[Turn, asyncio.Future[Generation]]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._arrivals = count()
        self._time = 0.0
        self._paused = self._loading = False
        self._one_update = asyncio.Lock()
        self._ended: type[EngineError] | None = None
        self._cause = ""

    def stats(self) -> EngineStats:
        """The figures of the latest step; outside of a loop, as of the time that was seen last."""
        try:
            now = self._now()
        except RuntimeError:
            now = self._time
        return self._core.stats(now)

    async def generate(self, request: Request) -> Generation:
        """Simulate one turn; cancelling the caller aborts it."""
        self._catch_up()
        check_request(request, self.info, in_flight=self._turns)
        turn = self._turn(request)
        future: asyncio.Future[Generation] = asyncio.get_running_loop().create_future()
        self._turns[request.id] = turn, future
        self._core.submit(turn, self._now())
        self._set_timer()
        try:
            return await future
        finally:
            self._turns.pop(request.id, None)
            if future.cancelled():
                self._abort(turn)

    async def abort(self, request_id: str) -> None:
        """End a turn with the step under way; does nothing for a turn that is not in flight."""
        self._catch_up()
        if request_id in self._turns:
            self._abort(self._turns[request_id][0])

    async def pause(self) -> None:
        """Stop stepping; turns in flight keep their KV."""
        self._catch_up()
        self._paused = True
        await self._stand_still()

    async def resume(self) -> None:
        """Go on after ``pause``."""
        self._catch_up()
        self._paused = False
        self._go_on()

    async def update_weights(self, weights: Path, version: int) -> None:
        """Wait ``weight_update_s``, drop all KV and recompute the turns in flight; the file is not read."""
        self._catch_up()
        if version < 0:
            raise InputError(f"weight version {version} is negative; versions count from 0")
        if not weights.is_file():
            raise InputError(f"{weights}: there is no such weights file")
        async with self._one_update:
            self._loading = True
            try:
                await self._stand_still()
                await asyncio.sleep(self._weight_update_s)
                self._catch_up()
                self._core.load(version)
            finally:
                self._loading = False
                self._go_on()

    async def close(self) -> None:
        """End what is in flight; safe to call twice."""
        if self._ended is None:
            self._end(EngineError, "it has been closed")

    def die(self, cause: str = "its process has died") -> None:
        """Fail, as a real engine does when its process is killed: every call raises ``EngineDead``."""
        self._end(EngineDead, cause)

    def _turn(self, request: Request) -> Turn:
        limit = min(request.sampling.max_tokens, self.info.max_context - len(request.prompt))
        wanted = limit + 1 if self._turn_length is None else max(1, self._turn_length(request))
        finish: FinishReason = "stop" if wanted <= limit else "length"
        return Turn(
            request,
            arrival=next(self._arrivals),
            submitted=self._now(),
            limit=min(limit, wanted),
            finish=finish,
        )

    def _abort(self, turn: Turn) -> None:
        self._tell(self._core.advance(self._now()))
        self._tell(self._core.abort(turn, self._now()))
        self._set_timer()

    def _now(self) -> float:
        self._time = asyncio.get_running_loop().time()
        return self._time

    def _catch_up(self) -> None:
        """Let the core take the steps that are over, and raise if the engine has ended."""
        if self._ended is not None:
            raise self._ended(f"engine {self.info.id}: {self._cause}")
        self._tell(self._core.advance(self._now()))

    def _tell(self, ended: list[Turn]) -> None:
        for turn in ended:
            known, future = self._turns.get(turn.request.id, (None, None))
            if known is turn and future is not None and not future.done():
                future.set_result(turn.generation(self._now()))

    def _set_timer(self) -> None:
        """Have one timer, at the core's next change."""
        due = self._core.due(self._now()) if self._ended is None else None
        if self._timer is not None:
            if self._timer.when() == due:
                return
            self._timer.cancel()
        self._timer = None if due is None else asyncio.get_running_loop().call_at(due, self._wake)

    def _wake(self) -> None:
        self._timer = None
        self._tell(self._core.advance(self._now()))
        self._set_timer()

    async def _stand_still(self) -> None:
        """Halt the core and wait for the end of the step under way, unless it is to go on before that."""
        self._core.halt(self._now())
        self._set_timer()
        loop = asyncio.get_running_loop()
        while self._core.halted and (due := self._core.due(loop.time())) is not None:
            await asyncio.sleep(due - loop.time())
            self._catch_up()

    def _go_on(self) -> None:
        if not self._paused and not self._loading:
            self._core.go_on()
            self._set_timer()

    def _end(self, kind: type[EngineError], cause: str) -> None:
        self._ended, self._cause = kind, cause
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for _, future in self._turns.values():
            if not future.done():
                future.set_exception(kind(f"engine {self.info.id}: {cause}"))


def _check(id: str, hardware: Hardware, *, blocks: int, seats: int) -> None:
    if blocks < 1:
        raise InputError(
            f"engine {id}: its KV cache holds less than one block of {hardware.block_size} tokens; "
            "give more kv_tokens"
        )
    if not 1 <= seats <= hardware.max_batched_tokens:
        raise InputError(
            f"engine {id}: max_num_seqs is {seats}; it has to be 1 or more, and no more than the "
            f"max_batched_tokens of {hardware.max_batched_tokens}, for each running turn takes a token a step"
        )
