from headway.sandbox import Result, Status, Tier
from headway.sandbox.cluster.tries import Tries


def result(status: Status, attempt: int = 1) -> Result:
    return Result(status=status, tier=Tier.B, attempt=attempt)


def test_what_the_code_did_is_final():
    for status in set(Status) - {Status.SANDBOX_ERROR, Status.WORKER_LOST}:
        tries: Tries[str] = Tries()
        assert not tries.goes_on_after(result(status), "a")
        assert tries.attempts == 0


def test_a_call_outlives_the_loss_of_four_nodes():
    tries: Tries[str] = Tries()
    assert [tries.goes_on_after(None, node) for node in "abcde"] == [True] * 4 + [False]
    assert (tries.attempts, tries.avoid) == (4, set("abcde"))


def test_a_fault_of_a_node_is_tried_on_another_once():
    tries: Tries[str] = Tries()
    assert tries.goes_on_after(result(Status.SANDBOX_ERROR, attempt=3), "a")
    assert tries.avoid == {"a"}
    assert not tries.goes_on_after(result(Status.WORKER_LOST, attempt=3), "b")
    assert tries.attempts == 3


def test_a_fault_on_the_only_node_is_tried_there_once_more():
    tries: Tries[str] = Tries()
    fault = result(Status.SANDBOX_ERROR)
    assert [tries.goes_on_after(fault, "a") for _ in range(2)] == [True, False]


def test_a_fault_and_a_loss_are_counted_apart():
    tries: Tries[str] = Tries()
    assert tries.goes_on_after(None, "a")
    assert tries.goes_on_after(result(Status.SANDBOX_ERROR), "b")
    assert not tries.goes_on_after(result(Status.SANDBOX_ERROR), "c")
