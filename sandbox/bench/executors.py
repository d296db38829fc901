"""Who can run a call: this sandbox, a plain subprocess, a subprocess in bubblewrap.

Invariants: an executor runs at most so many calls at once as it was made for, and the others wait in the
order in which they came; a call ends within a fixed time of its beginning; one that is cancelled leaves no
process. All run the same interpreter with the same installed packages. Knows nothing of what is measured.
"""

import asyncio
import contextlib
import os
import shutil
import sys
import time
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from ..errors import SandboxError
from ..jail.filesystem import needed_paths
from ..result import Limits, Sandbox, Snippet
from .plan import BASELINE, BUBBLEWRAP

_LIMIT_S = 60.0
_ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}


class Answer(NamedTuple):
    """What a call printed, None where there was no answer; and for how long it ran, without its wait."""

    output: str | None
    ran_s: float


class Executor(Protocol):
    """Runs calls."""

    @property
    def name(self) -> str:
        """What it is called in tables."""
        ...

    async def run(self, code: str) -> Answer:
        """Run one call as soon as a worker is free."""
        ...


class SandboxExecutor:
    """A sandbox of this project."""

    def __init__(self, name: str, sandbox: Sandbox) -> None:
        self.name = name
        self._sandbox = sandbox

    async def run(self, code: str) -> Answer:
        """Run one call in the sandbox."""
        result = await self._sandbox.run(Snippet(code=code, limits=Limits(wall_s=_LIMIT_S, cpu_s=_LIMIT_S)))
        return Answer(None if result.is_sandbox_fault else result.stdout, result.wall_s)


class ProcessExecutor:
    """A command that is started for every call and reads the code on standard input."""

    def __init__(self, name: str, command: Sequence[str], workers: int) -> None:
        self.name = name
        self._command = command
        self._workers = asyncio.Semaphore(workers)

    async def run(self, code: str) -> Answer:
        """Run one call in a new process."""
        async with self._workers:
            began = time.perf_counter()
            output = await self._output(code)
            return Answer(output, time.perf_counter() - began)

    async def _output(self, code: str) -> str | None:
        process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=_ENVIRONMENT,
        )
        try:
            async with asyncio.timeout(_LIMIT_S):
                stdout, _ = await process.communicate(code.encode())
        except TimeoutError:
            return None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        return stdout.decode("utf-8", "replace")


def subprocess_executor(workers: int) -> ProcessExecutor:
    """A plain Python process for each call: no isolation, no limits."""
    return ProcessExecutor(BASELINE, [sys.executable, "-I", "-"], workers)


async def bubblewrap_executor(workers: int) -> ProcessExecutor:
    """A Python process in new namespaces for each call, without network, that sees what this sandbox shows.

    Raises:
        SandboxError: bubblewrap is not installed, or does not work here.
    """
    program = shutil.which("bwrap")
    if program is None:
        raise SandboxError("bubblewrap is not installed (apt install bubblewrap)")
    executor = ProcessExecutor(
        BUBBLEWRAP, [program, *_bubblewrap_options(), sys.executable, "-I", "-"], workers
    )
    if (await executor.run("print('works')")).output != "works\n":
        raise SandboxError("bubblewrap is installed but does not work here: try `bwrap --unshare-all true`")
    return executor


def _bubblewrap_options() -> list[str]:
    shown: list[str] = []
    for path in needed_paths():
        shown += ["--symlink", os.readlink(path), path] if os.path.islink(path) else ["--ro-bind", path, path]
    # As pid 1, so that it is waited for and its processor time is seen; bubblewrap's own init is not.
    isolated = ["--unshare-all", "--as-pid-1", "--die-with-parent", "--new-session"]
    scratch = ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--chdir", "/tmp"]
    return [*isolated, *shown, *scratch]
