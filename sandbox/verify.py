r"""Decides whether models' final answers are equivalent to the truths, many at once.

Invariants: an answer is data, never code, in this process and in the sandbox; what equal text, structure and
exact numbers settle is decided here (``answers``), everything else by algebra inside the sandbox, where an
expression that does not end costs its own limit and no other answer's verdict. An answer that cannot be
compared is wrong. Knows nothing of how the answer was found in the model's text.
"""

import asyncio
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from headway.errors import InputError

from .answers import Formula, equate
from .errors import SandboxError
from .result import Limits, Result, Sandbox, Snippet, Status

LIMIT_S = 5.0
_BATCH = 16
_START_S = 10.0
_MEMORY_BYTES = 1 << 30
_ALGEBRA = Path(__file__).with_name("answers").joinpath("algebra.py").read_text(encoding="utf-8")


async def verify(sandbox: Sandbox, answer: str, truth: str, *, limit_s: float = LIMIT_S) -> bool:
    r"""Return whether ``answer`` is equivalent to ``truth``; both are what stands in ``\boxed{…}``.

    Raises:
        SandboxError: the sandbox failed, so the answer was not judged.
    """
    return (await verify_all(sandbox, [(answer, truth)], limit_s=limit_s))[0]


async def verify_all(
    sandbox: Sandbox, pairs: Iterable[tuple[str, str]], *, limit_s: float = LIMIT_S
) -> list[bool]:
    """Return, in order, whether each answer is equivalent to its truth; ``pairs`` are (answer, truth).

    One run of the sandbox compares several pairs, so many pairs cost less than as many calls of ``verify``.

    Args:
        sandbox: where the algebra is done.
        pairs: what to compare; equal pairs are compared once.
        limit_s: seconds of wall time after which one pair's comparison is given up, and its answer is wrong.

    Raises:
        InputError: the limit is not positive.
        SandboxError: the sandbox failed, so the answers were not judged.
    """
    if not limit_s > 0:
        raise InputError(
            f"limit_s is {limit_s}: give the seconds that comparing one answer may take, above 0."
        )
    pairs = list(pairs)
    formulas = {pair: equate(*pair) for pair in pairs}
    open_pairs = [pair for pair, formula in formulas.items() if not isinstance(formula, bool)]
    batches = [open_pairs[start : start + _BATCH] for start in range(0, len(open_pairs), _BATCH)]
    verdicts = await asyncio.gather(
        *(_decide(sandbox, [formulas[pair] for pair in batch], limit_s) for batch in batches)
    )
    decided = {pair: formula is True for pair, formula in formulas.items()}
    for batch, outcome in zip(batches, verdicts, strict=True):
        decided |= zip(batch, outcome, strict=True)
    return [decided[pair] for pair in pairs]


async def _decide(sandbox: Sandbox, formulas: Sequence[Formula], limit_s: float) -> list[bool]:
    """Decide the formulas in one run; in a run each, where the sandbox ended that one at a limit."""
    result = await sandbox.run(_snippet(formulas, limit_s))
    if result.is_sandbox_fault:
        raise SandboxError(
            f"The sandbox failed {result.attempt} times to compare an answer: {result.status}."
        )
    if result.status is Status.ERROR:  # an answer's comparison cannot end its program so: it has no say there
        raise SandboxError(f"Answers cannot be compared: {result.stderr[-500:].strip()}")
    if _is_complete(result, len(formulas)):
        return [digit == "1" for digit in result.stdout]
    if len(formulas) == 1:
        return [False]
    alone = await asyncio.gather(*(_decide(sandbox, [formula], limit_s) for formula in formulas))
    return [verdict for outcome in alone for verdict in outcome]


def _snippet(formulas: Sequence[Formula], limit_s: float) -> Snippet:
    total_s = _START_S + limit_s * len(formulas)
    limits = Limits(wall_s=total_s, cpu_s=total_s, memory_bytes=_MEMORY_BYTES)
    return Snippet(code=_ALGEBRA, stdin=json.dumps([formulas, limit_s]).encode(), limits=limits)


def _is_complete(result: Result, count: int) -> bool:
    return result.status is Status.OK and re.fullmatch(rf"[01]{{{count}}}", result.stdout) is not None
