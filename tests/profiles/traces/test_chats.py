"""Chats as a workload."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

import headway
from headway.errors import InputError
from headway.profiles.traces.chat import parse_chat
from headway.profiles.traces.chats import read_chats
from headway.profiles.traces.options import TraceOptions
from headway.profiles.workload import Script, ScriptedTurn
from headway.scheduler import Chat, Message
from headway.scheduler.hermes import render_responses

TINY = Path(headway.__file__).parent / "trainer" / "tiny_policy"
CALL = {"id": "1", "type": "function", "function": {"name": "python", "arguments": "{}"}}
SEARCH = {"id": "2", "type": "function", "function": {"name": "search", "arguments": "{}"}}


def says(role: str, content: Any, *calls: dict[str, Any]) -> dict[str, Any]:
    return {"role": role, "content": content, **({"tool_calls": list(calls)} if calls else {})}


def write(tmp_path: Path, *chats: list[dict[str, Any]]) -> Path:
    file = tmp_path / "chats.jsonl"
    file.write_bytes(b"".join(msgspec.json.encode({"messages": chat}) + b"\n" for chat in chats))
    return file


def timed(*latency: str, **more: Any) -> TraceOptions:
    return TraceOptions(latency=latency, **more)


TASK = [says("system", "s" * 40), says("user", "u" * 39)]
SOLVED = [*TASK, says("assistant", None, CALL), says("tool", "t" * 80), says("assistant", "a" * 21)]


def test_a_chat_is_measured_in_characters(tmp_path: Path) -> None:
    workload = read_chats(write(tmp_path, SOLVED), timed("constant:1.5"))
    workload.check()
    [group] = workload.groups
    called = len('<tool_call>\n{"name": "python", "arguments": {}}\n</tool_call>')
    assert group.prompt == 81 // 4 + 1  # with the ends of two lines
    assert group.scripts == [Script([ScriptedTurn(-(-called // 4), 1.5, 20), ScriptedTurn(6)])]
    assert "4 characters taken as a token; tool times drawn from constant:1.5" in workload.notes


def test_chats_of_one_prompt_are_a_group_and_what_all_prompts_begin_with_is_common(tmp_path: Path) -> None:
    other = [says("system", "s" * 40), says("user", "v" * 99), says("assistant", "done")]
    workload = read_chats(write(tmp_path, SOLVED, other, SOLVED), timed("constant:1"))
    assert [len(group.scripts) for group in workload.groups] == [2, 1]
    assert workload.system == 10
    assert [workload.system + group.prompt for group in workload.groups] == [21, 36]


def test_calls_that_run_together_take_the_longest_and_a_person_is_a_tool(tmp_path: Path) -> None:
    chat = [
        *TASK,
        says("assistant", "both", CALL, SEARCH),
        says("tool", "x"),
        says("tool", "y"),
        says("assistant", "and?"),
        says("user", [{"type": "text", "text": "that is all"}, {"type": "image_url", "image_url": {}}]),
        says("assistant", "good"),
    ]
    times = timed("python=constant:1", "search=constant:4", "user=constant:30")
    [group] = read_chats(write(tmp_path, chat), times).groups
    assert [(turn.tool_s, turn.observed) for turn in group.scripts[0].turns] == [
        (4.0, 1),
        (30.0, 3),
        (0.0, 0),
    ]
    with pytest.raises(InputError, match=r"chats.jsonl:1: no latency is stated for the tool 'user'"):
        read_chats(write(tmp_path, chat), timed("python=constant:1", "search=constant:4"))


def test_consecutive_messages_of_an_assistant_are_one_turn(tmp_path: Path) -> None:
    chat = [*TASK, says("assistant", "a" * 20), says("assistant", "b" * 19)]
    [group] = read_chats(write(tmp_path, chat), timed("constant:1")).groups
    assert group.scripts == [Script([ScriptedTurn(10)])]


def test_a_tokenizer_counts_as_a_rollout_of_its_model_would(tmp_path: Path) -> None:
    chat = [
        says("user", "What is 2 + 3?"),
        says("assistant", "12", CALL),
        says("tool", "5"),
        says("assistant", "5"),
    ]
    [group] = read_chats(write(tmp_path, chat), timed("constant:1", tokenizer=TINY)).groups
    model = Chat.load(TINY)
    assert group.prompt == len(model.prompt([Message("user", "What is 2 + 3?")]))
    first, last = group.scripts[0].turns
    end_of_turn = model.stop_token_ids[-1:]
    assert first.observed == len(model.observation(render_responses(["5"]), after=end_of_turn))
    assert last.generated == 2  # the digit, and the end of the turn


def test_a_folder_without_a_tokenizer_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot load a tokenizer from this folder"):
        read_chats(write(tmp_path, SOLVED), timed("constant:1", tokenizer=tmp_path))


def test_chats_need_a_latency(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="chats do not say how long tools took"):
        read_chats(write(tmp_path, SOLVED), TraceOptions())


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (b'{"messages": [', "x:1: not a chat"),
        (b'{"messages": []}', "x:1: `messages` must begin with"),
        (b'{"messages": [{"role": "user", "content": "a"}]}', "x:1: `messages` must begin with"),
        (
            b'{"messages": [{"role": "assistant", "content": "a"}, {"role": "user", "content": "b"}]}',
            "x:1: `messages` must begin with",
        ),
        (
            b'{"messages": [{"role": "tool", "content": "a"}, {"role": "assistant", "content": "b"}]}',
            "x:1: `messages` has a tool's before the first",
        ),
        (b'{"messages": [{"role": "narrator", "content": "a"}]}', "x:1: not a chat: Invalid enum value"),
    ],
)
def test_a_broken_line_is_named(line: bytes, fault: str) -> None:
    with pytest.raises(InputError, match=fault):
        parse_chat(line, "x:1")
