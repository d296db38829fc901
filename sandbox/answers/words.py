r"""Compares answers that are words: a choice's letter, ``\text{even}``, ``no solution``.

Invariant: None where the texts might be mathematics, which is then for others to decide: fewer than four
letters may be a product. Words are compared without regard to case, a choice's letter with it. Knows nothing
of numbers.
"""

import re

_CHOICE = re.compile(
    r"(?:\\text ?\{)? ?[(\[]? ?(?:\\text ?\{)?[(\[]? ?([A-Z]) ?[)\]]?[.:]? ?\}? ?[)\]]?[.:]? ?\}?"
)
_TEXT = re.compile(r"\\text ?\{([^{}]*)\}")
_WORDS = re.compile(r"[^\W\d_]+(?:[ ,'-]+[^\W\d_]+)*[.!]?")
_MAYBE_A_WORD = re.compile(r"[^\W\d_]{3,}")
_SURELY_A_WORD = re.compile(r"[^\W\d_]{4,}")


def compare_words(answer: str, truth: str) -> bool | None:
    """Decide whether two texts are the same words, or None where they may be formulas."""
    choices = _CHOICE.fullmatch(answer), _CHOICE.fullmatch(truth)
    if choices[0] and choices[1]:
        return choices[0][1] == choices[1][1]
    words = _words(answer), _words(truth)
    if words[1] is None:
        return None
    if words[0] is None:
        return False if _is_text(truth, words[1]) else None
    sure = _is_text(answer, words[0]) or _is_text(truth, words[1])
    if words[0] == words[1] and (sure or _MAYBE_A_WORD.search(words[0])):
        return True
    return False if sure else None


def _words(text: str) -> str | None:
    bare = _TEXT.sub(r"\1", text).strip()
    if not _WORDS.fullmatch(bare) or len(bare) < 2:
        return None
    return " ".join(bare.casefold().rstrip(".!").replace(",", " ").split())


def _is_text(text: str, words: str) -> bool:
    return bool(_TEXT.fullmatch(text) or _SURELY_A_WORD.search(words))
