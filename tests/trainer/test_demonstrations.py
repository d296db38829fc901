import random
from collections import Counter
from itertools import islice

import pytest

from headway.sandbox import Limits
from headway.sandbox.result import Status
from headway.scheduler.hermes import (
    PYTHON_TOOL,
    Call,
    Malformed,
    boxed_answer,
    parse_calls,
    render_responses,
    render_result,
)
from headway.trainer.arithmetic import Split, split_of, stream
from headway.trainer.demonstrations import Demonstration, Mix, Mode, demonstrate, demonstrations
from headway.trainer.trusted_run import run_trusted


@pytest.fixture(scope="module")
def shown() -> list[Demonstration]:
    return list(islice(demonstrations(Mix(), seed=0), 1800))


def test_the_same_seed_gives_the_same_demonstrations(shown: list[Demonstration]) -> None:
    assert list(islice(demonstrations(Mix(), seed=0), 200)) == shown[:200]
    assert list(islice(demonstrations(Mix(), seed=1), 200)) != shown[:200]


def test_demonstrations_show_no_held_out_problem(shown: list[Demonstration]) -> None:
    assert {split_of(demonstration.task.id) for demonstration in shown} == {Split.TRAIN}


def test_the_modes_have_the_weights_of_the_mix(shown: list[Demonstration]) -> None:
    counts = Counter(demonstration.mode for demonstration in shown)
    mix = Mix()
    total = mix.clean + mix.wrong + mix.mended + mix.guess
    for mode, weight in (
        (Mode.CLEAN, mix.clean),
        (Mode.WRONG, mix.wrong),
        (Mode.MENDED, mix.mended),
        (Mode.GUESS, mix.guess),
    ):
        assert counts[mode] / len(shown) == pytest.approx(weight / total, abs=0.04)


def test_authors_alternate_and_the_model_speaks_first_and_last(shown: list[Demonstration]) -> None:
    for demonstration in shown:
        authors = [segment.written for segment in demonstration.segments]
        assert authors == [i % 2 == 0 for i in range(len(authors))]
        assert authors[-1]


def test_clean_and_mended_ones_answer_rightly_and_wrong_ones_wrongly(shown: list[Demonstration]) -> None:
    for demonstration in shown:
        right = boxed_answer(demonstration.segments[-1].text) == demonstration.task.answer
        if demonstration.mode in (Mode.CLEAN, Mode.MENDED):
            assert right
        if demonstration.mode is Mode.WRONG:
            assert not right


def test_a_clean_ones_code_really_yields_the_answer(shown: list[Demonstration]) -> None:
    for demonstration in shown:
        if demonstration.mode is Mode.CLEAN:
            (call,) = parse_calls(demonstration.segments[0].text, [PYTHON_TOOL])
            assert isinstance(call, Call)
            assert run_trusted(call.arguments["code"]).stdout.strip() == demonstration.task.answer


def test_every_observation_is_what_its_call_gives(shown: list[Demonstration]) -> None:
    for demonstration in shown:
        for turn, observation in zip(demonstration.segments[::2], demonstration.segments[1::2], strict=False):
            (call,) = parse_calls(turn.text, [PYTHON_TOOL])
            text = (
                call.reason
                if isinstance(call, Malformed)
                else render_result(run_trusted(call.arguments["code"]), Limits())
            )
            assert observation.text == render_responses([text])


def test_mended_ones_fail_in_many_ways_before_they_succeed(shown: list[Demonstration]) -> None:
    seen: Counter[str] = Counter()
    for demonstration in shown:
        if demonstration.mode is Mode.MENDED:
            *failures, success = demonstration.segments[1:-1:2]
            assert demonstration.task.answer
            assert demonstration.task.answer in success.text
            assert failures
            seen.update(failure.text.splitlines()[-2].split(":")[0] for failure in failures)
    assert {"NameError", "SyntaxError", "TypeError", "ValueError", "Invalid tool call"} <= set(seen)


def test_a_guess_calls_no_tool(shown: list[Demonstration]) -> None:
    guesses = [demonstration for demonstration in shown if demonstration.mode is Mode.GUESS]
    assert guesses
    assert all(len(guess.segments) == 1 for guess in guesses)


def test_a_call_can_fail_twice() -> None:
    problem = next(stream(Split.TRAIN, 0))
    demonstration = demonstrate(problem, Mode.MENDED, random.Random(0), fails_again=1.0)
    assert len(demonstration.segments) == 7


def test_trusted_code_answers_like_the_sandbox() -> None:
    failed = run_trusted("print(1)\nx")
    assert failed.status is Status.ERROR
    assert failed.stdout == "1\n"
    assert failed.stderr == (
        'Traceback (most recent call last):\n  File "<code>", line 2, in <module>\n'
        "NameError: name 'x' is not defined\n"
    )
    assert run_trusted("print((1)").stderr == "  File \"<code>\", line 1\nSyntaxError: '(' was never closed\n"
