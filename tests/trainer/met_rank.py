"""A rank of two that is given its rank and its store, and prints what it heard of the other."""

import os
import sys
from datetime import timedelta

from torch.distributed import FileStore

from headway.errors import HeadwayError
from headway.trainer.ranks import join


def main(rank: int, file: str) -> None:
    ranks = join(rank=rank, size=2, store=FileStore(file, 2), limit=timedelta(minutes=5))
    print(ranks.gather(f"from {rank}"))

    def fail() -> None:
        if rank == 1:
            raise ValueError("no room")

    try:
        ranks.together(fail)
    except (ValueError, HeadwayError) as error:
        print(f"{type(error).__name__}: {error}")
    sys.stdout.flush()
    if rank == 1:
        os._exit(1)
    try:
        ranks.gather("still there")
    except RuntimeError:
        print("left alone")
    ranks.leave()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
