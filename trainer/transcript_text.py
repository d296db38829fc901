"""Transcripts as plain text: a heading for each rollout, a rule before each author."""

from collections.abc import Sequence

from .transcript import Transcript, say_call

_MARKS = {"right": "✓", "wrong": "✗", "unscored": "?", "failed": "!"}


def transcripts_text(title: str, transcripts: Sequence[Transcript]) -> str:
    """The whole text."""
    return "\n\n".join([title, *(_one(transcript) for transcript in transcripts)]) + "\n"


def heading(transcript: Transcript) -> str:
    """One line: how it came out, its id, and what is known of it."""
    facts = " · ".join(transcript.facts)
    return f"{_MARKS[transcript.outcome]} {transcript.outcome}  {transcript.rollout.id}  {facts}"


def _one(transcript: Transcript) -> str:
    parts = ["═" * 100, heading(transcript)]
    for segment in transcript.segments:
        parts += [f"── {segment.kind} " + "─" * 40, segment.text]
        parts += [f"   {say_call(call)}" for call in segment.calls]
    return "\n".join(parts)
