from collections.abc import AsyncIterator, Iterator

import psutil
import pytest
import pytest_asyncio

from headway.sandbox.cluster import ClusterConfig, RaySandbox
from tests.sandbox.cluster.processes import await_end


@pytest.fixture(scope="session")
def ray_runtime() -> Iterator[None]:
    """One Ray on this machine for all tests; no process of it is left behind."""
    import ray

    before = set(psutil.Process().children())
    ray.init(num_cpus=2, include_dashboard=False, object_store_memory=100 << 20, log_to_driver=False)
    roots = set(psutil.Process().children()) - before
    yield
    started = [process for root in roots for process in (root, *root.children(recursive=True))]
    ray.shutdown()
    await_end(started)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def ray_sandbox(ray_runtime: None) -> AsyncIterator[RaySandbox]:
    """Two nodes on this machine. Tests may kill them, and wait until both are back."""
    config = ClusterConfig(cpus_per_node=0.25, pause_s=0.05)
    async with await RaySandbox.start(2, workers_per_node=1, config=config) as started:
        yield started
