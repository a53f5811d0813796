"""Runs that are stopped: Ctrl-C waits for paid replies, a stopped step says why it failed, and waiting is reported."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import polars as pl
import pytest

from textbookgen.api.errors import RequestRefused, TeacherBusy, TextbookgenError
from textbookgen.api.events import Event, Progress
from textbookgen.api.hookspecs import hookimpl
from textbookgen.api.teacher import Reply, Request, Teacher
from textbookgen.recipe.plugin_manager import Plugins
from textbookgen.storage.ledger import Ledger
from textbookgen.storage.workspace import RunFolder

Ran = Callable[..., RunFolder]


def interrupted(folder: Path, presses: int) -> tuple[subprocess.CompletedProcess[str], int, int]:
    """Run the toy with slow replies and press Ctrl-C in the middle; return the process, requests sent and replies stored."""
    folder.mkdir()
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("toy_run.py")), str(folder), "graded"],
        env=os.environ | {"TOY_SECONDS": "1.5"},
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (folder / "requests").exists():
        time.sleep(0.02)
        assert process.poll() is None
    for _ in range(presses):
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    ledger = Ledger(folder / "work" / "ledger.sqlite")
    stored = sum(1 for _ in ledger.entries())
    ledger.close()
    result = subprocess.CompletedProcess(process.args, process.returncode, "", error)
    return result, (folder / "requests").stat().st_size, stored


def test_the_first_interrupt_stores_the_replies_in_flight_and_the_second_drops_them(tmp_path: Path) -> None:
    process, sent, stored = interrupted(tmp_path / "once", 1)
    assert process.returncode != 0 and "waiting for 4 replies in flight" in process.stderr
    assert (sent, stored) == (4, 4)
    process, sent, stored = interrupted(tmp_path / "twice", 2)
    assert process.returncode != 0 and (sent, stored) == (4, 0)


class Fails(Teacher):
    """Fails in the way that the prompt asks for, after some good replies."""

    name: ClassVar[str] = "fails"
    sent: ClassVar[int] = 0

    async def complete(self, request: Request) -> Reply:
        type(self).sent += 1
        if type(self).sent % 2:
            return Reply(f"good {type(self).sent}")
        words = request.messages[-1].content
        if "refuse" in words:
            raise RequestRefused("the content filter objects", hint="rephrase")
        if "busy" in words and type(self).sent < 40:
            raise TeacherBusy("HTTP 429: slow down", retry_after=2.0)
        if "unusable" in words:
            return Reply("cut", finish="length")
        return Reply("good")


class Failing:
    """A plugin with the failing teacher."""

    @hookimpl
    def teachers(self) -> list[type[Teacher]]:
        return [Fails]


RECIPE = """
[recipe]
name = "stopped"

[teacher.author]
use = "failing/fails"
max_parallel = 4
max_retries = 0

[stage.echoes]
use = "toy/echo"
teacher = "author"
count = 30
max_failures = 0.1
prompt = "plain.md.j2"
"""


@pytest.mark.parametrize(
    ("words", "reason"), [("refuse", "refused: the content filter"), ("unusable", "the reply was truncated")]
)
def test_a_step_that_stops_for_too_many_failures_has_written_them(
    ran: Ran, folder: Path, plugins: Plugins, words: str, reason: str
) -> None:
    plugins.add("failing", Failing())
    (folder / "plain.md.j2").write_text(f"Please {words}.", encoding="utf-8")
    with pytest.raises(TextbookgenError, match="of 30 documents failed") as caught:
        ran(RECIPE)
    (file,) = (folder / "work").glob("steps/*/failures/*.parquet")
    assert str(file.parent) in caught.value.hint
    failures = pl.read_parquet(file)
    assert len(failures) >= 4 and all(reason in item for item in failures["reason"])
    assert not list((folder / "work").glob("steps/*/data/*.parquet"))


def test_a_server_that_turns_requests_away_is_reported_while_the_run_waits(ran: Ran, folder: Path, plugins: Plugins) -> None:
    plugins.add("failing", Failing())
    (folder / "plain.md.j2").write_text("Please be busy.", encoding="utf-8")
    notes: list[str] = []

    def observe(event: Event) -> None:
        if isinstance(event, Progress):
            notes.append(event.note)

    Fails.sent = 0
    started = time.monotonic()
    ran(RECIPE.replace("count = 30", "count = 4"), observers=[("notes", observe)])
    assert time.monotonic() - started >= 2
    assert any("retrying: HTTP 429: slow down, retry in 2 s" in note for note in notes)
