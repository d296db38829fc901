"""``headway sandbox``: runs a file of code in the sandbox, and says how that ended."""

import re
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headway.errors import InputError

if TYPE_CHECKING:
    from headway.sandbox import Limits, Result, Snippet

app = typer.Typer(no_args_is_help=True, help="Run code in the sandbox.")

_LIMITS = "Limits"
_LONGEST_S = 86_400.0
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_LARGEST = 1 << 50


@app.callback()
def sandbox() -> None:
    """Run code in the sandbox."""


@app.command()
def run(
    file: Annotated[str, typer.Argument(metavar="FILE", help="Python source; - reads standard input.")],
    stdin: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="What the code reads on its standard input; - passes ours on. Default: nothing.",
        ),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print the whole result as one JSON object, and nothing else.")
    ] = False,
    wall: Annotated[
        float, typer.Option(metavar="SECONDS", help="Longest run.", rich_help_panel=_LIMITS)
    ] = 4.0,
    cpu: Annotated[
        float,
        typer.Option(metavar="SECONDS", help="Processor time of all its processes.", rich_help_panel=_LIMITS),
    ] = 4.0,
    memory: Annotated[
        str, typer.Option(metavar="SIZE", help="Of all its processes together.", rich_help_panel=_LIMITS)
    ] = "512M",
    disk: Annotated[
        str, typer.Option(metavar="SIZE", help="Its scratch folder, /tmp.", rich_help_panel=_LIMITS)
    ] = "16M",
    output: Annotated[
        str,
        typer.Option(
            metavar="SIZE",
            help="Kept of stdout and of stderr: the head and the tail; 64 times as much ends the run.",
            rich_help_panel=_LIMITS,
        ),
    ] = "16K",
    processes: Annotated[
        int, typer.Option(min=1, max=4096, help="At once, threads included.", rich_help_panel=_LIMITS)
    ] = 32,
    allow_tier_c: Annotated[
        bool,
        typer.Option(
            "--allow-tier-c",
            help="Where this machine refuses namespaces, run with a system call filter and limits alone: "
            "such code can read whatever an unprivileged user can.",
        ),
    ] = False,
) -> None:
    """Run one file of Python code, isolated, as a model's tool call is run.

    The code has no network, sees none of your files, and may write to /tmp, which is gone afterwards. Its
    output comes out as it is; then a line on stderr says how the run ended, what it used, and how it was
    isolated (tiers A and B: namespaces, with exact or sampled memory limit; C: --allow-tier-c).

    Exit status: 0 the code ended well; 1 it failed, hit a limit, or the sandbox could not run it (the line
    says which); 2 unusable input.

    Try it: `echo 'print(2**100)' | headway sandbox run -`

    With input and limits: `headway sandbox run solve.py --stdin data.txt --wall 10 --memory 1G`

    For a program: `headway sandbox run solve.py --json | jq .status`
    """
    from headway.sandbox import Limits, Snippet

    if file == "-" and stdin == "-":
        raise InputError("FILE and --stdin are both -; only one of them can be our standard input")
    limits = Limits(
        wall_s=_seconds("--wall", wall),
        cpu_s=_seconds("--cpu", cpu),
        memory_bytes=size_of("--memory", memory),
        disk_bytes=size_of("--disk", disk),
        output_bytes=size_of("--output", output),
        processes=processes,
    )
    snippet = Snippet(code=_code(file), stdin=_read(stdin) if stdin else b"", limits=limits)
    result = _run(snippet, allow_tier_c=allow_tier_c)
    if json:
        _print_json(result)
    else:
        _print(result, limits)
    if result.status != "ok":
        raise typer.Exit(1)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def learn(
    context: typer.Context,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="A Python program to trust.")
    ],
) -> None:
    """Find the system calls of a program that the sandbox's filter would refuse. Runs it WITHOUT isolation.

    For maintainers: where a package does not work in the sandbox, this says what it asks of the kernel. Each
    call that the filter refuses is counted and let through; whether the allow list should have it is for you
    to decide (sandbox/jail/syscall_numbers.py, and seccomp.py for calls with allowed arguments).

    Arguments after FILE are the program's own. Exit status: the program's.
    """
    from rich.console import Console
    from rich.table import Table

    from headway.sandbox.learn import learn as run_and_learn

    status, refused = run_and_learn(file, context.args)
    console = Console(stderr=True)
    if refused:
        table = Table("system call", "number", "times", title="what the filter refuses", box=None)
        for call in refused:
            table.add_row(call.name, str(call.number), str(call.times))
        console.print(table)
    else:
        console.print("the filter refuses nothing that this program did")
    if status < 0:
        console.print(f"{file}: ended by signal {-status}")
    raise typer.Exit(status if status >= 0 else 128 - status)


def size_of(option: str, text: str) -> int:
    """Read a size in bytes: ``65536``, ``64K``, ``512M``, ``1.5G``; raises ``InputError``."""
    match = re.fullmatch(r"(\d{1,15}(?:\.\d+)?)([KMG]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    size = int(float(match[1]) * _UNITS[match[2].upper()]) if match else 0
    if not 0 < size <= _LARGEST:
        raise InputError(f"{option} {text}: give a size above 0, such as 64K, 512M or 1G")
    return size


def summary_of(result: "Result", limits: "Limits") -> str:
    """How a run ended and what it used, in one line."""
    ended = f"signal {result.signal}" if result.signal is not None else f"exit code {result.exit_code}"
    dropped = result.stdout_dropped + result.stderr_dropped
    parts = [
        _verdict(result, limits),
        "no exit" if result.is_sandbox_fault else ended,
        f"CPU {result.cpu_s:.3f} s",
        f"wall {result.wall_s:.3f} s",
        f"peak {result.peak_memory_bytes / (1 << 20):.1f} MiB",
        f"tier {result.tier}",
        f"attempt {result.attempt}",
        f"{dropped:,} bytes of output left out (--output)" if dropped else "",
    ]
    return ", ".join(part for part in parts if part)


def _verdict(result: "Result", limits: "Limits") -> str:
    match result.status:
        case "timeout":
            return f"timeout: longer than {limits.wall_s:g} s (--wall)"
        case "cpu_limit":
            return f"cpu_limit: more than {limits.cpu_s:g} s of processor time (--cpu)"
        case "memory_limit":
            return f"memory_limit: more than {limits.memory_bytes / (1 << 20):g} MiB (--memory)"
        case "output_limit":
            return f"output_limit: far more output than {limits.output_bytes:,} bytes (--output)"
        case "sandbox_error" | "worker_lost":
            return f"{result.status}: the sandbox failed, not the code; `headway doctor` says what works here"
        case status:
            return str(status)


def _run(snippet: "Snippet", *, allow_tier_c: bool) -> "Result":
    from headway.sandbox import SandboxError, ZygoteSandbox

    from .runtime import run_async

    async def once() -> "Result":
        async with await ZygoteSandbox.start(workers=1, allow_tier_c=allow_tier_c) as sandbox:
            return await sandbox.run(snippet)

    with warnings.catch_warnings(record=True, action="always", category=RuntimeWarning) as caught:
        try:
            result = run_async(once)
        except SandboxError as error:
            error.add_note("the weaker isolation is --allow-tier-c here")
            raise
    for warning in caught:
        print(f"warning: {warning.message}", file=sys.stderr)
    return result


def _print(result: "Result", limits: "Limits") -> None:
    for text, stream in ((result.stdout, sys.stdout), (result.stderr, sys.stderr)):
        stream.flush()
        stream.buffer.write(text.encode())
        stream.flush()
    if result.stderr and not result.stderr.endswith("\n"):
        print(file=sys.stderr)
    print(f"headway: {summary_of(result, limits)}", file=sys.stderr)


def _print_json(result: "Result") -> None:
    import msgspec

    print(msgspec.json.encode(result).decode())


def _seconds(option: str, value: float) -> float:
    if not 0 < value <= _LONGEST_S:
        raise InputError(f"{option} {value:g}: give seconds above 0 and up to {_LONGEST_S:,.0f}")
    return value


def _code(file: str) -> str:
    try:
        return _read(file).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: not UTF-8 text at byte {error.start}; save it as UTF-8") from None


def _read(file: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise InputError(f"{file}: cannot read: {error.strerror}") from error
