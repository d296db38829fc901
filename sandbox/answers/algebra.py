"""Runs inside the sandbox, as a program of its own: decides formulas, each within its own limits.

Reads JSON from standard input: the formulas, and the seconds that each may take. Writes a digit for each, 1
where it holds. Invariants: a formula that runs out of time or memory, or crashes, counts as not holding and
costs the others nothing; no text of an answer is ever evaluated as Python; what decides cannot write to the
output. Knows nothing of how the formulas came about.
"""

import json
import logging
import mmap
import os
import resource
import signal
import sys
from typing import Any, NoReturn

from latex2sympy2_extended import NormalizationConfig, normalize_latex  # type: ignore[import-untyped]
from latex2sympy2_extended.latex2sympy2 import ConversionConfig, _Latex2Sympy  # type: ignore[import-untyped]
from math_verify import verify
from sympy import Eq, Rational, simplify  # type: ignore[import-untyped]
from sympy.parsing import sympy_parser  # type: ignore[import-untyped]

_UNDECIDED, _FALSE, _TRUE = range(3)
_NORMAL = NormalizationConfig(basic_latex=True, malformed_operators=True, boxed="none")
_CASES_DIFFER = ConversionConfig(lowercase_symbols=False)
_PRECISION = 50


class _Reader(_Latex2Sympy):  # type: ignore[misc]
    """Reads LaTeX with exact numbers; the parser's own are rounded, and are made by evaluating their text."""

    def parse_number(self, text: str) -> Any:
        return Rational(text.replace(",", ""))


def main() -> None:
    """Decide the formulas one after another in a child, and start another where a formula ends it."""
    formulas, limit_s = json.load(sys.stdin)
    verdicts = mmap.mmap(-1, max(1, len(formulas)))
    decided = 0
    while decided < len(formulas):
        if os.fork() == 0:
            _decide(formulas, decided, verdicts, limit_s)
        os.wait()
        decided = verdicts[: len(formulas)].find(_UNDECIDED)
        if decided < 0:
            break
        verdicts[decided] = _FALSE
        decided += 1
    sys.stdout.write("".join(str(verdict - 1) for verdict in verdicts[: len(formulas)]))


def _decide(formulas: list[Any], start: int, verdicts: mmap.mmap, limit_s: float) -> NoReturn:
    try:
        os.closerange(0, 3)
        _halve_memory()
        for index in range(start, len(formulas)):
            # The default action of the signal: nothing that runs here can delay it or miss it.
            signal.setitimer(signal.ITIMER_REAL, limit_s)
            verdicts[index] = _TRUE if _holds(formulas[index], {}) else _FALSE
            signal.setitimer(signal.ITIMER_REAL, 0)
    finally:
        os._exit(0)


def _halve_memory() -> None:
    """Leave room for the parent, so that a limit is met here, and not by both together."""
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if soft != resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_DATA, (soft // 2, hard))


def _holds(formula: Any, known: dict[tuple[str, str], bool]) -> bool:
    if isinstance(formula, bool):
        return formula
    word, *parts = formula
    if word != "equal":
        return (all if word == "all" else any)(_holds(part, known) for part in parts)
    answer, truth = parts
    if (answer, truth) not in known:
        known[answer, truth] = _equal(answer, truth)
    return known[answer, truth]


def _equal(answer: str, truth: str) -> bool:
    try:
        answer_read, truth_read = _read(answer), _read(truth)
        if isinstance(answer_read, Eq) and isinstance(truth_read, Eq):
            return _same_equation(answer_read, truth_read)
        return bool(
            verify(
                truth_read,
                answer_read,
                numeric_precision=_PRECISION,
                float_rounding=_PRECISION,
                allow_set_relation_comp=True,
                timeout_seconds=0,
            )
        )
    except MemoryError:
        raise
    except Exception:
        return False


def _read(text: str) -> Any:
    return _Reader(is_real=True, config=_CASES_DIFFER).parse(normalize_latex(text, _NORMAL))


def _same_equation(left: Any, right: Any) -> bool:
    """Whether one is the other times a number: math-verify takes any two without solutions for equal."""
    quotient = simplify((left.lhs - left.rhs) / (right.lhs - right.rhs))
    return bool(quotient.is_number and quotient.is_finite and quotient.is_nonzero)


if __name__ == "__main__":
    logging.disable()
    sympy_parser.eval_expr = None
    main()
