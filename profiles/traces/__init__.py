"""What was recorded, by headway or by others, as workloads to play again; and back into other formats."""

from .load import LoadedTrace, load_trace
from .options import TraceOptions

__all__ = ["LoadedTrace", "TraceOptions", "load_trace"]
