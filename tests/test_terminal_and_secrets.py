"""Documents cannot control the terminal, and no server can make a run show or store a key."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import polars as pl
import pytest
from click.testing import CliRunner

from textbookgen.api.errors import RecipeError, TextbookgenError
from textbookgen.api.terminal import escape_controls
from textbookgen.cli import commands
from textbookgen.recipe.plan import Plan
from textbookgen.storage.workspace import RunFolder

Ran = Callable[..., RunFolder]
HOSTILE = "\x1b]0;title\x07 \x1b[2J\x1b[31mred \x9b5A \u202egnp.exe \r over \x7f"
UNSAFE = set("\x1b\x07\x9b\u202e\r\x7f")


def test_controls_are_shown_as_escapes_and_text_is_left_alone() -> None:
    assert escape_controls(HOSTILE) == ("\\x1b]0;title\\x07 \\x1b[2J\\x1b[31mred \\x9b5A \\u202egnp.exe \\r over \\x7f")
    assert escape_controls("a\tb\nžluťoučký 狐 👩‍🔬") == "a\tb\nžluťoučký 狐 👩‍🔬"


@pytest.mark.parametrize("as_json", [[], ["--json"]], ids=["text", "json"])
@pytest.mark.parametrize("command", ["head made", "stats made", "dropped kept", "why ID", "show"])
def test_no_command_prints_a_control_character_of_a_document(ran: Ran, folder: Path, command: str, as_json: list[str]) -> None:
    rows = {"text": [HOSTILE, f"even {HOSTILE}"], "other": [HOSTILE, "plain"]}
    pl.DataFrame(rows).write_ndjson(folder / "rows.jsonl")
    ran(
        f'[recipe]\nname = "hostile"\n\n[stage.made]\nuse = "jsonl"\npath = "{folder}/rows.jsonl"\n\n'
        '[stage.kept]\nuse = "toy/contains"\nfrom = "made"\nword = "even"\n'
    )
    work = ["--work", str(folder / "work")]
    head = CliRunner().invoke(commands, ["corpus", "head", "made", "--json", *work]).stdout
    identifier = json.loads(head.splitlines()[0])["id"]
    words = ["run", "show"] if command == "show" else ["corpus", *command.replace("ID", identifier).split()]
    result = CliRunner().invoke(commands, [*words, *as_json, *work])
    assert result.exit_code == 0, result.output
    assert result.stdout.strip() and not UNSAFE & set(result.stdout)


SECRET = "kQ7 zp/Xv+93=&äé"
RECIPE = """
[recipe]
name = "secret"

[teacher.server]
use = "openai"
model = "m"
api_base = "ADDRESS"
api_key_env = "TEST_SECRET"
headers = { X-Token = "env:TEST_TOKEN" }
max_retries = 0

[stage.echoes]
use = "toy/echo"
teacher = "server"
count = 2
prompt = "plain.md.j2"
"""


class Echoing(BaseHTTPRequestHandler):
    """Answers with an error that contains the secret where `place` says."""

    place = ""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        reason = f"bad key {SECRET}" if self.place == "reason" else "Error"
        self.send_response_only(302 if self.place == "location" else 400, reason)
        if self.place == "location":
            self.send_header("Location", f"http://elsewhere/?key={quote(SECRET, safe='')}")
        body = json.dumps({"error": {"message": f"got {SECRET}"}}).encode() if self.place == "body" else b"{}"
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Write no log."""


@pytest.fixture
def echoing(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a server that echoes a secret."""
    handler = type("Handler", (Echoing,), {"place": request.param})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()


@pytest.mark.parametrize("echoing", ["body", "reason", "location"], indirect=True)
@pytest.mark.parametrize("variable", ["TEST_SECRET", "TEST_TOKEN"])
def test_a_secret_that_a_server_echoes_is_stored_nowhere(
    ran: Ran, folder: Path, echoing: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "plain.md.j2").write_text("Say something.", encoding="utf-8")
    for name in ("TEST_SECRET", "TEST_TOKEN"):
        monkeypatch.setenv(name, "unused-value-of-the-other")
    monkeypatch.setenv(variable, SECRET.encode("latin-1").decode("latin-1"))
    message = ""
    try:
        ran(RECIPE.replace("ADDRESS", echoing))
    except TextbookgenError as error:
        message = str(error)
    spellings = {SECRET, json.dumps(SECRET)[1:-1], quote(SECRET, safe="")}
    files = [file for file in (folder / "work").rglob("*") if file.is_file()]
    assert any(file.name == "run.json" for file in files)
    for spelling in spellings:
        assert spelling not in message
        assert not [file for file in files if spelling.encode() in file.read_bytes()]


def test_a_key_in_place_of_a_variable_is_not_shown(planned: Callable[..., Plan], folder: Path) -> None:
    (folder / "plain.md.j2").write_text("Say something.", encoding="utf-8")
    key = "sk-proj-Abc123def456"
    with pytest.raises(RecipeError, match="names no environment variable") as caught:
        planned(RECIPE.replace("ADDRESS", "http://localhost/v1").replace("TEST_SECRET", key))
    assert key not in str(caught.value)
