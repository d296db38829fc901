"""The house rules that a reader relies on: one import name, arrows that point one way."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import headway

ROOT = Path(headway.__file__).parent
BELOW = {
    "engine": set(),
    "sandbox": set(),
    "scheduler": {"engine", "sandbox"},
    "trainer": {"engine", "sandbox", "scheduler"},
    "profiles": {"engine", "sandbox", "scheduler", "trainer"},
}
_IMPORT = re.compile(r"^\s*(?:from|import) headway\.(\w+)", re.MULTILINE)


@pytest.mark.parametrize("folder", BELOW)
def test_imports_point_one_way(folder: str) -> None:
    for file in (ROOT / folder).resolve().rglob("*.py"):
        arrows = set(_IMPORT.findall(file.read_text())) & set(BELOW)
        assert arrows <= BELOW[folder] | {folder}, f"{file.name} imports {arrows - BELOW[folder]}"


def test_the_scheduler_knows_nothing_of_vllm_http_or_torch() -> None:
    for file in (ROOT / "scheduler").resolve().rglob("*.py"):
        assert not re.search(
            r"^\s*(?:from|import) (vllm|torch|httpx|aiohttp|fastapi)\b", file.read_text(), re.M
        )


def test_no_folder_is_imported_under_its_bare_name() -> None:
    code = (
        "import sys, headway.cli.app, headway.cli.training, headway.cli.rollouts, headway.cli.doctor;"
        f"print(sorted(set({sorted(BELOW)!r}) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_command_line_starts_without_loading_torch_or_vllm() -> None:
    heavy = "('torch', 'vllm', 'transformers')"
    code = f"import sys, headway.cli.app; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
