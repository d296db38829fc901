"""The configurations that headway ships, by name."""

from pathlib import Path
from typing import TypeVar

import headway
from headway.errors import InputError
from headway.trainer.config_file import load_config

T = TypeVar("T")


def load_recipe(name: str, kind: type[T]) -> T:
    """Decode a shipped recipe."""
    return load_config(recipe_path(Path(name)), kind)


def recipe_path(named: Path) -> Path:
    """Return a file as it is, and of a recipe that headway ships, said by its name, the file."""
    shipped = Path(headway.__file__).parent / "trainer" / "recipes"
    recipe = shipped / f"{named}.toml"
    if named.exists() or named.suffix or len(named.parts) > 1:
        return named
    if not recipe.is_file():
        names = ", ".join(sorted(path.stem for path in shipped.glob("*.toml")))
        raise InputError(f"{named}: neither a file nor a recipe; the recipes are: {names}")
    return recipe
