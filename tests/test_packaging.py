import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_a_wheel_holds_the_five_folders_under_one_name_with_the_policy_and_the_recipes(
    tmp_path: Path,
) -> None:
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", tmp_path]
    subprocess.run([*build, ROOT], check=True, capture_output=True, cwd=tmp_path)
    (wheel,) = tmp_path.glob("headway-*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name.split("/")[0] for name in names} == {
        "headway",
        wheel.name.removesuffix("-py3-none-any.whl") + ".dist-info",
    }
    assert {
        "headway/py.typed",
        "headway/cli/app.py",
        "headway/engine/vllm_engine.py",
        "headway/profiles/attribution.py",
        "headway/sandbox/jail/seccomp.py",
        "headway/scheduler/policies/headroom.py",
        "headway/trainer/recipes/demo.toml",
        "headway/trainer/tiny_policy/chat_template.jinja",
        "headway/trainer/tiny_policy/model.safetensors",
    } <= names
