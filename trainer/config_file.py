"""One TOML file decodes into one nested struct; what does not fit is named, with the nearest that does."""

import difflib
import re
import types
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from headway.errors import InputError

T = TypeVar("T")


def load_config(path: Path, kind: type[T], changes: Sequence[str] = ()) -> T:
    """Decode a TOML file as ``kind``; raises ``InputError`` that names the key that does not fit.

    ``changes`` are of the form ``table.key=value``, and go before what the file says.
    """
    try:
        values = msgspec.toml.decode(path.read_bytes())
        for change in changes:
            _change(values, change)
        return msgspec.convert(values, kind)
    except OSError as error:
        raise InputError(f"{path}: cannot read the configuration: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: {_explain(str(error), kind)}") from error


def _change(values: dict[str, Any], change: str) -> None:
    """Set one value; what is no TOML value is taken as text."""
    key, equals, text = change.partition("=")
    if not equals or not all(key.split(".")):
        raise InputError(f"--set {change}: give KEY=VALUE, such as grpo.steps=50")
    *tables, name = key.split(".")
    for table in tables:
        values = values.setdefault(table, {})
        if not isinstance(values, dict):
            raise InputError(f"--set {change}: {table} is no table of the configuration")
    try:
        parsed = msgspec.toml.decode(f"value = {text}")
    except msgspec.DecodeError:
        parsed = {}
    values[name] = parsed["value"] if len(parsed) == 1 else text


def _explain(message: str, kind: Any) -> str:
    unknown = re.fullmatch(r"Object contains unknown field `([^`]+)`(?: - at `\$(.*)`)?", message)
    if unknown is None:
        return message.replace(" - at `$.", " - at `").replace("Object ", "The file ", 1)
    key, where = unknown[1], (unknown[2] or "").strip(".")
    for part in filter(None, re.sub(r"\[.*?\]", "", where).split(".")):
        kind = _struct(typing.get_type_hints(kind)[part])
    known = [field.encode_name for field in msgspec.structs.fields(kind)]
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.4)
    place = f"[{where}] has no key" if where else "there is no key"
    hint = f"did you mean `{near[0]}`?" if near else f"the keys are: {', '.join(known)}"
    return f"{place} `{key}`; {hint}"


def _struct(annotation: Any) -> Any:
    """The struct in an annotation, which may be optional or of several."""
    if typing.get_origin(annotation) is tuple:
        return typing.get_args(annotation)[0]
    if isinstance(annotation, types.UnionType):
        return next(arg for arg in typing.get_args(annotation) if arg is not type(None))
    return annotation
