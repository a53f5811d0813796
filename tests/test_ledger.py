"""The ledger stores every reply under the key of its request, and survives kills, full disks and concurrent processes."""

from __future__ import annotations

import json
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
from textbookgen.storage.ledger import Ledger, canonical_json, request_key, teacher_identity
from textbookgen.storage.ledger.parquet import export_parquet, import_parquet


class ModelTeacher(Teacher):
    name = "model"
    model: str = Field("a", description="which")
    address: Annotated[str, Runtime] = Field("x", description="where")


class ProgramTeacher(Teacher):
    name = "program"
    reads_draw: ClassVar[bool] = True


def request_of(text: str, **more) -> Request:
    return Request((Message("user", text),), **more)


IDENTITY = teacher_identity(ModelTeacher(), "model")


@pytest.fixture
def ledger(tmp_path: Path):
    ledger = Ledger(tmp_path / "ledger.sqlite")
    yield ledger
    ledger.close()


def test_a_reply_is_available_before_and_after_it_is_stored(ledger: Ledger, tmp_path: Path) -> None:
    request = request_of("Describe a fox.", draw={"theme": "fox"}, task="story", sample=3, schema={"type": "object"})
    reply = Reply("A fox é \ud800", 3, 4, 0.25, "length", 1, 2)
    key = request_key(ModelTeacher(), "model", request)
    assert ledger.get(key) is None
    ledger.put(key, request, reply, IDENTITY)
    assert ledger.get(key) == reply
    ledger.flush()
    assert ledger.get(key) == reply
    other = Ledger(tmp_path / "ledger.sqlite")
    entry = other.entry(key)
    other.close()
    assert entry is not None
    assert (entry.request, entry.reply) == (request, reply)
    assert entry.teacher == {"use": "model", "version": 1, "options": {}}


def test_the_first_reply_to_a_key_stays(ledger: Ledger) -> None:
    key = request_key(ModelTeacher(), "model", request_of("x"))
    for text in ("first", "second"):
        ledger.put(key, request_of("x"), Reply(text), IDENTITY)
        ledger.flush()
    assert ledger.get(key) == Reply("first")


def test_the_key_depends_on_teacher_and_request() -> None:
    plain = request_key(ModelTeacher(), "model", request_of("x"))
    assert request_key(ModelTeacher(address="y", max_parallel=3), "model", request_of("x")) == plain
    assert request_key(ModelTeacher(), "model", request_of("x", draw={"n": 1}, task="t")) == plain
    others = [
        request_key(ModelTeacher(model="b"), "model", request_of("x")),
        request_key(ModelTeacher(), "other", request_of("x")),
        request_key(ModelTeacher(), "model", request_of("y")),
        request_key(ModelTeacher(), "model", request_of("x", sample=1)),
        request_key(ModelTeacher(), "model", request_of("x", schema={})),
        request_key(ModelTeacher(), "model", Request((Message("system", "x"),))),
    ]
    assert len({plain, *others}) == 7


def test_the_draw_is_part_of_the_key_for_programs() -> None:
    one, two = (
        request_key(ProgramTeacher(), "p", request_of("x", draw={"document": {"id": n, "list": [n, {"a": None}]}}))
        for n in "12"
    )
    assert one != two
    assert one != request_key(
        ProgramTeacher(), "p", request_of("x", draw={"document": {"id": "1", "list": ["1", {"a": None}]}}, task="t")
    )


def test_a_draw_that_is_not_json_is_refused() -> None:
    for value in (object(), float("nan"), {1, 2}, b"x"):
        with pytest.raises(RunError):
            request_key(ProgramTeacher(), "p", request_of("x", draw={"value": value}))


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.dictionaries(st.text(), inner)))
def test_canonical_json_does_not_depend_on_the_order_of_keys(value) -> None:
    def reverse(value):
        return {name: reverse(value[name]) for name in reversed(value)} if isinstance(value, dict) else value

    assert canonical_json(value) == canonical_json(reverse(value))
    canonical_json(value).encode("ascii")


_WRITER = """
import sys, time
from pathlib import Path
from textbookgen.storage.ledger import Ledger, request_key, teacher_identity
from textbookgen.api.teacher import Reply, Request, Teacher
from textbookgen.api.message import Message
class ModelTeacher(Teacher):
    name = "model"
ledger = Ledger(Path(sys.argv[1]))
for number in range(int(sys.argv[2]), int(sys.argv[2]) + 300):
    request = Request((Message("user", str(number)),))
    key = request_key(ModelTeacher(), "model", request)
    ledger.put(key, request, Reply(str(number), 1, 1, 0.5), teacher_identity(ModelTeacher(), "model"))
    if number % 7 == 0:
        time.sleep(0.001)
ledger.close()
"""


def test_several_processes_share_one_ledger(tmp_path: Path) -> None:
    path = tmp_path / "new" / "ledger.sqlite"
    writers = [subprocess.Popen([sys.executable, "-c", _WRITER, str(path), first]) for first in ("0", "150", "300")]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    ledger = Ledger(path)
    (totals,) = ledger.totals()
    ledger.close()
    assert (totals.replies, totals.tokens_in, totals.cost_usd) == (600, 600, 300.0)


_KILLED_WRITER = """
import sys
from pathlib import Path
from textbookgen.storage.ledger import Ledger, request_key, teacher_identity
from textbookgen.api.teacher import Reply, Request, Teacher
from textbookgen.api.message import Message
class ModelTeacher(Teacher):
    name = "model"
ledger = Ledger(Path(sys.argv[1]))
for number in range(10**9):
    request = Request((Message("user", str(number)),))
    key = request_key(ModelTeacher(), "model", request)
    ledger.put(key, request, Reply(str(number)), teacher_identity(ModelTeacher(), "model"))
    ledger.flush()
    print(key, flush=True)
"""


@pytest.mark.parametrize("after", [0.0, 0.05, 0.3])
def test_flushed_replies_survive_a_kill(tmp_path: Path, after: float) -> None:
    path = tmp_path / "ledger.sqlite"
    child = subprocess.Popen([sys.executable, "-c", _KILLED_WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    first = child.stdout.readline()
    time.sleep(after)
    os.kill(child.pid, signal.SIGKILL)
    rest, _ = child.communicate()
    keys = (first + rest).split("\n")[:-1]
    ledger = Ledger(path)
    assert [ledger.get(key).text for key in keys] == [str(number) for number in range(len(keys))]
    ledger.close()


def test_a_file_that_is_not_a_database_is_a_workspace_error(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(b"this is no database, but long enough to be taken for a damaged one" * 20)
    with pytest.raises(WorkspaceError) as caught:
        Ledger(path)
    assert caught.value.place == str(path)


def test_a_corrupt_file_is_to_be_repaired_not_deleted(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    ledger = Ledger(path)
    for n in range(200):
        ledger.put(request_key(ModelTeacher(), "model", request_of(str(n))), request_of(str(n)), Reply("x" * 100), IDENTITY)
    ledger.close()
    content = bytearray(path.read_bytes())
    content[4096:] = b"\x7f" * (len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(WorkspaceError, match="malformed") as caught:
        damaged = Ledger(path)
        try:
            damaged.get(request_key(ModelTeacher(), "model", request_of("1")))
        finally:
            damaged.close()
    assert ".recover" in caught.value.hint


_FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from textbookgen.api.errors import WorkspaceError
from textbookgen.api.teacher import Reply, Request
from textbookgen.storage.ledger import Ledger
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
ledger = Ledger(Path(sys.argv[1]))
limits = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
identity = '{"use":"x","options":{}}'
stored = 0
try:
    for number in range(10_000):
        ledger.put(f"{number:064x}", Request(()), Reply(str(number)), identity)
        if number % 10 == 9:
            ledger.flush()
            stored = number + 1
except WorkspaceError as error:
    print(error.hint)
resource.setrlimit(resource.RLIMIT_FSIZE, limits)
ledger.close()
ledger = Ledger(Path(sys.argv[1]))
print(stored, ledger.totals()[0].replies)
ledger.close()
"""


def test_a_full_disk_is_reported_and_its_replies_are_stored_once_there_is_space(tmp_path: Path) -> None:
    """A limit on file sizes stands in for a full disk."""
    command = [sys.executable, "-c", _FULL_DISK, str(tmp_path / "ledger.sqlite")]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    hint, counts = done.stdout.splitlines()
    stored, in_file = map(int, counts.split())
    assert "disk" in hint and "run the same command again" in hint
    assert 0 < stored < 10_000
    assert in_file == stored + 10


def test_a_failed_flush_keeps_the_replies_for_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    ledger = Ledger(path)
    with sqlite3.connect(path) as other:
        other.execute("ALTER TABLE replies RENAME TO hidden")
    key = request_key(ModelTeacher(), "model", request_of("x"))
    ledger.put(key, request_of("x"), Reply("x"), IDENTITY)
    with pytest.raises(WorkspaceError):
        ledger.flush()
    with sqlite3.connect(path) as other:
        other.execute("ALTER TABLE hidden RENAME TO replies")
    other.close()
    ledger.close()
    again = Ledger(path)
    assert again.get(key) == Reply("x")
    again.close()
    with pytest.raises(WorkspaceError):
        ledger.put("00", request_of("x"), Reply("x"), IDENTITY)


def test_an_export_is_imported_into_another_ledger(ledger: Ledger, tmp_path: Path) -> None:
    program = teacher_identity(ProgramTeacher(), "program")
    requests = [
        request_of(f"é{n}", draw={"document": {"n": n}}, task="t", sample=n, schema={"type": "object"}) for n in range(12)
    ]
    for n, request in enumerate(requests):
        ledger.put(request_key(ModelTeacher(), "model", request), request, Reply(f"ü{n}", n, n, 0.5, "length", n, n), IDENTITY)
        ledger.put(request_key(ProgramTeacher(), "program", request), request, Reply("x"), program)
    file = tmp_path / "replies.parquet"
    assert export_parquet(ledger, file, use="model") == 12
    assert export_parquet(ledger, file) == 24
    other = Ledger(tmp_path / "other.sqlite")
    assert import_parquet(other, file) == 24
    assert import_parquet(other, file) == 0
    assert list(other.entries()) == list(ledger.entries())
    assert other.totals() == ledger.totals()
    other.close()


def test_a_changed_request_is_not_imported(ledger: Ledger, tmp_path: Path) -> None:
    ledger.put(request_key(ModelTeacher(), "model", request_of("x")), request_of("x"), Reply("y"), IDENTITY)
    file = tmp_path / "replies.parquet"
    export_parquet(ledger, file)
    frame = pl.read_parquet(file)
    frame.with_columns(request=pl.col("request").str.replace("x", "z")).write_parquet(file)
    with pytest.raises(WorkspaceError, match="key mismatch"):
        import_parquet(ledger, file)
    frame.with_columns(request=pl.lit("{")).write_parquet(file)
    with pytest.raises(WorkspaceError, match="key mismatch"):
        import_parquet(ledger, file)
    frame.drop("teacher").write_parquet(file)
    with pytest.raises(WorkspaceError, match="missing or of another type: teacher"):
        import_parquet(ledger, file)
    file.write_bytes(b"no parquet")
    with pytest.raises(WorkspaceError):
        import_parquet(ledger, file)


@pytest.mark.parametrize("column", ["text", "request"])
def test_a_stored_reply_whose_bytes_changed_is_an_error_that_names_it(tmp_path: Path, column: str) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    request = Request((Message("user", "a question"),))
    key, identity = "ab" * 32, json.dumps({"use": "t", "options": {}})
    ledger.put(key, request, Reply("an answer that is long enough to be compressed " * 20), identity)
    ledger.close()
    ledger = Ledger(tmp_path / "ledger.sqlite")
    connection = sqlite3.connect(tmp_path / "ledger.sqlite", isolation_level=None)
    blob = connection.execute(f"SELECT {column} FROM replies").fetchone()[0]
    unnoticed = 0
    for place in range(len(blob) * 8):
        changed = bytearray(blob)
        changed[place // 8] ^= 1 << place % 8
        connection.execute(f"UPDATE replies SET {column} = ?", (bytes(changed),))
        try:
            entry = ledger.entry(key)
        except WorkspaceError as error:
            assert key in str(error)
            assert "DELETE FROM replies" in error.hint
        else:
            assert entry is not None and entry.request == request  # a bit of the frame that has no meaning
            unnoticed += entry.reply.text != "an answer that is long enough to be compressed " * 20
    assert unnoticed == 0
    connection.close()
    ledger.close()
