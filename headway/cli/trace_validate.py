"""Prints what a check of a trace has found."""

from rich.console import Console
from rich.text import Text

from headway.profiles.traces.validate import Validation


def print_validation(console: Console, done: Validation, *, most: int) -> None:
    """Print the first problems with their lines, the warnings, and a verdict."""
    for problem in done.problems[:most]:
        place = Text(f"{done.file}:{problem.line}: ", style="bold")
        console.print(place.append(problem.what, style="not bold"), highlight=False, soft_wrap=True)
    if done.found > most:
        console.print(Text(f"and {done.found - most:,} more", style="dim"))
    for warning in done.warnings:
        console.print(Text(f"warning: {warning}", style="yellow"), soft_wrap=True)
    verdict = f"problems: {done.found:,}" if done.found else "nothing wrong"
    console.print(
        Text(f"{done.file}: {done.lines:,} lines of {done.format}, {verdict}", style="bold"),
        highlight=False,
        soft_wrap=True,
    )
