"""The drawing is well-formed, whatever the runs are called and measured."""

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.trainer.curves import compare_runs, curves_chart
from headway.trainer.curves.chart import ticks

from .curves_of_runs import METRIC, run_of

SVG = "{http://www.w3.org/2000/svg}"


def test_every_metric_has_a_panel_and_every_variant_a_line() -> None:
    runs = [run_of(name, seed, {0: 0.1, 10: 0.2 * seed}) for name in ("<a & b>", "c") for seed in (1, 2)]
    root = ElementTree.fromstring(curves_chart(compare_runs(runs, [METRIC, METRIC])))
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert texts.count("held-out pass@1") == 2
    assert "<a & b>, 2 seeds" in texts
    assert len(list(root.iter(f"{SVG}polyline"))) == 4
    assert len(list(root.iter(f"{SVG}polygon"))) == 4
    assert "held-out pass@1" in texts


@pytest.mark.parametrize("values", [{0: 0.0}, {3: -1.5}, {0: 1e-9, 1: 2e-9}, {0: 1e9, 1: 1e9}])
def test_a_curve_of_hardly_anything_is_drawn(values: dict[int, float]) -> None:
    root = ElementTree.fromstring(curves_chart(compare_runs([run_of("a", 1, values)], [METRIC])))
    assert len(list(root.iter(f"{SVG}circle"))) == len(values)
    assert not list(root.iter(f"{SVG}polygon"))


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_ticks_are_few_and_enclose_the_values(low: float, width: float) -> None:
    marks = ticks(low, low + width)
    slack = width * 1e-6
    assert marks[0] <= low + slack
    assert marks[-1] >= low + width - slack
    assert 2 <= len(marks) <= 8
    assert marks == sorted(set(marks))
