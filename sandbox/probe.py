"""Finds out what isolation this machine allows, by starting a sandbox and running a snippet in it.

Knows nothing of how the findings are shown.
"""

import importlib.util

import msgspec

from .errors import CgroupUnavailable, IsolationUnavailable, SandboxError
from .executor import ZygoteSandbox
from .flavour import Flavour
from .jail import landlock
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
    needed: bool = True


async def probe(*, launch: Launch = launch) -> list[Capability]:
    """Try every step of the isolation, and say for each whether it works and how to mend it."""
    failed, remedy, no_group = await _first_failures(launch)
    rows, works = [], True if failed is None else None
    for step in reversed(_STEPS):
        if failed is not None and step == failed.step:
            detail = failed.reason
            rows.append(Capability(name=_STEPS[step], works=False, detail=detail, remedy=remedy))
            works = True
        else:
            rows.append(Capability(name=_STEPS[step], works=works))
    return [*reversed(rows), _landlock(), _memory_limit(failed is None, no_group), _math()]


async def _first_failures(launch: Launch) -> tuple[IsolationUnavailable | None, str, str]:
    """The step that is refused and its remedy, and why there is no exact memory limit."""
    try:
        try:
            async with await ZygoteSandbox.start(workers=1, cgroup=True, launch=launch):
                return None, "", ""
        except CgroupUnavailable as error:
            async with await ZygoteSandbox.start(workers=1, cgroup=False, launch=launch):
                return None, "", str(error)
    except SandboxError as error:
        cause = error.__cause__
        if not isinstance(cause, IsolationUnavailable):
            raise
        return cause, str(error).removeprefix(f"{cause} "), ""


def _landlock() -> Capability:
    version = landlock.abi()
    return Capability(
        name="Landlock",
        needed=False,
        works=bool(version),
        detail=f"version {version}" if version else "this kernel has none, or its lsm= option leaves it out",
    )


def _memory_limit(is_isolated: bool, no_group: str) -> Capability:
    name = "exact memory limit (tier A)"
    if not is_isolated:
        return Capability(name=name, works=None, needed=False)
    if not no_group:
        return Capability(name=name, works=True, needed=False)
    return Capability(
        name=name,
        works=False,
        needed=False,
        detail=f"tier B, a watchdog samples the sum of a call's processes: {no_group}",
        remedy="start headway in a cgroup of its own: systemd-run --user --scope -p Delegate=yes headway ...",
    )


def _math() -> Capability:
    missing = [name for name in Flavour.MATH.value if importlib.util.find_spec(name) is None]
    return Capability(
        name="answer verification",
        works=not missing,
        detail=f"not installed: {', '.join(missing)}" if missing else "",
        remedy="pip install math-verify numpy" if missing else "",
    )
