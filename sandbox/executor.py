"""Runs snippets in isolated processes forked from warm interpreters, many at a time.

Invariants: at most ``workers`` snippets run at once, and the rest wait in the order in which they came; a run
whose worker is lost is repeated on another, until it was four times what may have been the cause; nothing is
left behind after ``close`` or after this process's end. Knows nothing of what a snippet is for.
"""

import asyncio
import logging
import os
import platform
import resource
import warnings
from types import TracebackType
from typing import Self

from .cgroup import Cgroups
from .errors import CgroupUnavailable, IsolationUnavailable, SandboxError, WorkerLost, ZygoteLost
from .flavour import Flavour, flavour_of
from .jail import landlock
from .jail.confinement import Isolation
from .pool import Pool
from .remedy import remedy_for
from .request import call_of, encoded
from .result import Limits, Result, Snippet, Status, Tier
from .session import ZygoteSession
from .verdict import judge, lost
from .wire import Cause
from .zygote import Launch, launch

_ATTEMPTS, _MOST_ATTEMPTS = 4, 64
_FILES_A_WORKER, _FILES_SPARE = 12, 64
_CANARY = Snippet(code="import os\nraise SystemExit(0 if os.getpid() == 1 else 3)")
# Shared memory counts for no limit of a single process.
_HOG = Snippet(
    code="import mmap\nhog = mmap.mmap(-1, 64 << 20)\nfor _ in range(64): hog.write(bytes(1 << 20))",
    limits=Limits(memory_bytes=32 << 20),
)
_log = logging.getLogger(__name__)


class ZygoteSandbox:
    """The sandbox of one machine. ``start`` makes one; it belongs to the event loop that started it."""

    def __init__(self, pool: Pool, tier: Tier, *, workers: int, max_sessions: int) -> None:
        self._pool = pool
        self._tier = tier
        self._capacity = asyncio.Semaphore(workers)
        self._max_sessions = max_sessions
        self._sessions: set[ZygoteSession] = set()
        self._loop = asyncio.get_running_loop()

    @classmethod
    async def start(
        cls,
        *,
        workers: int | None = None,
        max_sessions: int = 1024,
        cgroup: bool | None = None,
        allow_tier_c: bool = False,
        unsafe_no_isolation: bool = False,
        slot_patience_s: float = 30.0,
        launch: Launch = launch,
    ) -> Self:
        """Start a sandbox with the best isolation that works here, tried by running snippets.

        Args:
            workers: how many snippets may run at once; by default the processors that this process may use.
            max_sessions: how many sessions may be live at once, branches counted. Each is one stopped process
                and its slot, a few MiB beside what its variables hold.
            cgroup: whether memory limits are a cgroup's, exact (tier A), or a watchdog's (tier B): True
                refuses to start without, False does without; by default with one where this process may
                divide one, else without and with a warning in the log.
            allow_tier_c: where namespaces are refused, accept a seccomp filter and limits alone. Such code
                can read whatever an unprivileged user of this machine can.
            unsafe_no_isolation: run code unconfined; for unit tests only.
            slot_patience_s: how long a worker may take to start, or to answer after a call's wall limit,
                before it is given up.
            launch: starts the zygotes.

        Raises:
            IsolationUnavailable: this machine refuses the isolation; the message says what to do.
        """
        if platform.system() != "Linux":
            raise SandboxError("The sandbox needs Linux: it isolates code with its namespaces and seccomp.")

        workers = workers or len(os.sched_getaffinity(0))
        max_sessions = _with_room_for_files(workers, max_sessions)

        async def started(isolation: Isolation, tier: Tier, cgroups: Cgroups | None = None) -> Self:
            pool = Pool(isolation, launch, cgroups, slot_patience_s=slot_patience_s)
            sandbox = cls(pool, tier, workers=workers, max_sessions=max_sessions)
            await sandbox._prove()
            return sandbox

        if unsafe_no_isolation:
            warnings.warn("the sandbox runs code WITHOUT ISOLATION", RuntimeWarning, stacklevel=2)
            return await started(Isolation.UNSAFE, Tier.NONE)
        try:
            try:
                return await started(Isolation.NAMESPACES, Tier.A, _tier_a_group(cgroup))
            except CgroupUnavailable as error:
                if cgroup:
                    raise
                if cgroup is None:
                    _log.warning("sandbox: memory limits are approximate here (tier B): %s", error)
                return await started(Isolation.NAMESPACES, Tier.B)
        except IsolationUnavailable as error:
            if not allow_tier_c:
                raise SandboxError(f"{error} {remedy_for(error)}") from error
            warnings.warn(f"{error} Code runs without namespaces (tier C).", RuntimeWarning, stacklevel=2)
            return await started(Isolation.FILTER_ONLY, Tier.C)

    async def _prove(self) -> None:
        """Run the snippets that show that the isolation holds; end everything where it does not."""
        try:
            self._pool.release(await self._pool.acquire(Flavour.BARE), Flavour.BARE)
            if self._tier in (Tier.A, Tier.B):
                result = await self.run(_CANARY)
                if result.status is not Status.OK:
                    raise IsolationUnavailable("first run", f"{result.status} {result.stderr.strip()[-200:]}")
            if self._tier is Tier.A and (await self.run(_HOG)).status is not Status.MEMORY_LIMIT:
                raise CgroupUnavailable("its memory limit does not hold")
        except BaseException as error:
            await self.close()
            if isinstance(error, WorkerLost):
                raise IsolationUnavailable("slot", str(error)) from error
            raise

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
        return self._pool.process_ids

    async def run(self, snippet: Snippet) -> Result:
        """Run one snippet to its end or to its first limit; wait for a free worker first."""
        if asyncio.get_running_loop() is not self._loop:
            raise SandboxError(
                "The sandbox belongs to the event loop that started it: start one in this loop."
            )
        suspected = 0
        result = lost(self._tier, 0)
        flavour = flavour_of(snippet.code)
        async with self._capacity:
            for attempt in range(1, _MOST_ATTEMPTS + 1):
                try:
                    result = await self._attempt(
                        snippet, flavour, attempt, is_last=suspected == _ATTEMPTS - 1
                    )
                except ZygoteLost as error:  # and all that it ran: this call is hardly the cause
                    result = lost(self._tier, attempt, str(error))
                else:
                    suspected += result.is_sandbox_fault
                if not result.is_sandbox_fault or suspected == _ATTEMPTS or self._pool.is_closed:
                    break
        return result

    async def open_session(self, limits: Limits | None = None, *, idle_s: float = 1800.0) -> ZygoteSession:
        """Open a session, whose first cell starts its process; see ``Sandbox.open_session``."""
        if self._pool.is_closed:
            raise SandboxError("The sandbox is closed.")
        return ZygoteSession(
            self._pool,
            self._capacity,
            limits=limits or Limits(),
            idle_s=idle_s,
            tier=self._tier,
            on_begin=self._admit,
            on_end=self._sessions.discard,
        )

    async def close(self) -> None:
        """Stop every worker; runs in flight or waiting end as ``WORKER_LOST``, sessions as ``EXPIRED``."""
        for session in list(self._sessions):
            await session.close()
        await self._pool.close()

    def _admit(self, session: ZygoteSession) -> None:
        if len(self._sessions) >= self._max_sessions:
            raise SandboxError(
                f"{len(self._sessions)} sessions are live, as many as may be: close some, or start the "
                "sandbox with a higher max_sessions."
            )
        self._sessions.add(session)

    async def _attempt(self, snippet: Snippet, flavour: Flavour, attempt: int, *, is_last: bool) -> Result:
        try:
            worker = await self._pool.acquire(flavour)
        except (WorkerLost, IsolationUnavailable, OSError) as error:
            raise ZygoteLost(str(error)) from error
        try:
            answer = await worker.run(call_of(snippet), encoded(snippet.code), snippet.stdin)
        except ZygoteLost:
            self._pool.discard(worker)
            raise
        except WorkerLost as error:
            self._pool.discard(worker)
            return lost(self._tier, attempt, str(error))
        except asyncio.CancelledError:
            if worker.is_usable:
                self._pool.release(worker, flavour)
            else:
                self._pool.discard(worker)
            raise
        except BaseException:
            self._pool.discard(worker)
            raise
        self._pool.release(worker, flavour)
        if answer.ending.cause is Cause.KILLED and is_last:  # again and again: it finds a way to do it itself
            answer = answer._replace(ending=answer.ending._replace(cause=Cause.EXITED))
        return judge(answer, snippet.limits, self._tier, attempt)


def _with_room_for_files(workers: int, max_sessions: int) -> int:
    """Raise the soft limit of open files as far as needed; return how many sessions that allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    others = len(os.listdir("/proc/self/fd")) + _FILES_A_WORKER * workers + _FILES_SPARE
    wanted = others + max_sessions
    if soft < wanted:
        soft = min(hard, wanted)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft < wanted:
        _log.warning(
            "sandbox: %d open files (ulimit -n) are enough for %d sessions, not %d",
            soft, max(0, soft - others), max_sessions,
        )  # fmt: skip
    return max(0, min(max_sessions, soft - others))


def _tier_a_group(cgroup: bool | None) -> Cgroups:
    if cgroup is False:
        raise CgroupUnavailable("it was started without")
    if not landlock.abi():
        raise CgroupUnavailable("this kernel has no Landlock")
    return Cgroups.find()
