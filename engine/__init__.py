"""What generates tokens."""

from .config import EngineConfig
from .errors import EngineError
from .fleet import Fleet
from .protocol import Engine, EngineInfo, EngineStats, Generation, Request, Sampling

__all__ = [
    "Engine",
    "EngineConfig",
    "EngineError",
    "EngineInfo",
    "EngineStats",
    "Fleet",
    "Generation",
    "Request",
    "Sampling",
]
