from collections.abc import Sequence

import msgspec
import pytest

from headway.scheduler.rollout import Rollout, ToolCall, TurnSpan
from headway.trainer.entropy import Place, places
from tests.trainer.records import rollout


def write(turns: Sequence[Sequence[str]], calls: Sequence[int] = ()) -> tuple[Rollout, list[str]]:
    """A rollout whose token ids are places in a list of pieces; two observed tokens before each turn."""
    pieces: list[str] = []
    mask: list[bool] = []
    spans: list[TurnSpan] = []
    for turn in turns:
        pieces += ["<", ">", *turn]
        mask += [False, False] + [True] * len(turn)
        spans.append(
            TurnSpan(
                start=len(pieces) - len(turn),
                end=len(pieces),
                engine="e",
                finish="stop",
                cached_tokens=0,
                preemptions=0,
            )
        )
    record = msgspec.structs.replace(
        rollout(),
        tokens=list(range(len(pieces))),
        mask=mask,
        logprobs=[0.0] * len(pieces),
        versions=[0 if model else -1 for model in mask],
        turns=spans,
        tool_calls=[ToolCall(turn=turn, tool="python", status="ok") for turn in calls],
    )
    return record, pieces


def found(turns: Sequence[Sequence[str]], calls: Sequence[int] = (), first: int = 0) -> list[str]:
    record, pieces = write(turns, calls)
    return [str(place) for place in places(record, pieces.__getitem__, first=first)]


def test_code_is_told_from_the_rest_of_its_call_and_from_text_around_it() -> None:
    turn = [
        "Let",
        " us.",
        "<tool_call>",
        '{"name": "python", "arguments": {"',
        "code",
        '": "',
        "print(",
        "1",
        ")",
        '"}}',
        "</tool_call>",
        "<end>",
    ]
    assert found([turn]) == ["elsewhere"] * 2 + ["call"] * 4 + ["code"] * 3 + ["call"] * 2 + ["elsewhere"]


def test_a_quotation_mark_inside_code_does_not_end_it_and_a_call_that_is_cut_off_is_one() -> None:
    turn = ['<tool_call>{"arguments": {"code": "', 'print(\\"', "a", '\\")', "\\n", "x"]
    assert found([turn]) == ["call"] + ["code"] * 5


def test_answers_are_inside_their_tags_or_a_box_with_all_its_braces() -> None:
    assert found([["So", "<answer>", "\\boxed{", "4", "}", "</answer>", "."]]) == [
        "elsewhere",
        "elsewhere",
        *["answer"] * 3,
        "elsewhere",
        "elsewhere",
    ]
    assert found([["Thus \\boxed{", "\\frac{", "1", "}{", "2", "}", "}", " ends"]]) == [
        "elsewhere",
        *["answer"] * 5,
        "elsewhere",
        "elsewhere",
    ]


def test_the_first_tokens_of_a_turn_count_as_its_start_whatever_they_are() -> None:
    turns = [["<tool_call>", "a", "b"], ["<answer>", "4", "</answer>"], ["c"]]
    assert found(turns, calls=[0], first=2) == [
        "turn_start",
        "turn_start",
        "call",
        "after_tool",
        "after_tool",
        "elsewhere",
        "turn_start",
    ]


@pytest.mark.parametrize("first", [0, 1, 100])
def test_every_written_token_has_one_place(first: int) -> None:
    turns = [["<tool_call>"] * 3, [], ["x"] * 5]
    assert len(found(turns, first=first)) == 8
    assert set(Place) >= set(found(turns, first=first))
