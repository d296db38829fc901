"""What tests of several folders share: a small model and two real engines that run it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from hypothesis import settings

from headway.engine import EngineConfig, Fleet
from tests.engine.tiny_model import build_model, save_model

settings.register_profile("no wall-clock limits", deadline=None)
settings.load_profile("no wall-clock limits")


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights (seed 0, tied head), vocabulary 512, at most 1,024 tokens, with a tokenizer."""
    return save_model(tmp_path_factory.mktemp("tiny-model"), build_model(seed=0))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def fleet(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fleet]:
    """Two engines of ``tiny_model`` with a KV cache of 1,024 tokens that run four turns at a time.

    Tests that use it are marked ``vllm`` and ``asyncio(loop_scope="session")``, and leave its engines idle,
    stepping and with the weights that they started with (under whatever version).
    """
    config = EngineConfig(model=str(tiny_model), kv_tokens=1024, max_num_seqs=4)
    async with Fleet(config, engines=2, log_dir=tmp_path_factory.mktemp("engine-logs")) as fleet:
        yield fleet
