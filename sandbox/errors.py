"""What a sandbox raises: never for what a snippet does, only for what the sandbox itself cannot do."""

from headway.errors import HeadwayError


class SandboxError(HeadwayError):
    """The sandbox failed, after its retries; the snippet or answer was not judged."""


class IsolationUnavailable(SandboxError):
    """This machine refuses a step of the isolation; ``step`` and ``reason`` say which and how."""

    def __init__(self, step: str, reason: str) -> None:
        super().__init__(f"The sandbox cannot isolate code here: {step}: {reason}.")
        self.step = step
        self.reason = reason


class CgroupUnavailable(SandboxError):
    """No cgroup with a memory controller may be divided by this process; the message says why."""


class WorkerLost(Exception):
    """A worker went away before it answered; the call may be repeated on another."""


class NotStarted(WorkerLost):
    """A worker did not start in time: its zygote does not do as it is told."""


class ZygoteLost(WorkerLost):
    """A worker went away together with its zygote and all other workers of that."""
