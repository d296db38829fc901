r"""Writes the many ways to type one formula in one way: a subset of LaTeX, without wrappers and decoration.

Invariants: never raises, takes time linear in the text, and changes no meaning: what it does not know it
leaves alone. ``°`` is the degree sign, ``\$`` the dollar, ``\text`` the only text command, ``\{`` and ``\}``
the braces that show. Knows nothing of numbers, units or equality.
"""

import re
import unicodedata

_SYMBOLS = {
    "−": "-", "–": "-", "—": "-", "﹣": "-", "×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ", "÷": "/", 
    "∕": "/", "⁄": "/", "π": r"\pi ", "√": r"\sqrt", "∞": r"\infty ", "±": r"\pm ", "∓": r"\mp ", 
    "≤": r"\leq ", "≥": r"\geq ", "≠": r"\neq ", "≈": r"\approx ", "≡": r"\equiv ",
    "∪": r"\cup ", "∩": r"\cap ",
    "∈": r"\in ", "∅": r"\emptyset ", "θ": r"\theta ", "α": r"\alpha ", "β": r"\beta ", "ℝ": r"\mathbb{R}",
    "½": r"\frac{1}{2}", "⅓": r"\frac{1}{3}", "⅔": r"\frac{2}{3}", "¼": r"\frac{1}{4}", "¾": r"\frac{3}{4}",
    "º": "°", "℃": "°C", "℉": "°F", "’": "'", "′": "'", "⟨": r"\langle ", "⟩": r"\rangle ",
}  # fmt: skip
_TABLE = str.maketrans(_SYMBOLS)
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺ⁿ", "0123456789-+n")
_SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")

_RAISED = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺ⁿ]+")
_LOWERED = re.compile("[₀₁₂₃₄₅₆₇₈₉]+")
_RULES = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\\(?:displaystyle|textstyle|limits|left|right|[bB]igg?[lr]?)(?![a-zA-Z])\.?|\\!", ""),
        (r"\\(?:quad|qquad)(?![a-zA-Z])|(?<!\\)\\[,;:> ]|~", " "),
        (r"\\[dtc]frac(?![a-zA-Z])", r"\\frac"),
        (r"\\frac ?(\d) ?(\d)", r"\\frac{\1}{\2}"),
        (r"\\(?:math(?:rm|bf|it|sf|tt)|text(?:rm|bf|it|normal|sf|tt)|mbox|hbox)(?= ?\{)", r"\\text"),
        (r"\\log ?_ ?(\d)", r"\\log_{\1}"),
        (r"\{,\}", ","),
        (r"\\[lr]brace(?![a-zA-Z])", lambda match: r"\{" if match[0][1] == "l" else r"\}"),
        (r"\\(?:le|leqslant)(?![a-zA-Z])", r"\\leq"),
        (r"\\(?:ge|geqslant)(?![a-zA-Z])", r"\\geq"),
        (r"\\ne(?![a-zA-Z])", r"\\neq"),
        (r"\\lt(?![a-zA-Z])", "<"),
        (r"\\gt(?![a-zA-Z])", ">"),
        (r"<=", r"\\leq "),
        (r">=", r"\\geq "),
        (r"!=", r"\\neq "),
        (r"==", "="),
        (r"\+/-", r"\\pm "),
        (r"\^ ?(?:\{ ?\\circ ?\}|\\circ(?![a-zA-Z]))|\\degree(?![a-zA-Z])", "°"),
        (r"° ?\\text ?\{ ?([CF]) ?\}|° ([CF])(?![a-zA-Z])", r"°\1\2"),
        (r"\\varnothing(?![a-zA-Z])|\\\{ ?\\\}", r"\\emptyset"),
        (r"\*\*", "^"),
        (r"(?<![\\a-zA-Z])(?:infinity|inf|oo)(?![a-zA-Z])", r"\\infty"),
        (
            r"(?<![\\a-zA-Z])(sqrt|sin|cos|tan|sec|csc|cot|arcsin|arccos|arctan|log|ln|exp|pi|theta)(?![a-zA-Z])",
            r"\\\1",
        ),
        (r"(?<!\\)%", r"\\%"),
        (r"\\text ?\{ ?([\d.,/-]*) ?\}", r"\1"),
        (r"(\\text ?\{[^{}]*)\} ?(?:(/)|\\cdot) ?\\text ?\{", r"\1\2 "),
        (r" +", " "),
    )
]
_WRAPPERS = (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]"), (r"\boxed{", "}"), (r"\fbox{", "}"))
TOKEN = re.compile(r"\\[a-zA-Z]+|\\.|.", re.DOTALL)
_SPACE = re.compile(r"\s+")


def clean(text: str) -> str:
    """Return the text in the one notation that the rest of this folder reads."""
    text = text.translate(_TABLE)
    text = _RAISED.sub(lambda match: f"^{{{match[0].translate(_SUPERSCRIPTS)}}}", text)
    text = _LOWERED.sub(lambda match: f"_{{{match[0].translate(_SUBSCRIPTS)}}}", text)
    text = _unwrap(_SPACE.sub(" ", unicodedata.normalize("NFKC", text)).strip())
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    text = text.strip()
    return text if text.endswith("..") else text.rstrip(".;, ")


def _unwrap(text: str) -> str:
    """Take off what encloses the whole text and only shows that it is a formula."""
    for _ in range(4):
        text = text.rstrip(".") if not text.endswith("..") else text
        for opening, closing in _WRAPPERS:
            inner = text[len(opening) : -len(closing)]
            if text == f"{opening}{inner}{closing}" and _stays_inside(inner, opening):
                text = inner.strip()
                break
        else:
            break
    return text.replace(r"\$", "$").replace("$", r"\$")


def _stays_inside(inner: str, opening: str) -> bool:
    if opening.endswith("{"):
        return is_balanced(inner)
    return bool(inner.strip()) and opening not in inner


def is_balanced(text: str) -> bool:
    """Whether the braces that group are balanced, so that the text cannot leave what it is put in."""
    depth = 0
    for character in text.replace(r"\{", "").replace(r"\}", ""):
        depth += {"{": 1, "}": -1}.get(character, 0)
        if depth < 0:
            return False
    return depth == 0
