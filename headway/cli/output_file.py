"""Single files that a command writes for its user: checked before the work begins, whole when it is done."""

import os
from pathlib import Path
from typing import Any

import msgspec

from headway.errors import HeadwayError, InputError


def writable(path: Path | None) -> Path | None:
    """Return ``path``; raises ``InputError`` where no file can be written."""
    if path is None:
        return None
    if path.is_dir():
        raise InputError(f"{path}: is a folder; give the name of a file")
    if not path.parent.is_dir():
        raise InputError(f"{path}: there is no folder {path.parent}; make it, or give another file")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise InputError(f"{path}: may not be written; give another file")
    return path


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file, as ``write_whole`` does."""
    write_whole(path, msgspec.json.format(msgspec.json.encode(value)) + b"\n")


def write_whole(path: Path, text: bytes) -> None:
    """Write a file that is there whole or not at all; a link, a pipe or a device is written through."""
    through = path.is_symlink() or (path.exists() and not path.is_file())
    target = path if through else path.with_name(path.name + ".partial")
    try:
        target.write_bytes(text)
        if target is not path:
            target.replace(path)
    except OSError as error:
        if target is not path:
            target.unlink(missing_ok=True)
        raise HeadwayError(f"{path}: cannot write: {error.strerror}") from error
