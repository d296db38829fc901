"""Names from a record as text to be shown: nothing in them acts, on a page or on the order of its words."""

import unicodedata
from html import escape

_ACTING = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # controls, formats such as the direction of writing, line breaks


def visible(text: str) -> str:
    """Show characters that would act, or would not be seen, by their code points."""
    if text.isprintable():
        return text
    return "".join(f"⟨{ord(c):04X}⟩" if unicodedata.category(c) in _ACTING else c for c in text)


def html(text: str) -> str:
    """Escape text for an element or an attribute."""
    return escape(visible(text))
