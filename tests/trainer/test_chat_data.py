"""Rows of chats become the tokens that a rollout of the same words would have recorded."""

import json
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from transformers import AutoTokenizer

import headway.trainer
from headway.errors import InputError
from headway.scheduler import Chat
from headway.scheduler.hermes import PYTHON_TOOL, parse_calls
from headway.trainer.chat_data import ChatData, load_chats
from headway.trainer.demonstrations import Demonstration, Mix, demonstrations
from headway.trainer.tokens import encode

SHIPPED = Path(headway.trainer.__file__).parent / "tiny_policy"
HELLO = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hello to you."}]
CALL = {"function": {"name": "python", "arguments": {"code": "print(1)"}}}


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(SHIPPED)


def load(file: Path, tokenizer: Any, *rows: Any, max_tokens: int = 1000) -> ChatData:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return load_chats(file, tokenizer, max_tokens=max_tokens)


def texts(tokenizer: Any, data: ChatData) -> list[str]:
    return [
        tokenizer.decode([id for id, mine in zip(example.ids, example.written, strict=True) if mine])
        for example in data.examples
    ]


def as_row(shown: Demonstration, *, as_text: bool) -> dict[str, Any]:
    """A demonstration in the shape of OpenAI's API."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": shown.task.messages[0].content}]
    for segment in shown.segments:
        if not segment.written:
            answer = segment.text.removeprefix("<tool_response>\n").removesuffix("\n</tool_response>")
            messages.append({"role": "tool", "content": answer, "tool_call_id": "call-1"})
            continue
        words, _, call = segment.text.partition("<tool_call>\n")
        message: dict[str, Any] = {"role": "assistant", "content": words.rstrip("\n") or None}
        if call:
            function = json.loads(call.removesuffix("\n</tool_call>"))
            if as_text:
                function["arguments"] = json.dumps(function["arguments"])
            message["tool_calls"] = [{"id": "call-1", "type": "function", "function": function}]
        messages.append(message)
    return {"messages": messages, "tools": json.dumps([PYTHON_TOOL]) if as_text else [PYTHON_TOOL]}


def callable_only(shown: Demonstration) -> bool:
    return all(
        hasattr(call, "arguments")
        for segment in shown.segments
        for call in parse_calls(segment.text, [PYTHON_TOOL])
    )


def test_a_chat_with_tools_is_what_a_rollout_of_it_is(tokenizer: Any, tmp_path: Path) -> None:
    shown = [one for one in islice(demonstrations(Mix(), seed=3), 30) if callable_only(one)]
    assert len(shown) > 10
    rows = [as_row(one, as_text=bool(number % 2)) for number, one in enumerate(shown)]
    chat = Chat(tokenizer, [PYTHON_TOOL])
    found = load(tmp_path / "chats.jsonl", tokenizer, *rows).examples
    for one, example in zip(shown, found, strict=True):
        expected = encode(tokenizer, chat, one)
        assert list(example.ids) == expected.ids
        assert list(map(bool, example.written)) == expected.written
    table = pyarrow.Table.from_pylist([as_row(one, as_text=True) for one in shown])
    pyarrow.parquet.write_table(table, tmp_path / "chats.parquet")
    assert load_chats(tmp_path / "chats.parquet", tokenizer, max_tokens=1000).examples == found


def test_several_turns_have_a_loss_and_nothing_else_has(tokenizer: Any, tmp_path: Path) -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        *HELLO,
        {"role": "user", "content": "Twice, please."},
        {"role": "assistant", "content": "Two calls.", "tool_calls": [CALL, CALL]},
        {"role": "tool", "content": "1"},
        {"role": "tool", "content": ""},
        {"role": "assistant", "content": "Done."},
    ]
    row = {"messages": messages, "tools": [PYTHON_TOOL], "source": "by hand"}
    data = load(tmp_path / "chats.jsonl", tokenizer, row)
    call = '<tool_call>\n{"name": "python", "arguments": {"code": "print(1)"}}\n</tool_call>'
    (written,) = texts(tokenizer, data)
    assert written == f"Hello to you.<|im_end|>Two calls.\n{call}\n{call}<|im_end|>Done.<|im_end|>"
    whole = tokenizer.decode(list(data.examples[0].ids))
    assert "<|im_start|>system\nBe brief." in whole
    assert "<tool_response>\n1\n</tool_response>\n<tool_response>\n\n</tool_response>" in whole
    assert whole.endswith("Done.<|im_end|>")
    assert (data.tokens, data.written) == (len(data.examples[0].ids), len(tokenizer.encode(written)))


def test_a_turn_ends_as_the_template_ends_it(tokenizer: Any, tmp_path: Path) -> None:
    """Not with an end of sequence that no chat has, which some models' tokenizers name."""
    other = AutoTokenizer.from_pretrained(SHIPPED)
    other.add_special_tokens({"additional_special_tokens": ["<|im_end|>"]})
    other.eos_token = "<|endoftext|>"
    more = [*HELLO, *HELLO]
    ours, theirs = (load(tmp_path / "c.jsonl", one, {"messages": more}) for one in (tokenizer, other))
    assert list(ours.examples[0].ids) == list(theirs.examples[0].ids)


def test_chats_that_are_too_long_are_left_out_and_counted(tokenizer: Any, tmp_path: Path) -> None:
    long = [HELLO[0], {"role": "assistant", "content": "Hello. " * 50}]
    rows = [{"messages": HELLO}, {"messages": long}, {"messages": HELLO}]
    data = load(tmp_path / "chats.jsonl", tokenizer, *rows, max_tokens=60)
    assert (len(data.examples), data.too_long) == (2, 1)
    with pytest.raises(InputError, match=r"chats.jsonl: every chat is longer than 5 tokens"):
        load(tmp_path / "chats.jsonl", tokenizer, *rows, max_tokens=5)


def said(text: str | None = None, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": text, **more}


def calls(*ids: str) -> dict[str, Any]:
    function = {"name": "python", "arguments": {"code": "print(1)"}}
    return said(tool_calls=[{"id": id, "function": function} for id in ids])


def answer(id: str) -> dict[str, Any]:
    return {"role": "tool", "content": f"of {id}", "tool_call_id": id}


def test_answers_stand_in_the_order_of_their_calls(tmp_path: Path, tokenizer: Any) -> None:
    rows = [
        {"messages": [HELLO[0], calls("a", "b"), answer(first), answer(second), HELLO[1]]}
        for first, second in ("ab", "ba")
    ]
    data = load(tmp_path / "chats.jsonl", tokenizer, *({**row, "tools": [PYTHON_TOOL]} for row in rows))
    assert data.examples[0] == data.examples[1]


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ({}, "`messages` must begin with a system's or a user's and end with an assistant's"),
        ({"messages": HELLO[:1]}, "and end with an assistant's"),
        ({"messages": HELLO[1:]}, "must begin with a system's or a user's"),
        ({"messages": [*HELLO, HELLO[0]]}, "and end with an assistant's"),
        (
            {"messages": [*HELLO, said("More.")]},
            "must be one of a user or those of tools; here there is nothing",
        ),
        ({"messages": [*HELLO, HELLO[0], HELLO[0], said("So.")]}, "here there is user, user"),
        (
            {"messages": [HELLO[0], {"role": "tool", "content": "1"}, HELLO[1]]},
            "has a tool's before the first",
        ),
        ({"messages": [{"role": "narrator"}]}, r"Invalid enum value 'narrator' - at `\$\[0\].role`"),
        ({"messages": [{"role": "user"}, HELLO[1]]}, "a message of the user has no content"),
        ({"messages": [HELLO[0], said()]}, "has neither content nor tool calls"),
        (
            {"messages": [HELLO[0], said(tool_calls=[{"function": {"name": "f", "arguments": "{"}}])]},
            "`arguments` is text that is not JSON",
        ),
        (
            {"messages": [HELLO[0], said(tool_calls=[{"function": {"name": "f", "arguments": "[]"}}])]},
            "the arguments of a call of f are not a JSON object",
        ),
        ({"messages": [HELLO[0], said("So.", weight=0)]}, "Object contains unknown field `weight`"),
        ({"messages": [HELLO[0], said("So.", reasoning_content="Hm.")]}, "unknown field `reasoning_content`"),
        ({"messages": [HELLO[0], calls("a")]}, "calls a tool, and the row has no `tools`"),
        (
            {"messages": [HELLO[0], calls("a", "b"), answer("a"), HELLO[1]], "tools": [PYTHON_TOOL]},
            "2 tool calls are followed by 1 messages of tools",
        ),
        (
            {"messages": [HELLO[0], calls("a"), answer("b"), HELLO[1]], "tools": [PYTHON_TOOL]},
            "are not the `id`s of the calls before them",
        ),
        (
            {"messages": [HELLO[0], calls("a"), HELLO[0], HELLO[1]], "tools": [PYTHON_TOOL]},
            "must be followed by those of the tools, and no others",
        ),
        (
            {"messages": [*HELLO, answer("a"), HELLO[1]], "tools": [PYTHON_TOOL]},
            "0 tool calls are followed by 1 messages of tools",
        ),
        (
            {
                "messages": [HELLO[0], said(tool_calls=[{"function": {"name": "f", "arguments": {}}}])],
                "tools": [PYTHON_TOOL],
            },
            "Invalid tool call: no tool named 'f'",
        ),
        ({"messages": HELLO, "tools": [{"name": "f"}]}, "missing required field `function`"),
        ({"messages": HELLO, "tools": "{"}, "`tools` is text that is not JSON"),
    ],
)
def test_a_row_that_cannot_be_used_is_named_with_its_fault(
    row: Any, fault: str, tokenizer: Any, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=rf"chats.jsonl:2: not a chat to learn from: .*{fault}"):
        load(tmp_path / "chats.jsonl", tokenizer, {"messages": HELLO}, row)


def test_nested_columns_of_parquet_are_refused_since_they_invent_arguments(
    tokenizer: Any, tmp_path: Path
) -> None:
    pyarrow.parquet.write_table(
        pyarrow.Table.from_pylist([{"messages": HELLO, "tools": [PYTHON_TOOL]}]), tmp_path / "c.parquet"
    )
    with pytest.raises(InputError, match=r"c.parquet: row 1: .*`tools` must be JSON text in a parquet file"):
        load_chats(tmp_path / "c.parquet", tokenizer, max_tokens=1000)


def test_an_empty_file_holds_no_chat(tokenizer: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"chats.jsonl: holds no chat"):
        load(tmp_path / "chats.jsonl", tokenizer)
