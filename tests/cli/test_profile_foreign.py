"""Engines that headway does not schedule, watched over real HTTP, from their addresses to the report."""

import io
import itertools
import json
import os
import signal
from pathlib import Path

import pytest
from rich.console import Console

from headway.cli.profile_foreign import run_foreign
from headway.errors import HeadwayError, InputError
from tests.profiles.foreign.pages import page, served

EVERY_S = 0.05


def console() -> tuple[Console, io.StringIO]:
    text = io.StringIO()
    return Console(file=text, width=160), text


def test_a_watch_ends_with_a_verdict_tables_and_what_cannot_be_known(tmp_path: Path) -> None:
    steps = itertools.count(7000, 10)

    def busy(path: str, authorization: str | None) -> tuple[int, str]:
        return 200, page(generated=next(steps), kv_usage=0.97, waiting=4)

    def idle(path: str, authorization: str | None) -> tuple[int, str]:
        return 200, page(running=0, waiting=0, kv_usage=0.0)

    out, text = console()
    file = tmp_path / "foreign.json"
    with served(busy) as first, served(idle) as second:
        run_foreign([first, second, "127.0.0.1:1"], seconds=0.8, every_s=0.2, console=out, json_file=file)

    said, told = text.getvalue(), json.loads(file.read_bytes())
    assert "127.0.0.1:1/metrics: cannot connect: Connection refused" in said
    assert "while another engine queued" in told["verdict"]
    assert told["verdict"] in said
    assert "what metrics cannot tell" in said
    states = {engine["id"]: engine["states"] for engine in told["engines"]}
    assert [sum(each.values()) for each in states.values()] == [told["wall_ns"]] * 2
    assert states[first.removeprefix("http://")].keys() - {"unseen"} == {"kv_full"}
    assert "imbalance" in states[second.removeprefix("http://")]


def test_ctrl_c_ends_the_watch_and_shows_what_was_seen() -> None:
    asked = itertools.count()

    def answer(path: str, authorization: str | None) -> tuple[int, str]:
        if next(asked) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return 200, page(running=0, waiting=0)

    out, text = console()
    with served(answer) as address:
        run_foreign([address], seconds=None, every_s=EVERY_S, console=out, json_file=None)
    assert "nothing ran in 100%" in text.getvalue()


def test_a_watch_that_saw_nothing_fails_and_names_the_page() -> None:
    out, _ = console()
    with pytest.raises(
        HeadwayError, match=r"no engine was seen for any time; http://127.0.0.1:1/metrics: cannot connect"
    ):
        run_foreign(["127.0.0.1:1"], seconds=0.05, every_s=EVERY_S, console=out, json_file=None)


def test_a_wrong_address_is_refused_before_anything_is_watched() -> None:
    out, text = console()
    with pytest.raises(InputError, match="ftp://host"):
        run_foreign(["ftp://host"], seconds=None, every_s=EVERY_S, console=out, json_file=None)
    assert not text.getvalue()
