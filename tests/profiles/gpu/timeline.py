"""The timeline that the fake drivers play, and what has to be seen of it."""

import pytest

from tests.profiles.gpu.fake_drivers import Outcome

PHASES = ((0.3, 0.1), (0.5, 0.9), (0.4, 0.0))  # seconds, busy share
SCRIPT = "".join(f"phase {seconds} {share * 100}\n" for seconds, share in PHASES)
CLOCKS_S = 0.05  # less than half a sampling period: a machine under load reads two clocks as far apart


def assert_recovered(outcome: Outcome) -> None:
    """Hold the samples of the only GPU against the timeline, at each sample's end.

    The busy time that they have told by then is the timeline's, so the figures are right, and so are the
    times at which they change.
    """
    told = 0.0
    end = outcome.samples[0].t - outcome.samples[0].span_ns
    for sample in outcome.samples:
        assert sample.t - sample.span_ns == pytest.approx(end, abs=CLOCKS_S * 1e9)
        assert sample.sm is not None
        told += sample.sm * sample.span_ns / 1e9
        end = sample.t
        at = (end - outcome.origin) / 1e9
        assert told == pytest.approx(_busy_until(at), abs=CLOCKS_S * 0.9), at
    assert len(outcome.samples) > 5
    assert max(sample.sm or 0.0 for sample in outcome.samples) == pytest.approx(0.9, abs=0.02)


def _busy_until(t: float) -> float:
    busy = 0.0
    for seconds, share in PHASES:
        busy += min(max(t, 0.0), seconds) * share
        t -= seconds
    return busy
