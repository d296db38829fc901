"""Imports ahead of the first fork what snippets import most, so that a call pays for none of it.

Knows nothing of processes. A package that is not installed is left out.
"""

import contextlib
import importlib
import logging
from typing import Any

_STANDARD = (
    "ast",
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
    for package, exercise in (("sympy", _exercise_sympy), ("math_verify", _exercise_math_verify)):
        if package in packages:
            with contextlib.suppress(ImportError):
                exercise()


def _exercise_sympy() -> None:
    sympy: Any = importlib.import_module("sympy")
    x, y = sympy.symbols("x y")
    sympy.solve(x**2 - 2, x)
    sympy.solve(x**3 - 2 * x + 5, x)
    sympy.solve([x + y - 3, x - y - 1], [x, y])
    sympy.solveset(x**2 - 2, x, sympy.S.Reals)
    sympy.nsolve(x**2 - 2, x, 1)
    sympy.simplify((x**2 - 1) / (x - 1) + sympy.sin(x) ** 2)
    sympy.integrate(x * sympy.exp(x), x)
    sympy.factorint(360360)
    sympy.Matrix([[1, 2], [3, 4]]).eigenvals()


def _exercise_math_verify() -> None:
    from math_verify import LatexExtractionConfig, parse, verify

    logging.disable(logging.WARNING)
    config = [LatexExtractionConfig()]
    for pair in (
        (r"\frac{\sqrt{3}}{2}", r"\sqrt{\frac{3}{4}}"),
        (r"x^2+2x+1", r"(x+1)^2"),
        (r"\sin(x)^2", r"1-\cos(x)^2"),
        (r"\log_2 8", r"3+0"),
        (r"x<1", r"1>x"),
        (r"(1, 2]", r"(1, 3]"),
        (r"\{1, 2\}", r"\{2, 1\}"),
        (r"12.5\%", "1/8"),
    ):
        answer, truth = (parse(rf"\boxed{{{text}}}", config, parsing_timeout=0) for text in pair)
        verify(truth, answer, timeout_seconds=0)
    logging.disable(logging.NOTSET)
