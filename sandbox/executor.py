"""Runs snippets in isolated processes forked from warm interpreters, many at a time.

Invariants: at most ``workers`` snippets run at once, and the rest wait in the order in which they came; a run
whose worker is lost is repeated on another, up to three attempts; nothing is left behind after ``close`` or
after this process's end. Knows nothing of what a snippet is for.
"""

import asyncio
import os
import platform
import warnings
from types import TracebackType
from typing import Self

from .errors import IsolationUnavailable, SandboxError, WorkerLost
from .flavour import Flavour, flavour_of
from .jail.confinement import Isolation
from .remedy import remedy_for
from .result import Result, Snippet, Status, Tier
from .verdict import judge, lost
from .wire import Call
from .worker import Worker
from .zygote import Launch, Zygote, launch

_ATTEMPTS = 3
_CANARY = Snippet(code="import os\nraise SystemExit(0 if os.getpid() == 1 else 3)")


class ZygoteSandbox:
    """The sandbox of one machine. ``start`` makes one; it belongs to the event loop that started it."""

    def __init__(self, *, workers: int, isolation: Isolation, launch: Launch) -> None:
        self._isolation = isolation
        self._tier = Tier(isolation.value)
        self._launch = launch
        self._capacity = asyncio.Semaphore(workers)
        self._zygotes: dict[Flavour, Zygote] = {}
        self._starting = {flavour: asyncio.Lock() for flavour in Flavour}
        self._idle: dict[Flavour, list[Worker]] = {flavour: [] for flavour in Flavour}
        self._busy: set[Worker] = set()
        self._closed = False

    @classmethod
    async def start(
        cls,
        *,
        workers: int | None = None,
        allow_tier_c: bool = False,
        unsafe_no_isolation: bool = False,
        launch: Launch = launch,
    ) -> Self:
        """Start a sandbox with the best isolation that works here, tried by running a snippet.

        Args:
            workers: how many snippets may run at once; by default the processors that this process may use.
            allow_tier_c: where namespaces are refused, accept a seccomp filter and limits alone. Such code
                can read whatever an unprivileged user of this machine can.
            unsafe_no_isolation: run code unconfined; for unit tests only.
            launch: starts the zygotes.

        Raises:
            IsolationUnavailable: this machine refuses the isolation; the message says what to do.
        """
        if platform.system() != "Linux":
            raise SandboxError("The sandbox needs Linux: it isolates code with its namespaces and seccomp.")
        workers = workers or len(os.sched_getaffinity(0))
        if unsafe_no_isolation:
            warnings.warn("the sandbox runs code WITHOUT ISOLATION", RuntimeWarning, stacklevel=2)
            return await cls._started(workers, Isolation.UNSAFE, launch)
        try:
            return await cls._started(workers, Isolation.NAMESPACES, launch)
        except IsolationUnavailable as error:
            if not allow_tier_c:
                raise SandboxError(f"{error} {remedy_for(error)}") from error
            warnings.warn(f"{error} Code runs without namespaces (tier C).", RuntimeWarning, stacklevel=2)
            return await cls._started(workers, Isolation.FILTER_ONLY, launch)

    @classmethod
    async def _started(cls, workers: int, isolation: Isolation, launch: Launch) -> Self:
        sandbox = cls(workers=workers, isolation=isolation, launch=launch)
        try:
            await sandbox._release(await sandbox._acquire(Flavour.BARE), Flavour.BARE)
            if isolation is Isolation.NAMESPACES:
                result = await sandbox.run(_CANARY)
                if result.status is not Status.OK:
                    raise IsolationUnavailable("first run", f"{result.status} {result.stderr.strip()[-200:]}")
        except BaseException as error:
            await sandbox.close()
            if isinstance(error, WorkerLost):
                raise IsolationUnavailable("slot", str(error)) from error
            raise
        return sandbox

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def tier(self) -> Tier:
        """The isolation that every run gets."""
        return self._tier

    @property
    def process_ids(self) -> list[int]:
        """The processes of this machine below which everything that the sandbox runs lives."""
        return [zygote.pid for zygote in self._zygotes.values()]

    async def run(self, snippet: Snippet) -> Result:
        """Run one snippet to its end or to its first limit; wait for a free worker first."""
        call, flavour = _call(snippet), flavour_of(snippet.code)
        async with self._capacity:
            for attempt in range(1, _ATTEMPTS):
                result = await self._attempt(call, flavour, snippet, attempt)
                if self._closed or not result.is_sandbox_fault:
                    return result
            return await self._attempt(call, flavour, snippet, _ATTEMPTS)

    async def close(self) -> None:
        """Stop every worker; runs in flight or waiting end as ``WORKER_LOST``."""
        self._closed = True
        for worker in [*self._busy, *(worker for idle in self._idle.values() for worker in idle)]:
            worker.close()
        self._idle = {flavour: [] for flavour in Flavour}
        for flavour in Flavour:
            async with self._starting[flavour]:
                zygote = self._zygotes.pop(flavour, None)
                if zygote is not None:
                    await zygote.close()

    async def _attempt(self, call: Call, flavour: Flavour, snippet: Snippet, attempt: int) -> Result:
        try:
            worker = await self._acquire(flavour)
        except (WorkerLost, IsolationUnavailable, OSError):
            return lost(self._tier, attempt)
        self._busy.add(worker)
        try:
            ending = await worker.run(call)
        except WorkerLost:
            worker.close()
            return lost(self._tier, attempt)
        except BaseException:
            worker.close()
            raise
        finally:
            self._busy.discard(worker)
        await self._release(worker, flavour)
        return judge(ending, snippet.limits, self._tier, attempt)

    async def _acquire(self, flavour: Flavour) -> Worker:
        while self._idle[flavour]:
            worker = self._idle[flavour].pop()
            if worker.is_alive:
                return worker
            worker.close()
        return await Worker.fork(await self._zygote(flavour))

    async def _release(self, worker: Worker, flavour: Flavour) -> None:
        if self._closed:
            worker.close()
        else:
            self._idle[flavour].append(worker)

    async def _zygote(self, flavour: Flavour) -> Zygote:
        async with self._starting[flavour]:
            if self._closed:
                raise WorkerLost("the sandbox is closed")
            zygote = self._zygotes.get(flavour)
            if zygote is not None and not zygote.is_alive:
                await zygote.close()
                zygote = None
            if zygote is None:
                zygote = self._zygotes[flavour] = await self._launch(flavour, self._isolation)
            return zygote


def _call(snippet: Snippet) -> Call:
    limits = snippet.limits
    return Call(
        snippet.code.encode("utf-8", "replace"),
        snippet.stdin,
        limits.wall_s,
        limits.cpu_s,
        limits.memory_bytes,
        limits.disk_bytes,
        limits.output_bytes,
        limits.processes,
    )
