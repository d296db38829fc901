"""Imports ahead of the first fork what snippets import most, so that a call pays for none of it.

Knows nothing of processes. A package that is not installed is left out.
"""

import contextlib
import importlib
import logging

_STANDARD = (
    "bisect",
    "cmath",
    "collections",
    "copy",
    "datetime",
    "decimal",
    "fractions",
    "functools",
    "heapq",
    "itertools",
    "json",
    "math",
    "operator",
    "random",
    "re",
    "statistics",
    "string",
    "typing",
)


def warm(packages: list[str]) -> None:
    """Import the usual modules and the given packages, and exercise those that fill caches on first use."""
    for name in (*_STANDARD, *packages):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    if "math_verify" in packages:
        with contextlib.suppress(ImportError):
            _exercise_math_verify()


def _exercise_math_verify() -> None:
    from math_verify import LatexExtractionConfig, parse, verify

    logging.disable(logging.WARNING)
    config = [LatexExtractionConfig()]
    for text in (r"\frac{\sqrt{3}}{2}", r"x^2+2x+1", r"(1, 2]", r"\{1, 2\}", r"12.5\%", "1/2"):
        parsed = parse(rf"\boxed{{{text}}}", config, parsing_timeout=0)
        verify(parsed, parsed, timeout_seconds=0)
    logging.disable(logging.NOTSET)
