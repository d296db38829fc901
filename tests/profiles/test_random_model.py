from pathlib import Path

from headway.engine.model_folder import ModelFolder
from headway.profiles.random_model import ModelShape, random_model

SMALL = ModelShape(vocabulary=64, hidden=32, intermediate=48, layers=1, heads=2, kv_heads=1, head=32)


def test_a_seed_gives_the_same_weights_and_another_seed_others(tmp_path: Path) -> None:
    folders = [
        random_model(SMALL, seed=seed, cache=tmp_path / name) for seed, name in ((0, "a"), (0, "b"), (1, "b"))
    ]
    weights = [(folder / "model.safetensors").read_bytes() for folder in folders]
    assert weights[0] == weights[1] != weights[2]


def test_an_engine_can_open_the_folder(tmp_path: Path) -> None:
    assert ModelFolder.open(random_model(SMALL, cache=tmp_path)).max_context == SMALL.max_context


def test_the_model_is_made_once(tmp_path: Path) -> None:
    folder = random_model(SMALL, cache=tmp_path)
    before = (folder / "model.safetensors").stat().st_mtime_ns
    assert random_model(SMALL, cache=tmp_path) == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == before
    assert list(tmp_path.iterdir()) == [folder]
