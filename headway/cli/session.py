"""Opens everything that a rollout needs, in order, and closes it again: chat, sandbox, engines, scheduler."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
import psutil

import headway
from headway.engine import EngineConfig, EngineInfo, Fleet
from headway.engine.checks import installed_device
from headway.errors import InputError
from headway.sandbox import Limits, ZygoteSandbox
from headway.scheduler import (
    Agent,
    AgentLimits,
    AnswerReward,
    Chat,
    EpisodeConfig,
    HermesAgent,
    PythonSessionTool,
    PythonTool,
    Rollout,
    Scheduler,
    StandardIOTool,
    Task,
    TurnConfig,
    make_policy,
)
from headway.scheduler.events import EngineChanged, EngineStarted, EventSink, now_ns
from headway.scheduler.pulse import Pulse

from .config import SessionConfig, ToolKind
from .gpu_counters import GpuCounters

_Tool = type[PythonTool] | type[PythonSessionTool] | type[StandardIOTool]
_TOOLS: dict[ToolKind, _Tool] = {
    "python": PythonTool,
    "python_session": PythonSessionTool,
    "python_code_with_standard_io": StandardIOTool,
}


class Session(msgspec.Struct, frozen=True):
    """What is open. ``agent`` makes another agent like the scheduler's own, with other limits."""

    scheduler: Scheduler
    engines: list[EngineInfo]
    chat: Chat
    tier: str
    agent: Callable[[AgentLimits], Agent]


def model_folder(model: str) -> Path:
    """The folder of a model; ``tiny`` is the policy that headway ships."""
    return Path(headway.__file__).parent / "trainer" / "tiny_policy" if model == "tiny" else Path(model)


def load_chat(config: SessionConfig) -> Chat:
    """The chat of a session's model, with the one tool that its agent has."""
    quieten_transformers()
    return Chat.load(model_folder(config.model), [_TOOLS[config.sandbox.tool].schema])


def quieten_transformers() -> None:
    """Keep its remarks and bars, which are about no fault, out of the live display."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


def engine_ids(config: SessionConfig) -> list[str]:
    """The ids that the fleet's engines will have."""
    return [f"engine-{index}" for index in range(config.engines.count)]


def engine_gpus(config: SessionConfig) -> int:
    """How many GPUs the engines take, the first ones of the machine; 0 for engines that know files only."""
    engines = config.engines
    device = installed_device() if engines.device == "auto" and engines.kind == "vllm" else engines.device
    return engines.count * engines.tensor_parallel_size if (engines.kind, device) == ("vllm", "gpu") else 0


def check_session(config: SessionConfig, tasks: Iterable[Task]) -> None:
    """Find what cannot work without starting or making anything; raises ``InputError``."""
    fleet = make_fleet(config, Path(), lambda engine, phase: None, steps=Path())
    check(config, fleet, load_chat(config), tasks)


def check(config: SessionConfig, fleet: Fleet, chat: Chat, tasks: Iterable[Task]) -> int:
    """Hold policy and prompts against a fleet that is not started; returns the longest context in tokens."""
    make_policy(config.policy)
    context = fleet.config.max_context
    assert context is not None
    for task in tasks:
        length = len(chat.prompt(task.messages))
        if length >= context:
            raise InputError(
                f"task {task.id}: its prompt has {length} tokens, and the context is {context}; shorten it "
                "or raise max_context (--max-context)"
            )
    return context


@contextlib.asynccontextmanager
async def open_session(
    config: SessionConfig,
    *,
    tasks: Iterable[Task],
    log_dir: Path,
    sink: EventSink,
    on_phase: Callable[[str, str], None],
    on_rollout: Callable[[Rollout], None] = lambda rollout: None,
    first_group: int = 0,
    begun: Mapping[str, Sequence[Rollout]] | None = None,
    weight_backend: str | None = None,
    steps: Path | None = None,
) -> AsyncIterator[Session]:
    """Check, start, yield, stop. Nothing is left running, however the body ends.

    ``first_group`` and ``begun`` are the scheduler's, for a run that goes on; ``weight_backend`` is the
    engines'; ``steps`` is the folder for their steps, where the configuration wants them recorded.
    """

    def phase(engine: str, name: str) -> None:
        on_phase(engine, name)
        if name == "ready":
            sink.emit(EngineChanged(t=now_ns(), engine=engine, state="ready", weight_version=0))

    fleet = make_fleet(config, log_dir, phase, weight_backend=weight_backend, steps=steps)
    chat = load_chat(config)
    context = check(config, fleet, chat, tasks)
    sink = pulse = Pulse(sink)
    limits = Limits(
        wall_s=config.sandbox.wall_s,
        cpu_s=config.sandbox.wall_s,
        memory_bytes=config.sandbox.memory_mib << 20,
    )
    workers = config.sandbox.workers or os.cpu_count() or 1
    async with await ZygoteSandbox.start(
        workers=workers, max_sessions=config.sandbox.max_sessions
    ) as sandbox:
        for id in engine_ids(config):
            sink.emit(EngineChanged(t=now_ns(), engine=id, state="starting"))
        async with fleet:
            gpus = await GpuCounters.open(config.profile, sink, wanted=engine_gpus(config) > 0)
            for started in _facts(config, fleet, gpus):
                sink.emit(started)
            tools = [_TOOLS[config.sandbox.tool](sandbox, limits)]

            def make_agent(limits: AgentLimits) -> HermesAgent:
                return HermesAgent(chat, tools, limits)

            agent = make_agent(config.agent)
            scheduler = Scheduler(
                fleet.engines,
                policy=make_policy(config.policy),
                agent=agent,
                reward=AnswerReward(sandbox),
                episodes=EpisodeConfig(max_context=context),
                turns=TurnConfig(
                    temperature=config.sampling.temperature,
                    top_p=config.sampling.top_p,
                    stop_token_ids=agent.stop_token_ids,
                ),
                sink=sink,
                on_rollout=on_rollout,
                first_group=first_group,
                begun=begun,
                name_blocks=config.profile.blocks,
            )
            try:
                infos = [engine.info for engine in fleet.engines]
                async with pulse.watching(fleet.engines), gpus.sampling():
                    yield Session(scheduler, infos, chat, sandbox.tier, make_agent)
            finally:
                await asyncio.shield(scheduler.close())
                for id in engine_ids(config):
                    sink.emit(EngineChanged(t=now_ns(), engine=id, state="stopped"))


def _facts(config: SessionConfig, fleet: Fleet, gpus: GpuCounters) -> Iterator[EngineStarted]:
    """What every engine of a fleet that has started is made of."""
    for engine in fleet.engines:
        info = engine.info
        yield EngineStarted(
            t=now_ns(),
            engine=info.id,
            kind=info.kind,
            version=info.version,
            device=info.device,
            kv_tokens=info.kv_tokens,
            block_size=info.block_size,
            max_context=info.max_context,
            max_num_seqs=config.engines.max_num_seqs,
            gpus=gpus.names(fleet.devices[info.id]),
            pids=_processes(engine.pid),
        )


def _processes(pid: int) -> list[int]:
    """An engine's process and those below it; of one that has ended meanwhile only itself."""
    try:
        return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
    except psutil.Error:
        return [pid]


def make_fleet(
    config: SessionConfig,
    log_dir: Path,
    on_phase: Callable[[str, str], None],
    *,
    weight_backend: str | None = None,
    steps: Path | None = None,
) -> Fleet:
    """The fleet that a session asks for, checked and not yet started."""
    engines = config.engines
    return Fleet(
        EngineConfig(
            model=str(model_folder(config.model)),
            kind=engines.kind,
            device=engines.device,
            dtype=engines.dtype,
            max_context=engines.max_context,
            max_num_seqs=engines.max_num_seqs,
            kv_tokens=engines.kv_tokens,
            block_size=engines.block_size,
            gpu_memory_utilization=engines.gpu_memory_utilization,
            tensor_parallel_size=engines.tensor_parallel_size,
            threads=engines.threads,
            step_record=str(steps) if engines.step_record and steps is not None else None,
            weight_backend=weight_backend,
        ),
        engines=engines.count,
        log_dir=log_dir,
        on_phase=on_phase,
    )
