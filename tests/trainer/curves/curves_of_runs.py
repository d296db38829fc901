"""Runs whose curves are given as numbers."""

from headway.trainer.curves import Run

METRIC = "eval/measures/pass_at_1"


def run_of(
    variant: str,
    seed: int,
    values: dict[int, float],
    *,
    metric: str = METRIC,
    complete: bool = True,
    settings: dict[str, str] | None = None,
) -> Run:
    return Run(
        folder=f"runs/{variant}-{seed}",
        variant=variant,
        seed=seed,
        complete=complete,
        settings=settings or {},
        curves={metric: values},
    )
