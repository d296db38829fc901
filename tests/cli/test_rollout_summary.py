from pathlib import Path

import pytest

from headway.cli.rollout_summary import RolloutSummary
from headway.cli.rollouts import _engine_logs
from headway.engine import EngineError
from headway.errors import HeadwayError
from headway.scheduler import Rollout
from headway.scheduler.rollout import Boundary, Failure

OUT = Path("out.jsonl")


def rollout(failed_at: Boundary | None = None) -> Rollout:
    return Rollout(
        id="g1.0",
        group="g1",
        task="t",
        prompt=1,
        tokens=[],
        mask=[False, True],
        logprobs=[],
        versions=[-1, 0],
        turns=[],
        tool_calls=[],
        finish_reason="failed" if failed_at else "answer",
        failure=Failure(failed_at, "it is gone") if failed_at else None,
    )


def summed_up(*ended: Rollout) -> RolloutSummary:
    summary = RolloutSummary(tasks=1, samples=len(ended), seconds=1.0)
    summary.add(list(ended))
    return summary


def test_rollouts_lost_with_an_engine_make_the_job_fail_and_say_how_to_go_on() -> None:
    summary = summed_up(rollout(), rollout("engine"), rollout("engine"), rollout("agent"))
    assert summary.failed_at == {"engine": 2, "agent": 1}
    with pytest.raises(HeadwayError, match=r"2 of 4 rollouts failed because an engine did; .* --resume"):
        summary.raise_if_failed(OUT)


def test_a_rollout_that_its_own_agent_failed_is_data() -> None:
    summed_up(rollout(), rollout("agent")).raise_if_failed(OUT)
    summed_up(rollout()).raise_if_failed(OUT)
    RolloutSummary(tasks=0, samples=1).raise_if_failed(OUT)


def test_a_job_whose_every_rollout_failed_has_failed() -> None:
    with pytest.raises(HeadwayError, match="every rollout failed: agent: it is gone"):
        summed_up(rollout("agent"), rollout("agent")).raise_if_failed(OUT)


def test_the_logs_that_a_failure_points_to_are_kept_and_others_are_not() -> None:
    with _engine_logs(summed_up(rollout())) as useless:
        pass
    assert not useless.exists()
    with _engine_logs(summed_up(rollout("engine"), rollout())) as wanted:
        pass
    assert wanted.exists()
    wanted.rmdir()
    with pytest.raises(ExceptionGroup), _engine_logs(RolloutSummary(tasks=1, samples=1)) as wanted:
        raise ExceptionGroup("", [EngineError("it did not start")])
    assert wanted.exists()
    wanted.rmdir()
