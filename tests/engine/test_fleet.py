"""How a fleet starts, fails and stops."""

import asyncio
import os
import signal
from pathlib import Path

import psutil
import pytest

from headway.engine import EngineConfig, EngineError, Fleet
from headway.errors import InputError
from tests.engine.contract import start_generating, turn, until


def children() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


async def test_engines_that_are_late_are_named_and_stopped(tiny_model: Path, tmp_path: Path) -> None:
    before = children()
    fleet = Fleet(
        EngineConfig(model=str(tiny_model)), engines=2, log_dir=tmp_path / "logs", start_timeout_s=0.5
    )
    with pytest.raises(EngineError, match=r"engine-0, engine-1 did not start within 0\.5 s"):
        await fleet.start()
    assert children() == before


@pytest.mark.vllm
@pytest.mark.slow
async def test_a_failed_start_names_the_engine_the_cause_and_the_log(
    tiny_model: Path, tmp_path: Path
) -> None:
    before = children()
    phases: list[tuple[str, str]] = []
    fleet = Fleet(
        EngineConfig(model=str(tiny_model), kv_gib=5e-4),
        log_dir=tmp_path,
        on_phase=lambda engine_id, phase: phases.append((engine_id, phase)),
    )
    with pytest.raises(EngineError) as failure:
        async with fleet:
            raise AssertionError("unreachable")
    assert "engine-0 did not start: ValueError: " in str(failure.value)
    assert "KV cache" in str(failure.value)
    assert str(tmp_path / "engine-0.log") in str(failure.value)
    assert phases[:3] == [
        ("engine-0", "starting"),
        ("engine-0", "importing vLLM"),
        ("engine-0", "loading the model"),
    ]
    assert children() == before


@pytest.mark.vllm
@pytest.mark.slow
async def test_killed_engines_fail_their_own_turns_only_and_leave_nothing(tiny_model: Path) -> None:
    before = children()
    environment = dict(os.environ)
    async with Fleet(EngineConfig(model=str(tiny_model), kv_tokens=1024), engines=2) as fleet:
        assert dict(os.environ) == environment
        for engine, victim in zip(fleet.engines, ("host", "core"), strict=True):
            task = await start_generating(engine, turn(max_tokens=900))
            await engine.pause()
            host = psutil.Process(engine.pid)
            core = host.children()[0]
            os.kill(engine.pid if victim == "host" else core.pid, signal.SIGKILL)
            with pytest.raises(EngineError, match=f"{engine.id}: it has died"):
                await task
            with pytest.raises(EngineError, match=f"{engine.id}: it has died"):
                await engine.generate(turn())
            await until(lambda host=host, core=core: not host.is_running() and not core.is_running())
    for engine in fleet.engines:
        await engine.close()
    assert children() == before


def test_a_fleet_of_no_engines_is_refused(tiny_model: Path) -> None:
    with pytest.raises(InputError, match="at least one"):
        Fleet(EngineConfig(model=str(tiny_model)), engines=0)


async def test_a_log_folder_that_cannot_be_made_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="log_dir"):
        await Fleet(EngineConfig(model=str(tiny_model)), log_dir=tmp_path / "file" / "logs").start()


@pytest.mark.vllm
@pytest.mark.asyncio(loop_scope="session")
async def test_the_engines_say_what_they_are(fleet: Fleet) -> None:
    infos = [engine.info for engine in fleet.engines]
    assert [info.id for info in infos] == ["engine-0", "engine-1"]
    assert {(info.kind, info.kv_tokens, info.block_size, info.max_context) for info in infos} == {
        ("vllm", 1024, 32, 1024)
    }
    await asyncio.gather(*(engine.generate(turn()) for engine in fleet.engines))
