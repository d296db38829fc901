"""Runs model-written code and verifies answers, isolated, at a high rate."""

from .errors import SandboxError
from .executor import ZygoteSandbox
from .result import Limits, Result, Sandbox, Snippet, Status, Tier

__all__ = ["Limits", "Result", "Sandbox", "SandboxError", "Snippet", "Status", "Tier", "ZygoteSandbox"]
