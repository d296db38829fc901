import pytest

from headway.profiles.against_real import Agreement, Pair
from headway.profiles.loop_result import Result


def result(makespan_s: float) -> Result:
    return Result(
        makespan_s=makespan_s,
        turns=1,
        generated=1,
        prompt_tokens=1,
        cached_tokens=0,
        prefill_computed=1,
        prefill_recomputed=0,
        preemptions=0,
        parked=0,
        first_token_s=[],
        completed_s=[],
        group_completed_s=[],
        admission_wait_s=[],
        engine_queue_s=0.0,
        idle={},
        decision_us=0.0,
    )


def pair(policy: str, real: float, simulated: float, workload: str = "swe") -> Pair:
    return Pair(workload=workload, policy=policy, real=result(real), simulated=result(simulated))


def test_errors_are_relative_to_the_real_makespan() -> None:
    agreement = Agreement.of([pair("a", 100, 90), pair("b", 200, 210)])
    assert agreement.worst == pytest.approx(0.10)
    assert agreement.mean == pytest.approx(0.075)
    assert agreement.text == "makespan within 10% (mean 8%), same order of policies"


def test_policies_in_another_order_are_named() -> None:
    agreement = Agreement.of([pair("a", 100, 110), pair("b", 120, 105)])
    assert agreement.swapped == ["a and b on swe"]


def test_policies_that_are_as_good_as_equal_have_no_order() -> None:
    assert Agreement.of([pair("a", 100, 103), pair("b", 101, 102)]).swapped == []


def test_policies_are_ordered_within_one_workload_only() -> None:
    assert Agreement.of([pair("a", 100, 110), pair("b", 120, 105, workload="math")]).swapped == []
