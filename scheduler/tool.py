"""Tools: what an agent may call between two turns of its model.

A tool never raises for what the model asked: it answers with an ``Observation``. ``ToolFault`` is for the
tool's own failure, which ends the trajectory as failed and is never shown to the model.
"""

from typing import Any, Protocol

import msgspec

from headway.errors import HeadwayError
from headway.sandbox import Limits, Sandbox, Snippet

from .hermes import PYTHON_TOOL, render_result


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


class PythonTool:
    """Runs Python in a sandbox, each call in a fresh process."""

    name = "python"
    schema = PYTHON_TOOL

    def __init__(self, sandbox: Sandbox, limits: Limits | None = None) -> None:
        self._sandbox = sandbox
        self._limits = limits or Limits()

    async def run(self, arguments: dict[str, Any]) -> Observation:
        """Run ``arguments["code"]``."""
        result = await self._sandbox.run(Snippet(code=arguments["code"], limits=self._limits))
        if result.is_sandbox_fault:
            raise ToolFault(f"the sandbox could not run a call ({result.status}): {result.stderr.strip()}")
        return Observation(
            text=render_result(result, self._limits),
            status=result.status,
            wall_s=result.wall_s,
            cpu_s=result.cpu_s,
        )
