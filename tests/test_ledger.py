"""The ledger keeps every reply, whoever dies, and finds it by what was asked."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated, ClassVar

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from textbookgen.api.annotations import Runtime
from textbookgen.api.errors import RunError, WorkspaceError
from textbookgen.api.message import Message
from textbookgen.api.teacher import Reply, Request, Teacher
from textbookgen.storage.ledger import Ledger, canonical, identity, request_key


class Scribe(Teacher):
    name = "scribe"
    model: str = Field("a", description="which")
    address: Annotated[str, Runtime] = Field("x", description="where")


class Program(Teacher):
    name = "program"
    reads_draw: ClassVar[bool] = True


def asked(text: str, **more) -> Request:
    return Request((Message("user", text),), **more)


WHO = identity(Scribe(), "scribe")


@pytest.fixture
def ledger(tmp_path: Path):
    ledger = Ledger(tmp_path / "ledger.sqlite")
    yield ledger
    ledger.close()


def test_a_reply_is_found_before_and_after_it_is_on_disk(ledger: Ledger, tmp_path: Path) -> None:
    request = asked("Tell of a fox.", draw={"theme": "fox"}, task="story", sample=3, schema={"type": "object"})
    reply = Reply("A fox é \ud800", 3, 4, 0.25, "length", 1, 2)
    key = request_key(Scribe(), "scribe", request)
    assert ledger.get(key) is None
    ledger.put(key, request, reply, WHO)
    assert ledger.get(key) == reply
    ledger.flush()
    assert ledger.get(key) == reply
    other = Ledger(tmp_path / "ledger.sqlite")
    entry = other.entry(key)
    other.close()
    assert entry is not None
    assert (entry.request, entry.reply) == (request, reply)
    assert entry.teacher == {"use": "scribe", "version": 1, "options": {}}


def test_the_first_reply_to_a_key_stays(ledger: Ledger) -> None:
    key = request_key(Scribe(), "scribe", asked("x"))
    for text in ("first", "second"):
        ledger.put(key, asked("x"), Reply(text), WHO)
        ledger.flush()
    assert ledger.get(key) == Reply("first")


def test_the_key_is_who_is_asked_and_what() -> None:
    plain = request_key(Scribe(), "scribe", asked("x"))
    assert request_key(Scribe(address="y", max_parallel=3), "scribe", asked("x")) == plain
    assert request_key(Scribe(), "scribe", asked("x", draw={"n": 1}, task="t")) == plain
    others = [
        request_key(Scribe(model="b"), "scribe", asked("x")),
        request_key(Scribe(), "other", asked("x")),
        request_key(Scribe(), "scribe", asked("y")),
        request_key(Scribe(), "scribe", asked("x", sample=1)),
        request_key(Scribe(), "scribe", asked("x", schema={})),
        request_key(Scribe(), "scribe", Request((Message("system", "x"),))),
    ]
    assert len({plain, *others}) == 7


def test_for_programs_the_draw_counts() -> None:
    one, two = (request_key(Program(), "p", asked("x", draw={"document": {"id": n, "list": [n, {"a": None}]}})) for n in "12")
    assert one != two
    assert one != request_key(Program(), "p", asked("x", draw={"document": {"id": "1", "list": ["1", {"a": None}]}}, task="t"))


def test_a_value_without_stable_json_is_refused() -> None:
    for value in (object(), float("nan"), {1, 2}, b"x"):
        with pytest.raises(RunError):
            request_key(Program(), "p", asked("x", draw={"value": value}))


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.dictionaries(st.text(), inner)))
def test_canonical_json_does_not_depend_on_order(value) -> None:
    def turned(value):
        return {name: turned(value[name]) for name in reversed(value)} if isinstance(value, dict) else value

    assert canonical(value) == canonical(turned(value))
    canonical(value).encode("ascii")


_WRITER = """
import sys, time
from pathlib import Path
from textbookgen.storage.ledger import Ledger, identity, request_key
from textbookgen.api.teacher import Reply, Request, Teacher
from textbookgen.api.message import Message
class Scribe(Teacher):
    name = "scribe"
ledger = Ledger(Path(sys.argv[1]))
for number in range(int(sys.argv[2]), int(sys.argv[2]) + 300):
    request = Request((Message("user", str(number)),))
    key = request_key(Scribe(), "scribe", request)
    ledger.put(key, request, Reply(str(number), 1, 1, 0.5), identity(Scribe(), "scribe"))
    if number % 7 == 0:
        time.sleep(0.001)
ledger.close()
"""


def test_several_processes_share_one_ledger(tmp_path: Path) -> None:
    path = tmp_path / "new" / "ledger.sqlite"
    writers = [subprocess.Popen([sys.executable, "-c", _WRITER, str(path), first]) for first in ("0", "150", "300")]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    ledger = Ledger(path)
    (spending,) = ledger.summary()
    ledger.close()
    assert (spending.replies, spending.tokens_in, spending.cost_usd) == (600, 600, 300.0)


_DOOMED = """
import sys
from pathlib import Path
from textbookgen.storage.ledger import Ledger, identity, request_key
from textbookgen.api.teacher import Reply, Request, Teacher
from textbookgen.api.message import Message
class Scribe(Teacher):
    name = "scribe"
ledger = Ledger(Path(sys.argv[1]))
for number in range(10**9):
    request = Request((Message("user", str(number)),))
    key = request_key(Scribe(), "scribe", request)
    ledger.put(key, request, Reply(str(number)), identity(Scribe(), "scribe"))
    ledger.flush()
    print(key, flush=True)
"""


@pytest.mark.parametrize("after", [0.0, 0.05, 0.3])
def test_what_was_said_to_be_kept_is_kept_when_killed(tmp_path: Path, after: float) -> None:
    path = tmp_path / "ledger.sqlite"
    child = subprocess.Popen([sys.executable, "-c", _DOOMED, str(path)], stdout=subprocess.PIPE, text=True)
    first = child.stdout.readline()
    time.sleep(after)
    os.kill(child.pid, signal.SIGKILL)
    rest, _ = child.communicate()
    keys = (first + rest).split("\n")[:-1]
    ledger = Ledger(path)
    assert [ledger.get(key).text for key in keys] == [str(number) for number in range(len(keys))]
    ledger.close()


def test_a_file_that_is_no_ledger_is_an_error_for_people(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(b"this is no database, but long enough to be taken for a damaged one" * 20)
    with pytest.raises(WorkspaceError) as caught:
        Ledger(path)
    assert caught.value.place == str(path)


def test_a_failing_disk_loses_nothing_that_waits(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    ledger = Ledger(path)
    with sqlite3.connect(path) as other:
        other.execute("ALTER TABLE replies RENAME TO gone")
    key = request_key(Scribe(), "scribe", asked("x"))
    ledger.put(key, asked("x"), Reply("x"), WHO)
    with pytest.raises(WorkspaceError):
        ledger.flush()
    with sqlite3.connect(path) as other:
        other.execute("ALTER TABLE gone RENAME TO replies")
    other.close()
    ledger.close()
    again = Ledger(path)
    assert again.get(key) == Reply("x")
    again.close()
    with pytest.raises(WorkspaceError):
        ledger.put("00", asked("x"), Reply("x"), WHO)


def test_replies_are_carried_to_another_ledger(ledger: Ledger, tmp_path: Path) -> None:
    program = identity(Program(), "program")
    requests = [asked(f"é{n}", draw={"document": {"n": n}}, task="t", sample=n, schema={"type": "object"}) for n in range(12)]
    for n, request in enumerate(requests):
        ledger.put(request_key(Scribe(), "scribe", request), request, Reply(f"ü{n}", n, n, 0.5, "length", n, n), WHO)
        ledger.put(request_key(Program(), "program", request), request, Reply("x"), program)
    file = tmp_path / "replies.parquet"
    assert ledger.export_parquet(file, use="scribe") == 12
    assert ledger.export_parquet(file) == 24
    other = Ledger(tmp_path / "other.sqlite")
    assert other.import_parquet(file) == 24
    assert other.import_parquet(file) == 0
    assert list(other.entries()) == list(ledger.entries())
    assert other.summary() == ledger.summary()
    other.close()


def test_a_changed_reply_is_not_taken(ledger: Ledger, tmp_path: Path) -> None:
    ledger.put(request_key(Scribe(), "scribe", asked("x")), asked("x"), Reply("y"), WHO)
    file = tmp_path / "replies.parquet"
    ledger.export_parquet(file)
    frame = pl.read_parquet(file)
    frame.with_columns(request=pl.col("request").str.replace("x", "z")).write_parquet(file)
    with pytest.raises(WorkspaceError, match="does not belong"):
        ledger.import_parquet(file)
    frame.drop("teacher").write_parquet(file)
    with pytest.raises(WorkspaceError, match="lacks teacher"):
        ledger.import_parquet(file)
    file.write_bytes(b"no parquet")
    with pytest.raises(WorkspaceError):
        ledger.import_parquet(file)
