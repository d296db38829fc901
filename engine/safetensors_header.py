"""Reads which tensors a safetensors file holds from its header alone, without loading any.

Knows nothing of models: names and shapes only.
"""

import json
from pathlib import Path

from headway.errors import InputError

Shapes = dict[str, tuple[int, ...]]
LARGEST_HEADER = 100_000_000


def tensor_shapes(file: Path) -> Shapes:
    """Name and shape of every tensor in ``file``; ``InputError`` where it is no safetensors file."""
    try:
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if not 2 <= length <= LARGEST_HEADER:
                raise ValueError("the length of its header makes no sense")
            header = json.loads(stream.read(length))
        return {name: tuple(entry["shape"]) for name, entry in header.items() if name != "__metadata__"}
    except FileNotFoundError:
        raise InputError(f"{file}: there is no such weights file") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{file}: not a readable safetensors file ({error}); write it again") from error
