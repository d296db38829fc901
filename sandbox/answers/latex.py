r"""Writes one value so that the LaTeX parser of the sandbox reads what is meant.

``i`` becomes the imaginary unit, a degree inside a formula π/180, and the argument of a root or a power that
stands in parentheses is put in braces. None for what the parser would misread: two numbers side by side,
which it adds, and primes, which it drops. Knows nothing of structure.
"""

import re

from .notation import TOKEN, is_balanced

_IMAGINARY = re.compile(r"(?<![a-zA-Z\\])i(?![a-zA-Z])")
_SIDE_BY_SIDE = re.compile(r"\d \d")
_UNREADABLE = ("'", '"', "#", "@", "`", r"\boxed", r"\fbox", "...", r"\dots", r"\ldots", r"\cdots", "?")


def as_latex(text: str) -> str | None:
    """Return the text as the parser should get it, or None for what cannot be compared."""
    if not text or not is_balanced(text) or any(mark in text for mark in _UNREADABLE):
        return None
    if _SIDE_BY_SIDE.search(text):
        return None
    text = _brace_arguments(text.replace("°", r"\cdot\frac{\pi}{180}").replace(r"\$", ""))
    # In a sum, i is most likely what it runs over.
    return text if r"\sum" in text or r"\prod" in text else _IMAGINARY.sub("{I}", text)


def _brace_arguments(text: str) -> str:
    written: list[str] = []
    is_argument: list[bool] = []
    previous = ""
    for token in TOKEN.findall(text):
        if token == "(":
            is_argument.append(previous in (r"\sqrt", "^"))
            written.append("{" if is_argument[-1] else "(")
        elif token == ")" and is_argument:
            written.append("}" if is_argument.pop() else ")")
        else:
            written.append(token)
        previous = token if token != " " else previous
    return "".join(written)
