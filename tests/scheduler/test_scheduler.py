"""The asyncio shell, on scripted engines and a real sandbox."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from typing import Any

import numpy as np
import pytest

from headway.engine import EngineDead, EngineError, Request
from headway.engine.scripted import ScriptedEngine
from headway.sandbox import ZygoteSandbox
from headway.scheduler import (
    AgentLimits,
    AnswerReward,
    Chat,
    Episode,
    EpisodeConfig,
    HermesAgent,
    Message,
    Outcome,
    PythonTool,
    Rollout,
    Scheduler,
    Task,
    TurnConfig,
    make_policy,
)
from headway.scheduler import events as ev
from headway.scheduler.policies import NAMES
from headway.scheduler.tool import ToolFault

TASK = Task(id="sum", messages=[Message("user", "What is 20 + 22?")], answer="42")


class Collected:
    def __init__(self) -> None:
        self.events: list[ev.Event] = []

    def emit(self, event: ev.Event) -> None:
        self.events.append(event)

    def of(self, kind: type[ev.Event]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


@pytest.fixture
async def sandbox() -> AsyncIterator[ZygoteSandbox]:
    async with await ZygoteSandbox.start(workers=2) as sandbox:
        yield sandbox


def script(chat: Chat, *turns: str):
    """A model that writes these turns, then repeats the last; digits and letters one token at a time."""

    def write(prompt: Sequence[int]) -> list[int]:
        said = chat.transcript(prompt).count("<|im_start|>assistant") - 1
        text = turns[min(said, len(turns) - 1)]
        letters = itertools.chain.from_iterable(chat._encode(letter) for letter in text)
        return [*letters, chat.stop_token_ids[-1]]

    return write


def make(
    engines,
    agent,
    sandbox,
    *,
    policy="headroom",
    sink=None,
    reward=None,
    max_context=4096,
    timeout_s=60.0,
    **config,
) -> Scheduler:
    return Scheduler(
        engines,
        policy=make_policy("thunder:tick_s=0.05" if policy == "thunder" else policy),  # 5 s of real time else
        agent=agent,
        reward=reward or AnswerReward(sandbox),
        episodes=EpisodeConfig(max_context=max_context, **config),
        turns=TurnConfig(timeout_s=timeout_s),
        sink=sink,
    )


def python(code: str) -> str:
    return f'<tool_call>\n{{"name": "python", "arguments": {{"code": "{code}"}}}}\n</tool_call>'


async def test_an_agent_calls_its_tool_reads_the_result_and_is_rewarded(tiny_chat, sandbox) -> None:
    engine = ScriptedEngine(script(tiny_chat, python("print(20 + 22)"), r"<answer>\boxed{42}</answer>"))
    agent = HermesAgent(tiny_chat, [PythonTool(sandbox)])
    group = await make([engine], agent, sandbox).submit(TASK, samples=3)
    for rollout in group.rollouts:
        assert rollout.reward == 1.0
        assert rollout.finish_reason == "answer"
        assert [call.status for call in rollout.tool_calls] == ["ok"]
        assert "<tool_response>\n42\n</tool_response>" in tiny_chat.transcript(rollout.tokens)


async def test_tokens_are_never_tokenised_again_over_five_turns(tiny_chat, sandbox) -> None:
    turns = [python(f"print({i})") for i in range(4)] + [r"<answer>\boxed{42}</answer>"]
    engine = ScriptedEngine(script(tiny_chat, *turns))
    agent = HermesAgent(tiny_chat, [PythonTool(sandbox)])
    (rollout,) = (await make([engine], agent, sandbox).submit(TASK, samples=1)).rollouts
    assert len(rollout.turns) == 5
    spelled = tiny_chat.decode([t for t, m in zip(rollout.tokens, rollout.mask, strict=True) if m])
    assert len(tiny_chat._encode(spelled)) < rollout.generated  # a tokenizer would have merged these letters
    for request, turn in zip(engine.requests, rollout.turns, strict=True):
        assert request.prompt == rollout.tokens[: turn.start]
        assert all(rollout.mask[turn.start : turn.end])
    assert sum(rollout.mask) == sum(turn.end - turn.start for turn in rollout.turns)
    assert [v for v, m in zip(rollout.versions, rollout.mask, strict=True) if not m] == [
        -1
    ] * rollout.mask.count(False)


async def test_a_call_that_does_not_parse_becomes_a_response_and_the_rollout_goes_on(
    tiny_chat, sandbox
) -> None:
    engine = ScriptedEngine(script(tiny_chat, "<tool_call>\noops\n</tool_call>", r"\boxed{42}"))
    agent = HermesAgent(tiny_chat, [PythonTool(sandbox)])
    (rollout,) = (await make([engine], agent, sandbox).submit(TASK, samples=1)).rollouts
    assert [(call.status, call.failed) for call in rollout.tool_calls] == [("malformed", True)]
    assert rollout.reward == 1.0


async def test_a_box_that_a_tool_printed_does_not_win(tiny_chat, sandbox) -> None:
    engine = ScriptedEngine(script(tiny_chat, python(r"print('\\\\boxed{42}')"), "I do not know."))
    agent = HermesAgent(tiny_chat, [PythonTool(sandbox)])
    (rollout,) = (await make([engine], agent, sandbox).submit(TASK, samples=1)).rollouts
    assert r"\boxed{42}" in tiny_chat.transcript(rollout.tokens)
    assert (rollout.reward, rollout.finish_reason) == (0.0, "no_answer")


async def test_a_rollout_ends_at_its_limits_with_reward_zero(tiny_chat, sandbox) -> None:
    write = script(tiny_chat, python("print(1)"))
    prompt = tiny_chat.prompt(TASK.messages)
    engine = ScriptedEngine(write)
    for limits, context, reason in (
        (AgentLimits(max_turns=3), 4096, "max_turns"),
        (AgentLimits(max_turn_tokens=5), 4096, "length"),
        (AgentLimits(), len(prompt) + len(write(prompt)) + 5, "context"),
    ):
        agent = HermesAgent(tiny_chat, [PythonTool(sandbox)], limits)
        scheduler = make([engine], agent, sandbox, max_context=context)
        (rollout,) = (await scheduler.submit(TASK, samples=1)).rollouts
        assert (rollout.finish_reason, rollout.reward) == (reason, 0.0)
        assert len(rollout.tokens) <= context


@pytest.mark.parametrize("policy", NAMES)
async def test_many_trajectories_on_small_engines_all_end_and_every_event_has_its_pair(
    tiny_chat, sandbox, policy
) -> None:
    turns = script(tiny_chat, python("print(20 + 22)"), r"<answer>\boxed{42}</answer>")
    engines = [ScriptedEngine(turns, id=id, kv_tokens=1024, max_context=512) for id in ("a", "b")]
    seen = Collected()
    agent = HermesAgent(tiny_chat, [PythonTool(sandbox)])
    scheduler = make(engines, agent, sandbox, policy=policy, sink=seen, max_context=512)
    tasks = [Task(id=f"t{i}", messages=TASK.messages, answer="42") for i in range(12)]
    groups = [group async for group in scheduler.stream(tasks, samples=8, max_live=64)]
    assert sorted(group.task for group in groups) == sorted(task.id for task in tasks)
    assert all(rollout.reward == 1.0 for group in groups for rollout in group.rollouts)
    ended = [event.trajectory for event in seen.of(ev.TrajectoryEnded)]
    assert len(ended) == len(set(ended)) == 96
    for first, second in (
        (ev.TrajectoryStarted, ev.TrajectoryEnded),
        (ev.TurnReady, ev.TurnDispatched),
        (ev.TurnDispatched, ev.TurnEnded),
        (ev.ToolStarted, ev.ToolEnded),
    ):
        assert sorted(e.trajectory for e in seen.of(first)) == sorted(e.trajectory for e in seen.of(second))
    assert seen.events == sorted(seen.events, key=lambda event: event.t)


async def test_each_token_records_the_version_that_wrote_it(tiny_chat, sandbox, tmp_path) -> None:
    engine = ScriptedEngine(script(tiny_chat, r"\boxed{42}"))
    scheduler = make([engine], HermesAgent(tiny_chat, [PythonTool(sandbox)]), sandbox)
    await scheduler.update_weights(tmp_path / "unused", 3)
    (rollout,) = (await scheduler.submit(TASK, samples=1)).rollouts
    assert {v for v, m in zip(rollout.versions, rollout.mask, strict=True) if m} == {3}


class Failing(ScriptedEngine):
    async def generate(self, request: Request):
        raise EngineError("engine-0 died: out of luck")


async def test_a_failed_trajectory_is_a_record_with_the_boundary_that_it_crossed(tiny_chat, sandbox) -> None:
    agent = HermesAgent(tiny_chat, [PythonTool(sandbox)])

    async def broken_agent(episode: Episode) -> Outcome:
        raise RuntimeError("my bug")

    async def no_reward(task: Task, outcome: Outcome) -> float:
        raise RuntimeError("no judge")

    good = ScriptedEngine(script(tiny_chat, r"\boxed{42}"))
    for scheduler, boundary, message in (
        (make([Failing(lambda prompt: [])], agent, sandbox), "engine", "out of luck"),
        (make([good], broken_agent, sandbox), "agent", "my bug"),
        (make([good], agent, sandbox, max_context=20), "agent", "task sum: the prompt has"),
    ):
        (rollout,) = (await scheduler.submit(TASK, samples=1)).rollouts
        assert rollout.failure is not None
        assert rollout.failure.boundary == boundary
        assert message in rollout.failure.message
        assert rollout.reward is None
    unjudged = make([good], agent, sandbox, reward=no_reward)
    (rollout,) = (await unjudged.submit(TASK, samples=1)).rollouts
    assert rollout.failure is not None
    assert rollout.failure.boundary == "reward"


async def test_one_failed_sibling_does_not_take_the_group_along(tiny_chat, sandbox) -> None:
    whole = HermesAgent(tiny_chat, [PythonTool(sandbox)])

    async def agent(episode: Episode) -> Outcome:
        if episode.id.endswith(".1"):
            raise RuntimeError("unlucky")
        return await whole(episode)

    engine = ScriptedEngine(script(tiny_chat, r"\boxed{42}"))
    group = await make([engine], agent, sandbox).submit(TASK, samples=3)
    assert [rollout.failure is None for rollout in group.rollouts] == [True, False, True]


async def test_a_cancelled_group_frees_what_it_held_and_notes_its_end(tiny_chat, sandbox) -> None:
    engine = ScriptedEngine(script(tiny_chat, "x" * 4000), seconds_per_token=0.001)
    seen = Collected()
    agent = HermesAgent(tiny_chat, [PythonTool(sandbox)])
    scheduler = make([engine], agent, sandbox, sink=seen)
    group = scheduler.submit(TASK, samples=4)
    while engine.stats().running < 4:  # noqa: ASYNC110
        await asyncio.sleep(0)
    await scheduler.close()
    assert group.cancelled()
    assert engine.stats().running == 0
    assert [event.cause.split(":")[0] for event in seen.of(ev.TrajectoryEnded)] == ["cancelled"] * 4
    assert scheduler._turns._dispatcher.fleet.ledger.used("engine-0") == 0


async def test_a_turn_that_never_ends_fails_as_the_engines_fault(tiny_chat, sandbox) -> None:
    engine = ScriptedEngine(script(tiny_chat, "never"))
    await engine.pause()
    scheduler = make([engine], HermesAgent(tiny_chat, [PythonTool(sandbox)]), sandbox, timeout_s=0.05)
    (rollout,) = (await scheduler.submit(TASK, samples=1)).rollouts
    assert rollout.failure is not None
    assert rollout.failure.boundary == "engine"
    assert "did not end within 0.05 s" in rollout.failure.message


async def test_rollouts_are_told_as_they_end_before_their_group_is_complete(tiny_chat, sandbox) -> None:
    told: list[Rollout] = []
    engine = ScriptedEngine(script(tiny_chat, r"\boxed{42}"))
    scheduler = Scheduler(
        [engine],
        policy=make_policy("headroom"),
        agent=HermesAgent(tiny_chat, [PythonTool(sandbox)]),
        reward=AnswerReward(sandbox),
        episodes=EpisodeConfig(max_context=4096),
        turns=TurnConfig(),
        on_rollout=told.append,
        first_group=7,
    )
    group = await scheduler.submit(TASK, samples=5)
    assert sorted(rollout.id for rollout in told) == sorted(rollout.id for rollout in group.rollouts)
    assert {rollout.group for rollout in told} == {"g8"}


async def test_a_trajectory_that_can_never_fit_fails_and_lets_the_others_go_on(tiny_chat, sandbox) -> None:
    engine = ScriptedEngine(script(tiny_chat, "hm"), kv_tokens=320, max_context=4096)

    async def agent(episode: Episode) -> Outcome:
        episode.observe(range(64))
        await episode.generate(16)
        if episode.id == "g1.0":
            await asyncio.sleep(0)
            episode.observe(range(400))
        await episode.generate(16)
        return Outcome("no_answer")

    group = await make([engine], agent, sandbox).submit(TASK, samples=12)
    assert [r.failure and r.failure.boundary for r in group.rollouts] == ["overload"] + [None] * 11
    assert "needs" in group.rollouts[0].failure.message


@pytest.mark.parametrize("policy", NAMES)
async def test_an_agent_may_give_up_a_turn_and_ask_again(tiny_chat, sandbox, policy) -> None:
    engine = ScriptedEngine(
        script(tiny_chat, "x" * 200), kv_tokens=640, max_context=512, seconds_per_token=0.0005
    )
    seen = Collected()

    async def agent(episode: Episode) -> Outcome:
        episode.observe(range(64))
        for limit in (0.001, 0.01, None):
            try:
                async with asyncio.timeout(limit):
                    await episode.generate(40)
            except TimeoutError:
                continue
        return Outcome("no_answer")

    scheduler = make([engine], agent, sandbox, policy=policy, sink=seen)
    group = await scheduler.submit(TASK, samples=16)
    assert [rollout.failure for rollout in group.rollouts] == [None] * 16
    assert all(rollout.turns for rollout in group.rollouts)
    assert len(seen.of(ev.TurnReady)) == len(seen.of(ev.TurnEnded)) + len(seen.of(ev.TurnAbandoned))
    assert scheduler._turns._dispatcher.fleet.ledger.used("engine-0") == 0


async def test_two_turns_at_once_are_refused_without_harm_to_others(tiny_chat, sandbox) -> None:
    engine = ScriptedEngine(script(tiny_chat, "hm"))

    async def agent(episode: Episode) -> Outcome:
        episode.observe(range(8))
        if episode.id.endswith(".0"):
            await asyncio.gather(episode.generate(4), episode.generate(4))
        await episode.generate(4)
        return Outcome("no_answer")

    group = await make([engine], agent, sandbox).submit(TASK, samples=3)
    assert group.rollouts[0].failure is not None
    assert "while a turn is in flight" in group.rollouts[0].failure.message
    assert [rollout.failure for rollout in group.rollouts[1:]] == [None, None]


class Dying(ScriptedEngine):
    """Serves some turns, then is gone."""

    turns_left = 5

    async def generate(self, request: Request):
        self.turns_left -= 1
        if self.turns_left < 0:
            raise EngineDead(f"engine {self.info.id}: it has died")
        return await super().generate(request)


@pytest.mark.parametrize("policy", NAMES)
async def test_when_an_engine_dies_its_trajectories_go_on_elsewhere_from_their_tokens(
    tiny_chat, sandbox, policy
) -> None:
    turns = script(tiny_chat, python("print(20 + 22)"), r"<answer>\boxed{42}</answer>")
    engines = [Dying(turns, id="a", kv_tokens=2048), ScriptedEngine(turns, id="b", kv_tokens=2048)]
    seen = Collected()
    agent = HermesAgent(tiny_chat, [PythonTool(sandbox)])
    scheduler = make(engines, agent, sandbox, policy=policy, sink=seen, max_context=1024)
    group = await scheduler.submit(TASK, samples=24)
    assert [rollout.reward for rollout in group.rollouts] == [1.0] * 24
    assert [event.state for event in seen.of(ev.EngineChanged)] == ["down"]
    for rollout in group.rollouts:
        assert [turn.end > turn.start for turn in rollout.turns] == [True, True]


async def test_when_no_engine_is_left_every_trajectory_fails_and_none_hangs(tiny_chat, sandbox) -> None:
    engines = [Dying(script(tiny_chat, python("print(1)")), id=id, kv_tokens=1024) for id in ("a", "b")]
    scheduler = make(engines, HermesAgent(tiny_chat, [PythonTool(sandbox)]), sandbox, max_context=1024)
    group = await scheduler.submit(TASK, samples=16)
    assert {rollout.failure and rollout.failure.boundary for rollout in group.rollouts} == {"engine"}


async def test_whatever_an_agent_or_a_reward_does_only_its_own_trajectory_fails(tiny_chat, sandbox) -> None:
    engine = ScriptedEngine(script(tiny_chat, r"\boxed{42}"))
    whole = HermesAgent(tiny_chat, [PythonTool(sandbox)])

    async def returns_nothing(episode: Episode) -> Any:
        return None

    async def awaits_something_cancelled(episode: Episode) -> Outcome:
        other = asyncio.create_task(asyncio.sleep(1000))
        other.cancel()
        await other
        return Outcome("no_answer")

    async def says_what_no_log_can_hold(episode: Episode) -> Outcome:
        raise RuntimeError("lone \ud800 surrogate")

    async def fails_in_a_group(episode: Episode) -> Outcome:
        async with asyncio.TaskGroup() as both:
            both.create_task(fails(EngineError("first")))
        return Outcome("no_answer")

    async def fails(error: Exception) -> None:
        raise error

    for odd, boundary, message in (
        (returns_nothing, "agent", "must return an Outcome"),
        (awaits_something_cancelled, "cancelled", "cancelled"),
        (says_what_no_log_can_hold, "agent", "lone ? surrogate"),
        (fails_in_a_group, "engine", "first"),
    ):

        async def agent(episode: Episode, odd: Any = odd) -> Outcome:
            return await (odd if episode.id.endswith(".1") else whole)(episode)

        group = await make([engine], agent, sandbox).submit(TASK, samples=3)
        first, failed, last = group.rollouts
        assert (first.reward, last.reward) == (1.0, 1.0)
        assert failed.failure is not None
        assert failed.failure.boundary == boundary
        assert message in failed.failure.message

    async def numpy_reward(task: Task, outcome: Outcome) -> Any:
        return np.float32(0.5)

    group = await make([engine], whole, sandbox, reward=numpy_reward).submit(TASK, samples=1)
    assert (group.rollouts[0].reward, type(group.rollouts[0].reward)) == (0.5, float)


async def test_waiting_for_headroom_does_not_count_against_an_agents_time(tiny_chat, sandbox) -> None:
    engine = ScriptedEngine(
        script(tiny_chat, r"\boxed{42}"), kv_tokens=512, max_context=512, seconds_per_token=0.01
    )
    agent = HermesAgent(tiny_chat, [PythonTool(sandbox)])
    scheduler = make([engine], agent, sandbox, max_context=512, agent_timeout_s=0.25)
    group = await scheduler.submit(TASK, samples=40)
    assert [rollout.failure for rollout in group.rollouts] == [None] * 40


async def test_an_agent_that_hangs_outside_its_turns_fails_with_the_limits_name(tiny_chat, sandbox) -> None:
    async def agent(episode: Episode) -> Outcome:
        await asyncio.Event().wait()
        return Outcome("no_answer")

    scheduler = make([ScriptedEngine(lambda prompt: [])], agent, sandbox, agent_timeout_s=0.01)
    (rollout,) = (await scheduler.submit(TASK, samples=1)).rollouts
    assert rollout.failure is not None
    assert rollout.failure.message == "the agent took more than 0.01 s outside its turns"


async def test_a_tool_that_fails_takes_its_sibling_calls_along_before_the_trajectory_ends(
    tiny_chat, sandbox
) -> None:
    class Faulty(PythonTool):
        async def run(self, arguments: dict[str, Any]):
            if arguments["code"] == "fault":
                raise ToolFault("the tool broke")
            await asyncio.sleep(1000)

    engine = ScriptedEngine(script(tiny_chat, python("slow") + python("fault")))
    seen = Collected()
    scheduler = make([engine], HermesAgent(tiny_chat, [Faulty(sandbox)]), sandbox, sink=seen)
    (rollout,) = (await scheduler.submit(TASK, samples=1)).rollouts
    assert rollout.failure is not None
    assert rollout.failure.boundary == "sandbox"
    assert [call.status for call in rollout.tool_calls] == ["fault", "fault"]
    assert isinstance(seen.events[-1], ev.TrajectoryEnded)
    assert len(seen.of(ev.ToolStarted)) == len(seen.of(ev.ToolEnded)) == 2


async def test_tool_calls_are_recorded_in_the_order_in_which_they_were_made(tiny_chat, sandbox) -> None:
    calls = python("import time; time.sleep(0.3)") + python("1/0") + "<tool_call>oops</tool_call>"
    engine = ScriptedEngine(script(tiny_chat, calls, r"\boxed{42}"))
    agent = HermesAgent(tiny_chat, [PythonTool(sandbox)])
    (rollout,) = (await make([engine], agent, sandbox).submit(TASK, samples=1)).rollouts
    assert [call.status for call in rollout.tool_calls] == ["ok", "error", "malformed"]


async def test_weights_that_are_never_taken_in_fail_with_the_engines_name(
    tiny_chat, sandbox, tmp_path
) -> None:
    class Stuck(ScriptedEngine):
        async def update_weights(self, weights, version) -> None:
            await asyncio.Event().wait()

    engine = Stuck(script(tiny_chat, "hm"))
    scheduler = make([engine], HermesAgent(tiny_chat, [PythonTool(sandbox)]), sandbox, timeout_s=0.01)
    with pytest.raises(EngineError, match=r"engine-0: new weights were not taken in within 0\.01 s"):
        await scheduler.update_weights(tmp_path / "unused", 1)
