from collections.abc import Sequence

from headway.profiles.replay.figures import Figures
from headway.profiles.replay.measure import Row
from headway.profiles.replay.report import Header, RecordedRow, Report, make_report, source_of

from .runs import HARDWARE

HEADER = Header(
    command="headway replay",
    trace="run",
    format="headway",
    simulated=True,
    hardware=HARDWARE,
    kv_tokens=12288,
    calibration_error="",
    notes=[],
    versions={},
)


def row(policy: str, engines: int, makespan_s: float, *, seed: int = 0) -> Row:
    return Row(policy=policy, engines=engines, seed=seed, figures=figures(makespan_s), decision_us=1.0)


def figures(makespan_s: float, *, kv_full: float = 0.3) -> Figures:
    return Figures(
        makespan_s=makespan_s,
        turns=2,
        generated=1000,
        prompt=100,
        cached=50,
        preemptions=1,
        first_token_p50_s=1.0,
        first_token_p99_s=2.0,
        idle={"tool_wait": 0.1, "kv_full": kv_full, "busy": 0.6 - kv_full / 3},
    )


def report(rows: Sequence[Row], recorded: RecordedRow | None = None) -> Report:
    return make_report(HEADER, recorded, rows, [], complete=True)


def test_medians_are_over_seeds_and_the_fastest_goes_first() -> None:
    rows = [row("a", 4, 100.0 + seed, seed=seed) for seed in range(3)] + [row("b", 4, 90.0), row("a", 2, 300)]
    made = report(rows)
    assert [(case.engines, case.policy) for case in made.cases] == [(2, "a"), (4, "b"), (4, "a")]
    median = made.cases[2].makespan_s
    assert (median.median, median.low, median.high) == (101.0, 100.0, 102.0)
    assert made.cases[2].tokens_per_s.median == 1000 / 101
    assert made == report(rows[::-1])


def test_idle_causes_come_the_largest_first_and_busy_is_none() -> None:
    assert list(report([row("a", 1, 10.0)]).cases[0].idle.items()) == [("kv_full", 0.3), ("tool_wait", 0.1)]


def test_the_fewest_engines_are_those_that_cost_five_per_cent_at_most() -> None:
    rows = [
        row("a", 4, 110.0),
        row("a", 8, 104.9),
        row("a", 16, 100.0),
        row("b", 4, 103.0),
        row("b", 16, 99.0),
    ]
    found = {each.policy: (each.engines, each.of_engines) for each in report(rows).fewest}
    assert found == {"b": (4, 16), "a": (8, 16)}
    assert not report([row("a", 4, 110.0)]).fewest


def test_a_replay_is_held_against_what_was_recorded() -> None:
    recorded = RecordedRow(policy="a", engines=4, figures=figures(80.0))
    [case] = report([row("a", 4, 100.0)], recorded).cases
    assert case.to_recorded is not None
    assert case.to_recorded.median == 1.25
    assert report([row("a", 4, 100.0)]).cases[0].to_recorded is None


def test_the_source_says_how_far_to_trust_it() -> None:
    said = source_of(HEADER)
    assert said.startswith("Simulated: hand-made, 12,288 KV tokens an engine, derived figures, not measured")
    assert "never held against real engines" in said
