"""Tools: what an agent may call between two turns of its model.

A tool never raises for what the model asked: it answers with an ``Observation``. ``ToolFault`` is for the
tool's own failure, which ends the trajectory as failed and is never shown to the model.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol, runtime_checkable

import msgspec

from headway.errors import HeadwayError
from headway.sandbox import Limits, Result, Sandbox, Session, Snippet, Status

from .hermes import PYTHON_SESSION_TOOL, PYTHON_TOOL, STANDARD_IO_TOOL, render_result


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """What a call gave: the text for the model, and the structured status for everyone else."""

    text: str
    status: str
    wall_s: float = 0.0
    cpu_s: float = 0.0


class ToolFault(HeadwayError):
    """A tool itself failed, through no fault of the model's call."""


class Tool(Protocol):
    """Something an agent can call by name."""

    @property
    def name(self) -> str:
        """The name by which the model calls it."""
        ...

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON schema that the model is shown (OpenAI function format)."""
        ...

    async def run(self, arguments: dict[str, Any]) -> Observation:
        """Run one call; the arguments fit the schema's required names."""
        ...


@runtime_checkable
class StatefulTool(Protocol):
    """A tool that keeps something between the calls of one trajectory: each opens one of its own."""

    @property
    def name(self) -> str:
        """The name by which the model calls it."""
        ...

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON schema that the model is shown (OpenAI function format)."""
        ...

    def open(self) -> AbstractAsyncContextManager[Tool]:
        """Return what one trajectory calls, from its first turn to its end."""
        ...


class PythonTool:
    """Runs Python in a sandbox, each call in a fresh process."""

    name = "python"
    schema = PYTHON_TOOL

    def __init__(self, sandbox: Sandbox, limits: Limits | None = None) -> None:
        self._sandbox = sandbox
        self._limits = limits or Limits()

    async def run(self, arguments: dict[str, Any]) -> Observation:
        """Run ``arguments["code"]``."""
        snippet = Snippet(code=arguments["code"], limits=self._limits)
        return _observed(await self._sandbox.run(snippet), self._limits)


class StandardIOTool:
    """Runs Python in a sandbox, each call in a fresh process that reads the model's text as standard input.

    Name and arguments are those of rStar2-Agent (arXiv 2508.20722), ``python_code_with_standard_io``.
    """

    name = "python_code_with_standard_io"
    schema = STANDARD_IO_TOOL

    def __init__(self, sandbox: Sandbox, limits: Limits | None = None) -> None:
        self._sandbox = sandbox
        self._limits = limits or Limits()

    async def run(self, arguments: dict[str, Any]) -> Observation:
        """Run ``arguments["code"]`` on ``arguments["input"]``."""
        stdin = arguments["input"].encode("utf-8", "replace")
        snippet = Snippet(code=arguments["code"], stdin=stdin, limits=self._limits)
        return _observed(await self._sandbox.run(snippet), self._limits)


class PythonSessionTool:
    """Runs Python in a sandbox; a trajectory's variables last from call to call, as in a notebook.

    ``limits`` bind each call, its memory and disk all that the trajectory keeps; a trajectory that does not
    call for ``idle_s`` seconds loses its variables, and its next call says so.
    """

    name = "python"
    schema = PYTHON_SESSION_TOOL

    def __init__(self, sandbox: Sandbox, limits: Limits | None = None, *, idle_s: float = 1800.0) -> None:
        self._sandbox = sandbox
        self._limits = limits or Limits()
        self._idle_s = idle_s

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Tool]:
        """Return one trajectory's tool; its session starts with the first call."""
        tool = _OnePythonSession(self._sandbox, self._limits, self._idle_s)
        try:
            yield tool
        finally:
            await tool.close()


class _OnePythonSession:
    name = PythonSessionTool.name
    schema = PythonSessionTool.schema

    def __init__(self, sandbox: Sandbox, limits: Limits, idle_s: float) -> None:
        self._sandbox = sandbox
        self._limits = limits
        self._idle_s = idle_s
        self._session: Session | None = None
        self._turn = asyncio.Lock()

    async def run(self, arguments: dict[str, Any]) -> Observation:
        async with self._turn:
            if self._session is None:
                self._session = await self._sandbox.open_session(self._limits, idle_s=self._idle_s)
            result = await self._session.run(Snippet(code=arguments["code"], limits=self._limits))
            if result.status is Status.EXPIRED:
                self._session = None
            return _observed(result, self._limits)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


def _observed(result: Result, limits: Limits) -> Observation:
    if result.is_sandbox_fault:
        raise ToolFault(f"the sandbox could not run a call ({result.status}): {result.stderr.strip()}")
    return Observation(
        text=render_result(result, limits),
        status=result.status,
        wall_s=result.wall_s,
        cpu_s=result.cpu_s,
    )
