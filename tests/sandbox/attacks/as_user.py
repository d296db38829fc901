"""Runs every attack against sandboxes of its own, and prints as JSON who it was and what each achieved.

Each sandbox holds one attack at a time, and shares the service that is attacked with the others.
"""

import asyncio
import json
import os
import platform
import tempfile
from pathlib import Path

from headway.sandbox import ZygoteSandbox

from . import ATTACKS
from .harness import achievements
from .target import Target

_SANDBOXES = 3  # attacks sleep more than they work


async def main() -> None:
    """Print one line."""
    attacks = [attack for attack in ATTACKS if attack.machine in ("", platform.machine())]
    untried = iter(attacks)
    achieved: dict[str, list[str]] = {}

    async def hold(target: Target) -> None:
        async with await ZygoteSandbox.start(workers=2) as sandbox:
            for attack in untried:
                achieved[attack.name] = await achievements(sandbox, attack, target)

    with tempfile.TemporaryDirectory() as home, Target(Path(home)) as target:
        await asyncio.gather(*(hold(target) for _ in range(_SANDBOXES)))
    in_order = {attack.name: achieved[attack.name] for attack in attacks}
    print(json.dumps({"uid": os.getuid(), "achieved": in_order}))


if __name__ == "__main__":
    asyncio.run(main())
