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

RECIPE = """
[recipe]
name = "fuzzed"
seed = 1
[teacher.parrot]
use = "fake"
words = 12
[teacher.server]
use = "openai"
model = "m"
api_base = "http://127.0.0.1:1/v1"
max_tokens = 9
[sampler.things]
use = "grid"
thing = ["cat", "dog"]
place = ["sea", "hill"]
[stage.pages]
use = "write"
teacher = "parrot"
sampler = "things"
count = 6
prompt = "Write about a {{ thing }} by the {{ place }}."
accept = [{ use = "sample", share = 0.9 }]
[stage.half]
use = "sample"
from = "pages"
share = 0.5
[stage.mixed]
use = "mix"
from = ["half"]
tokenizer = "bytes"
tokens = 200
weights = { half = 1.0 }
[stage.shards]
use = "pack"
from = "mixed"
tokenizer = "bytes"
sequence_length = 8
[stage.dataset]
use = "export"
from = "mixed"
layout = "parquet-text"
"""
RUNNING = RECIPE.replace('accept = [{ use = "sample", share = 0.9 }]', "")
_WORDS = [
    *(
        "0",
        "-1",
        "1e400",
        "nan",
        "inf",
        "true",
        '""',
        '"x"',
        "[]",
        "{}",
        "[[]]",
        "[1]",
        '["a", "a"]',
        '"@x"',
        '"../x"',
        '"\\u0000"',
    ),
    *("1979-05-27", "9223372036854775808", '{ use = "sample" }', '{ use = "grade" }', '"pages"', '"half"', '"{{ 2 ** 9 }}"'),
    *("'{{'", "'{% for x in y %}'", '"\\u001b[2J"', "0.5", "5", "{ use = 3 }", '["sample"]', '"https://x"', '"fake"', '"mix"'),
]


def edits(size: int = 4) -> st.SearchStrategy[list[tuple[float, int, bytes]]]:
    """Return a strategy of changes to bytes: where (0 to 1), how many bytes are removed, and what is inserted."""
    return st.lists(st.tuples(st.floats(0, 1), st.integers(0, 40), st.binary(max_size=24)), min_size=1, max_size=size)


def edited(content: bytes, changes: list[tuple[float, int, bytes]]) -> bytes:
    """Return the bytes with the changes made."""
    for where, removed, inserted in changes:
        start = int(where * len(content))
        content = content[:start] + inserted + content[start + removed :]
    return content


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
TEXT = st.text(max_size=300) | st.text(st.characters(min_codepoint=0, max_codepoint=0x2FFF), max_size=200)


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


@st.composite
def recipe_texts(draw: st.DrawFn) -> bytes:
    """Draw a recipe in which values and lines are replaced, or bytes are changed."""
    lines = RECIPE.splitlines()
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(lines) - 1))
        key, equals, _ = lines[at].partition(" = ")
        match draw(st.integers(0, 3)):
            case 0 if equals:
                lines[at] = f"{key} = {draw(st.sampled_from(_WORDS))}"
            case 1:
                lines.pop(at)
            case 2:
                lines.insert(at, draw(st.sampled_from(RECIPE.splitlines())))
            case _ if equals:
                other = draw(st.sampled_from(["from", "use", "count", "x", "prompt", "teacher"]))
                lines[at] = f"{other} = {lines[at].partition(' = ')[2]}"
        lines = lines or [""]
    content = "\n".join(lines).encode()
    return edited(content, draw(edits(2))) if draw(st.booleans()) else content


_KEYS = [
    *("stage.pages.count", "stage.pages.accept", "stage.pages.prompt", "stage.mixed.weights.half", "sampler.things.thing"),
    *("recipe.name", "recipe.seed", "teacher.server.api_base", "teacher.server.headers", "stage.half.share", "stage.shards.x"),
    *("stage", "stage.pages", "stage.pages.use", "teacher.parrot", "", ".", "a.b.c.d", "stage.half.from", "stage.pages.target"),
]
assignments = st.lists(
    st.builds(lambda key, value: f"{key}={value}", st.sampled_from(_KEYS) | TEXT, st.sampled_from(_WORDS) | TEXT), max_size=3
) | st.lists(TEXT, max_size=2)


# -- replies and usage


_TEACHER = OpenAITeacher(model="m", api_base=("http://127.0.0.1:1/v1",), price_in=1.0, price_out=2.0, max_tokens=9)
_REQUEST = Request((Message("user", "Write about a fox."),))
_COMPLETION = json.dumps(
    {
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "a fox"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 1}},
    }
).encode()


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
    read_response(json.dumps({**json.loads(_COMPLETION), "usage": usage}).encode())


_USAGE_KEYS = st.sampled_from(
    [
        "prompt_tokens",
        "completion_tokens",
        "prompt_tokens_details",
        "completion_tokens_details",
        "cached_tokens",
        "reasoning_tokens",
    ]
)
usages = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from([2**63, -(2**63), 10**30]) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_USAGE_KEYS, inner, max_size=5),
    max_leaves=8,
)
responses = st.tuples(
    st.binary(max_size=200)
    | edits().map(lambda changes: edited(_COMPLETION, changes))
    | JSON_VALUES.map(lambda value: json.dumps(value).encode())
    | JSON_VALUES.map(lambda value: json.dumps({"choices": [{"message": {"content": value}}]}).encode())
    | JSON_VALUES.map(lambda value: json.dumps({"choices": value, "error": value}).encode()),
    st.sampled_from([200, 200, 200, 200, 301, 400, 401, 404, 429, 500, 503]),
    TEXT | st.sampled_from(["nan", "inf", "1e400", "-5", "Fri, 31 Dec 9999 23:59:59 -2359", "Mon, 1 Jan 0001 00:00:00 +2359"]),
)
_PIECES = st.sampled_from(
    [
        *(
            "```python\n",
            "```",
            "```json\n",
            "{",
            "}",
            "[",
            "]",
            '"',
            ":",
            ",",
            "\n",
            "\n\n",
            "# Title\n",
            "**Answer**",
            "<think>",
        ),
        *(
            "</think>",
            "Sure! Here is",
            "Score: 7/10",
            "Answer:",
            "Question:",
            "def f(x):\n    return",
            "assert f(1) == ",
            "\\",
            "\x00",
        ),
        *(
            "$",
            "\\boxed{",
            "- ",
            "1. ",
            "{{ x }}",
            "“",
            "’",
            "é",
            "\u202e",
            "🦊",
            " ",
            "\t",
            "\r\n",
            "<story>",
            "</story>",
            "User:",
        ),
    ]
)
reply_texts = st.lists(_PIECES | st.text(max_size=12), max_size=60).map("".join)


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


shard_changes = st.tuples(
    st.sampled_from(["manifest", "manifest", "train.idx", "train.idx", "train.bin"]),
    edits(3),
    st.none() | st.none() | JSON_VALUES,
)


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


_COUNT = st.integers(0, 6) | st.sampled_from([2**31, 2**62, 2**63, 2**64 - 1])
indexes = st.tuples(
    st.sampled_from([1, 1, 1, 0, 7]), st.sampled_from([1, 4, 8, 8, 8, 9, 255]), _COUNT, _COUNT, st.binary(max_size=120)
)


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


_CELLS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.text(max_size=30)
    | st.sampled_from(
        [
            "{}",
            "[]",
            '{"messages": 3}',
            '{"messages": [], "draw": {}, "task": "", "sample": 0, "schema": null}',
            '{"use": "x"}',
            "ab" * 32,
        ]
    )
)
ledger_changes = st.tuples(edits(3), st.just({})) | st.tuples(
    st.none(),
    st.dictionaries(
        st.sampled_from(["key", "teacher", "at", "request", "text", "finish", "cost_usd", "tokens_in"]), _CELLS, min_size=1
    ),
)


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


damaged_runs = st.tuples(st.sampled_from(["run.json", "plan.json", "record.json", "report.md", "recipe.toml"]), edits(3))


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
