from pathlib import Path

import pytest

from headway.errors import InputError
from headway.scheduler.task import Message, Task
from headway.scheduler.task_file import load_tasks, save_tasks


def write(folder: Path, text: str) -> Path:
    file = folder / "tasks.jsonl"
    file.write_text(text)
    return file


def test_prompts_and_messages_are_read_and_answers_become_text(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        '{"id": 1, "prompt": "2+2?", "answer": 4}\n\n'
        '{"id": "b", "messages": [{"role": "user", "content": "hi"}]}\n',
    )
    assert load_tasks(file) == [
        Task(id="1", messages=[Message("user", "2+2?")], answer="4"),
        Task(id="b", messages=[Message("user", "hi")]),
    ]


def test_tasks_survive_a_round_trip(tmp_path: Path) -> None:
    tasks = [Task(id="é", messages=[Message("system", "s"), Message("user", "u")], answer="1/2")]
    save_tasks(tmp_path / "t.jsonl", tasks)
    assert load_tasks(tmp_path / "t.jsonl") == tasks


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ('{"id": "a", "prompt": "x"', r"tasks.jsonl:2: not a task"),
        ('{"id": "a"}', r'tasks.jsonl:2: a task needs either "prompt" or "messages"'),
        ('{"id": "a", "prompt": "x", "messages": []}', r'needs either "prompt" or "messages"'),
        ('{"prompt": "x"}', r"tasks.jsonl:2: .*`id`"),
        ('{"id": "a", "promt": "x"}', r"tasks.jsonl:2: .*`promt`"),
        ('{"id": "a", "messages": [{"role": "assistant", "content": "x"}]}', r"end with a user"),
        ('{"id": "ok", "prompt": "again"}', r"two tasks have the id 'ok'"),
    ],
)
def test_a_line_that_does_not_fit_is_an_error_that_names_it(tmp_path: Path, line: str, fault: str) -> None:
    with pytest.raises(InputError, match=fault):
        load_tasks(write(tmp_path, '{"id": "ok", "prompt": "x"}\n' + line + "\n"))


def test_a_missing_or_empty_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere.jsonl: cannot read"):
        load_tasks(tmp_path / "nowhere.jsonl")
    with pytest.raises(InputError, match="holds no task"):
        load_tasks(write(tmp_path, "\n"))
