"""What makes two answers the same: pure rules on text, and the algebra that they leave to the sandbox."""

from .equate import equate
from .formula import Formula

__all__ = ["Formula", "equate"]
