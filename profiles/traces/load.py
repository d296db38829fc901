"""Any trace that headway knows, as a workload: its format is told by what is in it, never by its name.

Knows nothing of any format but how to recognise it.
"""

from pathlib import Path

import msgspec

from headway.errors import InputError

from ..workload import Workload
from .chats import read_chats
from .draw import drawn
from .format import CHATS, HEADWAY, Format, format_of
from .limits import limited
from .llmservingsim import read_llmservingsim
from .options import TraceOptions
from .recorded import Recorded
from .run import read_run
from .sessions import read_sessions

__all__ = ["LoadedTrace", "TraceOptions", "drawn", "load_trace"]


class LoadedTrace(msgspec.Struct, frozen=True, kw_only=True):
    """A workload, and what the recorded run itself came to: None for formats that do not say."""

    workload: Workload
    recorded: Recorded | None
    format: Format


def load_trace(path: Path, *, options: TraceOptions | None = None) -> LoadedTrace:
    """Read a trace of any format; raises ``InputError`` that says what was seen where.

    Nothing is clipped, cut or scaled that ``options`` do not ask for; ``workload.notes`` says what was, and
    what the format does not keep.
    """
    options = options or TraceOptions()
    format = format_of(path)
    if format != CHATS and (options.latency or options.tokenizer):
        raise InputError(f"{path}: has its own times and lengths; --latency and --tokenizer are for chats")
    if format != HEADWAY and options.attempt is not None:
        raise InputError(f"{path}: an attempt is chosen of a run folder")
    recorded = None
    match format:
        case "headway":
            workload, recorded = read_run(path, attempt=options.attempt)
        case "llmservingsim":
            workload = read_llmservingsim(path)
        case "sessions":
            workload = read_sessions(path, turn_limit=options.turn_limit)
        case "chats":
            workload = read_chats(path, options)
    workload, places = limited(workload, options)
    workload.check()
    if recorded is not None:
        recorded = msgspec.structs.replace(recorded, begun_s=[recorded.begun_s[place] for place in places])
    return LoadedTrace(workload=workload, recorded=recorded, format=format)
