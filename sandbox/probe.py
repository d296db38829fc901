"""Finds out what isolation this machine allows, by starting a sandbox and running a snippet in it.

Knows nothing of how the findings are shown.
"""

import importlib.util

import msgspec

from .errors import IsolationUnavailable, SandboxError
from .executor import ZygoteSandbox
from .flavour import Flavour
from .zygote import Launch, launch

_STEPS = {
    "user namespace": "user, pid, network and other namespaces",
    "private root": "private root file system",
    "unprivileged user": "unprivileged user",
    "seccomp filter": "seccomp filter",
    "warm-up": "warm interpreter",
    "slot": "process slots",
    "first run": "running a snippet",
}


class Capability(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that the sandbox needs; ``works`` is None where an earlier failure came first."""

    name: str
    works: bool | None
    detail: str = ""
    remedy: str = ""


async def probe(*, launch: Launch = launch) -> list[Capability]:
    """Try every step of the isolation, and say for each whether it works and how to mend it."""
    failed, remedy = await _first_failure(launch)
    rows, works = [], True if failed is None else None
    for step in reversed(_STEPS):
        if failed is not None and step == failed.step:
            detail = failed.reason
            rows.append(Capability(name=_STEPS[step], works=False, detail=detail, remedy=remedy))
            works = True
        else:
            rows.append(Capability(name=_STEPS[step], works=works))
    return [*reversed(rows), _memory_limit(), _math()]


async def _first_failure(launch: Launch) -> tuple[IsolationUnavailable | None, str]:
    try:
        async with await ZygoteSandbox.start(workers=1, launch=launch):
            return None, ""
    except SandboxError as error:
        cause = error.__cause__
        if not isinstance(cause, IsolationUnavailable):
            raise
        return cause, str(error).removeprefix(f"{cause} ")


def _memory_limit() -> Capability:
    return Capability(
        name="exact memory limit",
        works=False,
        detail="tier B: each process is limited by the kernel, their sum by a watchdog that samples it",
    )


def _math() -> Capability:
    missing = [name for name in Flavour.MATH.value if importlib.util.find_spec(name) is None]
    return Capability(
        name="answer verification",
        works=not missing,
        detail=f"not installed: {', '.join(missing)}" if missing else "",
        remedy="pip install math-verify numpy" if missing else "",
    )
