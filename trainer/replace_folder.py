"""Puts a finished folder in the place of an older one.

Invariant: at every moment, and after every failure, the older folder or the new one is there whole: under
its name, or under its name with ``.old`` where the process was killed between two renames.
"""

import shutil
from pathlib import Path


def replace_folder(new: Path, folder: Path) -> None:
    """Rename ``new`` to ``folder``; what stood there is deleted last, and is back if the renaming fails."""
    aside = folder.with_name(folder.name + ".old")
    if folder.exists():
        shutil.rmtree(aside, ignore_errors=True)
        folder.rename(aside)
    try:
        new.rename(folder)
    except OSError:
        if aside.exists():
            aside.rename(folder)
        raise
    shutil.rmtree(aside, ignore_errors=True)
