"""Hands the trained weights to the engines from GPU to GPU, one engine after the other.

Invariants: an engine gets all of a version or is broken; a hand-over that fails half way ends the run, since
the other side may wait for ever. Knows nothing of how weights are sent.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Protocol

from headway.engine import Engine, EngineError
from headway.engine.weight_transfer import HandOver, receiver

from .in_thread import in_thread
from .policy import Policy


class Updates(Protocol):
    """The scheduler, as far as it has every living engine brought to a version."""

    async def update_weights(self, weights: HandOver, version: int) -> None:
        """Call ``weights`` with each engine."""
        ...


class DirectWeights:
    """Sends to engines of so many GPUs (``workers``) each."""

    def __init__(self, policy: Policy, scheduler: Updates, *, workers: int) -> None:
        self._policy = policy
        self._scheduler = scheduler
        self._workers = workers
        self._one_at_a_time = asyncio.Lock()

    async def push(self, version: int) -> None:
        """Bring the weights as they stand into every live engine, as ``version``."""
        await self._scheduler.update_weights(self._hand_over, version)

    async def _hand_over(self, engine: Engine, version: int) -> None:
        async with self._one_at_a_time:
            transfer = await in_thread(partial(self._policy.offer_weights, self._workers))
            receiving = asyncio.ensure_future(receiver(engine).receive_weights(transfer, version))
            sending = _aside(partial(self._policy.send_weights, transfer))
            try:
                await asyncio.gather(sending, receiving)
            except Exception as error:
                raise EngineError(
                    f"engine {engine.info.id}: the trainer's weights were not handed over: {error}; "
                    'trainer.weights = "file" is the other way'
                ) from error
            finally:
                receiving.cancel()


def _aside(call: Callable[[], None]) -> asyncio.Future[None]:
    """Run a call that may never end, in a thread that does not keep the process from ending."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()

    def settle(error: Exception | None) -> None:
        if not future.done():
            future.set_exception(error) if error else future.set_result(None)

    def run() -> None:
        error = None
        try:
            call()
        except Exception as caught:
            error = caught
        with suppress(RuntimeError):  # nobody waits any more: the loop has ended
            loop.call_soon_threadsafe(settle, error)

    threading.Thread(target=run, daemon=True).start()
    return future
