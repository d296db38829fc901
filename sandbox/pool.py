"""Zygotes by flavour, and the workers that they forked: started when first needed, replaced when lost.

Invariants: a zygote from which a slot did not start in time is replaced; after ``close`` nothing that was
started here lives. Knows nothing of snippets, results or retries.
"""

import asyncio

from .cgroup import Cgroups
from .errors import NotStarted, WorkerLost
from .flavour import Flavour
from .jail.confinement import Isolation
from .worker import Worker
from .zygote import Launch, Zygote

_FORK_TRIES, _FORK_AGAIN_S = 6, 0.01
_FORKS_AT_ONCE = 32  # more would fill the zygote's socket


class Pool:
    """The processes of one sandbox."""

    def __init__(
        self, isolation: Isolation, launch: Launch, cgroups: Cgroups | None, *, slot_patience_s: float
    ) -> None:
        self._cgroups = cgroups
        self._slot_patience_s = slot_patience_s
        self._isolation = isolation
        self._launch = launch
        self._zygotes: dict[Flavour, Zygote] = {}
        self._starting = {flavour: asyncio.Lock() for flavour in Flavour}
        self._idle: dict[Flavour, list[Worker]] = {flavour: [] for flavour in Flavour}
        self._busy: set[Worker] = set()
        self._forking = asyncio.Semaphore(_FORKS_AT_ONCE)
        self.is_closed = False

    @property
    def process_ids(self) -> list[int]:
        """The processes of this machine below which everything lives."""
        return [zygote.pid for zygote in self._zygotes.values()]

    async def acquire(self, flavour: Flavour) -> Worker:
        """Return an idle worker of a flavour, or a new one.

        Raises:
            WorkerLost: a new one did not start, or the pool is closed.
            IsolationUnavailable: this machine refuses the isolation.
        """
        while self._idle[flavour]:
            worker = self._idle[flavour].pop()
            if worker.is_alive:
                self._busy.add(worker)
                return worker
            self.discard(worker)
        worker = await self._persist(flavour)
        self._busy.add(worker)
        if self.is_closed:
            self.discard(worker)
            raise WorkerLost("the sandbox is closed")
        return worker

    def release(self, worker: Worker, flavour: Flavour) -> None:
        """Take a worker back for the next call."""
        self._busy.discard(worker)
        if self.is_closed:
            self.discard(worker)
        else:
            self._idle[flavour].append(worker)

    def discard(self, worker: Worker) -> None:
        """End a worker, and whatever it runs."""
        self._busy.discard(worker)
        worker.close()
        if worker.group is not None and self._cgroups is not None:
            self._cgroups.end(worker.group)

    async def close(self) -> None:
        """End every worker and every zygote, and wait until they are gone."""
        self.is_closed = True
        for worker in [*self._busy, *(worker for idle in self._idle.values() for worker in idle)]:
            self.discard(worker)
        self._idle = {flavour: [] for flavour in Flavour}
        for flavour in Flavour:
            async with self._starting[flavour]:
                zygote = self._zygotes.pop(flavour, None)
                if zygote is not None:
                    await zygote.close()
        if self._cgroups is not None:
            await self._cgroups.close()

    async def _persist(self, flavour: Flavour) -> Worker:
        """Fork a worker, also where a zygote that just died seems alive for a moment more."""
        for attempt in range(_FORK_TRIES):
            try:
                return await self._fork(flavour)
            except (WorkerLost, OSError):
                if self.is_closed:
                    raise
                await asyncio.sleep(_FORK_AGAIN_S * 2**attempt)
        return await self._fork(flavour)

    async def _fork(self, flavour: Flavour) -> Worker:
        zygote = await self._zygote(flavour)
        group = self._cgroups.make() if self._cgroups else None
        try:
            async with self._forking:
                return await Worker.fork(zygote, group, patience_s=self._slot_patience_s)
        except BaseException as error:
            if isinstance(error, NotStarted):
                zygote.kill()  # the next call gets a new one
            if group is not None and self._cgroups is not None:
                self._cgroups.end(group)
            raise

    async def _zygote(self, flavour: Flavour) -> Zygote:
        async with self._starting[flavour]:
            if self.is_closed:
                raise WorkerLost("the sandbox is closed")
            zygote = self._zygotes.get(flavour)
            if zygote is not None and not zygote.is_alive:
                await zygote.close()
                zygote = None
            if zygote is None:
                zygote = self._zygotes[flavour] = await self._launch(flavour, self._isolation)
            return zygote
