import json
import random
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from headway.errors import InputError
from headway.scheduler import Task, load_tasks

AIME = [
    {"ID": "2024-II-4", "Problem": "Find $m+n$.", "Solution": r"So \boxed{033}.", "Answer": 33},
    {"ID": "2024-I-1", "Problem": "Find $t$.", "Solution": r"So \boxed{204}.", "Answer": 204},
]
MATH_500 = [
    {
        "problem": "What is $1/2 + 1/3$?",
        "solution": r"It is $\boxed{\frac{5}{6}}$.",
        "answer": r"\frac{5}{6}",
        "subject": "Algebra",
        "level": 1,
        "unique_id": "test/algebra/1.json",
    }
]
GPQA = [
    {
        "Question": f"Which is right in case {number}?\n",
        "Correct Answer": "this\n",
        "Incorrect Answer 1": "that",
        "Incorrect Answer 2": "neither, for one",
        "Incorrect Answer 3": "both",
        "Record ID": f"rec{number}",
    }
    for number in range(40)
]


def save(folder: Path, rows: list[dict[str, Any]], suffix: str) -> Path:
    import csv

    path = folder / f"tasks{suffix}"
    match suffix:
        case ".parquet":
            pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
        case ".csv" | ".tsv":
            with path.open("w", newline="") as file:
                writer = csv.DictWriter(file, list(rows[0]), delimiter="\t" if suffix == ".tsv" else ",")
                writer.writeheader()
                writer.writerows(rows)
        case ".json":
            path.write_text(json.dumps(rows, indent=1))
        case _:
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def said(task: Task) -> str:
    return task.messages[-1].content


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv", ".tsv", ".parquet"])
def test_aime_math_and_gpqa_are_recognised_in_any_kind_of_file(tmp_path: Path, suffix: str) -> None:
    aime = load_tasks(save(tmp_path, AIME, suffix))
    assert [(task.id, said(task), task.answer) for task in aime] == [
        ("2024-II-4", "Find $m+n$.", "33"),
        ("2024-I-1", "Find $t$.", "204"),
    ]
    (math,) = load_tasks(save(tmp_path, MATH_500, suffix))
    assert (math.id, math.answer) == ("test/algebra/1.json", r"\frac{5}{6}")
    gpqa = load_tasks(save(tmp_path, GPQA, suffix))
    for task in gpqa:
        assert f"\n{task.answer}. this\n" in said(task)
        assert {f"{letter}." in said(task) for letter in "ABCD"} == {True}
    assert {task.answer for task in gpqa} == set("ABCD")


def test_lines_in_a_file_called_json_and_a_list_inside_an_object_are_read(tmp_path: Path) -> None:
    file = tmp_path / "tasks.json"
    file.write_text("".join(json.dumps(row) + "\n" for row in AIME))
    lines = load_tasks(file)
    file.write_text(json.dumps({"version": 1, "data": AIME}))
    assert load_tasks(file) == lines
    file.write_text(json.dumps(AIME[0]))
    assert load_tasks(file) == lines[:1]


@pytest.mark.parametrize(
    ("row", "answer"),
    [
        ({"problem": "?", "solution": r"First \boxed{1}, then \boxed{\sqrt{2}}."}, r"\sqrt{2}"),
        ({"question": "?", "answer": "6 / 2 = 3\n#### 3"}, "3"),
        ({"question": "?", "final_answer": ["7"]}, "7"),
        ({"question": "?", "answer": r"$\boxed{8}$"}, "8"),
        ({"problem": "?", "expected_answer": 9.0}, "9"),
        ({"prompt": [{"role": "user", "content": "?"}], "reward_model": {"ground_truth": "10"}}, "10"),
    ],
)
def test_the_answer_is_found_where_such_files_keep_it(
    tmp_path: Path, row: dict[str, Any], answer: str
) -> None:
    (task,) = load_tasks(save(tmp_path, [row], ".jsonl"))
    assert (said(task), task.answer) == ("?", answer)


def test_an_id_made_for_a_row_without_one_does_not_change_with_the_order_of_rows(tmp_path: Path) -> None:
    rows = [{"question": f"{number}?", "answer": number} for number in range(5)]
    ids = {said(task): task.id for task in load_tasks(save(tmp_path, rows, ".jsonl"))}
    shuffled = load_tasks(save(tmp_path, random.Random(0).sample(rows, 5), ".jsonl"))
    assert {said(task): task.id for task in shuffled} == ids
    assert len(set(ids.values())) == 5


def test_choices_are_shuffled_by_the_seed_and_the_row_alone(tmp_path: Path) -> None:
    file = save(tmp_path, GPQA, ".jsonl")
    once = load_tasks(file)
    assert load_tasks(file) == once
    assert load_tasks(file, seed=1) != once
    assert load_tasks(save(tmp_path, GPQA[::-1], ".jsonl")) == once[::-1]


def test_a_format_that_is_named_is_kept_to(tmp_path: Path) -> None:
    own = save(tmp_path, [{"id": "a", "prompt": "?", "answer": r"\boxed{1}"}], ".jsonl")
    assert load_tasks(own)[0].answer == r"\boxed{1}"
    assert load_tasks(own, "math")[0].answer == "1"
    with pytest.raises(InputError, match=r"tasks.jsonl:1: no Question; a gpqa row needs one \(columns: id"):
        load_tasks(own, "gpqa")


@pytest.mark.parametrize(
    ("suffix", "place"),
    [
        (".jsonl", r"tasks.jsonl:2: "),
        (".json", r"tasks.json: row 2: "),
        (".csv", r"tasks.csv:4: "),
        (".parquet", r"tasks.parquet: row 2: "),
    ],
)
def test_what_is_missing_is_named_with_its_place(tmp_path: Path, suffix: str, place: str) -> None:
    rows = [{"problem": "two\nlines", "answer": "1"}, {"problem": "unanswered", "answer": None}]
    with pytest.raises(InputError, match=place + r"no answer; .* \(columns: problem\)"):
        load_tasks(save(tmp_path, rows, suffix))
    rows = [{"problem": "two\nlines", "answer": "1"}, {"problem": None, "answer": "2"}]
    with pytest.raises(InputError, match=place + r"no question; .* \(columns: answer\)"):
        load_tasks(save(tmp_path, rows, suffix))


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("a.jsonl", '{"promt": "x", "answer": 1}', r"a.jsonl:1: not a task: .*\(columns: promt, answer\)"),
        ("a.jsonl", "[1]", r"a.jsonl:1: not a task: expected an object, got list"),
        ("a.json", "[1]", r"a.json: row 1: not a task: expected an object, got int"),
        ("a.json", "3", r"a.json: not a list of tasks but a int"),
        ("a.json", "[{", r"a.json: not a task: "),
        ("a.csv", "problem,answer\n1?\n", r"a.csv:2: the row has not the 2 cells"),
        ("a.csv", "problem,answer\n1?,1,1\n", r"a.csv:2: the row has not the 2 cells"),
        ("a.csv", 'problem,answer\n"1?,1\n', r"a.csv:2: not a row of a table: "),
        ("a.csv", "problem,answer\n", r"holds no task"),
        ("a.csv", "", r"holds no task"),
        ("a.parquet", "PAR1", r"a.parquet: not a parquet file: "),
        (
            "a.jsonl",
            '{"problem": "x", "answer": {"a": 1}}',
            r"a.jsonl:1: answer is neither text nor a number",
        ),
        ("a.jsonl", '{"problem": 3, "answer": 1}', r"a.jsonl:1: the question is neither text nor a chat"),
        ("a.jsonl", '{"id": 1, "problem": "x", "answer": 1}\n' * 2, r"two tasks have the id '1'"),
    ],
)
def test_a_file_that_cannot_be_used_is_explained(tmp_path: Path, name: str, text: str, fault: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=fault):
        load_tasks(tmp_path / name)


def test_two_choices_that_are_the_same_are_an_error(tmp_path: Path) -> None:
    file = save(tmp_path, [{**GPQA[0], "Incorrect Answer 2": "this"}], ".jsonl")
    with pytest.raises(InputError, match=r"tasks.jsonl:1: two of the choices are the same"):
        load_tasks(file)
