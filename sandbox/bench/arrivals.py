"""When the calls of an open loop arrive: a Poisson process, the same for the same seed.

Knows nothing of who answers them.
"""

import itertools
import random


def poisson_arrivals(rate: float, seed: str, *, seconds: float, count: int | None = None) -> list[float]:
    """Return the first ``count`` times of arrival, or those before ``seconds``, but one at least.

    At another rate the same seed gives the same times, scaled.
    """
    rng = random.Random(seed)
    times = (unit / rate for unit in itertools.accumulate(rng.expovariate(1.0) for _ in itertools.count()))
    if count is not None:
        return list(itertools.islice(times, count))
    return [next(times), *itertools.takewhile(lambda time: time < seconds, times)]
