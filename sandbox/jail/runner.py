"""Runs a snippet's source as ``__main__`` and returns the exit status that plain Python would give.

Invariants: whatever the snippet does, ``run_main`` returns and never raises; an uncaught exception is
printed by ``wording`` and gives status 1; exit handlers and non-daemon threads have run. Knows nothing of
isolation or limits.
"""

import ast
import atexit
import codecs
import contextlib
import random
import sys
import threading
from collections.abc import Callable, Iterator
from types import CodeType, ModuleType, TracebackType
from typing import TextIO, cast

from .wording import FILENAME, describe

_RECURSION_LIMIT = 1000


def run_main(source: bytes, note_memory_error: Callable[[], None]) -> int:
    """Run the source; ``note_memory_error`` is called if an uncaught ``MemoryError`` ends it."""
    _prepare()
    try:
        status = _execute(source, note_memory_error)
        _at_exit()
    except BaseException as error:
        status = _status_of(error, note_memory_error)
    return _flushed(status)


def _flushed(status: int) -> int:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BaseException:
            status = status or 120
    return status


class Cells:
    """Runs one cell after another in one ``__main__``, as a notebook does.

    A cell whose last line is an expression prints its value. Exit handlers are not run; threads that are not
    daemons are waited for.
    """

    def __init__(self) -> None:
        _prepare()
        self.memory_error = False
        self._main = sys.modules["__main__"] = ModuleType("__main__")

    def run(self, source: bytes) -> int:
        """Run one cell; return the exit status that it would have had as a program."""
        self.memory_error = False
        try:
            self._renew_streams()
            status = self._execute(source)
            for thread in threading.enumerate():
                if thread is not threading.main_thread() and not thread.daemon:
                    thread.join()
        except BaseException as error:
            status = _status_of(error, self._note_memory_error)
        return _flushed(status)

    def _execute(self, source: bytes) -> int:
        try:
            for code in _compiled_cell(source):
                exec(code, self._main.__dict__)
        except BaseException as error:
            return _status_of(error, self._note_memory_error)
        return 0

    def _note_memory_error(self) -> None:
        self.memory_error = True

    def _renew_streams(self) -> None:
        """Forget what an earlier cell left unread, and open what it closed."""
        sys.stdin = _stream(0, "r", "surrogateescape")
        for fd, name in ((1, "stdout"), (2, "stderr")):
            if getattr(getattr(sys, name), "closed", True):
                setattr(sys, name, _stream(fd, "w", "backslashreplace" if fd == 2 else "surrogateescape"))


def _stream(fd: int, mode: str, errors: str) -> TextIO:
    return cast(TextIO, open(fd, mode, encoding="utf-8", errors=errors, closefd=False))


def _prepare() -> None:
    sys.argv = [FILENAME]
    sys.excepthook = _print_exception
    threading.excepthook = _print_thread_exception
    random.seed()
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()
    sys.setrecursionlimit(_RECURSION_LIMIT + _depth() + 1)


def _depth() -> int:
    frame, depth = sys._getframe(), 0
    while frame.f_back is not None:
        frame, depth = frame.f_back, depth + 1
    return depth


def _execute(source: bytes, note_memory_error: Callable[[], None]) -> int:
    main = ModuleType("__main__")
    sys.modules["__main__"] = main
    try:
        exec(_compiled(source), main.__dict__)
    except BaseException as error:
        return _status_of(error, note_memory_error)
    return 0


def _text(source: bytes) -> str:
    return source.removeprefix(codecs.BOM_UTF8).decode("utf-8", "replace")


def _compiled(source: bytes) -> CodeType:
    with _syntax_errors_in_the_source():
        return compile(_text(source), FILENAME, "exec", dont_inherit=True)


def _compiled_cell(source: bytes) -> list[CodeType]:
    with _syntax_errors_in_the_source():
        module = ast.parse(_text(source), FILENAME)
        shown = [ast.Interactive([module.body.pop()])] if _ends_in_expression(module) else []
        codes = [compile(module, FILENAME, "exec", dont_inherit=True)]
        return codes + [compile(last, FILENAME, "single", dont_inherit=True) for last in shown]


def _ends_in_expression(module: ast.Module) -> bool:
    return bool(module.body) and isinstance(module.body[-1], ast.Expr)


@contextlib.contextmanager
def _syntax_errors_in_the_source() -> Iterator[None]:
    try:
        yield
    except (ValueError, SyntaxError) as error:
        if isinstance(error, SyntaxError) and error.lineno is not None:
            raise
        raise SyntaxError(str(error), (FILENAME, 1, None, None)) from None


def _status_of(error: BaseException, note_memory_error: Callable[[], None]) -> int:
    if isinstance(error, SystemExit):
        return _exit_status(error.code)
    if isinstance(error, MemoryError):
        note_memory_error()
    try:
        sys.excepthook(type(error), error, error.__traceback__)
    except BaseException:
        _print_exception(type(error), error, error.__traceback__)
    return 1


def _exit_status(code: object) -> int:
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF if -(1 << 63) <= code < 1 << 63 else 255
    _write_error(f"{code}\n")
    return 1


def _at_exit() -> None:
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()


def _print_exception(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    _write_error(describe(error.with_traceback(trace)))


def _print_thread_exception(args: "threading.ExceptHookArgs") -> None:
    if args.exc_value is not None and not isinstance(args.exc_value, SystemExit):
        name = args.thread.name if args.thread else "unknown"
        _write_error(f"Exception in thread {name}:\n{describe(args.exc_value)}")


def _write_error(text: str) -> None:
    with contextlib.suppress(BaseException):
        sys.stdout.flush()
    with contextlib.suppress(BaseException):
        sys.stderr.write(text)
