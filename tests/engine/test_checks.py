"""What is refused before any engine starts."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from headway.engine import EngineConfig
from headway.engine.checks import resolve
from headway.errors import InputError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The least that counts as a model: a config, a tokenizer and one safetensors file of one tensor."""
    (tmp_path / "config.json").write_text('{"max_position_embeddings": 512}')
    (tmp_path / "tokenizer.json").write_text("{}")
    header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    (tmp_path / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    return tmp_path


def config_of(folder: Path, **fields: Any) -> EngineConfig:
    return EngineConfig(model=str(folder), device="cpu", **fields)


def test_what_was_left_open_is_filled_in(folder: Path) -> None:
    config = resolve(config_of(folder, kv_tokens=512), engines=1)
    assert (config.dtype, config.max_context, config.model) == ("float32", 512, str(folder))


def test_a_gpu_keeps_the_dtype_of_the_checkpoint(folder: Path) -> None:
    config = resolve(EngineConfig(model=str(folder), device="gpu"), engines=1)
    assert (config.device, config.dtype) == ("gpu", "auto")


def test_yarn_stretches_the_longest_context(folder: Path) -> None:
    rope = {"rope_type": "yarn", "factor": 4.0}
    (folder / "config.json").write_text(
        json.dumps({"text_config": {"max_position_embeddings": 512, "rope_scaling": rope}})
    )
    assert resolve(config_of(folder), engines=1).max_context == 2048


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("config.json", "has no config.json"),
        ("tokenizer.json", "has no tokenizer"),
        ("model.safetensors", "has no .*safetensors weights"),
    ],
)
def test_a_missing_part_of_the_model_is_named(folder: Path, missing: str, message: str) -> None:
    (folder / missing).unlink()
    with pytest.raises(InputError, match=message):
        resolve(config_of(folder), engines=1)


def test_a_missing_model_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere does not exist"):
        resolve(config_of(tmp_path / "nowhere"), engines=1)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.json", b"{", "cannot be read as a JSON object"),
        ("config.json", b"{}", "max_position_embeddings"),
        ("model.safetensors", b"", "not a readable safetensors file"),
        (
            "model.safetensors",
            b"version https://git-lfs.github.com/spec/v1",
            "not a readable safetensors file",
        ),
    ],
)
def test_a_broken_part_of_the_model_is_named(folder: Path, name: str, content: bytes, message: str) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        resolve(config_of(folder), engines=1)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"max_context": 513}, "max_context 513 is larger than the 512 positions"),
        ({"kv_tokens": 31}, "less than one block of 32"),
        ({"kv_tokens": 500}, "cannot hold one trajectory of max_context 512"),
        ({"kv_tokens": 100, "max_context": 97}, r"kv_tokens 100 \(96 in whole blocks"),
        ({"kv_tokens": 0}, "kv_tokens is 0"),
        ({"threads": 0}, "threads is 0"),
        ({"gpu_memory_utilization": 1.5}, "a share between 0 and 1"),
        ({"version": -1}, "count from 0"),
    ],
)
def test_sizes_that_cannot_work_are_refused(folder: Path, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        resolve(config_of(folder, **fields), engines=1)


def test_no_engines_are_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="at least one"):
        resolve(config_of(folder), engines=0)


def test_an_unknown_key_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="kv_token"):
        msgspec.toml.decode('model = "m"\nkv_token = 3', type=EngineConfig)
