import pytest

from headway.profiles.attribution import Attribution
from headway.profiles.gpu.sample import GpuFound, GpuSample
from headway.profiles.gpu_time import GpuTime
from headway.profiles.survey import Survey
from headway.scheduler.events import EngineChanged, EngineStarted, Event

from .test_attribution import dispatched, ended

S = 10**9


def engine(id: str, gpu: str, pid: int) -> EngineStarted:
    return EngineStarted(
        t=0,
        engine=id,
        kind="vllm",
        version="1",
        device="gpu",
        kv_tokens=1,
        block_size=1,
        max_context=1,
        gpus=[gpu],
        pids=[pid],
    )


def sample(t: float, sm: float, *, span: float = 1.0, pids: list[int] | None = None) -> GpuSample:
    return GpuSample(t=round(t * S), gpu="G", span_ns=round(span * S), sm=sm, pids=pids)


def held_against(*events: Event) -> GpuTime:
    attribution, survey = Attribution(("a",), 0), Survey()
    for found in (engine("a", "G", 7), GpuFound(t=0, gpu="G", name="H100", measure="gpm")):
        survey.emit(found)
    gpus = GpuTime(attribution, survey, start=0, own_pid=1)
    for event in events:
        attribution.take(event)
        if isinstance(event, GpuSample):
            gpus.take(event)
    return gpus


def test_busy_time_in_which_the_sms_idle_is_told_apart() -> None:
    gpus = held_against(dispatched(0, "a"), sample(1, 0.25), sample(2, 0.75), ended(2 * S, "a"))
    assert (gpus.idle, gpus.covered) == ({"a": S}, {"a": 2 * S})
    assert gpus.contradictions() == []


def test_a_profile_says_how_finely_and_how_completely_a_gpu_was_sampled() -> None:
    (gpu,) = held_against(sample(1, 0.2), sample(2, 0.6), sample(3, 0.7)).profiles(end=4 * S)
    assert (gpu.name, gpu.measure, gpu.resolution_s, gpu.coverage) == ("H100", "gpm", 1.0, 0.75)
    assert gpu.sm_mean == pytest.approx(0.5)


def test_only_what_samples_cover_counts() -> None:
    gpus = held_against(dispatched(0, "a"), sample(2, 0.5, span=0.5), ended(2 * S, "a"))
    assert (gpus.idle, gpus.covered) == ({"a": S // 4}, {"a": S // 2})


def test_a_gpu_that_computes_while_its_engine_claims_to_be_idle_is_a_contradiction() -> None:
    (line,) = held_against(sample(1, 0.9), sample(2, 0.0)).contradictions()
    assert line.startswith("GPU G (a) computed for 0.9 s while every engine on it claimed to be idle")


def test_a_process_that_is_none_of_the_runs_is_a_contradiction() -> None:
    (line,) = held_against(sample(1, 0.0, pids=[7, 1, 99]), sample(2, 0.0, pids=[7])).contradictions()
    assert line == "GPU G (a): process 99, which is none of the run's engines, was on it for 1.0 s"


def test_where_the_driver_numbers_processes_otherwise_none_is_called_foreign() -> None:
    assert held_against(sample(1, 0.0, pids=[40010]), sample(2, 0.0, pids=[40010])).contradictions() == []


def test_a_gpu_that_works_while_its_engine_takes_in_weights_does_so_with_every_right() -> None:
    syncing = EngineChanged(t=0, engine="a", state="weight_sync")
    assert held_against(syncing, sample(1, 0.9), sample(2, 0.9)).contradictions() == []
