import pytest

from headway.errors import HeadwayError
from headway.profiles.foreign.exposition import Histogram, read_exposition

from .pages import RECORDED, page, reading


def test_a_page_that_vllm_wrote_is_read() -> None:
    (engine,) = read_exposition(RECORDED)
    assert (engine.engine, engine.model, engine.awake) == ("0", "tiny", True)
    assert (engine.running, engine.waiting, engine.kv_usage) == (5, 3, pytest.approx(58 / 63))
    assert engine.counters == {
        "generated": 6130,
        "prompt": 3072,
        "queried": 3072,
        "hit": 1632,
        "preemptions": 39,
        "finished": 16,
        "steps": 869,
        "step_tokens": 7570,
    }
    assert {name: each.count for name, each in engine.latencies.items()} == {
        "queue": 16,
        "prefill": 16,
        "decode": 16,
        "first_token": 24,
        "inter_token": 6106,
    }
    assert engine.latencies["decode"].at_most[2.0] == 6


def test_the_engines_of_one_page_are_told_apart() -> None:
    second = page(running=0, generated=7).replace('engine="0"', 'engine="1"')
    engines = read_exposition(RECORDED + second)
    assert [(each.engine, each.running, each.counters["generated"]) for each in engines] == [
        ("0", 5, 6130),
        ("1", 0, 7),
    ]


def test_the_names_and_labels_of_older_versions_are_read() -> None:
    old = (
        RECORDED.replace('engine="0",', "")
        .replace("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc")
        .replace("vllm:prefix_cache_", "vllm:gpu_prefix_cache_")
        .replace("vllm:inter_token_latency_seconds", "vllm:time_per_output_token_seconds")
    )
    assert read_exposition(old) == read_exposition(RECORDED)


def test_where_a_page_has_both_names_its_figures_count_once() -> None:
    both = RECORDED + 'vllm:gpu_prefix_cache_hits_total{engine="0",model_name="tiny"} 1632.0\n'
    assert read_exposition(both) == read_exposition(RECORDED)


def test_an_engine_that_sleeps_says_so() -> None:
    assert not reading(awake=0).awake


@pytest.mark.parametrize("text", ["", "<html>welcome</html>", "python_gc_objects_collected_total 3\n"])
def test_a_page_that_is_not_vllms_is_an_error(text: str) -> None:
    with pytest.raises(HeadwayError, match="no vllm:num_requests_running"):
        read_exposition(text)


def test_a_page_that_is_cut_off_is_an_error() -> None:
    cut = RECORDED[: RECORDED.index('vllm:num_requests_running{engine="0"') + 40]
    with pytest.raises(HeadwayError, match="not the text of a metrics page"):
        read_exposition(cut)


def test_a_counter_that_went_back_and_a_process_that_began_later_are_restarts() -> None:
    assert reading(generated=6131).follows(reading())
    assert not reading(generated=6129).follows(reading())
    assert not reading(generated=9999, born=1.8e9).follows(reading())


def test_histograms_are_subtracted_and_added_bound_by_bound() -> None:
    early = Histogram(2, 3.0, {1.0: 1, 5.0: 2})
    late = Histogram(5, 7.0, {1.0: 1, 5.0: 5})
    gained = late.since(early)
    assert gained == Histogram(3, 4.0, {1.0: 0, 5.0: 3})
    assert early.plus(gained) == late
