from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from headway.sandbox import Limits, Result, Snippet, ZygoteSandbox

from .attacks.target import Target

Run = Callable[..., Awaitable[Result]]


@pytest.fixture(scope="session")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """What the attacks are after; it is there before the sandbox is, so that there is something to leak."""
    home: Path = tmp_path_factory.mktemp("home")
    with Target(home) as target:
        yield target


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def sandbox(target: Target) -> AsyncIterator[ZygoteSandbox]:
    async with await ZygoteSandbox.start(workers=2) as started:
        yield started


@pytest.fixture
def run(sandbox: ZygoteSandbox) -> Run:
    """Run code under generous limits, but for those that the test names."""

    async def run_snippet(code: str, *, stdin: bytes = b"", **limits: float) -> Result:
        generous = {"wall_s": 60.0, "cpu_s": 60.0} | limits
        return await sandbox.run(Snippet(code=code, stdin=stdin, limits=Limits(**generous)))  # type: ignore[arg-type]

    return run_snippet
