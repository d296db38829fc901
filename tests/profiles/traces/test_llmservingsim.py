"""LLMServingSim's agentic workloads, both ways."""

import json
from pathlib import Path

import msgspec
import pytest

from headway.errors import InputError
from headway.profiles.traces.llmservingsim import Session, SubRequest, llmservingsim_of, read_llmservingsim
from headway.profiles.workload import Script, ScriptedGroup, ScriptedTurn

from .logs import LONG, WORKLOAD


def write(tmp_path: Path, *lines: object) -> Path:
    file = tmp_path / "sessions.jsonl"
    file.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    return file


def session(id: str, arrival: int, *calls: tuple[int, int, int]) -> dict[str, object]:
    names = ("input_toks", "output_toks", "tool_duration_ns")
    return {
        "session_id": id,
        "arrival_time_ns": arrival,
        "sub_requests": [dict(zip(names, call, strict=True)) for call in calls],
    }


def test_a_session_is_a_group_that_begins_when_it_arrived(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        session("a", 3_000_000_000, (100, 20, 500_000_000), (150, 10, 0)),
        session("b", 1_000_000_000, (70, 5, 0)),
    )
    workload = read_llmservingsim(file)
    workload.check()
    assert workload.groups == [
        ScriptedGroup(100, [Script([ScriptedTurn(20, 0.5, 30), ScriptedTurn(10)])], 0, 2.0),
        ScriptedGroup(70, [Script([ScriptedTurn(5)])]),
    ]
    assert "begin when they arrived" in workload.notes


def test_tokens_that_a_prompt_lacks_count_as_if_it_had_them(tmp_path: Path) -> None:
    file = write(tmp_path, session("a", 0, (100, 50, 0), (120, 10, 0), (200, 10, 0)))
    [group] = read_llmservingsim(file).groups
    assert [turn.observed for turn in group.scripts[0].turns] == [0, 40, 0]


def test_a_session_ends_where_its_prompt_shrinks(tmp_path: Path) -> None:
    file = write(tmp_path, session("a", 0, (100, 50, 0), (90, 10, 0)))
    workload = read_llmservingsim(file)
    assert [turn.generated for turn in workload.groups[0].scripts[0].turns] == [50]
    assert "1 end where their prompt shrinks" in workload.notes


def test_a_flat_request_is_a_session_of_one_call(tmp_path: Path) -> None:
    file = write(tmp_path, {"input_toks": 12, "output_toks": 7, "arrival_time_ns": 5, "input_tok_ids": [1]})
    assert read_llmservingsim(file).groups == [ScriptedGroup(12, [Script([ScriptedTurn(7)])])]


def test_a_workload_is_written_and_read_as_the_same_lengths_and_times(tmp_path: Path) -> None:
    written = list(llmservingsim_of(WORKLOAD))
    assert written[0] == Session(
        "g1.0",
        0,
        [SubRequest(100, 30, 500_000_000), SubRequest(170, 7, 250_000_000), SubRequest(180, 50)],
    )
    read = read_llmservingsim(write(tmp_path, *written))
    assert [s for g in read.groups for s in g.scripts] == [s for g in WORKLOAD.groups for s in g.scripts]
    assert [json.loads(msgspec.json.encode(line)) for line in llmservingsim_of(read)] == [
        {**json.loads(msgspec.json.encode(line)), "session_id": f"g{number}.0"}
        for number, line in enumerate(written, 1)
    ]


def test_arrivals_of_groups_that_wait_for_others_must_be_known() -> None:
    waiting = msgspec.structs.replace(WORKLOAD, groups=[*WORKLOAD.groups, ScriptedGroup(9, [LONG], 1, 0.5)])
    with pytest.raises(InputError, match="groups that begin as others complete"):
        list(llmservingsim_of(waiting))
    written = list(llmservingsim_of(waiting, begun_s=[0.0, 0.0, 7.5]))
    assert written[-1].arrival_time_ns == 7_500_000_000


@pytest.mark.parametrize(
    "line",
    [
        b'{"session_id": "a"',
        b'{"session_id": "a", "arrival_time_ns": 0, "sub_requests": []}',
        b'{"session_id": "a", "arrival_time_ns": 0, "sub_requests": [{"input_toks": 0, "output_toks": 1}]}',
        b'{"session_id": "a", "arrival_time_ns": -1, "sub_requests": [{"input_toks": 1, "output_toks": 1}]}',
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, line: bytes) -> None:
    file = write(tmp_path, session("a", 0, (1, 1, 0)))
    file.write_bytes(file.read_bytes() + line + b"\n")
    with pytest.raises(InputError, match=r"sessions.jsonl:2: not a session of LLMServingSim"):
        read_llmservingsim(file)
