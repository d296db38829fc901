import os
import platform
import signal
import struct

import pytest

from headway.sandbox import Limits, Status, Tier
from headway.sandbox.call_files import CallFiles, Output
from headway.sandbox.errors import IsolationUnavailable
from headway.sandbox.flavour import Flavour, flavour_of
from headway.sandbox.jail.seccomp import compile_filter
from headway.sandbox.remedy import remedy_for
from headway.sandbox.verdict import judge
from headway.sandbox.wire import Call, Cause, Ending, Kind, pack_call, pack_ending, unpack_call, unpack_ending
from headway.sandbox.worker import Answer


@pytest.mark.parametrize(
    "code",
    [
        "import sympy",
        "def f():\n  from sympy.abc import x",
        "import os, numpy as np, sympy",
        "import numpy\nfrom math_verify import parse",
    ],
)
def test_symbolic_imports_get_the_mathematical_flavour(code):
    assert flavour_of(code) is Flavour.MATH


@pytest.mark.parametrize("code", ["import numpy", "import os, numpy as np", "x = 1; import scipy.stats"])
def test_numerical_imports_get_the_leaner_flavour_with_numpy(code):
    assert flavour_of(code) is Flavour.NUMPY


@pytest.mark.parametrize(
    "code", ["print(1)", "import math", "numpy = 1", "import numpyish", "from json import *", "("]
)
def test_other_code_gets_the_bare_flavour(code):
    assert flavour_of(code) is Flavour.BARE


@pytest.mark.parametrize("limit", [2, 5, 10, 99, 1023])
def test_output_beyond_its_limit_keeps_its_head_and_tail(limit):
    data = bytes(range(256)) * 4
    head, tail = limit - limit // 2, limit // 2
    expected = data[:head] + b"\n[... %d bytes left out ...]\n" % (1024 - limit) + data[-tail:]
    assert written(data, limit) == Output(expected, 1024 - limit)


@pytest.mark.parametrize("limit", [10, 11])
def test_output_within_its_limit_is_whole(limit):
    assert written(b"0123456789", limit) == Output(b"0123456789", 0)


def test_a_calls_files_hold_code_and_input_and_start_at_their_beginning():
    with CallFiles(b"code", b"input") as files:
        assert [os.read(fd, 10) for fd in files.descriptors] == [b"code", b"input", b"", b""]


def written(data: bytes, limit: int) -> Output:
    with CallFiles(b"", b"") as files:
        os.write(files.descriptors[2], data)
        return files.outputs(limit)[0]


def ending(
    cause: Cause = Cause.EXITED, wait_status: int = 0, *, memory_error: bool = False, cpu_s: float = 0
) -> Ending:
    return Ending(cause, wait_status, memory_error, cpu_s)


@pytest.mark.parametrize(
    ("seen", "status"),
    [
        (ending(), Status.OK),
        (ending(wait_status=1 << 8), Status.ERROR),
        (ending(wait_status=1 << 8, memory_error=True), Status.MEMORY_LIMIT),
        (ending(wait_status=2 << 8, memory_error=True), Status.ERROR),
        (ending(wait_status=0, memory_error=True), Status.OK),
        (ending(wait_status=signal.SIGSEGV), Status.KILLED),
        (ending(wait_status=signal.SIGKILL), Status.KILLED),
        (ending(wait_status=signal.SIGKILL, cpu_s=5.0), Status.CPU_LIMIT),
        (ending(wait_status=signal.SIGXCPU), Status.CPU_LIMIT),
        (ending(Cause.WALL, signal.SIGKILL), Status.TIMEOUT),
        (ending(Cause.WALL, 0), Status.TIMEOUT),
        (ending(Cause.MEMORY, signal.SIGKILL), Status.MEMORY_LIMIT),
        (ending(Cause.FAULT, 1 << 8), Status.SANDBOX_ERROR),
    ],
)
def test_status_follows_from_the_kernel_and_the_clock(seen, status):
    assert judge(Answer(seen), Limits(), Tier.B, 1).status is status


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_filter_is_a_valid_program(machine):
    program = compile_filter(machine)
    instructions = list(struct.iter_unpack("=HBBI", program))
    assert len(instructions) < 4096
    for position, (code, if_true, if_false, _) in enumerate(instructions):
        if code & 7 == 5:
            assert position + 1 + max(if_true, if_false) < len(instructions)
    assert instructions[-1][0] == 6


def test_unknown_machine_has_no_filter():
    assert platform.machine() != "vax"
    with pytest.raises(OSError, match="vax"):
        compile_filter("vax")


def test_remedy_names_the_switch_that_refuses(tmp_path):
    error = IsolationUnavailable("user namespace", "Operation not permitted")
    (tmp_path / "kernel").mkdir()
    (tmp_path / "kernel/apparmor_restrict_unprivileged_userns").write_text("1\n")
    assert "apparmor_restrict_unprivileged_userns=0" in remedy_for(error, sysctls=tmp_path)


def test_remedy_in_a_container_names_its_options(tmp_path):
    error = IsolationUnavailable("user namespace", "Operation not permitted")
    (tmp_path / ".dockerenv").touch()
    assert "--security-opt seccomp=unconfined" in remedy_for(error, sysctls=tmp_path, root=tmp_path)


def test_messages_arrive_as_they_were_sent():
    call = Call(1.5, 2.5, 1 << 40, 2, 3, 4, Kind.BRANCH, 5, 6, 7.5)
    seen = Ending(Cause.OUTPUT, -1, True, 0.25, 1.5, 1 << 40, True)
    assert (unpack_call(pack_call(call)), unpack_ending(pack_ending(seen))) == (call, seen)
