"""What to change on a machine that refuses a step of the isolation, in one line.

Reads the kernel's switches; changes nothing. Knows nothing of processes.
"""

from pathlib import Path

from .errors import IsolationUnavailable

_SWITCHES = (
    (
        "kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "sysctl kernel.apparmor_restrict_unprivileged_userns=0",
    ),
    ("kernel/unprivileged_userns_clone", "0", "sysctl kernel.unprivileged_userns_clone=1"),
    ("user/max_user_namespaces", "0", "sysctl user.max_user_namespaces=15000"),
)
_IN_DOCKER = (
    "run the container with --security-opt seccomp=unconfined --security-opt apparmor=unconfined "
    "--security-opt systempaths=unconfined"
)
_OTHERWISE = "allow user namespaces, or accept weaker isolation with allow_tier_c=True"


def remedy_for(
    error: IsolationUnavailable, *, sysctls: Path = Path("/proc/sys"), root: Path = Path("/")
) -> str:
    """Return the sentence that tells the user how to make the refused step work."""
    if error.step in ("warm-up", "seccomp filter"):
        return (
            "This Linux or this machine's processor is not supported: x86_64 or aarch64, Linux 5.14 or later."
        )
    for name, refusing, command in _SWITCHES:
        if _value(sysctls / name) == refusing:
            return f"To mend it: {command}."
    if (root / ".dockerenv").exists() or (root / "run/.containerenv").exists():
        return f"To mend it: {_IN_DOCKER}."
    return f"To mend it: {_OTHERWISE} (in a container: {_IN_DOCKER})."


def _value(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""
