from pathlib import Path

import pytest

from headway.engine.simulated import SimulatedEngine
from headway.errors import InputError
from headway.profiles import hardware_profiles
from headway.profiles.hardware_profiles import HARDWARE_NAMES, load_hardware

HEAD = 128
PROFILES = Path(hardware_profiles.__file__).parent / "hardware"
H100, MI300X = (80e9, 3.35e12 * 0.8), (192e9, 5.3e12 * 0.8)


@pytest.mark.parametrize("name", HARDWARE_NAMES)
def test_a_shipped_profile_has_its_files_name_and_makes_an_engine(name: str) -> None:
    hardware = load_hardware(name)
    assert hardware.name == name
    assert hardware.source
    assert SimulatedEngine(hardware).info.kv_tokens == hardware.kv_tokens


def test_the_names_are_those_that_the_documentation_gives() -> None:
    given = {"cpu-tiny", "h100-14b", "mi300x-14b", "h100-30b-a3b", "mi300x-30b-a3b", "8xh100-355b"}
    assert given <= set(HARDWARE_NAMES)


@pytest.mark.parametrize(
    ("name", "gpus", "gpu", "flops", "attention_flops", "model", "launch", "communication"),
    [
        ("h100-14b", 1, H100, 989e12 * 0.5, 989e12 * 0.5, "14b", 1.5e-3, 0.0),
        ("mi300x-14b", 1, MI300X, 1307e12 * 0.4, 1307e12 * 0.4, "14b", 2e-3, 0.0),
        ("h100-30b-a3b", 1, H100, 1979e12 * 0.25, 989e12 * 0.5, "30b", 2e-3, 0.0),
        ("mi300x-30b-a3b", 1, MI300X, 2615e12 * 0.2, 1307e12 * 0.4, "30b", 2.5e-3, 0.0),
        ("8xh100-355b", 8, H100, 1979e12 * 0.25, 989e12 * 0.5, "355b", 2e-3 + 184 * 15e-6, 10.5e-6),
    ],
)
def test_derived_figures_follow_from_the_published_ones(
    name: str,
    gpus: int,
    gpu: tuple[float, float],
    flops: float,
    attention_flops: float,
    model: str,
    launch: float,
    communication: float,
) -> None:
    layers, queries, kv_heads, active, read, weights, other = {
        "14b": (40, 40, 8, 13.2e9, 28.0e9, 29.6e9, 4e9),
        "30b": (48, 32, 4, 3.3e9, 30.5e9, 31.2e9, 4e9),
        "355b": (92, 96, 8, 32e9, 355e9, 357e9, 48e9),
    }[model]
    memory, bandwidth = gpus * gpu[0], gpus * gpu[1]
    reading, computing = read / bandwidth, 2 * active / (gpus * flops)
    kv_bytes = 2 * layers * kv_heads * HEAD * 2
    hardware = load_hardware(name)
    step = hardware.step
    assert not hardware.measured
    assert step.fixed == pytest.approx(reading + launch, rel=0.01)
    assert step.prefill == pytest.approx(computing - reading / 8192 + communication, rel=0.01)
    decode = max(0.0, computing - reading / 256) + communication + 10e-6
    assert step.decode == pytest.approx(decode, rel=0.01)
    assert step.kv_read == pytest.approx(kv_bytes / bandwidth, rel=0.01)
    attention = 4 * queries * HEAD * layers / (gpus * attention_flops)
    assert step.attention == pytest.approx(attention, rel=0.01)
    kv_tokens = (0.9 * memory - weights - other) / kv_bytes
    assert 0 <= kv_tokens - hardware.kv_tokens < hardware.block_size


def test_a_file_of_ones_own_is_a_profile_too(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(
        'name = "mine"\nsource = "me"\nmeasured = true\nkv_tokens = 64\n'
        "[step]\nfixed = 1.0\nprefill = 1.0\ndecode = 1.0\nkv_read = 0.0\n"
    )
    assert load_hardware(str(file)).step.attention == 0.0


def test_an_unknown_name_gets_the_names_that_there_are() -> None:
    with pytest.raises(InputError, match=r"no hardware profile 'h200'.*h100-14b.*mi300x-14b"):
        load_hardware("h200")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"missing\.toml: cannot read"):
        load_hardware(str(tmp_path / "missing.toml"))


def test_an_unknown_key_is_named_with_the_nearest_that_there_is(tmp_path: Path) -> None:
    file = tmp_path / "wrong.toml"
    file.write_text(
        'name = "mine"\nsource = "me"\nmeasured = true\nkv_tokens = 64\n'
        "[step]\nfixed = 1.0\nprefil = 1.0\ndecode = 1.0\nkv_read = 0.0\n"
    )
    with pytest.raises(InputError, match=r"\[step\] has no key `prefil`; did you mean `prefill`"):
        load_hardware(str(file))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("block_size = 0", "block_size"),
        ("max_batched_tokens = 100", "max_num_seqs is 256, and max_batched_tokens only 100"),
        ("kv_tokens = 8", "less than one block"),
    ],
)
def test_sizes_that_make_no_engine_are_refused_with_the_file(tmp_path, line: str, said: str) -> None:
    shipped = (PROFILES / "h100-14b.toml").read_text()
    key = line.split(" = ")[0]
    file = tmp_path / "odd.toml"
    file.write_text("\n".join(line if old.startswith(key) else old for old in shipped.splitlines()))
    with pytest.raises(InputError, match=said) as refused:
        load_hardware(str(file))
    assert "odd.toml" in str(refused.value)
