import asyncio
import random
from html.parser import HTMLParser

import msgspec
import pytest

from headway.scheduler import Chat, Rollout
from headway.trainer.transcript import choose, say_call, transcribe, visible
from headway.trainer.transcript_page import transcripts_page
from headway.trainer.transcript_text import transcripts_text

from .records import rollout
from .scripted_rollouts import scripted_rollouts


@pytest.fixture(scope="module")
def recorded() -> tuple[list[Rollout], Chat]:
    return asyncio.run(scripted_rollouts())


def test_segments_are_the_rollouts_tokens_by_author(recorded: tuple[list[Rollout], Chat]) -> None:
    rollouts, chat = recorded
    for record in rollouts:
        said = transcribe(record, chat.transcript)
        assert "".join(segment.text for segment in said.segments) == chat.transcript(record.tokens)
        kinds = [segment.kind for segment in said.segments]
        assert kinds == ["prompt", *["model", "tool"] * (len(record.turns) - 1), "model"]
        assert [call for segment in said.segments for call in segment.calls] == record.tool_calls
    prompt, first, answer, second, _, last = transcribe(rollouts[1], chat.transcript).segments
    assert "What is 1201 times 57?" in prompt.text
    assert [say_call(call).split(" in ")[0] for call in (*first.calls, *second.calls)] == [
        "✗ python: error",
        "✓ python: ok",
    ]
    assert "SyntaxError" in answer.text
    assert last.text.startswith("<answer>")


def test_what_is_known_of_a_rollout_stands_above_it(recorded: tuple[list[Rollout], Chat]) -> None:
    rollouts, chat = recorded
    said = transcribe(rollouts[0], chat.transcript, advantage=0.75)
    assert said.outcome == "right"
    assert said.facts == [
        "task t0",
        "reward 1",
        "advantage +0.75",
        "answer 67200",
        "ended by answer",
        "40 tokens in 2 turns",
        "weights 0",
    ]
    assert transcribe(rollouts[3], chat.transcript).outcome == "wrong"
    assert transcribe(rollout(reward=None), str).outcome == "failed"
    assert "failed in its engine: died" in transcribe(rollout(reward=None), str).facts


def test_the_text_and_the_page_hold_every_word(recorded: tuple[list[Rollout], Chat]) -> None:
    rollouts, chat = recorded
    shown = [transcribe(record, chat.transcript) for record in rollouts]
    text = transcripts_text("step 3", shown)
    assert text.startswith("step 3\n")
    words = Words()
    words.feed(transcripts_page("step 3", shown))
    for transcript in shown:
        for segment in transcript.segments:
            assert segment.text in text
            assert segment.text in words.text
    assert {"prompt", "model", "tool", "calls failed", "calls ok"} <= words.classes


class Words(HTMLParser):
    """What a reader sees of a page, and the classes in it; fails on whatever it would load."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self.classes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in ("script", "link", "img", "iframe")
        self.classes |= {value or "" for name, value in attrs if name == "class"}

    def handle_data(self, data: str) -> None:
        self.text += data


def test_what_a_model_writes_is_never_markup_and_never_steers_a_terminal() -> None:
    hostile = rollout(reward=1.0, written=4)
    said = transcribe(hostile, lambda ids: "<script>alert(1)</script>\x1b[2J\x9b2J\x07\u202egpj\r\ttab\n")
    page = transcripts_page("<b>title</b>", [said])
    assert "<script>" not in page
    assert "<b>title" not in page
    assert said.segments[1].text == "<script>alert(1)</script>␛[2J<U+009B>2J␇<U+202E>gpj␍\ttab\n"
    assert visible("plain ünïcode 漢字 😀\n") == "plain ünïcode 漢字 😀\n"


def test_right_and_wrong_rollouts_are_chosen_in_turn_whatever_their_order() -> None:
    rollouts = [msgspec.structs.replace(rollout(reward=float(i < 3)), id=f"g{i}.0") for i in range(10)] + [
        msgspec.structs.replace(rollout(reward=None), id="g10.0")
    ]
    once = choose(rollouts, 4, random.Random(1))
    assert [record.reward for record in once] == [1.0, 0.0, 1.0, 0.0]
    assert choose(rollouts[::-1], 4, random.Random(1)) == once
    everything = choose(rollouts, 99, random.Random(1))
    assert len({record.id for record in everything}) == len(everything) == 11
    assert everything[-1].reward is None
    assert choose(rollouts, 0, random.Random(1)) == []
