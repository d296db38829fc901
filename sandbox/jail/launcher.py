"""The first code of a zygote's process: namespaces, private root, unprivileged user, warm-up, then service.

Reports on the control socket either ``R`` or ``E``, the step that failed and why. Standard library only: it
is started with a nearly empty environment and without the parent package's ``__init__`` files.
"""

import contextlib
import gc
import json
import os
import resource
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from typing import Any, NoReturn

from . import filesystem, syscalls
from .confinement import Isolation
from .identity import UNPRIVILEGED_ID, become_unprivileged, map_identity
from .seccomp import compile_filter
from .warm import warm
from .zygote import Zygote

_NAMESPACES = (
    syscalls.CLONE_NEWUSER
    | syscalls.CLONE_NEWNS
    | syscalls.CLONE_NEWPID
    | syscalls.CLONE_NEWNET
    | syscalls.CLONE_NEWIPC
    | syscalls.CLONE_NEWUTS
)


class _StepFailed(Exception):
    pass


def main(arguments: str) -> NoReturn:
    """Become a zygote; ``arguments`` is JSON: control and parent descriptors, isolation, packages to warm."""
    config: dict[str, Any] = json.loads(arguments)
    control = socket.socket(fileno=config["control"])
    try:
        zygote = _prepare(control, config)
        _report(control, b"R")
    except _StepFailed as error:
        _report(control, f"E{error}".encode())
        os._exit(1)
    try:
        zygote.serve()
    finally:
        os._exit(0)


def _report(control: socket.socket, message: bytes) -> None:
    try:
        control.sendall(message)
    except (BrokenPipeError, ConnectionResetError):  # whoever started this zygote no longer waits for it
        os._exit(0)


def _prepare(control: socket.socket, config: dict[str, Any]) -> Zygote:
    isolation = Isolation(config["isolation"])
    most_files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))  # one for each slot
    scratch, program = "/tmp", b""
    root = os.geteuid() == 0
    if isolation is Isolation.NAMESPACES:
        with _step("user namespace"):
            _enter_namespaces()
        with _step("private root"):
            socket.sethostname("sandbox")
            scratch = filesystem.enter_private_root()
    if isolation is not Isolation.UNSAFE:
        with _step("unprivileged user"):
            if root:
                become_unprivileged()
            with open(os.__file__, "rb"):
                pass
            syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
        with _step("seccomp filter"):
            program = compile_filter()
    if isolation is Isolation.NAMESPACES:
        # Only here is the parent the single-threaded process below, whose end is not just a thread's.
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
    syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)
    if isolation is not Isolation.NAMESPACES:
        scratch = tempfile.mkdtemp(prefix="headway-")
    os.environ.update(HOME=scratch, TMPDIR=scratch)
    with _step("warm-up"):
        warm(config["packages"])
    _forget_ourselves()
    return Zygote(control, config["parent"], isolation, scratch, program)


def _enter_namespaces() -> None:
    """Continue as the first process of new namespaces; the process that was started waits for it."""
    mapped = _map_as_root if os.geteuid() == 0 else _map_as_user
    mapped()
    child = os.fork()
    if child:
        syscalls.close_from(3)
        os.waitpid(child, 0)
        os._exit(0)


def _map_as_user() -> None:
    uid, gid = os.getuid(), os.getgid()
    syscalls.unshare(_NAMESPACES)
    map_identity(f"0 {uid} 1", f"0 {gid} 1")


def _map_as_root() -> None:
    """Map root, for the mounts, and the unprivileged user that follows; only an outsider may map two."""
    told, tell = os.pipe()
    target = os.getpid()
    helper = os.fork()
    if helper == 0:
        os.close(tell)
        os.read(told, 1)
        both = f"0 0 1\n{UNPRIVILEGED_ID} {UNPRIVILEGED_ID} 1"
        try:
            map_identity(both, both, process=str(target))
        except OSError as error:
            os._exit(error.errno or 1)
        os._exit(0)
    syscalls.unshare(_NAMESPACES)
    os.write(tell, b"1")
    os.close(tell)
    os.close(told)
    code = os.waitstatus_to_exitcode(os.waitpid(helper, 0)[1])
    if code:
        raise OSError(code, f"map users: {os.strerror(code)}")


def _forget_ourselves() -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "headway"]:
        del sys.modules[name]
    sys.dont_write_bytecode = True
    gc.collect()
    gc.disable()
    gc.freeze()


@contextlib.contextmanager
def _step(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _StepFailed(f"{name}: {error}") from error
