import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

import headway
from headway.engine.scripted import ScriptedEngine
from headway.sandbox import Limits, ZygoteSandbox
from headway.scheduler import (
    AnswerReward,
    Chat,
    EpisodeConfig,
    HermesAgent,
    Message,
    PythonSessionTool,
    Scheduler,
    StandardIOTool,
    Task,
    TurnConfig,
    make_policy,
)
from headway.scheduler.rollout import Rollout

TINY = Path(headway.__file__).parent / "trainer" / "tiny_policy"

pytestmark = pytest.mark.asyncio(loop_scope="session")

TASK = Task(id="t", messages=[Message(role="user", content="What is 6 times 7?")], answer="42")
LIMITS = Limits(wall_s=60.0, cpu_s=60.0)
ANSWER = r"<answer>\boxed{42}</answer>"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def sandbox() -> AsyncIterator[ZygoteSandbox]:
    async with await ZygoteSandbox.start(workers=2) as started:
        yield started


async def rollouts(sandbox, tool, *turns: str, samples: int = 1) -> list[tuple[Rollout, str]]:
    """Roll out a script of turns; each rollout with its transcript."""
    chat = Chat.load(TINY, [tool.schema])

    def write(prompt):
        said = chat.transcript(prompt).count("<|im_start|>assistant") - 1
        text = turns[min(said, len(turns) - 1)]
        letters = itertools.chain.from_iterable(chat._encode(letter) for letter in text)
        return [*letters, chat.stop_token_ids[-1]]

    scheduler = Scheduler(
        [ScriptedEngine(write)],
        policy=make_policy("headroom"),
        agent=HermesAgent(chat, [tool]),
        reward=AnswerReward(sandbox),
        episodes=EpisodeConfig(max_context=8192),
        turns=TurnConfig(timeout_s=60.0),
    )
    group = await scheduler.submit(TASK, samples=samples)
    await scheduler.close()
    return [(rollout, chat.transcript(rollout.tokens)) for rollout in group.rollouts]


def call(tool: str, **arguments: str) -> str:
    return f"<tool_call>\n{json.dumps({'name': tool, 'arguments': arguments})}\n</tool_call>"


async def test_variables_of_a_session_tool_last_from_call_to_call(sandbox) -> None:
    turns = [call("python", code="x = 40"), call("python", code="x += 2\nx"), ANSWER]
    ((rollout, text),) = await rollouts(sandbox, PythonSessionTool(sandbox, LIMITS), *turns)
    assert [each.status for each in rollout.tool_calls] == ["ok", "ok"]
    assert "<tool_response>\n42\n</tool_response>" in text


async def test_trajectories_do_not_share_a_session(sandbox) -> None:
    turns = [call("python", code="x = globals().get('x', 0) + 1\nprint('x is', x)"), ANSWER]
    for _, text in await rollouts(sandbox, PythonSessionTool(sandbox, LIMITS), *turns, samples=4):
        assert "x is 1" in text


async def test_two_calls_of_one_turn_run_in_order_in_one_session(sandbox) -> None:
    turns = [call("python", code="x = 41") + call("python", code="x + 1"), ANSWER]
    ((_, text),) = await rollouts(sandbox, PythonSessionTool(sandbox, LIMITS), *turns)
    assert "<tool_response>\n(no output)\n</tool_response>\n<tool_response>\n42\n" in text


async def test_a_trajectorys_session_ends_with_it(sandbox) -> None:
    await rollouts(sandbox, PythonSessionTool(sandbox, LIMITS), call("python", code="x = 1"), ANSWER)
    assert not sandbox._sessions


async def test_a_session_that_expired_says_so_once_and_the_next_call_starts_afresh(sandbox) -> None:
    async with PythonSessionTool(sandbox, LIMITS, idle_s=0.05).open() as tool:
        assert (await tool.run({"code": "x = 1"})).status == "ok"
        while sandbox._sessions:  # noqa: ASYNC110 (the session's own clock runs)
            await asyncio.sleep(0.01)
        expired = await tool.run({"code": "x"})
        assert (expired.status, "are gone" in expired.text) == ("expired", True)
        assert (await tool.run({"code": "x = 2\nx"})).text == "2"


async def test_the_papers_tool_reads_the_models_input(sandbox) -> None:
    code = "print(int(input()) * int(input()))"
    turns = [call("python_code_with_standard_io", code=code, input="6\n7\n"), ANSWER]
    ((rollout, text),) = await rollouts(sandbox, StandardIOTool(sandbox, LIMITS), *turns)
    assert rollout.reward == 1.0
    assert "<tool_response>\n42\n</tool_response>" in text


async def test_the_papers_tool_takes_input_of_any_size(sandbox) -> None:
    tool = StandardIOTool(sandbox, LIMITS)
    observation = await tool.run(
        {"code": "import sys; print(len(sys.stdin.read()))", "input": "é" * 5_000_000}
    )
    assert observation.text == "5000000"


async def test_a_call_without_its_input_is_malformed(sandbox) -> None:
    turns = [call("python_code_with_standard_io", code="1"), ANSWER]
    ((rollout, text),) = await rollouts(sandbox, StandardIOTool(sandbox, LIMITS), *turns)
    assert [each.status for each in rollout.tool_calls] == ["malformed"]
    assert "missing argument 'input'" in text
