from pathlib import Path

import pytest

from headway.cli.config import EnginesConfig, SessionConfig
from headway.cli.rollouts import RolloutJob, prepare
from headway.cli.session import check_session, make_fleet
from headway.errors import InputError


def config(**engines: object) -> SessionConfig:
    return SessionConfig(model="tiny", engines=EnginesConfig(device="cpu", **engines))  # type: ignore[arg-type]


def test_engines_record_their_steps_in_the_folder_that_is_given_where_they_are_to() -> None:
    for wanted, folder in ((True, "run/steps"), (False, None)):
        fleet = make_fleet(
            config(step_record=wanted), Path(), lambda engine, phase: None, steps=Path("run/steps")
        )
        assert fleet.config.step_record == folder


def test_engines_that_cannot_record_are_refused_before_anything_starts() -> None:
    with pytest.raises(InputError, match="'transformers' have no step_record"):
        check_session(config(step_record=True, kind="transformers"), [])


def test_rollouts_record_steps_only_beside_an_event_log(tmp_path: Path) -> None:
    job = RolloutJob(tasks="arithmetic", samples=1, out=tmp_path / "out.jsonl")
    with pytest.raises(InputError, match="give --events FILE, too"):
        prepare(config(step_record=True), job)
