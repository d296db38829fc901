"""Going on with a file of records, as its writer left it."""

from pathlib import Path

import pytest

from headway.cli.done import Done
from headway.errors import InputError


def record(task: str, group: str, failure: str = "null") -> str:
    return f'{{"id":"{group}.0","group":"{group}","task":"{task}","failure":{failure}}}\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "out.jsonl"


def test_failed_rollouts_are_not_done_but_their_group_numbers_are_taken(file: Path) -> None:
    failure = '{"boundary":"engine","message":"it died"}'
    file.write_text(record("a", "g1") + record("a", "g1") + record("b", "g7", failure))
    done = Done.read(file)
    assert (done.lacking("a", 3), done.lacking("a", 1), done.lacking("b", 3)) == (1, 0, 3)
    assert done.groups == 7


@pytest.mark.parametrize("cut", [1, 5, 20, -1])
def test_a_line_that_was_torn_as_its_writer_died_is_cut_off(file: Path, cut: int) -> None:
    whole = record("a", "g1")
    file.write_text(whole + record("b", "g2")[:cut])
    done = Done.read(file)
    assert (done.lacking("a", 1), done.lacking("b", 1), done.groups) == (0, 1, 1)
    assert file.read_text() != whole  # reading changes nothing
    done.mend(file)
    assert file.read_text() == whole


def test_a_whole_file_is_left_as_it_is(file: Path) -> None:
    file.write_text(record("a", "g1"))
    Done.read(file).mend(file)
    assert file.read_text() == record("a", "g1")


def test_a_group_that_is_named_otherwise_counts_for_its_task(file: Path) -> None:
    file.write_text(record("a", "mine") + record("a", "g3-retry"))
    done = Done.read(file)
    assert (done.lacking("a", 2), done.groups) == (0, 3)


@pytest.mark.parametrize("garbage", ["precious\n", "precious", '{"some": "other"}\n', '{"id":"g1"\n', "\n"])
def test_what_is_no_record_is_named_with_its_line(file: Path, garbage: str) -> None:
    file.write_text(record("a", "g1") + garbage)
    with pytest.raises(InputError, match=r"out\.jsonl:2: not a rollout record"):
        Done.read(file)
    assert file.read_text() == record("a", "g1") + garbage
