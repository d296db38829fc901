"""What it takes to roll out, as structs that the command line fills and a configuration file decodes into."""

from typing import Annotated

import msgspec
from msgspec import Meta

from headway.engine.config import Device, Dtype
from headway.scheduler import AgentLimits


class EnginesConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The fleet. ``kv_tokens`` caps the KV cache of each engine, ``max_context`` a trajectory, in tokens."""

    count: int = 2
    kv_tokens: int | None = None
    max_context: int | None = None
    block_size: int = 32
    max_num_seqs: int = 256
    device: Device = "auto"
    dtype: Dtype = "auto"
    gpu_memory_utilization: float = 0.9
    tensor_parallel_size: int = 1
    threads: int = 1


class SamplingConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How tokens are drawn."""

    temperature: Annotated[float, Meta(ge=0)] = 1.0
    top_p: Annotated[float, Meta(gt=0, le=1)] = 1.0


class SandboxConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Workers (0: one a core) and the limits of one tool call."""

    workers: Annotated[int, Meta(ge=0)] = 0
    wall_s: Annotated[float, Meta(gt=0)] = 4.0
    memory_mib: Annotated[int, Meta(ge=64)] = 512


class SessionConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What it takes to roll out: a model, engines, a policy, an agent with its sandbox."""

    model: str
    policy: str = "headroom"
    engines: EnginesConfig = EnginesConfig()
    sampling: SamplingConfig = SamplingConfig()
    agent: AgentLimits = AgentLimits()
    sandbox: SandboxConfig = SandboxConfig()
