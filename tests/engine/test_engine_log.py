"""What an engine's log is read for."""

from pathlib import Path

from headway.engine.engine_log import cause_of_end

FAILED_START = """\
(EngineCore pid=6299) ERROR 11-22 04:26:37 [core.py:1512] EngineCore failed to start.
(EngineCore pid=6299) ERROR 11-22 04:26:37 [core.py:1512] Traceback (most recent call last):
(EngineCore pid=6299) ERROR 11-22 04:26:37 [core.py:1512]     raise ValueError(
(EngineCore pid=6299) ERROR 11-22 04:26:37 [core.py:1512] ValueError: No memory for the cache blocks.
Process EngineCore:
Traceback (most recent call last):
RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}
"""


def test_the_cause_is_told_from_its_consequences(tmp_path: Path) -> None:
    log = tmp_path / "engine.log"
    log.write_text(FAILED_START)
    assert cause_of_end(log) == "ValueError: No memory for the cache blocks."


def test_the_last_lines_stand_in_for_a_cause(tmp_path: Path) -> None:
    log = tmp_path / "engine.log"
    log.write_text("one\ntwo\n\nthree\nfour\n")
    assert cause_of_end(log) == "two / three / four"


def test_an_empty_or_missing_log_is_said_to_be_so(tmp_path: Path) -> None:
    (tmp_path / "empty.log").touch()
    assert cause_of_end(tmp_path / "empty.log") == "its log is empty"
    assert "cannot be read" in cause_of_end(tmp_path / "missing.log")
