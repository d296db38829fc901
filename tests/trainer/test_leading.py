"""Rank 0 has the others do what it does, and no rank is left waiting for one that has ended."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import pytest
import torch

from headway.errors import HeadwayError, InputError
from headway.trainer.leading import follow, lead
from headway.trainer.policy import Policy
from headway.trainer.ranks import ALONE
from tests.engine.tiny_model import build_model

from . import led_rank
from .test_distributed import LIMIT, distance


class Diary:
    """A policy that notes what it is asked, and fails as it is told."""

    def __init__(self, fails: Exception | None = None) -> None:
        self.asked: list[Any] = []
        self._fails = fails

    def write_weights(self, file: Path) -> None:
        self.asked.append(file)

    def load_checkpoint(self, folder: Path) -> dict[str, Any]:
        return {"asked": len(self.asked)}

    def save(self, folder: Path) -> None:
        self.asked.append(folder)
        if self._fails is not None:
            raise self._fails


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor() as threads:
        yield threads


class Ranks:
    """Rank 0 in this thread, two others in threads of their own."""

    def __init__(self, threads: ThreadPoolExecutor, *build: Callable[[], Policy]) -> None:
        pipes = [Pipe() for _ in build[1:]]
        self.others: list[Future[None]] = [
            threads.submit(follow, other, line) for other, (line, _) in zip(build[1:], pipes, strict=True)
        ]
        self.ends = [line for line, _ in pipes]
        self.led = lead(build[0], [line for _, line in pipes], ALONE)

    def ended(self) -> list[str | None]:
        """How the others ended."""
        errors = [other.exception(LIMIT) for other in self.others]
        return [None if error is None else f"{type(error).__name__}: {error}" for error in errors]


def test_every_rank_is_asked_the_same_in_the_same_order_and_ends_with_the_first(
    threads: ThreadPoolExecutor,
) -> None:
    diaries = [Diary() for _ in range(3)]
    ranks = Ranks(threads, *(lambda diary=diary: diary for diary in diaries))
    with ranks.led as policy:
        policy.write_weights(Path("/a"))
        policy.save(Path("/b"))
        assert policy.load_checkpoint(Path()) == {"asked": 2}
    assert ranks.ended() == [None, None]
    assert [diary.asked for diary in diaries] == [[Path("/a"), Path("/b")]] * 3


def test_an_error_that_all_have_in_common_ends_only_the_call(threads: ThreadPoolExecutor) -> None:
    diaries = [Diary(HeadwayError("disk full")) for _ in range(3)]
    ranks = Ranks(threads, *(lambda diary=diary: diary for diary in diaries))
    with ranks.led as policy:
        with pytest.raises(HeadwayError, match=r"^disk full$"):
            policy.save(Path("/a"))
        policy.write_weights(Path("/b"))
    assert ranks.ended() == [None, None]
    assert [diary.asked for diary in diaries] == [[Path("/a"), Path("/b")]] * 3


@pytest.mark.parametrize(
    ("error", "text"), [(ValueError("boom"), "ValueError('boom')"), (HeadwayError("no room"), "no room")]
)
def test_what_one_follower_has_for_itself_ends_all(
    threads: ThreadPoolExecutor, error: Exception, text: str
) -> None:
    ranks = Ranks(threads, Diary, Diary, lambda: Diary(error))
    with ranks.led as policy:
        with pytest.raises(HeadwayError) as raised:
            policy.save(Path("/a"))
        with pytest.raises(HeadwayError) as later:
            policy.write_weights(Path("/b"))
    assert str(raised.value) == str(later.value) == f"rank 2: {text}"
    assert ranks.ended() == [f"HeadwayError: rank 2: {text}"] * 2


def test_what_rank_0_has_for_itself_ends_the_others(threads: ThreadPoolExecutor) -> None:
    ranks = Ranks(threads, lambda: Diary(ValueError("boom")), Diary, Diary)
    with pytest.raises(ValueError, match="boom"), ranks.led as policy:
        policy.save(Path("/a"))
    assert ranks.ended() == ["HeadwayError: rank 0: ValueError('boom')"] * 2


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (InputError("all rollouts failed"), "all rollouts failed"),
        (ExceptionGroup("two", [ValueError("boom"), HeadwayError("disk full")]), "disk full"),
        (ValueError("boom"), "rank 0: ValueError('boom')"),
        (KeyboardInterrupt(), "rank 0 was stopped"),
    ],
)
def test_the_others_hear_why_the_run_ended(
    threads: ThreadPoolExecutor, error: BaseException, word: str
) -> None:
    ranks = Ranks(threads, Diary, Diary)
    with pytest.raises(type(error)), ranks.led:
        raise error
    assert ranks.ended() == [f"HeadwayError: {word}"]


def test_a_model_that_one_rank_cannot_build_ends_all(threads: ThreadPoolExecutor) -> None:
    def build() -> Policy:
        raise InputError("m: cannot load a model")

    ranks = Ranks(threads, Diary, Diary, build)
    with pytest.raises(HeadwayError, match=r"^rank 2: m: cannot load a model$"), ranks.led:
        pass
    assert ranks.ended() == ["HeadwayError: rank 2: m: cannot load a model"] * 2


def test_a_follower_that_is_gone_is_named() -> None:
    ours, theirs = Pipe()
    theirs.close()
    with pytest.raises(HeadwayError, match="rank 1 has ended without a word"), lead(Diary, [ours], ALONE):
        pass


@pytest.mark.slow
def test_ranks_of_torchrun_train_what_one_trains_and_hear_of_the_first_ones_death(tmp_path: Path) -> None:
    build_model(seed=0).save_pretrained(tmp_path / "model")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    run = subprocess.run(
        [*command, "-m", "tests.trainer.led_rank", str(tmp_path)],
        timeout=LIMIT,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert "rank 1: rank 0 is gone without a word; see what it printed" in run.stdout, run.stderr
    assert f"rank 0 was told: {tmp_path}/nowhere/weights: cannot write the weights" in run.stdout
    assert "rank 0 was refused: trainer.ranks is 2, for Ray, and torchrun has started ranks" in run.stdout
    (untold,) = (line.split() for line in run.stdout.splitlines() if line.startswith("engines are not told"))
    assert {"RANK", "MASTER_PORT", "TORCHELASTIC_USE_AGENT_STORE"} <= set(untold) < {*untold, "PATH"}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    led_rank.train(led_rank.open_alone(tmp_path), tmp_path / "one")
    torch.set_num_threads(threads)
    assert distance(tmp_path / "two", tmp_path / "one") < 1e-5
    assert distance(tmp_path / "two", tmp_path / "model" / "model.safetensors") > 1e-3
