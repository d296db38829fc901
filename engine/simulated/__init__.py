"""An engine without a GPU: vLLM's batching, caching and preemption, with step times from a formula."""

from .engine import SimulatedEngine
from .hardware import Hardware, StepTime

__all__ = ["Hardware", "SimulatedEngine", "StepTime"]
