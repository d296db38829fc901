import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.sandbox.bench import summary
from headway.sandbox.bench.report import make_report
from headway.sandbox.bench.row import Mode, most_outstanding, percentiles
from headway.sandbox.bench.sample import Sample, overtaken
from headway.sandbox.bench.summary import Spread

from .bench_rows import header, made


def test_a_row_counts_what_it_says() -> None:
    row = made(calls=100, seconds=2.0, cpu_s=3.0, lost=4).row
    assert (row.calls, row.lost, row.calls_per_s, row.cores_used) == (100, 4, 50.0, 1.5)
    assert row.cpu_ms_per_call == 30.0
    assert row.p50_ms == pytest.approx(1.49)
    assert row.p99_ms == pytest.approx(1.98)
    assert row.rate is None


def test_a_ratio_is_made_within_a_round() -> None:
    rows = [
        made("headway", seconds=0.1, number=0).row,
        made("subprocess", seconds=1.0, number=0).row,
        made("headway", seconds=1.0, number=1).row,
        made("subprocess", seconds=5.0, number=1).row,
        made("headway", seconds=1e-6, number=2).row,
    ]
    ours, theirs = summary.rates(rows)
    assert (ours.executor, ours.ratio) == ("headway", Spread(7.5, 5.0, 10.0))
    assert (theirs.executor, theirs.ratio, theirs.cpu_ratio) == ("subprocess", None, None)


def test_less_processor_time_is_a_higher_ratio() -> None:
    rows = [made("headway", cpu_s=0.25).row, made("subprocess", cpu_s=1.0).row]
    assert summary.rates(rows)[0].cpu_ratio == Spread(4.0, 4.0, 4.0)
    rows = [made("headway", cpu_s=0.0).row, made("subprocess", cpu_s=0.0).row]
    assert summary.rates(rows)[0].cpu_ratio == Spread(0.0, 0.0, 0.0)


def test_without_subprocesses_there_is_no_ratio() -> None:
    assert [rate.ratio for rate in summary.rates([made().row])] == [None]


def test_executors_stand_in_one_order_whichever_began() -> None:
    rows = [made(name).row for name in ("bubblewrap", "bare fork", "subprocess", "headway")]
    assert [rate.executor for rate in summary.rates(rows)] == ["headway", "subprocess", "bubblewrap"]


def test_isolation_is_what_a_call_costs_over_a_bare_fork_in_the_same_round() -> None:
    rows = [
        made("headway", cpu_s=0.05, number=0).row,
        made("bare fork", cpu_s=0.03, number=0).row,
        made("bare fork", cpu_s=0.01, number=1).row,
        made("headway", cpu_s=0.02, number=1).row,
    ]
    (cost,) = summary.isolation(rows)
    assert cost.extra_cpu_ms.median == pytest.approx(1.5)
    assert (cost.extra_cpu_ms.low, cost.extra_cpu_ms.high) == (pytest.approx(1.0), pytest.approx(2.0))
    assert summary.isolation(rows[:1]) == summary.isolation(rows[1:2]) == []


def test_a_percentile_that_too_few_calls_could_tell_is_left_out() -> None:
    (few,) = summary.latencies([made(mode=Mode.OPEN, calls=19)])
    assert few.at(50) is not None
    assert few.at(95) is None
    (pooled,) = summary.latencies([made(mode=Mode.OPEN, calls=50, number=number) for number in (0, 1)])
    assert pooled.calls == 100
    assert pooled.at(99) == pytest.approx(1.98)
    assert pooled.at(99.5) is None
    assert pooled.at(100) == pytest.approx(1.98)


def test_bursts_are_summed_up_by_size() -> None:
    taken = [
        made(mode=Mode.BURST, calls=size, outstanding=size, number=number, lost=number)
        for size in (10, 1000)
        for number in (0, 1)
    ]
    small, large = summary.bursts([one.row for one in taken])
    assert (small.outstanding, small.lost, large.outstanding) == (10, 1, 1000)
    assert large.memory_peak_bytes == 110 << 20
    assert large.memory_bytes_per_call == (10 << 20) / 1000


def test_a_report_counts_the_calls_that_this_sandbox_lost() -> None:
    taken = [made(lost=2), made(mode=Mode.OPEN, lost=1), made("subprocess", lost=5)]
    report = make_report(header(), taken, ["a note", "a note"], complete=True)
    assert report.lost == 3
    assert report.notes == ["a note"]


def test_first_come_first_served_overtakes_nobody() -> None:
    slow, quick = Sample(0, 0, 100, True), Sample(0, 1, 2, True)
    assert overtaken([slow, quick, quick]) == [0, 0, 0]


def test_a_call_that_waits_for_a_later_one_was_overtaken() -> None:
    starved = Sample(0, 10, 11, True)
    others = [Sample(0, i, i + 1, True) for i in range(3)]
    assert overtaken([others[0], starved, others[1], others[2]]) == [0, 2, 0, 0]


intervals = st.tuples(st.integers(0, 20), st.integers(0, 20)).map(sorted)


@given(st.lists(intervals, min_size=1, max_size=30))
def test_overtaking_is_counted_as_defined(times: list[list[int]]) -> None:
    samples = [Sample(0, began, ended, True) for began, ended in times]
    assert overtaken(samples) == [
        sum(later.ended < sample.began for later in samples[place + 1 :])
        for place, sample in enumerate(samples)
    ]


@given(st.lists(intervals, min_size=1, max_size=30))
def test_the_most_outstanding_are_seen_at_some_arrival(times: list[list[int]]) -> None:
    samples = [Sample(due, due, ended, True) for due, ended in times]
    at_arrivals = [sum(s.due <= now.due < s.ended for s in samples) for now in samples]
    assert most_outstanding(samples) == max(at_arrivals)


def test_percentiles_are_values_that_were_seen() -> None:
    assert percentiles([4, 1, 3, 2], (1, 25, 50, 51, 100)) == [1, 1, 2, 3, 4]
