"""Finds in an engine's log why it ended. Knows nothing of how the log came about."""

import re
from pathlib import Path

TAIL_BYTES = 200_000
EXCEPTION = re.compile(r"(?:^|\s)((?:\w+\.)*\w*(?:Error|Exception|Interrupt)\b(?::\s.*)?)$")
CONSEQUENCES = ("Engine core initialization failed", "EngineDeadError", "EngineError", "CancelledError")
PREFIX = re.compile(r"^\(\w+ pid=\d+\)\s*(?:ERROR\s+\S+ \S+ \[[^\]]*\]\s*)?")


def cause_of_end(log: Path, *, lines: int = 3) -> str:
    """The exception that came first of those at the end of ``log``, else its last ``lines`` lines."""
    text = _tail(log)
    found = [match.group(1) for line in text if (match := EXCEPTION.search(line))]
    causes = [cause for cause in found if not any(word in cause for word in CONSEQUENCES)]
    if causes:
        return causes[-1]
    return " / ".join(text[-lines:]) or "its log is empty"


def _tail(log: Path) -> list[str]:
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, log.stat().st_size - TAIL_BYTES))
            text = stream.read().decode(errors="replace")
    except OSError as error:
        return [f"its log cannot be read: {error}"]
    return [line for raw in text.splitlines() if (line := PREFIX.sub("", raw).strip())]
