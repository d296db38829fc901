"""Training goes on from a checkpoint as if it had never stopped, or says why it cannot."""

import os
import random
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from headway.errors import HeadwayError, InputError
from headway.trainer.checkpoint_folder import checkpoint_of, keep_last, latest
from headway.trainer.policy_model import PolicyModel
from headway.trainer.random_state import RandomState
from tests.engine.tiny_model import build_model

from .go_on import draws
from .records import untimed
from .two_ranks import PLAIN, batch

LIMIT = 300  # seconds; none of what is waited for takes a tenth of it
LAST = 6


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads, state = torch.get_num_threads(), RandomState.now()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    state.restore()


@pytest.fixture
def work(tmp_path: Path) -> Path:
    build_model(seed=0).save_pretrained(tmp_path / "model")
    return tmp_path


def run(work: Path, what: str, number: int) -> int:
    command = [sys.executable, "-m", "tests.trainer.go_on", str(work), what, str(number)]
    root = Path(__file__).parents[2]
    return subprocess.run(
        command, cwd=root, timeout=LIMIT, env={**os.environ, "OMP_NUM_THREADS": "1"}
    ).returncode


def train(work: Path, *, keep: tuple[int, ...], last: int = LAST) -> tuple[PolicyModel, str]:
    """Unbroken steps, with checkpoints after those in ``keep``, and what was drawn after the last."""
    random.seed(1)
    np.random.seed(2)
    torch.manual_seed(3)
    random.gauss()  # which leaves half of a pair for the next
    model = PolicyModel(work / "model", PLAIN)
    drawn = ""
    for step in range(last + 1):
        if step:
            model.step(batch(step))
            drawn = draws()
        if step in keep:
            model.save_checkpoint(checkpoint_of(work / "checkpoints", step), {"step": step})
    model.write_weights(work / "unbroken.safetensors")
    return model, drawn


def same(file: Path, other: Path) -> bool:
    ours, theirs = load_file(file), load_file(other)
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_new_process_goes_on_bit_for_bit_wherever_training_was_cut(work: Path) -> None:
    cuts = (0, 1, 3, 5)  # 0: before the optimiser has moved; 1: in the warm-up
    _, drawn = train(work, keep=cuts)
    assert run(work, "go_on", LAST) == 0
    for cut in cuts:
        assert same(work / f"step-{cut:06}.safetensors", work / "unbroken.safetensors"), cut
        assert (work / f"step-{cut:06}.draws").read_text() == drawn, cut


def test_a_process_killed_while_it_writes_leaves_the_last_checkpoint(work: Path) -> None:
    train(work, keep=(2,))
    folder = work / "checkpoints"
    (state,) = (folder / "step-000002" / "state").glob("*.distcp")
    assert run(work, "be_killed", state.stat().st_size // 2) == -signal.SIGXFSZ
    assert [*(folder / "step-000003.partial" / "state").iterdir()]  # it had begun
    assert latest(folder) == folder / "step-000002"
    assert run(work, "go_on", LAST) == 0
    assert same(work / "step-000002.safetensors", work / "unbroken.safetensors")


def test_where_there_is_no_room_the_last_checkpoint_stays_and_the_reason_is_told(work: Path) -> None:
    model, _ = train(work, keep=(1,), last=1)
    folder = checkpoint_of(work / "checkpoints", 1)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(HeadwayError, match=r"step-000001: cannot write the checkpoint: .*"):
            model.save_checkpoint(folder, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [path.name for path in (work / "checkpoints").iterdir()] == ["step-000001"]
    assert model.load_checkpoint(folder) == {"step": 1}


def test_what_the_caller_keeps_comes_back(work: Path) -> None:
    model = PolicyModel(work / "model", PLAIN)
    extra = {"cursor": [1, 2, 3], "staleness": {"mean": 0.1}, "stage": None, "seed": 2**60}
    for kept in ({"cursor": []}, extra):  # the second takes the place of the first
        model.save_checkpoint(work / "checkpoint", kept)
    assert model.load_checkpoint(work / "checkpoint") == extra
    assert sorted(path.name for path in work.iterdir()) == ["checkpoint", "model"]


def test_the_learning_rate_goes_on_where_it_was(work: Path) -> None:
    model, _ = train(work, keep=(1,), last=1)
    fresh = PolicyModel(work / "model", PLAIN)
    fresh.load_checkpoint(work / "checkpoints" / "step-000001")
    assert untimed(fresh.step(batch(2))) == untimed(model.step(batch(2)))


@pytest.mark.parametrize(
    "name", ["checkpoint.json", "random-0.json", "state/.metadata", "state/__0_0.distcp"]
)
@pytest.mark.parametrize("share", [0.0, 0.5, None])
def test_a_checkpoint_that_is_not_whole_is_an_error_that_names_the_file(
    work: Path, name: str, share: float | None
) -> None:
    model, _ = train(work, keep=(1,), last=1)
    folder = work / "checkpoints" / "step-000001"
    before = {name: tensor.clone() for name, tensor in model._state().items()}
    if share is None:
        (folder / name).unlink()
    else:
        os.truncate(folder / name, int(share * (folder / name).stat().st_size))
    with pytest.raises(InputError, match=f"{folder / name}: "):
        model.load_checkpoint(folder)
    assert all(torch.equal(before[name], tensor) for name, tensor in model._state().items())


def test_what_is_no_checkpoint_is_an_error_that_names_it(work: Path) -> None:
    model = PolicyModel(work / "model", PLAIN)
    with pytest.raises(InputError, match=r"model/checkpoint.json: cannot read the checkpoint: No such file"):
        model.load_checkpoint(work / "model")
    (work / "model" / "checkpoint.json").write_text('{"steps": "many"}')
    with pytest.raises(InputError, match=r"checkpoint.json: is not what a checkpoint has there: .*steps"):
        model.load_checkpoint(work / "model")


def test_tensors_that_cannot_be_read_are_an_error_that_names_their_folder(work: Path) -> None:
    model, _ = train(work, keep=(1,), last=1)
    metadata = work / "checkpoints" / "step-000001" / "state" / ".metadata"
    metadata.write_bytes(b"\0" * metadata.stat().st_size)
    with pytest.raises(InputError, match=r"step-000001/state: cannot read the checkpoint: "):
        model.load_checkpoint(work / "checkpoints" / "step-000001")


def test_another_models_checkpoint_is_an_error_that_says_how_it_differs(work: Path) -> None:
    train(work, keep=(1,), last=1)
    build_model(seed=0, layers=3).save_pretrained(work / "deeper")
    deeper = PolicyModel(work / "deeper", PLAIN)
    with pytest.raises(
        InputError, match=r"another model's checkpoint: model.model.layers.2\S* is missing in it, and float32"
    ):
        deeper.load_checkpoint(work / "checkpoints" / "step-000001")
    mixed = msgspec.structs.replace(PLAIN.network, precision="bfloat16")
    rounded = PolicyModel(work / "model", msgspec.structs.replace(PLAIN, network=mixed))
    with pytest.raises(InputError, match=r"is float32 .* in it, and bfloat16 .* in this one"):
        rounded.load_checkpoint(work / "checkpoints" / "step-000001")


def test_the_latest_checkpoint_is_that_of_the_highest_step(tmp_path: Path) -> None:
    assert latest(tmp_path) is latest(tmp_path / "nowhere") is None
    for step in (9, 1_000_000, 20):
        checkpoint_of(tmp_path, step).mkdir()
    for other in ("step-2000000.partial", "step-2000000.old", "step-last"):
        (tmp_path / other).mkdir()
    assert latest(tmp_path) == checkpoint_of(tmp_path, 1_000_000)


def test_only_the_last_are_kept(tmp_path: Path) -> None:
    for step in (8, 9, 10, 11):
        checkpoint_of(tmp_path, step).mkdir()
    (tmp_path / "notes").mkdir()
    keep_last(tmp_path, 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes", "step-000010", "step-000011"]
    with pytest.raises(ValueError, match="cannot keep 0"):
        keep_last(tmp_path, 0)
    shutil.rmtree(tmp_path / "step-000011")
    assert latest(tmp_path) == checkpoint_of(tmp_path, 10)
