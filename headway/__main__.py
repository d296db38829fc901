"""The ``headway`` command."""

import errno
import os
import sys
from typing import NoReturn

from rich.console import Console
from rich.markup import escape

from headway.errors import HeadwayError


def main() -> None:
    """Run the command line; failures that are explained end without a traceback."""
    from headway.cli.app import app

    try:
        app()
    except Exception as error:
        cause = _cause(error)
        status = _explain(cause)
        if status is None:
            raise
        _print_rest(error, cause)
        _exit(status)
    except SystemExit as ending:
        if not isinstance(ending.code, int):
            raise
        _exit(ending.code)


def _exit(status: int) -> NoReturn:
    """End; at once where there are other ranks, for torch may abort an interpreter that ends by itself."""
    if int(os.environ.get("WORLD_SIZE", 1)) == 1:
        sys.exit(status)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _explain(cause: BaseException) -> int | None:
    """Print what an error means and return the exit status; None for an error that is a bug."""
    from headway.cli.runtime import Interrupted

    match cause:
        case HeadwayError():
            _print(f"[bold red]error:[/] {escape(str(cause))}")
            return cause.exit_code
        case Interrupted():
            _print(f"stopped by {cause}; what was finished is kept")
            return cause.exit_code
        case OSError(errno=errno.ENOSPC | errno.EDQUOT | errno.EFBIG):
            _print(f"[bold red]error:[/] {escape(str(cause.filename or 'a file'))}: {cause.strerror}")
            return 1
        case _:
            return None


def _print_rest(error: BaseException, cause: BaseException) -> None:
    """Print what else went wrong, each thing once."""
    from headway.cli.endings import texts

    for text in dict.fromkeys([*texts(error), *texts(cause)]):
        if text not in (str(cause), f"{type(cause).__name__}: {cause}"):
            _print(f"also: {escape(text)}")


def _cause(error: BaseException) -> BaseException:
    """The first explained error in a group of them, or the error itself."""
    if isinstance(error, BaseExceptionGroup):
        causes = [_cause(inner) for inner in error.exceptions]
        return next((cause for cause in causes if isinstance(cause, HeadwayError)), causes[0])
    return error


def _print(text: str) -> None:
    Console(stderr=True, soft_wrap=True).print(text, highlight=False)


if __name__ == "__main__":
    main()
