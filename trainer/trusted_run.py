"""Runs our own demonstration code in this process, and answers as the sandbox would.

Only for code that this package wrote: nothing is isolated here and no limit is kept. The wording is the
sandbox's: a traceback without source lines or carets, only the file and line for a syntax error.
"""

import contextlib
import io
import traceback

from headway.sandbox.result import Result, Status, Tier


def run_trusted(code: str) -> Result:
    """Run code as ``__main__`` and return what it printed, or the error that it ended with."""
    stdout = io.StringIO()
    try:
        program = compile(code, "<code>", "exec")
        with contextlib.redirect_stdout(stdout):
            exec(program, {"__name__": "__main__"})
    except Exception as error:
        return Result(
            status=Status.ERROR, exit_code=1, stdout=stdout.getvalue(), stderr=_explain(error), tier=Tier.NONE
        )
    return Result(status=Status.OK, exit_code=0, stdout=stdout.getvalue(), tier=Tier.NONE)


def _explain(error: Exception) -> str:
    if isinstance(error, SyntaxError):
        return f'  File "<code>", line {error.lineno}\n{type(error).__name__}: {error.msg}\n'
    frames = traceback.extract_tb(error.__traceback__)
    lines = [
        f'  File "{f.filename}", line {f.lineno}, in {f.name}\n' for f in frames if f.filename == "<code>"
    ]
    final = traceback.format_exception_only(error)
    return "".join(["Traceback (most recent call last):\n", *lines, *final])
