from collections import deque

from headway.sandbox import Snippet
from headway.sandbox.cluster.batch import MAX_BYTES, MAX_CALLS, take_batch
from headway.sandbox.cluster.messages import Close, Run


def test_at_most_64_calls_travel_together_oldest_first():
    waiting = deque((number, Run(Snippet(code="print(1)"))) for number in range(MAX_CALLS + 3))
    assert [number for number, _ in take_batch(waiting)] == list(range(MAX_CALLS))
    assert [number for number, _ in take_batch(waiting)] == [64, 65, 66]
    assert not waiting


def test_large_inputs_travel_apart_and_one_that_is_too_large_alone():
    small, large, huge = (
        Run(Snippet(code="", stdin=bytes(size))) for size in (100, MAX_BYTES - 150, 2 * MAX_BYTES)
    )
    waiting = deque(enumerate([large, small, None, huge, Close(1)]))
    taken = []
    while waiting:
        taken.append([number for number, _ in take_batch(waiting)])
    assert taken == [[0, 1, 2], [3], [4]]
