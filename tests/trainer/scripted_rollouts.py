"""Rollouts that the real scheduler makes, of the shipped policy's agent, with a scripted engine in its place.

The script asks for a product with a tool, mends a call that failed, and answers; a third of the tasks get a
wrong answer, and one is cut off.
"""

from collections.abc import Sequence

from headway.cli.config import SessionConfig
from headway.cli.session import load_chat
from headway.engine.scripted import ScriptedEngine
from headway.sandbox import Result, Snippet
from headway.scheduler import (
    AgentLimits,
    Chat,
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
from headway.trainer.trusted_run import run_trusted

CALL = '<tool_call>\n{{"name": "python", "arguments": {{"code": "{code}"}}}}\n</tool_call>'
ANSWER = "<answer>\\boxed{{{answer}}}</answer>"


class Trusted:
    """A sandbox for the script's own code."""

    async def run(self, snippet: Snippet) -> Result:
        return run_trusted(snippet.code)


async def reward(task: Task, outcome: Outcome) -> float | None:
    return float(outcome.answer == task.answer)


def tasks(count: int) -> list[Task]:
    return [
        Task(
            id=f"t{i}",
            messages=[Message("user", f"What is {1200 + i} times {56 + i}?")],
            answer=str((1200 + i) * (56 + i)),
        )
        for i in range(count)
    ]


class Script:
    """What the engine writes, from what it is shown."""

    def __init__(self, chat: Chat) -> None:
        self._chat = chat

    def __call__(self, prompt: Sequence[int]) -> list[int]:
        text = self._chat.transcript(prompt)
        question = text.split("What is ")[-1].split("?")[0]
        a, b = (int(part) for part in question.split(" times "))
        return self._turn(self._said(a, b, text.count("<tool_response>\n")))

    def _said(self, a: int, b: int, answered: int) -> str:
        if b % 5 == 4:
            return "I count. " * 100
        if answered == 0:
            return CALL.format(code=f"print({a}*{b}" if b % 2 else f"print({a}*{b})")
        if answered == 1 and b % 2:
            return "The call failed. " + CALL.format(code=f"print({a}*{b})")
        return ANSWER.format(answer=a * b + (b % 3 == 0))

    def _turn(self, text: str) -> list[int]:
        ids = self._chat._tokenizer.encode(text, add_special_tokens=False)
        return [*ids, *self._chat.stop_token_ids]


async def scripted_rollouts(count: int = 6, samples: int = 1) -> tuple[list[Rollout], Chat]:
    """Rollouts of so many tasks, in the order of their ids, and the chat to read them with."""
    chat = load_chat(SessionConfig(model="tiny"))
    rollouts: list[Rollout] = []
    agent = HermesAgent(chat, [PythonTool(Trusted())], AgentLimits(max_turns=4, max_turn_tokens=64))
    scheduler = Scheduler(
        [ScriptedEngine(Script(chat), max_context=1024)],
        policy=make_policy("headroom"),
        agent=agent,
        reward=reward,
        episodes=EpisodeConfig(max_context=1024),
        turns=TurnConfig(stop_token_ids=agent.stop_token_ids),
        on_rollout=rollouts.append,
    )
    async for _ in scheduler.stream(tasks(count), samples=samples):
        pass
    await scheduler.close()
    return sorted(rollouts, key=lambda rollout: (int(rollout.task[1:]), rollout.id)), chat
