import pytest

from headway.sandbox import Limits, Result, Status, Tier
from headway.scheduler.hermes import (
    PYTHON_TOOL,
    Call,
    Malformed,
    boxed_answer,
    parse_calls,
    render_responses,
    render_result,
)


def call(body: str) -> str:
    return f"<tool_call>\n{body}\n</tool_call>"


def test_calls_are_found_in_order_and_with_newlines_inside_strings() -> None:
    text = (
        "think "
        + call('{"name": "python", "arguments": {"code": "a = 1\nprint(a)"}}')
        + call('{"name": "python", "arguments": {"code": "print(2)"}}')
    )
    assert parse_calls(text, [PYTHON_TOOL]) == [
        Call("python", {"code": "a = 1\nprint(a)"}),
        Call("python", {"code": "print(2)"}),
    ]


def test_a_call_without_its_closing_tag_is_still_a_call() -> None:
    text = '<tool_call>{"name": "python", "arguments": {"code": "1"}}'
    assert parse_calls(text, [PYTHON_TOOL]) == [Call("python", {"code": "1"})]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("print(1)", "not valid JSON"),
        ("[1]", "no tool name"),
        ('{"name": "bash", "arguments": {}}', "no tool named 'bash'"),
        ('{"name": "python", "arguments": "x"}', "arguments are not an object"),
        ('{"name": "python", "arguments": {}}', "missing argument 'code'"),
        ('{"name": "python", "arguments": {"code": 1}}', "argument 'code' is not a string"),
    ],
)
def test_a_call_that_cannot_be_run_says_why(body: str, reason: str) -> None:
    (malformed,) = parse_calls(call(body), [PYTHON_TOOL])
    assert isinstance(malformed, Malformed)
    assert reason in malformed.reason


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"so \boxed{42}.", "42"),
        (r"\boxed{1} then \boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed {x}", "x"),
        (r"\boxed{unclosed", None),
        (r"\boxed{\boxed{4}}", "4"),
        (r"} \boxed{open \boxed{5} {", "5"),
        ("42", None),
    ],
)
def test_the_last_box_with_balanced_braces_is_the_answer(text: str, answer: str | None) -> None:
    assert boxed_answer(text) == answer


def test_every_way_a_run_can_end_is_told_to_the_model_in_words() -> None:
    limits = Limits(wall_s=2.0)
    ended = {
        status: Result(status=status, stdout="7\n", stderr="E: x\n", signal=9, tier=Tier.B)
        for status in Status
    }
    assert render_result(ended[Status.OK], limits) == "7"
    assert render_result(ended[Status.ERROR], limits) == "7\nE: x"
    assert render_result(ended[Status.TIMEOUT], limits) == "7\nTimeoutError: stopped after 2 seconds."
    assert "MemoryError" in render_result(ended[Status.MEMORY_LIMIT], limits)
    assert "OutputLimitError" in render_result(ended[Status.OUTPUT_LIMIT], limits)
    assert "signal 9" in render_result(ended[Status.KILLED], limits)


def test_a_fault_of_the_sandbox_is_never_put_into_words_for_the_model() -> None:
    for status in (Status.SANDBOX_ERROR, Status.WORKER_LOST):
        with pytest.raises(ValueError, match="never shown"):
            render_result(Result(status=status, tier=Tier.B), Limits())


def test_silence_is_told_as_such_and_responses_are_wrapped() -> None:
    assert render_result(Result(status=Status.OK, tier=Tier.B), Limits()) == "(no output)"
    assert render_responses(["1", "2"]) == (
        "<tool_response>\n1\n</tool_response>\n<tool_response>\n2\n</tool_response>"
    )


def test_text_that_repeats_itself_endlessly_is_still_only_a_bad_call_or_no_answer() -> None:
    nested = call('{"name": ' + "[" * 100_000)
    assert parse_calls(nested, [PYTHON_TOOL]) == [Malformed("Invalid tool call: not valid JSON.")]
    assert boxed_answer(r"\boxed{" * 100_000) is None
