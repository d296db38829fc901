"""Two ranks on a CPU do what one does."""

import os
import pickle
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from headway.trainer.batch import Sample, micro_batches
from headway.trainer.packing import deal
from headway.trainer.ranks import ALONE, Ranks, from_environment, own_device
from tests.engine.tiny_model import build_model

from . import two_ranks
from .records import rollout

LIMIT = 300  # seconds; none of what is waited for takes a tenth of it
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in which two ranks have left what they did."""
    work = tmp_path_factory.mktemp("ranks")
    build_model(seed=0).save_pretrained(work / "tied")
    build_model(seed=1, tied=False).save_pretrained(work / "untied")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    two_ranks.begin(work / "tied", work / "one", ALONE)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    run = subprocess.run(
        [*command, "-m", "tests.trainer.two_ranks", str(work)],
        timeout=LIMIT,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert run.returncode == 0, run.stderr
    yield work
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def seen(work: Path) -> list[dict[str, Any]]:
    return [pickle.loads((work / f"seen-{rank}.pickle").read_bytes()) for rank in (0, 1)]


def distance(file: Path, other: Path) -> float:
    """The largest difference of a tensor of the two, relative to its norm."""
    ours, theirs = load_file(file), load_file(other)
    assert ours.keys() == theirs.keys()
    return max(float((ours[name] - theirs[name]).norm() / theirs[name].norm()) for name in ours)


def assert_alike(report: Any, other: Any) -> None:
    """All but how rows are cut and how long it took."""
    apart = {"token_efficiency", "seconds", "compute_seconds", "overhead"}
    for name in set(report.__struct_fields__) - apart:
        value = getattr(other, name)
        expected = value if value is None else pytest.approx(value, rel=1e-4, abs=1e-6)
        assert getattr(report, name) == expected, name


@pytest.mark.parametrize("name", two_ranks.CONFIGS)
def test_two_ranks_train_what_one_trains(
    name: str, work: Path, seen: list[dict[str, Any]], tmp_path: Path
) -> None:
    reports = two_ranks.train(work / "tied", two_ranks.CONFIGS[name], tmp_path / "weights", ALONE)
    assert seen[0][name] == seen[1][name]
    for ours, theirs in zip(seen[0][name], reports, strict=True):
        assert_alike(ours, theirs)
    assert distance(work / name, tmp_path / "weights") < 1e-5
    assert distance(work / name, work / "tied" / "model.safetensors") > 1e-3  # or nothing was trained


def test_a_rank_without_rollouts_takes_part(work: Path, seen: list[dict[str, Any]], tmp_path: Path) -> None:
    reports = two_ranks.train(work / "tied", two_ranks.PLAIN, tmp_path / "weights", ALONE, count=1)
    for ours, theirs in zip(seen[0]["one_rollout"], reports, strict=True):
        assert_alike(ours, theirs)
    assert distance(work / "one_rollout", tmp_path / "weights") < 1e-5


def test_a_step_that_one_rank_cannot_take_is_skipped_on_all(seen: list[dict[str, Any]]) -> None:
    skipped, unchanged, skipped_again = True, True, False
    assert [one["not_finite"] for one in seen] == [[skipped, unchanged, skipped_again]] * 2


def test_each_rank_holds_its_share_and_the_whole_is_saved(work: Path, seen: list[dict[str, Any]]) -> None:
    saved, original = (
        AutoModelForCausalLM.from_pretrained(work / name, dtype=torch.float32) for name in ("saved", "untied")
    )
    assert type(saved) is type(original)
    assert saved.config.architectures == ["Qwen3ForCausalLM"]
    for name, tensor in original.state_dict().items():
        assert torch.equal(saved.state_dict()[name], tensor)
    assert seen[0]["own"] + seen[1]["own"] == original.num_parameters()
    assert max(one["own"] for one in seen) < 0.51 * original.num_parameters()


def test_what_fails_on_one_rank_fails_on_all(work: Path, seen: list[dict[str, Any]]) -> None:
    for one in seen:
        assert one["different"].startswith("InputError: the ranks were given different batches")
        assert f"{work}/nowhere/weights: cannot write the weights" in one["nowhere"]
        assert f"{work}/nowhere/checkpoint.json: cannot read the checkpoint" in one["no_checkpoint"]
        assert f"{work}/unkept: cannot write the checkpoint" in one["not_json"]
    assert not [path for path in work.iterdir() if path.name.endswith(".partial")]


def test_ranks_go_on_from_the_checkpoint_of_as_many_as_if_never_stopped(
    work: Path, seen: list[dict[str, Any]]
) -> None:
    assert [one["two_to_two"] for one in seen] == [{"ranks": 2}] * 2
    assert distance(work / "two_to_two", work / "dapo") == 0


def test_two_ranks_go_on_from_the_checkpoint_of_one(work: Path, seen: list[dict[str, Any]]) -> None:
    assert [one["one_to_two"] for one in seen] == [{"ranks": 1}] * 2
    assert distance(work / "one_to_two", work / "dapo") < 1e-5


def test_one_rank_goes_on_from_the_checkpoint_of_two(work: Path, tmp_path: Path) -> None:
    assert two_ranks.resume(work / "tied", work / "two", tmp_path / "weights", ALONE) == {"ranks": 2}
    assert distance(tmp_path / "weights", work / "dapo") < 1e-5


@given(lengths=st.lists(st.integers(1, 60), max_size=60), ranks=st.integers(1, 5))
def test_ranks_are_dealt_about_as_many_tokens(lengths: list[int], ranks: int) -> None:
    hands = deal(lengths, ranks)
    assert sorted(index for hand in hands for index in hand) == list(range(len(lengths)))
    sums = [sum(lengths[index] for index in hand) for hand in hands]
    assert max(sums) - min(sums) <= max(lengths, default=0)


@given(
    written=st.lists(st.integers(1, 30), max_size=20),
    size=st.integers(1, 4),
    budget=st.integers(1, 100),
)
def test_ranks_have_as_many_micro_batches_and_every_token_once(
    written: list[int], size: int, budget: int
) -> None:
    samples = [Sample(rollout(written=n, id=f"g.{i}"), float(i)) for i, n in enumerate(written)]
    cut = [
        list(micro_batches(samples, token_budget=budget, device=CPU, ranks=Ranks(rank, size)))
        for rank in range(size)
    ]
    assert len({len(batches) for batches in cut}) == 1
    trained = Counter(value for batches in cut for batch in batches for value in batch.advantage.tolist())
    assert trained == Counter({float(i): n for i, n in enumerate(written)})


def python(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
    )


def test_ranks_can_meet_at_a_store_and_hear_of_each_others_failure_and_death(tmp_path: Path) -> None:
    processes = [python("tests.trainer.met_rank", rank, str(tmp_path / "store")) for rank in ("0", "1")]
    try:
        printed = [process.communicate(timeout=LIMIT)[0].splitlines() for process in processes]
    finally:
        for process in processes:
            process.kill()
    greetings = "['from 0', 'from 1']"
    assert printed == [
        [greetings, "HeadwayError: rank 1: no room", "left alone"],
        [greetings, "ValueError: no room"],
    ]


@pytest.mark.parametrize(
    ("first", "local_rank", "own"),
    [
        ("cpu", 3, "cpu"),
        ("cuda", 0, "cuda"),
        ("cuda", 3, "cuda:3"),
        ("cuda:2", 0, "cuda:2"),
        ("cuda:2", 3, "cuda:5"),
    ],
)
def test_ranks_of_a_machine_have_a_gpu_each_from_the_first_on(first: str, local_rank: int, own: str) -> None:
    assert own_device(first, local_rank) == own


def test_a_process_that_no_one_started_with_others_is_alone() -> None:
    assert from_environment() == ALONE
