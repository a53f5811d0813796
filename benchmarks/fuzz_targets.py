"""What benchmarks/fuzz.py and tests/test_fuzz.py feed: inputs that others write, and the code that reads them.

Each target is a strategy and a function. The function may raise a TextbookgenError, which is a message for users; any other
exception is a traceback that a user would see.
"""

from __future__ import annotations

import json
import struct
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message as Headers
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import numpy as np
import polars as pl
from click.testing import CliRunner
from fuzz_inputs import (
    COMPLETION,
    RECIPE,
    RUNNING,
    TEXT,
    assignments,
    damaged_runs,
    edited,
    indexes,
    ledger_changes,
    recipe_texts,
    reply_texts,
    responses,
    shard_changes,
    usages,
)
from hypothesis import strategies as st

from textbookgen.api.cards import TokenShardManifest
from textbookgen.api.errors import TextbookgenError
from textbookgen.api.message import Message
from textbookgen.api.reply_code import python_snippets, read_code
from textbookgen.api.reply_text import complete_text, find_json, read_message, read_plain_text, read_prose, read_sections
from textbookgen.api.teacher import Reply, Request
from textbookgen.builtin.teachers.openai import OpenAITeacher
from textbookgen.cli import commands
from textbookgen.llm.reply_checks import MAX_TOKENS, checked_reply
from textbookgen.recipe.overrides import parse_override
from textbookgen.recipe.parser import read_recipe
from textbookgen.recipe.planner import make_plan
from textbookgen.recipe.plugin_manager import Plugins
from textbookgen.run.engine import run_plan
from textbookgen.storage.ledger import Ledger
from textbookgen.storage.ledger.parquet import export_parquet, import_parquet
from textbookgen.storage.workspace import Workspace
from textbookgen.training.shards import SPLITS, PackedShards, TokenFile

# -- recipes


@cache
def _plugins() -> Plugins:
    return Plugins([])


@cache
def work_folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="fuzz-"))


def read_recipe_text(content: bytes, assignments: list[str] | None = None) -> None:
    """Read and plan a recipe."""
    file = work_folder() / "recipe.toml"
    file.write_bytes(content)
    make_plan(read_recipe(file, dict(map(parse_override, assignments or []))), _plugins())


# -- replies and usage


_TEACHER = OpenAITeacher(model="m", api_base=("http://127.0.0.1:1/v1",), price_in=1.0, price_out=2.0, max_tokens=9)
_REQUEST = Request((Message("user", "Write about a fox."),))


def read_response(content: bytes, status: int = 200, wait: str = "") -> None:
    """Read what a server answered, as the teacher `openai` does, and check the reply."""
    if status != 200:
        headers = Headers()
        headers["Retry-After"] = wait.replace("\n", " ").replace("\r", " ")
        raise _TEACHER._error(SimpleNamespace(status=status, reason=wait, headers=headers), content)  # type: ignore[arg-type]
    reply, _ = checked_reply(_TEACHER._reply(content, _REQUEST), _REQUEST, _TEACHER.price(), "openai")
    assert 0 <= reply.tokens_in <= MAX_TOKENS and 0 <= reply.tokens_out <= MAX_TOKENS
    assert 0 <= reply.tokens_cached <= reply.tokens_in and 0 <= reply.cost_usd < 1e9
    reply.text.encode()
    json.dumps([reply.text, reply.cost_usd], allow_nan=False)


def read_usage(usage: Any) -> None:
    """Read a reply with this usage."""
    read_response(json.dumps({**json.loads(COMPLETION), "usage": usage}).encode())


def read_reply_text(text: str) -> None:
    """Read a text with every reader of replies."""
    readers: tuple[Callable[[Reply], Any], ...] = (
        *(complete_text, read_prose, read_message, read_plain_text, read_code),
        lambda reply: find_json(reply.text),
        lambda reply: read_sections(reply.text, ("Question", "Answer")),
        lambda reply: python_snippets(reply.text),
        lambda reply: read_message(reply, "User", "Answer"),
    )
    for reader in readers:
        try:
            reader(Reply(text))
        except TextbookgenError as error:
            str(error)


# -- files


@cache
def _finished_run() -> Path:
    """Run a small recipe once, and return its work folder."""
    work = work_folder() / "work"
    file = work_folder() / "running.toml"
    file.write_text(RUNNING)
    run_plan(make_plan(read_recipe(file), _plugins()), Workspace(work), _plugins(), executor="serial")
    return work


@cache
def _shards() -> dict[str, bytes]:
    folder = next(_finished_run().glob("steps/shards-*/out"))
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def read_shards(change: tuple[str, list[tuple[float, int, bytes]], Any]) -> None:
    """Open packed shards of which one file was changed, and read every document."""
    name, changes, value = change
    folder = work_folder() / "shards"
    folder.mkdir(exist_ok=True)
    for file, content in _shards().items():
        (folder / file).write_bytes(content)
    chosen = folder / (TokenShardManifest.file_name if name == "manifest" else name)
    content = _shards().get(chosen.name, b"")
    chosen.write_bytes(json.dumps(value).encode() if value is not None else edited(content, changes))
    shards = PackedShards.read(folder)
    shards.check_files()
    for split in SPLITS:
        if shards.counts(split).tokens:
            read_tokens(shards.file(split))


def read_tokens(file: TokenFile) -> int:
    """Read all documents of a token file, and return their number of tokens."""
    return sum(len(file.read(document)) for document in range(len(file)))


def read_index(values: tuple[int, int, int, int, bytes]) -> None:
    """Read a token file whose index has these numbers in its header."""
    version, code, documents, boundaries, rest = values
    prefix = work_folder() / "index"
    prefix.with_suffix(".idx").write_bytes(
        struct.pack("<9sQBQQ", b"MMIDIDX\x00\x00", version, code, documents, boundaries) + rest
    )
    prefix.with_suffix(".bin").write_bytes(np.arange(40, dtype=np.uint16).tobytes())
    file = TokenFile(prefix)
    if file.is_consistent:
        read_tokens(file)


# -- ledgers


@cache
def _export() -> tuple[Path, pl.DataFrame, bytes]:
    ledger = Ledger(_finished_run() / "ledger.sqlite")
    file = work_folder() / "export.parquet"
    export_parquet(ledger, file)
    ledger.close()
    return file, pl.read_parquet(file), file.read_bytes()


def import_ledger(change: tuple[list[tuple[float, int, bytes]] | None, dict[str, Any]]) -> None:
    """Import an export of which bytes or values were changed."""
    changes, values = change
    _, frame, content = _export()
    file = work_folder() / "import.parquet"
    if changes is not None:
        file.write_bytes(edited(content, changes))
    else:
        columns = [pl.lit(value).alias(name) for name, value in values.items()]
        frame.with_columns(columns).write_parquet(file)
    for path in work_folder().glob("imported.sqlite*"):
        path.unlink()
    ledger = Ledger(work_folder() / "imported.sqlite")
    try:
        import_parquet(ledger, file)
        ledger.totals()
        list(ledger.entries())
    finally:
        ledger.close()


# -- documents and records, as the command line shows them


def show_documents(texts: list[str]) -> None:
    """Show documents with these texts by every command that shows documents."""
    work = _finished_run()
    step = next(work.glob("steps/pages-*"))
    file = step / "data" / "part-00000.parquet"
    frame = _pages(file)
    column = [texts[at % len(texts)] for at in range(len(frame))]
    changed = frame.with_columns(
        text=pl.Series(column), kind=pl.Series(column), draw=pl.Series([json.dumps({"thing": text}) for text in column])
    )
    changed.write_parquet(file)
    key = frame["id"][0]
    for words in (
        ["head", "pages"],
        ["stats", "pages"],
        ["why", key],
        ["dropped", "half"],
        ["head", "pages", "--json"],
        ["why", key, "--json"],
    ):
        output = call(["corpus", *words, "--work", str(work)])
        assert "\x1b" not in output and "\u202e" not in output


@cache
def _pages(file: Path) -> pl.DataFrame:
    return pl.read_parquet(file)


def call(words: list[str]) -> str:
    """Run a command and return what it prints; errors for users count as output."""
    result = CliRunner().invoke(commands, words)
    if result.exception is not None and not isinstance(result.exception, SystemExit | TextbookgenError | click.ClickException):
        raise result.exception
    return result.output


def show_damaged_run(change: tuple[str, list[tuple[float, int, bytes]]]) -> None:
    """Show and verify a run of which one file was changed."""
    kind, changes = change
    work = _finished_run()
    run = next(work.glob("runs/*"))
    file = run / kind if kind != "record.json" else next(work.glob("steps/pages-*/record.json"))
    content = file.read_bytes()
    try:
        file.write_bytes(edited(content, changes))
        for words in (
            ["run", "list"],
            ["run", "show"],
            ["run", "show", "--json"],
            ["run", "verify"],
            ["corpus", "stats", "pages"],
        ):
            call([*words, "--work", str(work)])
    finally:
        file.write_bytes(content)


@dataclass(frozen=True)
class Target:
    """Inputs, and the code that reads them."""

    inputs: st.SearchStrategy[Any]
    read: Callable[[Any], None]


TARGETS = {
    "recipe": Target(recipe_texts(), read_recipe_text),
    "set": Target(assignments, lambda items: read_recipe_text(RECIPE.encode(), items)),
    "response": Target(responses, lambda item: read_response(*item)),
    "usage": Target(usages, read_usage),
    "reply": Target(reply_texts, read_reply_text),
    "shards": Target(shard_changes, read_shards),
    "index": Target(indexes, read_index),
    "ledger": Target(ledger_changes, import_ledger),
    "documents": Target(st.lists(TEXT | reply_texts, min_size=1, max_size=6), show_documents),
    "records": Target(damaged_runs, show_damaged_run),
}
