import pytest

from headway.sandbox import Status

pytestmark = pytest.mark.asyncio(loop_scope="session")

HEADER = "Traceback (most recent call last):\n"


async def stderr_of(run, code):
    result = await run(code)
    assert result.status is Status.ERROR
    assert result.exit_code == 1
    return result.stderr


async def test_uncaught_exception_shows_the_snippets_lines_only(run):
    expected = HEADER + "  File \"<code>\", line 1, in <module>\nNameError: name 'x' is not defined\n"
    assert await stderr_of(run, "x") == expected


async def test_syntax_error_is_two_lines(run):
    assert await stderr_of(run, "print(1)\n1 +") == '  File "<code>", line 2\nSyntaxError: invalid syntax\n'


async def test_indentation_error_is_two_lines(run):
    expected = '  File "<code>", line 2\nIndentationError: unexpected indent\n'
    assert await stderr_of(run, "x = 1\n  y = 2") == expected


async def test_null_byte_is_a_syntax_error(run):
    expected = '  File "<code>", line 1\nSyntaxError: source code string cannot contain null bytes\n'
    assert await stderr_of(run, "x = '\0'") == expected


async def test_frames_of_libraries_are_left_out(run):
    expected = (
        HEADER
        + '  File "<code>", line 4, in <module>\n  File "<code>", line 3, in parse\n'
        + "json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)\n"
    )
    assert (
        await stderr_of(run, "import json\ndef parse(text):\n  return json.loads(text)\nparse('?')")
        == expected
    )


async def test_nothing_is_suggested(run):
    text = await stderr_of(run, "length = 1\nlenght")
    assert text.endswith("NameError: name 'lenght' is not defined\n")


async def test_recursion_is_folded(run):
    text = await stderr_of(run, "def f():\n  f()\nf()")
    call = '  File "<code>", line 2, in f\n'
    assert text.startswith(
        HEADER + '  File "<code>", line 3, in <module>\n' + call * 3 + "  [Previous line rep"
    )
    assert text.count("\n") == 7
    assert "RecursionError: maximum recursion depth exceeded" in text


async def test_causes_come_first(run):
    code = "try:\n  1 / 0\nexcept ZeroDivisionError as e:\n  raise ValueError('bad') from e"
    expected = (
        HEADER
        + '  File "<code>", line 2, in <module>\nZeroDivisionError: division by zero\n'
        + "\nThe above exception was the direct cause of the following exception:\n\n"
        + HEADER
        + '  File "<code>", line 4, in <module>\nValueError: bad\n'
    )
    assert await stderr_of(run, code) == expected


async def test_exceptions_of_ones_own_have_no_module(run):
    code = "class Odd(Exception): pass\nraise Odd"
    assert await stderr_of(run, code) == HEADER + '  File "<code>", line 2, in <module>\nOdd\n'


async def test_exception_in_a_thread_names_no_library_file(run):
    result = await run("import threading\nthreading.Thread(target=lambda: 1 / 0, name='T').start()")
    assert result.status is Status.OK
    expected = HEADER + '  File "<code>", line 2, in <lambda>\nZeroDivisionError: division by zero\n'
    assert result.stderr == "Exception in thread T:\n" + expected


async def test_output_before_the_error_is_kept(run):
    assert (await run("print('so far')\n1 / 0")).stdout == "so far\n"


async def test_code_runs_as_main_and_sees_no_runner(run):
    code = "import sys\nprint(__name__, sys.argv, sorted(k for k in globals() if k[0] != '_'))\n"
    code += "print([m for m in sys.modules if m.startswith('headway')])"
    assert (await run(code)).stdout == "__main__ ['<code>'] ['sys']\n[]\n"
