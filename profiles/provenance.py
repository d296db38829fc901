"""What stands beside every table of figures: where they come from, with what, and how far to trust them."""

import importlib.metadata
import platform

import headway
from headway.engine.simulated.hardware import Hardware


def error_of(hardware: Hardware) -> str:
    """What simulations with it were off by against real runs."""
    return hardware.error or "unknown: never held against real engines"


def simulated_on(hardware: Hardware, *, kv_tokens: int) -> str:
    """The sentence for simulated engines with so much KV cache each."""
    kind = "fitted to recorded steps" if hardware.measured else "derived figures, not measured"
    return (
        f"Simulated: {hardware.name}, {kv_tokens:,} KV tokens an engine, {kind} "
        f"({hardware.source.strip()}); error against real runs: {error_of(hardware)}."
    )


def versions() -> dict[str, str]:
    """What the figures were made with."""
    return {
        "headway": headway.__version__,
        "python": platform.python_version(),
        "numpy": importlib.metadata.version("numpy"),
    }
