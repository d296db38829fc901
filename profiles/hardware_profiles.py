"""Loads hardware profiles: the ones shipped in the folder ``hardware`` by name, any other by its file's path.

Invariant: a shipped profile has its file's name. Knows nothing of where the figures in them come from: each
file says that itself.
"""

from pathlib import Path

from headway.engine.simulated import Hardware
from headway.errors import InputError
from headway.trainer.config_file import load_config

_FOLDER = Path(__file__).parent / "hardware"

HARDWARE_NAMES = tuple(sorted(file.stem for file in _FOLDER.glob("*.toml")))


def load_hardware(name_or_path: str) -> Hardware:
    """The profile of a shipped name or of a TOML file; raises ``InputError`` that says what does not fit."""
    if name_or_path in HARDWARE_NAMES:
        return load_config(_FOLDER / f"{name_or_path}.toml", Hardware)
    file = Path(name_or_path)
    if file.suffix != ".toml" and not file.is_file():
        raise InputError(
            f"there is no hardware profile {name_or_path!r}; give one of {', '.join(HARDWARE_NAMES)}, "
            "or the path of a TOML file"
        )
    hardware = load_config(file, Hardware)
    if hardware.max_num_seqs > hardware.max_batched_tokens:
        raise InputError(
            f"{file}: max_num_seqs is {hardware.max_num_seqs}, and max_batched_tokens only "
            f"{hardware.max_batched_tokens}; each running turn takes a token a step"
        )
    if hardware.kv_tokens < hardware.block_size:
        raise InputError(f"{file}: kv_tokens is less than one block of {hardware.block_size} tokens")
    return hardware
