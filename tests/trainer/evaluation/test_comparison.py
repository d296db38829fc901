from pathlib import Path

import msgspec
import pytest

from headway.errors import InputError
from headway.scheduler import Rollout
from headway.trainer.evaluation import (
    Evaluation,
    TaskScore,
    compare,
    figures,
    load_evaluation,
    score_tasks,
)
from tests.trainer.records import rollout


def of_task(task: str, record: Rollout) -> Rollout:
    return msgspec.structs.replace(record, task=task)


def evaluation(right: dict[str, int], n: int = 4, **settings: str) -> Evaluation:
    scores = [
        TaskScore(id=id, n=n, correct=correct, response_tokens=100 * n, turns=2 * n, calls=n, failed_calls=1)
        for id, correct in right.items()
    ]
    return Evaluation(
        headway="0",
        model="m",
        tasks="t.jsonl",
        samples=n,
        settings=settings,
        complete=True,
        seconds=1.0,
        figures=figures(scores, [1, 2, 4]),
        scores=scores,
    )


def test_rollouts_are_counted_by_task_and_those_without_a_reward_apart() -> None:
    cut_off = msgspec.structs.replace(rollout(reward=0.0, written=7), finish_reason="context")
    scores = score_tasks(
        [
            of_task("b", rollout(reward=1.0, calls="..x", written=10, turns=4)),
            of_task("b", rollout(reward=0.0, calls="xx", written=5)),
            of_task("b", rollout(reward=None, calls="x", written=99)),
            of_task("a", cut_off),
        ]
    )
    assert scores == [
        TaskScore(id="a", n=1, response_tokens=7, turns=1, truncated=1),
        TaskScore(
            id="b",
            n=2,
            correct=1,
            unscored=1,
            response_tokens=15,
            turns=5,
            calls=5,
            failed_calls=3,
            calls_in_correct=3,
            failed_calls_in_correct=1,
        ),
    ]
    said = figures(scores, [1, 2, 3])
    assert (said.tasks, said.rollouts, said.unscored) == (2, 3, 1)
    assert said.avg_at_n is not None
    assert said.avg_at_n.value == 0.25
    assert [(one.k, one.tasks, one.estimate.value) for one in said.pass_at] == [(1, 2, 0.25), (2, 1, 1.0)]
    assert said.tool_error is not None
    assert said.tool_error.value == 0.6
    assert said.tool_error_in_correct is not None
    assert said.tool_error_in_correct.value == pytest.approx(1 / 3)
    assert said.truncated is not None
    assert said.truncated.value == pytest.approx(1 / 3)
    assert said.response_tokens is not None
    assert said.response_tokens.value == pytest.approx(22 / 3)


def test_figures_of_nothing_are_none() -> None:
    said = figures(score_tasks([rollout(reward=None)]), [1])
    assert (said.tasks, said.unscored, said.avg_at_n, said.pass_at, said.tool_error) == (0, 1, None, [], None)


def test_only_tasks_of_both_are_compared_each_with_itself() -> None:
    a = evaluation({f"t{i}": 1 for i in range(20)} | {"only a": 4}, temperature="1", turns="4")
    b = evaluation({f"t{i}": 2 + i % 2 for i in range(20)} | {"b1": 0, "b2": 0}, temperature="0.6", turns="4")
    said = compare(a, b)
    assert (said.tasks, said.only_a, said.only_b) == (20, 1, 2)
    assert said.settings == {"temperature": ("1", "0.6")}
    assert [line.figure for line in said.lines] == [
        "pass@1",
        "pass@2",
        "pass@4",
        "response tokens",
        "truncated",
        "failed tool calls",
    ]
    first = said.lines[0]
    assert (first.a, first.b, first.better, first.worse) == (0.25, 0.625, 20, 0)
    assert first.difference.low < 0.375 < first.difference.high
    assert first.p_value < 0.001
    assert said.lines[3].p_value == 1.0
    assert compare(b, a).lines[0].difference.value == -0.375


def test_evaluations_without_common_tasks_cannot_be_compared() -> None:
    with pytest.raises(InputError, match="1 tasks are in both evaluations"):
        compare(evaluation({"a": 1, "b": 1}), evaluation({"b": 1, "c": 1}))


def test_an_evaluation_survives_its_file_and_another_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "e.json"
    file.write_bytes(msgspec.json.encode(evaluation({"a": 1, "b": 2})))
    assert load_evaluation(file) == evaluation({"a": 1, "b": 2})
    file.write_text('{"schema": "other"}')
    with pytest.raises(InputError, match=r"e.json: not an evaluation"):
        load_evaluation(file)
    with pytest.raises(InputError, match=r"gone.json: cannot read"):
        load_evaluation(tmp_path / "gone.json")
