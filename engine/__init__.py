"""What generates tokens."""

from .config import EngineConfig
from .errors import EngineDead, EngineError
from .fleet import Fleet
from .protocol import Engine, EngineInfo, EngineStats, Generation, Request, Sampling

__all__ = [
    "Engine",
    "EngineConfig",
    "EngineDead",
    "EngineError",
    "EngineInfo",
    "EngineStats",
    "Fleet",
    "Generation",
    "Request",
    "Sampling",
]
