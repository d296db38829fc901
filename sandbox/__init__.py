"""Runs model-written code and verifies answers, isolated, at a high rate."""

from .errors import SandboxError
from .executor import ZygoteSandbox
from .probe import Capability, probe
from .result import Limits, Result, Sandbox, Session, Snippet, Status, Tier
from .verify import verify, verify_all

__all__ = [
    "Capability",
    "Limits",
    "Result",
    "Sandbox",
    "SandboxError",
    "Session",
    "Snippet",
    "Status",
    "Tier",
    "ZygoteSandbox",
    "probe",
    "verify",
    "verify_all",
]
