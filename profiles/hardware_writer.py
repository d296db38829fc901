"""Writes a hardware profile as the TOML that it is read from. Knows nothing of where figures come from."""

from pathlib import Path
from typing import Any

import msgspec

from headway.engine.simulated.hardware import Hardware

SIGNIFICANT = 4


def write_hardware(hardware: Hardware, file: Path) -> None:
    """Write ``hardware`` to ``file``; its step times keep four digits."""
    file.write_text(hardware_toml(hardware))


def hardware_toml(hardware: Hardware) -> str:
    """The text of the file. A JSON scalar is a TOML scalar, too."""
    top = {name: getattr(hardware, name) for name in Hardware.__struct_fields__ if name != "step"}
    step = {name: _rounded(value) for name, value in msgspec.structs.asdict(hardware.step).items()}
    return "\n".join([*_lines(top), "", "[step]", *_lines(step), ""])


def _lines(values: dict[str, Any]) -> list[str]:
    return [f"{name} = {msgspec.json.encode(value).decode()}" for name, value in values.items()]


def _rounded(value: float) -> float:
    return float(f"{value:.{SIGNIFICANT}g}")
