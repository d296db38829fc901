import gzip
from pathlib import Path

import msgspec
import pytest

from headway.engine.simulated.hardware import Hardware, StepTime
from headway.errors import InputError
from headway.profiles.traces.sessions import load_recorded, read_sessions, sessions_of
from headway.profiles.workload import ScriptedTurn

from .logs import WORKLOAD

HARDWARE = Hardware(
    name="test",
    source="made up",
    measured=False,
    step=StepTime(fixed=0.01, prefill=4e-5, decode=1e-5, kv_read=6e-8),
    kv_tokens=10_000,
)
PLAIN = {
    "id": "a",
    "tool_tokens": 60,
    "system_tokens": 40,
    "turns": [
        [0, 500, 20, 0, 1.0, 0, "tool_use"],
        [9, 700, 30, 512, 1.0, 5.5, "tool_use"],
        [900, 800, 40, 704, 1.0, 800.0, "end_turn"],
    ],
    "sub": [],
}


def write(tmp_path: Path, *sessions: object) -> Path:
    file = tmp_path / "sessions.jsonl"
    file.write_bytes(b"".join(msgspec.json.encode(session) + b"\n" for session in sessions))
    return file


def load(file: Path, **more: object):
    return load_recorded(file, seed=0, hardware=HARDWARE, engines=1, **more)  # type: ignore[arg-type]


def test_a_session_becomes_a_group_of_one(tmp_path: Path) -> None:
    workload = load(write(tmp_path, PLAIN), groups=1)
    workload.check()
    assert workload.system == 100
    [group] = workload.groups
    assert group.prompt == 400
    assert group.scripts[0].turns == [
        ScriptedTurn(20, 5.5, 180),
        ScriptedTurn(30, 60.0, 70),
        ScriptedTurn(40),
    ]
    assert "clipped to 60 s" in workload.notes


def test_a_session_ends_where_its_context_was_compacted(tmp_path: Path) -> None:
    compacted = {**PLAIN, "turns": [*PLAIN["turns"][:2], [20, 300, 10, 0, 1.0, 2.0, ""]]}  # type: ignore[index]
    [group] = load(write(tmp_path, compacted), groups=1).groups
    assert [turn.generated for turn in group.scripts[0].turns] == [20, 30]


def test_a_session_that_is_too_long_is_cut(tmp_path: Path) -> None:
    workload = load(write(tmp_path, PLAIN), groups=1, max_context=760)
    workload.check()
    assert [turn.generated for turn in workload.groups[0].scripts[0].turns] == [20, 30]
    assert "cut at 760 tokens" in workload.notes


def test_or_it_is_scaled(tmp_path: Path) -> None:
    workload = load(write(tmp_path, PLAIN), groups=1, max_context=420, too_long="scale")
    workload.check()
    assert [turn.generated for turn in workload.groups[0].scripts[0].turns] == [10, 15, 20]
    assert "scaled to contexts of 420 tokens" in workload.notes


def test_as_many_sessions_are_taken_as_the_pressure_asks_for(tmp_path: Path) -> None:
    file = write(tmp_path, PLAIN, {**PLAIN, "id": "b"})
    few, many = load(file, pressure=0.1), load(file, pressure=0.6)
    assert len(few.groups) < len(many.groups)
    assert many == load(file, pressure=0.6)
    assert "taken again" in many.notes


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (b'{"id": "a"', "2: not a recorded session"),
        (b'{"id": "a", "tool_tokens": 1, "system_tokens": 1, "turns": []}', "2: session a has no turns"),
        (
            b'{"id": "a", "tool_tokens": 1, "system_tokens": 1, "turns": [[0, 0, 1]]}',
            "2: session a has a turn without a prompt",
        ),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, line: bytes, fault: str) -> None:
    file = write(tmp_path, PLAIN)
    file.write_bytes(file.read_bytes() + line + b"\n")
    with pytest.raises(InputError, match=f"sessions.jsonl:{fault}"):
        load(file)


def test_a_file_without_a_session_of_two_turns_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no session has two turns within 600 tokens"):
        load(write(tmp_path, PLAIN), max_context=600)


def test_a_trace_is_read_as_long_as_it_was_recorded(tmp_path: Path) -> None:
    workload = read_sessions(write(tmp_path, PLAIN, {**PLAIN, "id": "b", "system_tokens": 10}))
    workload.check()
    assert workload.system == 70
    assert [group.prompt for group in workload.groups] == [430, 430]
    assert workload.groups[0].scripts[0].turns == [
        ScriptedTurn(20, 5.5, 180),
        ScriptedTurn(30, 800.0, 70),
        ScriptedTurn(40),
    ]
    assert "waits include people" in workload.notes


def test_a_longest_turn_leaves_the_context_as_it_was(tmp_path: Path) -> None:
    [group] = read_sessions(write(tmp_path, PLAIN), turn_limit=5).groups
    assert [(turn.generated, turn.observed) for turn in group.scripts[0].turns] == [(5, 195), (5, 95), (5, 0)]


def test_sessions_that_were_written_are_read_as_the_same_lengths_and_waits(tmp_path: Path) -> None:
    written = list(sessions_of(WORKLOAD))
    assert [session.id for session in written] == ["g1.0", "g1.1", "g1.2", "g2.0", "g2.1"]
    assert [turn.prefix_hit for turn in written[0].turns] == [0, 64, 128]
    assert [turn.stop for turn in written[0].turns] == ["tool_use", "tool_use", "end_turn"]
    read = read_sessions(write(tmp_path, *written))
    assert [group.prompt for group in read.groups] == [100, 100, 100, 60, 60]
    assert [s for group in read.groups for s in group.scripts] == [
        s for group in WORKLOAD.groups for s in group.scripts
    ]


def test_a_compressed_file_reads_the_same(tmp_path: Path) -> None:
    plain = write(tmp_path, PLAIN)
    compressed = tmp_path / "sessions.jsonl.gz"
    compressed.write_bytes(gzip.compress(plain.read_bytes()))
    assert read_sessions(compressed).groups == read_sessions(plain).groups
    compressed.write_bytes(compressed.read_bytes()[:-9])
    with pytest.raises(InputError, match=r"sessions.jsonl.gz: ends within line"):
        read_sessions(compressed)
