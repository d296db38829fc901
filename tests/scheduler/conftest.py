from pathlib import Path

import pytest

import headway
from headway.scheduler.chat import Chat
from headway.scheduler.hermes import PYTHON_TOOL

TINY = Path(headway.__file__).parent / "trainer" / "tiny_policy"


@pytest.fixture(scope="session")
def tiny_chat() -> Chat:
    return Chat.load(TINY, [PYTHON_TOOL])
