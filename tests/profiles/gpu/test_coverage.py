from headway.profiles.gpu import GpuSample
from headway.profiles.gpu.coverage import Coverage, coverage

S = 1_000_000_000


def sample(t: float, span: float, sm: float | None = 0.5, gpu: str = "a") -> GpuSample:
    return GpuSample(t=round(t * S), gpu=gpu, span_ns=round(span * S), sm=sm)


def test_spans_that_touch_cover_everything_from_the_start() -> None:
    samples = [sample(t, 0.25) for t in (0.25, 0.5, 0.75, 1.0)]
    assert coverage(samples, start=0, end=S) == [Coverage(gpu="a", samples=4, resolution_s=0.25, share=1.0)]


def test_gaps_overlaps_and_what_was_before_the_start_do_not_count() -> None:
    samples = [sample(10.2, 5), sample(10.5, 0.1), sample(10.6, 0.4)]
    assert coverage(samples, start=10 * S, end=11 * S) == [
        Coverage(gpu="a", samples=3, resolution_s=0.1, share=0.4)
    ]


def test_the_resolution_is_the_median_distance_of_each_gpu() -> None:
    samples = [sample(t, 0.1) for t in (1, 1.1, 1.2, 3)] + [sample(2, 2, gpu="b")]
    assert coverage(samples, start=0, end=4 * S) == [
        Coverage(gpu="a", samples=4, resolution_s=0.1, share=0.1),
        Coverage(gpu="b", samples=1, resolution_s=None, share=0.5),
    ]


def test_a_sample_that_tells_no_activity_covers_nothing() -> None:
    assert coverage([sample(1, 1, sm=None)], start=0, end=S) == [
        Coverage(gpu="a", samples=0, resolution_s=None, share=0.0)
    ]
