"""The Hermes text format: tool calls that a model writes, and the tool responses that it reads.

    <tool_call>
    {"name": "python", "arguments": {"code": "print(12 * 34)"}}
    </tool_call>

A call that does not parse becomes a tool response that says so: the rollout goes on. The wordings that a
model reads are here and, for tracebacks and output cut short, in ``sandbox/jail``: a small policy knows only
those that it was trained on.
Pure text in, text out; knows nothing of tokens, engines or how a tool runs.
"""

import json
import re
from typing import Any

import msgspec

from headway.sandbox.result import Limits, Result, Status

_CALL = re.compile(r"<tool_call>(.*?)(?:</tool_call>|\Z)", re.DOTALL)
_BOXED = re.compile(r"\\boxed\s*\{")


def _function(name: str, description: str, **arguments: str) -> dict[str, Any]:
    """The schema of a function whose arguments are all required texts, each with its description."""
    return {
        "type": "function",
        "function": {
            "name": name,
            "description": description,
            "parameters": {
                "type": "object",
                "properties": {
                    key: {"type": "string", "description": about} for key, about in arguments.items()
                },
                "required": list(arguments),
            },
        },
    }


PYTHON_TOOL = _function("python", "Run Python code and return what it prints.", code="the code to run")
PYTHON_SESSION_TOOL = _function(
    "python",
    "Run Python code and return what it prints and the value of its last line. Variables and imports last "
    "from call to call.",
    code="the code to run",
)
STANDARD_IO_TOOL = _function(
    "python_code_with_standard_io",
    "Run Python code on a standard input and return what it prints.",
    code="the code to run",
    input="what the code reads on standard input",
)


class Call(msgspec.Struct, frozen=True):
    """A well-formed tool call."""

    name: str
    arguments: dict[str, Any]


class Malformed(msgspec.Struct, frozen=True):
    """A tool call that cannot be run, and what the model is told about it."""

    reason: str


def parse_calls(text: str, tools: list[dict[str, Any]]) -> list[Call | Malformed]:
    """Return every tool call in a model turn, in order; one without its closing tag is still a call."""
    return [_parse(body, tools) for body in _CALL.findall(text)]


def _parse(body: str, tools: list[dict[str, Any]]) -> Call | Malformed:
    try:
        call = json.loads(body, strict=False)
    except (ValueError, RecursionError):
        return Malformed("Invalid tool call: not valid JSON.")
    if not isinstance(call, dict) or not isinstance(call.get("name"), str):
        return Malformed("Invalid tool call: no tool name.")
    schemas = {tool["function"]["name"]: tool["function"].get("parameters") or {} for tool in tools}
    name, arguments = call["name"], call.get("arguments", {})
    if name not in schemas:
        return Malformed(f"Invalid tool call: no tool named {name!r}.")
    if not isinstance(arguments, dict):
        return Malformed("Invalid tool call: arguments are not an object.")
    for required in schemas[name].get("required", []):
        kind = schemas[name].get("properties", {}).get(required, {}).get("type")
        if required not in arguments:
            return Malformed(f"Invalid tool call: missing argument {required!r}.")
        if kind == "string" and not isinstance(arguments[required], str):
            return Malformed(f"Invalid tool call: argument {required!r} is not a string.")
    return Call(name, arguments)


def render_result(result: Result, limits: Limits) -> str:
    """Say in words what running a snippet gave, as the model reads it."""
    output = result.stdout.strip("\n")
    match result.status:
        case Status.OK:
            return output or "(no output)"
        case Status.ERROR:
            note = result.stderr.strip("\n")
        case Status.TIMEOUT:
            note = f"TimeoutError: stopped after {limits.wall_s:g} seconds."
        case Status.CPU_LIMIT:
            note = f"TimeoutError: stopped after {limits.cpu_s:g} seconds of CPU time."
        case Status.MEMORY_LIMIT:
            note = f"MemoryError: more than {limits.memory_bytes >> 20} MiB."
        case Status.OUTPUT_LIMIT:
            note = f"OutputLimitError: more than {limits.output_bytes >> 10} KiB of output."
        case Status.KILLED:
            note = f"Killed by signal {result.signal}."
        case Status.EXPIRED:
            note = "SessionExpiredError: the variables of earlier calls are gone."
        case Status.SANDBOX_ERROR | Status.WORKER_LOST:
            raise ValueError(f"{result.status} is the sandbox's own fault and is never shown to a model")
    return f"{output}\n{note}" if output else note


def render_responses(responses: list[str]) -> str:
    """Wrap the responses of one turn's calls as the content of one user message."""
    return "\n".join(f"<tool_response>\n{response}\n</tool_response>" for response in responses)


def boxed_answer(text: str) -> str | None:
    r"""Return the content of the last ``\boxed{…}`` with balanced braces, or None without one."""
    boxes = {match.end() - 1 for match in _BOXED.finditer(text)}
    open_braces: list[int] = []
    start, answer = -1, None
    for brace in re.finditer(r"[{}]", text):
        if brace[0] == "{":
            open_braces.append(brace.start())
        elif open_braces:
            opened = open_braces.pop()
            if opened in boxes and opened > start:
                start, answer = opened, text[opened + 1 : brace.start()].strip()
    return answer


def system_prompt(tools: list[dict[str, Any]]) -> str:
    """The instructions for a model whose chat template has no place for tools."""
    schemas = "\n".join(json.dumps(tool) for tool in tools)
    return (
        "Solve the problem. You may call tools; you are given their function signatures here:\n"
        f"<tools>\n{schemas}\n</tools>\n"
        "To call a tool, write a JSON object with its name and arguments, like this:\n"
        '<tool_call>\n{"name": "python", "arguments": {"code": "print(1 + 1)"}}\n</tool_call>\n'
        "and stop: the result comes back in <tool_response></tool_response>. "
        "When you know the answer, write it as <answer>\\boxed{your answer}</answer>."
    )
