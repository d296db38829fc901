"""How many groups may be rolled out ahead of training, after AReaL (arXiv 2505.24298). Pure."""


def capacity(*, prompts: int, max_staleness: int, training: bool, held: int) -> int:
    """Return how many more groups may start.

    ``held`` run or wait to be trained on; a batch is ``prompts`` of them. With a staleness of 0 a group
    starts only while its own batch is collected; with n, the groups of n batches more may be on their way,
    also while a batch is trained on (``training``), so that no token is more than n versions old as its batch
    is made up, unless groups overtake each other.
    """
    batches = max_staleness + (0 if training else 1)
    return max(batches * prompts - held, 0)
