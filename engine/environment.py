"""The environment variables of an engine's process, made from the parent's without changing those.

Knows nothing of starting processes.
"""

import os

from .config import EngineConfig
from .devices import Placement

QUIET = {
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    "PYTHONUNBUFFERED": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "VLLM_LOGGING_COLOR": "0",
    "VLLM_NO_USAGE_STATS": "1",
}

# Without TORCHDYNAMO_DISABLE the first turn waits half a minute for a sampler kernel to compile, and
# binding threads to cores would put all engines of a fleet on the same ones.
CPU = {
    "CUDA_VISIBLE_DEVICES": "",
    "TORCHDYNAMO_DISABLE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
}


# By these, torchrun's, vLLM's own processes would look for each other in the wrong place.
TORCHRUN = ("RANK", "WORLD_SIZE", "LOCAL_", "GROUP_", "ROLE_", "MASTER_", "TORCHELASTIC_")


def engine_environment(config: EngineConfig, placement: Placement) -> dict[str, str]:
    """What the process of one engine is started with."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(TORCHRUN)} | QUIET
    if config.device == "cpu":
        # The legacy variable would override kv_tokens and kv_gib.
        environment.pop("VLLM_CPU_KVCACHE_SPACE", None)
        return environment | CPU | {"OMP_NUM_THREADS": str(config.threads)}
    return environment | {"CUDA_VISIBLE_DEVICES": ",".join(placement.devices)}
