"""What the cold start trains on is, token for token, what the bundled agent and the sandbox would record."""

from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

import headway.trainer
from headway.engine import Generation
from headway.sandbox import Limits, ZygoteSandbox
from headway.scheduler import AgentLimits, Chat, HermesAgent, PythonTool
from headway.scheduler.episode import Episode, Hooks, Turn
from headway.scheduler.hermes import PYTHON_TOOL
from headway.trainer.demonstrations import Demonstration, Mix, demonstrations
from headway.trainer.tokens import encode, model_turn

SHIPPED = Path(headway.trainer.__file__).parent / "tiny_policy"


class Recital:
    """A model that writes the given turns, one after the other."""

    def __init__(self, turns: list[list[int]]) -> None:
        self._turns = iter(turns)

    async def run_turn(self, episode: Episode, limit: int) -> Turn:
        tokens = next(self._turns)
        assert len(tokens) <= limit
        generation = Generation(
            tokens=tokens,
            logprobs=[-1.0] * len(tokens),
            versions=[0] * len(tokens),
            finish_reason="stop",
        )
        return Turn("recital", generation)


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(SHIPPED)


@pytest.fixture(scope="module")
def chat(tokenizer: Any) -> Chat:
    return Chat(tokenizer, [PYTHON_TOOL])


@pytest.fixture(scope="module")
def shown() -> list[Demonstration]:
    return list(islice(demonstrations(Mix(), seed=5), 90))


async def test_an_example_is_what_a_live_rollout_records(
    tokenizer: Any, chat: Chat, shown: list[Demonstration]
) -> None:
    async with await ZygoteSandbox.start(workers=1) as sandbox:
        tool = PythonTool(sandbox, Limits(wall_s=60.0, cpu_s=60.0))
        agent = HermesAgent(chat, [tool], AgentLimits(max_turns=4, max_turn_tokens=96))
        for demonstration in shown:
            turns = [model_turn(tokenizer, part.text) for part in demonstration.segments if part.written]
            hooks = Hooks(Recital(turns).run_turn, lambda *_: None, lambda *_: None)
            episode = Episode(
                id="e", group="g", task=demonstration.task, priority=0, max_context=512, hooks=hooks
            )
            outcome = await agent(episode)
            example = encode(tokenizer, chat, demonstration)
            assert outcome.finish_reason == "answer"
            assert example.ids == episode.tokens
            assert example.written == episode.mask


def test_written_tokens_are_the_models_turns_and_nothing_else(
    tokenizer: Any, chat: Chat, shown: list[Demonstration]
) -> None:
    for demonstration in shown:
        example = encode(tokenizer, chat, demonstration)
        written = [id for id, mine in zip(example.ids, example.written, strict=True) if mine]
        turns = [segment.text for segment in demonstration.segments if segment.written]
        assert tokenizer.decode(written) == "<|im_end|>".join([*turns, ""])


def test_decoding_keeps_the_tags_and_drops_the_end_of_turn(
    tokenizer: Any, chat: Chat, shown: list[Demonstration]
) -> None:
    for demonstration in shown:
        text = demonstration.segments[0].text
        assert chat.decode(model_turn(tokenizer, text)) == text


def test_every_digit_is_a_token_of_its_own(tokenizer: Any) -> None:
    pieces = [tokenizer.decode([id]) for id in tokenizer.encode("40713 and (982*35)")]
    assert [piece for piece in pieces if any(c.isdigit() for c in piece)] == list("4071398235")
