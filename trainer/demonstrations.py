"""Noisy demonstrations of tool use, from which a tiny policy gets its cold start.

A demonstration alternates model turns and observations, in the Hermes format. Only some are clean: the
rest compute the wrong thing, fail first and are then mended, or guess. That leaves reinforcement learning
something to choose between. Invariants: an observation is what running the turn before it really gives; the
same problem and random state give the same demonstration. Knows nothing of tokens or of training.
"""

import json
import random
from collections.abc import Callable, Iterator
from enum import StrEnum

import msgspec

from headway.sandbox.result import Limits
from headway.scheduler.hermes import (
    PYTHON_TOOL,
    Malformed,
    parse_calls,
    render_responses,
    render_result,
)
from headway.scheduler.task import Task

from .arithmetic import Problem, Split, stream
from .families import Program
from .trusted_run import run_trusted


class Mode(StrEnum):
    """How a demonstration goes."""

    CLEAN = "clean"
    WRONG = "wrong"
    MENDED = "mended"
    GUESS = "guess"
    EXERCISE = "exercise"


class Mix(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The weights of the modes, and how often a mended call fails once more."""

    clean: float = 0.34
    wrong: float = 0.31
    mended: float = 0.23
    guess: float = 0.12
    fails_again: float = 0.15


class Segment(msgspec.Struct, frozen=True):
    """Consecutive text of one author: a whole model turn, or the content of the user message after it."""

    written: bool
    text: str


class Demonstration(msgspec.Struct, frozen=True):
    """A task with the turns that answer it; it begins and ends with a model turn."""

    task: Task
    mode: Mode
    segments: list[Segment]


def demonstrations(mix: Mix, seed: int, split: Split = Split.TRAIN) -> Iterator[Demonstration]:
    """Yield demonstrations of different problems without end."""
    rng = random.Random(f"demonstrations-{seed}")
    weights = {Mode.CLEAN: mix.clean, Mode.WRONG: mix.wrong, Mode.MENDED: mix.mended, Mode.GUESS: mix.guess}
    for problem in stream(split, seed):
        mode = rng.choices(list(weights), list(weights.values()))[0]
        yield demonstrate(problem, mode, rng, fails_again=mix.fails_again)


def demonstrate(
    problem: Problem, mode: Mode, rng: random.Random, *, fails_again: float = 0.0
) -> Demonstration:
    """Return one demonstration of a problem in the given mode."""
    if mode is Mode.GUESS:
        segments = [_answer(_guess(problem, rng))]
    else:
        program = _mistake(problem, rng) if mode is Mode.WRONG else _solution(problem, rng)
        failures = 0 if mode is not Mode.MENDED else 1 + (rng.random() < fails_again)
        segments = _with_tool(program, failures, rng)
    return Demonstration(problem.task(), mode, segments)


def respond(turn: str) -> str:
    """Return the user message that answers a model turn's tool calls, as a rollout would show it."""
    return render_responses(
        [
            call.reason
            if isinstance(call, Malformed)
            else render_result(run_trusted(call.arguments["code"]), Limits())
            for call in parse_calls(turn, [PYTHON_TOOL])
        ]
    )


def _with_tool(program: Program, failures: int, rng: random.Random) -> list[Segment]:
    segments: list[Segment] = []
    for attempt in range(failures + 1):
        last = attempt == failures
        remark = rng.choice(_REMARKS) if attempt else ""
        turn = remark + (_call(_code(program, rng)) if last else rng.choice(_failures(program))(program, rng))
        segments += [Segment(True, turn), Segment(False, respond(turn))]
    return [*segments, _answer(program.value())]


def _answer(value: int) -> Segment:
    return Segment(True, f"<answer>\\boxed{{{value}}}</answer>")


def _solution(problem: Problem, rng: random.Random) -> Program:
    return rng.choice(problem.family.solutions).fill(problem.numbers)


def _mistake(problem: Problem, rng: random.Random) -> Program:
    wrong = [program.fill(problem.numbers) for program in problem.family.mistakes]
    return rng.choice([program for program in wrong if program.value() != problem.answer])


def _guess(problem: Problem, rng: random.Random) -> int:
    """A number of about the right size."""
    return max(2, round(problem.answer * rng.uniform(0.6, 1.4)))


# What the model says to itself after a failed call.
_REMARKS = ("", "", "That failed. Let me fix it.\n", "The call is wrong. I try again.\n")
_NAMES = ("total", "answer", "value")


def _call(code: str, name: str = "python", key: str = "code") -> str:
    call = json.dumps({"name": name, "arguments": {key: code}})
    return f"<tool_call>\n{call}\n</tool_call>"


def _lines(program: Program, *rest: str) -> str:
    return "\n".join([*([program.needs] if program.needs else []), *rest])


def _code(program: Program, rng: random.Random) -> str:
    if rng.random() < 0.7:
        return _lines(program, f"print({program.expression})")
    name = rng.choice(_NAMES)
    return _lines(program, f"{name}={program.expression}", f"print({name})")


def _unknown_name(program: Program, rng: random.Random) -> str:
    return _call(_lines(program, f"{rng.choice(_NAMES)}={program.expression}", "print(result)"))


def _unclosed(program: Program, rng: random.Random) -> str:
    return _call(_lines(program, f"print({program.expression}"))


def _concatenation(program: Program, rng: random.Random) -> str:
    return _call(_lines(program, f"print('Answer: '+{program.expression})"))


def _literal(program: Program, rng: random.Random) -> str:
    return _call(_lines(program, f"print(int('{program.expression}'))"))


def _missing_import(program: Program, rng: random.Random) -> str:
    return _call(f"print({program.expression})")


def _silent(program: Program, rng: random.Random) -> str:
    return _call(_lines(program, f"{rng.choice(_NAMES)}={program.expression}"))


def _open_json(program: Program, rng: random.Random) -> str:
    return _call(_code(program, rng)).replace("}}\n", "}\n")


def _wrong_tool(program: Program, rng: random.Random) -> str:
    return _call(_code(program, rng), name="calculator")


def _wrong_argument(program: Program, rng: random.Random) -> str:
    return _call(_code(program, rng), key="expression")


def _failures(program: Program) -> list[Callable[[Program, random.Random], str]]:
    """The ways in which a call for this program can fail."""
    common = [
        _unknown_name,
        _unclosed,
        _concatenation,
        _literal,
        _silent,
        _open_json,
        _wrong_tool,
        _wrong_argument,
    ]
    return [*common, *([_missing_import] * 3 if program.needs else [])]
