"""Which event log of a run is meant: a run that was resumed has one for each attempt.

Knows nothing of what is in them.
"""

import re
from pathlib import Path

from headway.errors import InputError

_NAME = re.compile(r"events(?:-(\d+))?\.jsonl(?:\.gz)?")


def event_logs(run: Path) -> dict[int, Path]:
    """The event logs of a run folder by attempt, from 1."""
    found = {int(name[1] or 1): file for file in run.iterdir() if (name := _NAME.fullmatch(file.name))}
    return dict(sorted(found.items()))


def event_log(source: Path, attempt: int | None = None) -> Path:
    """The event log of a run folder (of its last attempt, unless said otherwise), or the file itself."""
    if not source.exists():
        raise InputError(f"{source}: there is no such run folder or event log")
    if not source.is_dir():
        if attempt is not None:
            raise InputError(f"{source}: is one event log; an attempt is chosen of a run folder")
        return source
    logs = event_logs(source)
    if not logs:
        raise InputError(
            f"{source}: no event log (events.jsonl) is in this folder; give a run folder or a log"
        )
    chosen = attempt if attempt is not None else max(logs)
    if chosen not in logs:
        raise InputError(f"{source}: has no attempt {chosen}; there are {', '.join(map(str, logs))}")
    return logs[chosen]
