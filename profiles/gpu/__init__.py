"""What GPUs say of themselves, by their drivers."""

from .monitor import GpuMonitor
from .open import open_samplers
from .sample import GpuFacts, GpuSample
from .sampler import GpuSampler

__all__ = ["GpuFacts", "GpuMonitor", "GpuSample", "GpuSampler", "open_samplers"]
