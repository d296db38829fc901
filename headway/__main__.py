"""The ``headway`` command."""

import errno
import sys

from rich.console import Console

from headway.errors import HeadwayError


def main() -> None:
    """Run the command line; failures that are explained end without a traceback."""
    from headway.cli.app import app
    from headway.cli.runtime import Interrupted

    console = Console(stderr=True, soft_wrap=True)
    try:
        app()
    except Exception as error:
        first = _cause(error)
        if isinstance(first, HeadwayError):
            console.print(f"[bold red]error:[/] {_escape(str(first))}", highlight=False)
            sys.exit(first.exit_code)
        if isinstance(first, Interrupted):
            console.print(f"stopped by {first}; what was finished is kept", highlight=False)
            sys.exit(first.exit_code)
        if isinstance(first, OSError) and first.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            console.print(
                f"[bold red]error:[/] {first.filename or 'a file'}: {first.strerror}", highlight=False
            )
            sys.exit(1)
        raise


def _cause(error: BaseException) -> BaseException:
    """The first explained error in a group of them, or the error itself."""
    if isinstance(error, BaseExceptionGroup):
        causes = [_cause(inner) for inner in error.exceptions]
        return next((cause for cause in causes if isinstance(cause, HeadwayError)), causes[0])
    return error


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)


if __name__ == "__main__":
    main()
