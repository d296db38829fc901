"""Scales the sandbox out over the machines of a Ray cluster."""

from .config import ClusterConfig
from .ray_sandbox import RaySandbox

__all__ = ["ClusterConfig", "RaySandbox"]
