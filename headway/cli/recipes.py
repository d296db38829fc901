"""The configurations that headway ships, by name."""

from pathlib import Path
from typing import TypeVar

import headway
from headway.trainer.config_file import load_config

T = TypeVar("T")


def load_recipe(name: str, kind: type[T]) -> T:
    """Decode a shipped recipe."""
    return load_config(Path(headway.__file__).parent / "trainer" / "recipes" / f"{name}.toml", kind)
