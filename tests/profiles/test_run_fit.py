from pathlib import Path

import msgspec
import pytest

from headway.errors import InputError
from headway.profiles.run_fit import batch_limit, fit_recorded
from headway.profiles.run_steps import RunSteps, read_run_steps
from tests.profiles.replay.runs import HARDWARE, record, record_steps, workload


def run(folder: Path, name: str = "run", *, slower: float = 1.0) -> RunSteps:
    """A run whose steps take as long as those of ``HARDWARE``, or longer."""
    log = folder / name / "events.jsonl"
    log.parent.mkdir()
    result = record(log, workload(pressure=0.3))
    record_steps(log, until_s=result.makespan_s, slower=slower)
    return read_run_steps(log.parent)


def test_one_run_is_judged_on_spans_that_the_fit_has_not_seen(tmp_path: Path) -> None:
    fitted = fit_recorded([run(tmp_path)], name="mine")
    assert [each.name for each in fitted.fit.held_out] == [f"run, span {n} of 9" for n in (3, 6, 9)]
    assert fitted.fit.worst < 1e-6
    assert not fitted.held_out
    for name in ("fixed", "prefill", "decode", "kv_read", "attention"):
        assert getattr(fitted.hardware.step, name) == pytest.approx(getattr(HARDWARE.step, name), rel=1e-5)


def test_a_profile_has_the_sizes_that_the_engines_had(tmp_path: Path) -> None:
    hardware = fit_recorded([run(tmp_path)], name="mine").hardware
    assert hardware.name == "mine"
    assert hardware.measured
    assert (hardware.kv_tokens, hardware.block_size, hardware.max_num_seqs) == (12288, 32, 64)
    assert "simulated 1 (hand-made) with m, 2 engines; fitted to 900 recorded steps of run" in hardware.source


def test_of_several_runs_whole_ones_are_held_out(tmp_path: Path) -> None:
    runs = [run(tmp_path, "one"), run(tmp_path, "two", slower=1.25)]
    fitted = fit_recorded(runs, name="mine")
    assert fitted.held_out == [1]
    [held_out] = fitted.fit.held_out
    assert (held_out.name, held_out.error) == ("two", pytest.approx(1 / 1.25 - 1))
    assert fitted.judged.step.fixed == pytest.approx(HARDWARE.step.fixed)
    assert fitted.hardware.step.fixed > 1.05 * HARDWARE.step.fixed


def test_runs_of_other_models_make_no_profile_together(tmp_path: Path) -> None:
    one = run(tmp_path)
    other = msgspec.structs.replace(one, name="other", model="models/large")
    with pytest.raises(InputError, match="run and other cannot make one profile: the model was m, and then"):
        fit_recorded([one, other], name="mine")


def test_the_limit_of_a_step_is_known_where_steps_have_reached_it(tmp_path: Path) -> None:
    steps = run(tmp_path).steps
    cut = [msgspec.structs.replace(step, prefill=2048 - step.decode) for step in steps[:2]]
    below = [msgspec.structs.replace(step, prefill=min(step.prefill, 1000)) for step in steps[2:]]
    assert batch_limit([*cut, *below]) == 2048
    assert batch_limit(below[:1]) == 8192
