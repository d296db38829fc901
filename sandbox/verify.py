r"""Decides whether a model's final answer is equivalent to the truth.

Invariants: the answer is data, never code, in this process and in the sandbox; equal text and equal plain
numbers are decided here, exactly; everything else is compared by math-verify inside the sandbox, where a
pathological expression costs its wall limit and nothing more. An answer that cannot be compared is wrong.
Knows nothing of how the answer was found in the model's text.
"""

import json
import re
from fractions import Fraction

from .errors import SandboxError
from .result import Limits, Sandbox, Snippet

_MAX_ANSWER = 1000
_MAX_DIGITS = 60
_NUMBER = re.compile(r"([+-]?\d+)(?:\.(\d*)|/(\d+))?", re.ASCII)
_EQUAL = 42
_LIMITS = Limits(wall_s=10.0, cpu_s=10.0, memory_bytes=1 << 30)

# Neither text may close the box early: braces are balanced, and there is one box. math-verify's own timers
# are off, because the sandbox's clock is the one that counts.
_COMPARE = f"""
import json, logging, sys
from math_verify import parse, verify
logging.disable()
answer, truth = (parse(chr(92) + "boxed{{" + text + "}}", parsing_timeout=0) for text in json.load(sys.stdin))
sys.exit({_EQUAL} if answer and truth and verify(truth, answer, timeout_seconds=0) else 0)
"""
_PLAIN_FUNCTION = re.compile(r"(?<![\\a-zA-Z])(sqrt|sin|cos|tan|log|ln|exp|pi)(?![a-zA-Z])")
_PLAIN_ROOT = re.compile(r"\\sqrt\(([^()]*)\)")


async def verify(sandbox: Sandbox, answer: str, truth: str) -> bool:
    r"""Return whether ``answer`` is equivalent to ``truth``; both are what stands in ``\boxed{…}``.

    Raises:
        SandboxError: the sandbox failed, so the answer was not judged.
    """
    answer, truth = answer.strip(), truth.strip()
    decided = _compare_exactly(answer, truth)
    if decided is not None:
        return decided
    stdin = json.dumps([_as_latex(answer), _as_latex(truth)]).encode()
    result = await sandbox.run(Snippet(code=_COMPARE, stdin=stdin, limits=_LIMITS))
    if result.is_sandbox_fault:
        raise SandboxError(
            f"The sandbox failed {result.attempt} times to compare an answer: {result.status}."
        )
    return result.exit_code == _EQUAL


def _compare_exactly(answer: str, truth: str) -> bool | None:
    """Decide what needs no algebra; None for the rest."""
    if answer == truth:
        return bool(answer)
    if not answer or not truth or max(len(answer), len(truth)) > _MAX_ANSWER or not _is_one_term(answer):
        return False
    numbers = _number(answer), _number(truth)
    if numbers[0] is None or numbers[1] is None:
        return None
    return numbers[0] == numbers[1]


def _is_one_term(answer: str) -> bool:
    """Whether the text stays inside the box that it is put in."""
    depth = 0
    for character in answer.replace(r"\{", "").replace(r"\}", ""):
        depth += {"{": 1, "}": -1}.get(character, 0)
        if depth < 0:
            return False
    return depth == 0 and r"\boxed" not in answer and r"\fbox" not in answer


def _number(text: str) -> Fraction | None:
    match = _NUMBER.fullmatch(text.replace(",", "") if re.fullmatch(r"[+-]?\d{1,3}(,\d{3})+", text) else text)
    if match is None or len(text) > _MAX_DIGITS or (match[3] is not None and int(match[3]) == 0):
        return None
    if match[3] is not None:
        return Fraction(int(match[1]), int(match[3]))
    return Fraction(f"{match[1]}.{match[2] or 0}")


def _as_latex(text: str) -> str:
    """Write the functions that models type in plain text as LaTeX, which would read them letter by letter."""
    previous, text = "", _PLAIN_FUNCTION.sub(r"\\\1", text.strip("$").replace("**", "^"))
    while previous != text:
        previous, text = text, _PLAIN_ROOT.sub(r"\\sqrt{\1}", text)
    return text
