"""Runs a fleet and reports how far it is; the tests end it in every way that a user's program may end.

Usage: fleet_script.py MODEL. Prints "PHASE <phase>" lines, then "READY"; raises once it reads a line.
"""

import asyncio
import sys

from headway.engine import EngineConfig, Fleet


def report(engine_id: str, phase: str) -> None:
    print("PHASE", phase, flush=True)


async def main(model: str) -> None:
    config = EngineConfig(model=model, kv_tokens=1024)
    async with Fleet(config, engines=1, on_phase=report):
        print("READY", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        raise RuntimeError("the body failed")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
