"""What it takes to roll out, as structs that the command line fills and a configuration file decodes into."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from headway.engine.config import Device, Dtype, Kind
from headway.scheduler import AgentLimits

_Positive = Annotated[int, Meta(ge=1)]


class EnginesConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The fleet. ``kv_tokens`` caps the KV cache of each engine, ``max_context`` a trajectory, in tokens.

    ``step_record``: write down what every step does and how long it takes, in ``steps`` beside the event log.
    """

    kind: Kind = "vllm"
    count: _Positive = 2
    kv_tokens: _Positive | None = None
    max_context: _Positive | None = None
    block_size: _Positive = 32
    max_num_seqs: _Positive = 256
    device: Device = "auto"
    dtype: Dtype = "auto"
    gpu_memory_utilization: Annotated[float, Meta(gt=0, le=1)] = 0.9
    tensor_parallel_size: _Positive = 1
    threads: _Positive = 1
    step_record: bool = False


class SamplingConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How tokens are drawn."""

    temperature: Annotated[float, Meta(ge=0, le=100)] = 1.0
    top_p: Annotated[float, Meta(gt=0, le=1)] = 1.0


ToolKind = Literal["python", "python_session", "python_code_with_standard_io"]


class SandboxConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The agent's tool, workers (0: one a core), the limits of one call, and how many sessions may live.

    Tools: ``python``, each call in a fresh process; ``python_session``, variables last from call to call;
    ``python_code_with_standard_io``, the paper's, which takes an input.
    """

    tool: ToolKind = "python"
    max_sessions: _Positive = 4096

    workers: Annotated[int, Meta(ge=0, le=1024)] = 0
    wall_s: Annotated[float, Meta(gt=0, le=86400)] = 4.0
    memory_mib: Annotated[int, Meta(ge=64, le=1 << 20)] = 512


class ProfileConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is recorded beside the events that there are anyway.

    ``blocks``: names (keyed hashes) of the blocks of contexts, so that a replay knows which contexts begin
    alike. ``gpu``: the GPUs' own counters, every ``gpu_every_s`` seconds. ``metrics_port``: serve the figures
    to Prometheus there, on the loopback.
    """

    blocks: bool = True
    gpu: bool = True
    gpu_every_s: Annotated[float, Meta(ge=0.02, le=60)] = 0.2
    metrics_port: Annotated[int, Meta(ge=1, le=65535)] | None = None


class SessionConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What it takes to roll out: a model, engines, a policy, an agent with its sandbox."""

    model: str
    policy: str = "headroom"
    engines: EnginesConfig = EnginesConfig()
    sampling: SamplingConfig = SamplingConfig()
    agent: AgentLimits = AgentLimits()
    sandbox: SandboxConfig = SandboxConfig()
    profile: ProfileConfig = ProfileConfig()
