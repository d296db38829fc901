"""A run as a trace for ui.perfetto.dev: what engines were at, what was decided, and the slowest trajectories.

The log is read twice, and the trace is written as the second reading goes on: a trace may be as long as any
log. Times in it are those since the log's start.
"""

from pathlib import Path

from headway.errors import HeadwayError

from ..attribution import Attribution
from ..event_log import Reader
from ..in_time import in_time
from ..lives import Lives
from ..survey import Survey
from .engine_tracks import EngineTracks
from .life_tracks import LifeTracks
from .trace_file import TraceFile

_SLOWEST = 20


def write_perfetto(path: Path, log: Path) -> None:
    """Write the trace of an event log; the slices of a track "cause" sum to the wall time exactly.

    Raises ``InputError`` for a log that is none, and ``HeadwayError`` for a file that cannot be written.
    """
    reader, survey = Reader(log), Survey()
    lives = Lives(reader.header.t, keep=_SLOWEST)
    for event in reader:
        survey.emit(event)
        lives.emit(event)
    slowest = [life.id for life in lives.slowest(reader.end)]
    try:
        with path.open("wb") as file, TraceFile(file) as trace:
            _write(trace, reader, survey, slowest)
    except OSError as error:
        raise HeadwayError(f"{path}: cannot write: {error.strerror}") from error


def _write(trace: TraceFile, reader: Reader, survey: Survey, slowest: list[str]) -> None:
    header = reader.header
    engines = EngineTracks(trace, survey.engines, engines=header.engines, start=header.t)
    lives = LifeTracks(trace, slowest, start=header.t, group_of=engines.group)
    attribution = Attribution(header.engines, header.t, on_interval=engines.on_interval)
    for event in in_time(reader, survey.events()):
        attribution.take(event)
        engines.emit(event)
        engines.note(attribution.activity, event.t)
        lives.emit(event)
    attribution.advance(reader.end)
    attribution.close()
    engines.finish(reader.end)
    lives.finish(reader.end)
