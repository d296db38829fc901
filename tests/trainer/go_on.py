"""Goes on from each of a folder's checkpoints, in a process of its own, up to the step that is given.

Given a limit in bytes, it writes one checkpoint more, and the kernel kills it where a file exceeds that.
"""

import random
import resource
import signal
import sys
from pathlib import Path

import numpy as np
import torch

from headway.trainer.checkpoint_folder import checkpoint_of, latest
from headway.trainer.policy_model import PolicyModel

from .two_ranks import PLAIN, batch


def draws() -> str:
    """Something of each generator."""
    return f"{random.random()} {random.gauss()} {np.random.normal()} {torch.rand(1).item()}"


def go_on(work: Path, checkpoint: Path, last: int) -> None:
    model = PolicyModel(work / "model", PLAIN)
    step = model.load_checkpoint(checkpoint)["step"]
    drawn = ""
    while step < last:
        step += 1
        model.step(batch(step))
        drawn = draws()
    model.write_weights(work / f"{checkpoint.name}.safetensors")
    (work / f"{checkpoint.name}.draws").write_text(drawn)


def be_killed(work: Path, limit: int) -> None:
    newest = latest(work / "checkpoints")
    assert newest is not None
    model = PolicyModel(work / "model", PLAIN)
    step = model.load_checkpoint(newest)["step"] + 1
    model.step(batch(step))
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    model.save_checkpoint(checkpoint_of(work / "checkpoints", step), {"step": step})


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder, what, number = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    if what == "be_killed":
        be_killed(folder, number)
    else:
        for one in sorted((folder / "checkpoints").glob("step-*[0-9]")):
            go_on(folder, one, number)
