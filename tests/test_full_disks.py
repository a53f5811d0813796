"""A full disk stops a run with one error that names the file; what was complete is kept, and the same command continues."""

from __future__ import annotations

import errno
import json
import os
import pickle
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest

from textbookgen.api.errors import TextbookgenError
from textbookgen.api.files import atomic_path, write_frame, write_text
from textbookgen.api.full_disks import DiskFull, disk_full, disk_full_in
from textbookgen.recipe.plugin_boundary import plugin_boundary
from textbookgen.storage.ledger import Ledger

RECIPE = """
[recipe]
name = "room"
[teacher.parrot]
use = "fake"
words = 400
[sampler.things]
use = "grid"
thing = ["cat", "dog", "owl", "eel"]
[stage.pages]
use = "write"
teacher = "parrot"
sampler = "things"
count = 60
prompt = "Say something long about a {{ thing }}."
[stage.sampled]
use = "sample"
from = "pages"
share = 0.9
[stage.shards]
use = "pack"
from = "sampled"
tokenizer = "bytes"
sequence_length = 64
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    file = tmp_path / "room.toml"
    file.write_text(RECIPE, encoding="utf-8")
    return file


def run(recipe: Path, work: Path, limit: int | None = None) -> subprocess.CompletedProcess[str]:
    """Run the recipe in a process that may write files of at most `limit` bytes."""

    def restrict() -> None:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    command = [sys.executable, "-m", "textbookgen", "recipe", "run", str(recipe), "--work", str(work), "--quiet"]
    return subprocess.run([*command, "--executor", "serial"], capture_output=True, text=True, timeout=60, preexec_fn=restrict)


def outputs(work: Path) -> dict[str, bytes]:
    files = (file for step in work.glob("steps/*") for kind in ("data", "verdicts", "out") for file in step.glob(f"{kind}/*"))
    return {str(file.relative_to(work)): file.read_bytes() for file in files if file.is_file()}


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The outputs of a run that was not disturbed."""
    folder = tmp_path_factory.mktemp("undisturbed")
    (folder / "room.toml").write_text(RECIPE, encoding="utf-8")
    assert run(folder / "room.toml", folder / "work").returncode == 0
    return outputs(folder / "work")


@pytest.mark.parametrize("limit", [0, 4_000, 40_000])
def test_a_run_without_room_stops_with_one_error_and_continues_later(
    recipe: Path, tmp_path: Path, limit: int, expected: dict[str, bytes]
) -> None:
    stopped = run(recipe, tmp_path / "work", limit)
    assert stopped.returncode == 1
    assert "Traceback" not in stopped.stderr
    assert str(tmp_path / "work") in stopped.stderr
    assert "run the same command again" in stopped.stderr
    assert stopped.stderr.count("hint:") == 1
    continued = run(recipe, tmp_path / "work")
    assert continued.returncode == 0, continued.stderr
    assert outputs(tmp_path / "work") == expected


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """A function that mounts a disk of a number of KiB; it is skipped where this user may not mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(kib: int) -> Path:
        command = ["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", str(folder)]
        if os.geteuid() or subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("only root may mount a small disk")
        return folder

    yield mount
    if os.path.ismount(folder):
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("kib", [4, 40, 130])
def test_a_disk_that_is_full(recipe: Path, small_disk: Callable[[int], Path], kib: int) -> None:
    stopped = run(recipe, small_disk(kib) / "work")
    assert stopped.returncode == 1
    assert "the disk is too full" in stopped.stderr
    assert "Traceback" not in stopped.stderr and "report it to the plugin's authors" not in stopped.stderr
    assert stopped.stderr.count("hint:") == 1


def test_the_ledger_on_a_full_disk_is_not_called_damaged(tmp_path: Path, small_disk: Callable[[int], Path]) -> None:
    from textbookgen.api.message import Message
    from textbookgen.api.teacher import Reply, Request

    disk = small_disk(120)
    ledger = Ledger(disk / "ledger.sqlite")
    with pytest.raises(DiskFull, match="the disk is too full") as caught:
        for n in range(100):
            text = os.urandom(4_000).hex()
            ledger.put(f"{n:064x}", Request((Message("user", text),)), Reply(text), json.dumps({"use": "t", "options": {}}))
            ledger.flush()
    assert "repair" not in caught.value.hint
    assert ledger.get(f"{0:064x}") is not None
    subprocess.run(["mount", "-o", "remount,size=4M", str(disk)], check=True)
    ledger.close()  # with room again, what was pending is stored
    again = Ledger(disk / "ledger.sqlite")
    assert again.totals()[0].replies == n + 1
    again.close()


ERRORS: list[Exception] = [
    OSError(errno.ENOSPC, "No space left on device", "x"),
    OSError(errno.EDQUOT, "Disk quota exceeded", "x"),
    OSError(errno.EFBIG, "File too large", "x"),
    OSError("900 requested and 12 written"),
    pl.exceptions.ComputeError("underlying IO error: No space left on device (os error 28)"),
    RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed"),
]


@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_errors_of_every_library_become_the_same_error(error: Exception, tmp_path: Path) -> None:
    with pytest.raises(DiskFull) as caught, atomic_path(tmp_path / "file"):
        raise error
    assert caught.value.place == str(tmp_path / "file")
    with pytest.raises(DiskFull), plugin_boundary("a plugin", "run"):
        raise error
    assert isinstance(pickle.loads(pickle.dumps(disk_full(error))), DiskFull)


def test_other_errors_are_not_about_the_disk() -> None:
    for error in (ValueError("x"), OSError(errno.EACCES, "no", "x"), sqlite3.OperationalError("locked"), TextbookgenError("x")):
        assert disk_full(error) is None
    assert disk_full_in("the sum is 28", "x") is None
    assert disk_full_in("OSError: [Errno 28] No space left on device", "x") is not None


def test_a_file_that_cannot_be_written_is_unchanged(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    write_text(file, "before")
    with pytest.raises(DiskFull), atomic_path(file) as temporary:
        temporary.write_text("after", encoding="utf-8")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert file.read_text(encoding="utf-8") == "before"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]
    write_frame(tmp_path / "b.parquet", pl.DataFrame({"a": [1]}))
