"""Which warm interpreter a snippet is given, by the packages that it imports.

A wrong choice costs time, never correctness: every package can be imported in every flavour. The imports are
found by one linear scan, not by a parser, because a model's text can make a parser take minutes and this runs
in the trainer's own process.
"""

import re
from enum import Enum


class Flavour(Enum):
    """A kind of zygote; the value is the packages that it has imported before the first call."""

    BARE = ()
    NUMPY = ("numpy",)
    MATH = ("numpy", "sympy", "math_verify")


_WANTS_MATH = frozenset({"sympy", "math_verify", "mpmath"})
_WANTS_NUMPY = frozenset({"numpy", "scipy", "pandas", "matplotlib", "networkx", "sklearn"})
_IMPORT = re.compile(r"(?:^|[;:])[ \t]*(?:from[ \t]+([\w.]+)|import[ \t]+([\w., \t]+))", re.MULTILINE)
_LOOKED_AT = 1 << 16  # characters of each code
_NAME = re.compile(r"[\w.]+(?:[ \t]+as[ \t]+\w+)?")


def flavour_of(*codes: str) -> Flavour:
    """Return the leanest flavour that has what the code imports."""
    imported = {
        clause.split()[0].partition(".")[0]
        for code in codes
        for match in _IMPORT.finditer(code, 0, _LOOKED_AT)
        for clause in _NAME.findall(match[1] or match[2])
    }
    if imported & _WANTS_MATH:
        return Flavour.MATH
    return Flavour.NUMPY if imported & _WANTS_NUMPY else Flavour.BARE
