"""The one error that a user may see: what was wrong, where, and what to do.

Every folder raises ``HeadwayError`` (or a subclass) for bad input and for a machine that cannot do what
was asked; the command line prints its message without a traceback and exits with ``exit_code``.
Broken invariants raise ordinary exceptions: those are bugs, and their traceback is wanted.
"""


class HeadwayError(Exception):
    """A failure that is explained to the user in one message; ``exit_code`` is the process's status."""

    exit_code = 1


class InputError(HeadwayError):
    """The user's input (a file, an option, a model folder) cannot be used as it is."""

    exit_code = 2
