"""The trainer's own state in a folder, from which training goes on as if it had never ended.

Invariants: a folder of this name is whole, however the process that wrote it ended: it is written under the
name with ``.partial`` and then renamed; one that is not whole, or another model's, is refused before anything
is taken from it. However many ranks wrote it, any number may read it. Knows nothing of what the tensors are.

``state/`` has the tensors (torch's distributed checkpoint), ``random-N.json`` the generators of rank N, and
``checkpoint.json``, written last, the rest, with the size of every file.
"""

import base64
import os
import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save

from headway.errors import HeadwayError, InputError

from .random_state import RandomState
from .ranks import Ranks
from .replace_folder import replace_folder

T = TypeVar("T")
_LAYOUT = 1
_CONTENTS = "checkpoint.json"


class _Contents(msgspec.Struct, frozen=True, kw_only=True):
    """``tensors``: type and shape by name; ``files``: bytes by name; ``ranks``: how many wrote it."""

    layout: Annotated[int, Meta(ge=_LAYOUT, le=_LAYOUT)] = _LAYOUT
    steps: int
    ranks: int
    tensors: dict[str, str]
    files: dict[str, int]
    extra: dict[str, Any]


def write_checkpoint(
    folder: Path, tensors: Mapping[str, Tensor], *, steps: int, extra: Mapping[str, Any], ranks: Ranks
) -> None:
    """Write a checkpoint, in the place of an older one of the name; rank 0's ``extra`` is kept, as JSON."""
    partial = folder.with_name(folder.name + ".partial")

    def begin() -> None:
        msgspec.json.encode(extra)  # what cannot be kept is to fail before the tensors are written
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)

    def finish() -> None:
        files = {
            file.relative_to(partial).as_posix(): file.stat().st_size
            for file in partial.rglob("*")
            if file.is_file()
        }
        contents = _Contents(
            steps=steps, ranks=ranks.size, tensors=_described(tensors), files=files, extra=dict(extra)
        )
        _write(partial / _CONTENTS, contents)
        replace_folder(partial, folder)

    try:
        ranks.on_first(begin)
        with _alone_without_a_warning():
            save(dict(tensors), checkpoint_id=partial / "state")
        ranks.together(lambda: _write(partial / _random(ranks.rank), RandomState.now()))
        ranks.on_first(finish)
    except (Exception, CheckpointException) as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise HeadwayError(f"{folder}: cannot write the checkpoint: {_reason(error)}") from error


def read_checkpoint(
    folder: Path, tensors: Mapping[str, Tensor], *, ranks: Ranks
) -> tuple[int, dict[str, Any]]:
    """Fill the tensors, restore the generators, and return the steps taken and what ``extra`` was.

    Raises ``InputError`` where the folder holds no whole checkpoint of such tensors. A rank that had no part
    in writing it goes on with the generators of rank 0.
    """
    contents = ranks.together(lambda: _vetted(folder, _described(tensors)))
    try:
        with _alone_without_a_warning():
            load(dict(tensors), checkpoint_id=folder / "state")
    except (Exception, CheckpointException) as error:
        raise InputError(f"{folder / 'state'}: cannot read the checkpoint: {_reason(error)}") from error
    rank = ranks.rank if ranks.rank < contents.ranks else 0
    _read(folder / _random(rank), RandomState).restore()
    return contents.steps, contents.extra


def pack(value: msgspec.Struct) -> dict[str, str]:
    """Make an ``extra`` of a struct: JSON has no word for numbers that are not finite."""
    return {"packed": base64.b64encode(msgspec.msgpack.encode(value)).decode()}


def read_packed(folder: Path, kind: type[T]) -> T:
    """Return the struct that a checkpoint's ``extra`` was made of, and nothing else of it.

    Raises ``InputError`` where it is none of that kind.
    """
    try:
        return msgspec.msgpack.decode(base64.b64decode(read_extra(folder)["packed"]), type=kind)
    except (msgspec.DecodeError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder}: not a checkpoint of such a run by this headway: {error}") from error


def read_extra(folder: Path) -> dict[str, Any]:
    """Return the ``extra`` of a checkpoint, and nothing else of it; raises ``InputError``."""
    return _read(folder / _CONTENTS, _Contents).extra


def _vetted(folder: Path, tensors: Mapping[str, str]) -> _Contents:
    contents = _read(folder / _CONTENTS, _Contents)
    for name, size in contents.files.items():
        file = folder / name
        if not file.is_file():
            raise InputError(f"{file}: is missing; the checkpoint is not whole, use an older one")
        if file.stat().st_size != size:
            raise InputError(
                f"{file}: has {file.stat().st_size} bytes, should have {size}; "
                "the checkpoint is not whole, use an older one"
            )
    for name in sorted({*tensors, *contents.tensors}):
        here, there = tensors.get(name, "missing"), contents.tensors.get(name, "missing")
        if here != there:
            raise InputError(
                f"{folder}: is another model's checkpoint: {name} is {there} in it, and {here} in this one"
            )
    return contents


def _described(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    return {
        name: f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"
        for name, tensor in tensors.items()
    }


def _random(rank: int) -> str:
    return f"random-{rank}.json"


def _write(file: Path, record: msgspec.Struct) -> None:
    with file.open("wb") as stream:
        stream.write(msgspec.json.encode(record))
        stream.flush()
        os.fsync(stream.fileno())


def _read(file: Path, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(file.read_bytes(), type=kind)
    except OSError as error:
        raise InputError(f"{file}: cannot read the checkpoint: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: is not what a checkpoint has there: {error}") from error


@contextmanager
def _alone_without_a_warning() -> Iterator[None]:
    """Torch warns of a process group that is not there, even where it was told so."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is disabled", category=UserWarning)
        yield


def _reason(error: BaseException) -> str:
    if isinstance(error, CheckpointException):  # its own text is of many lines, tracebacks included
        error, _ = next(iter(error.failures.values()))
    return str(error).partition("\n")[0] or type(error).__name__
