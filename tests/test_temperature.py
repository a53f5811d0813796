"""The temperature of a request: of the stage, or else of the teacher; sent to servers, and part of the ledger key if set."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from textbookgen.api.chat_teacher import ChatTeacher
from textbookgen.api.message import Message
from textbookgen.api.model import Continuation
from textbookgen.api.teacher import Request
from textbookgen.builtin.teachers import CheckpointTeacher, FakeTeacher, OpenAITeacher
from textbookgen.recipe.plan import Plan
from textbookgen.storage.ledger import Ledger, request_key
from textbookgen.storage.ledger.parquet import export_parquet, import_parquet
from textbookgen.storage.workspace import RunFolder

RECIPE = """
[recipe]
name = "warm"
[teacher.author]
use = "openai"
api_base = "{address}"
model = "m"
temperature = 0.9
[sampler.things]
use = "grid"
animal = ["fox", "owl"]
[stage.written]
use = "write"
teacher = "author"
sampler = "things"
prompt = "Write about a {{{{ animal }}}}."
count = 2
{stage}
accept = [{{ use = "grade", teacher = "author", prompt = "Grade {{{{ document.text }}}}"{grade} }}]
[stage.graded]
use = "grade"
teacher = "author"
from = "written"
prompt = "Judge {{{{ document.text }}}}"
"""


class Server(BaseHTTPRequestHandler):
    """Keeps the body of each request, and replies with a score."""

    bodies: list[dict[str, Any]]

    def do_POST(self) -> None:
        self.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        reply = {"choices": [{"message": {"content": "fine\nscore: 9"}, "finish_reason": "stop"}]}
        content = json.dumps(reply | {"usage": {"prompt_tokens": 1, "completion_tokens": 1}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Write no log."""


@pytest.fixture
def server() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The address of a server on this machine, and the bodies of the requests to it."""
    bodies: list[dict[str, Any]] = []
    handler = type("Handler", (Server,), {"bodies": bodies})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}/v1", bodies
        running.shutdown()


@pytest.mark.parametrize(
    ("stage", "grade", "written", "graded"),
    [("", "", 0.9, 0), ("temperature = 0.2", ", temperature = 0.3", 0.2, 0.3), ("", ', temperature = "teacher"', 0.9, 0.9)],
)
def test_the_server_receives_the_temperature_of_the_stage(
    ran: Callable[..., RunFolder],
    server: tuple[str, list[dict[str, Any]]],
    stage: str,
    grade: str,
    written: float,
    graded: float,
) -> None:
    address, bodies = server
    ran(RECIPE.format(address=address, stage=stage, grade=grade))
    by_prompt = {(body["messages"][-1]["content"].split()[0], body["temperature"]) for body in bodies}
    assert by_prompt == {("Write", written), ("Grade", graded), ("Judge", 0)}


def test_a_negative_temperature_is_refused(planned: Callable[..., Plan]) -> None:
    with pytest.raises(Exception, match="temperature"):
        planned(RECIPE.format(address="http://localhost/v1", stage="temperature = -1", grade=""))


def request_at(temperature: float | None, sample: int = 0) -> Request:
    return Request((Message("user", "a fox and a hen"),), sample=sample, temperature=temperature)


def test_the_temperature_is_part_of_the_key_only_if_set(tmp_path: Path) -> None:
    teacher = FakeTeacher()
    keys = [request_key(teacher, "fake", request_at(temperature)) for temperature in (None, 0, 0.0, 0.7)]
    assert len(set(keys)) == 3
    assert keys[0] == request_key(teacher, "fake", Request((Message("user", "a fox and a hen"),)))
    first, second = Ledger(tmp_path / "a.sqlite"), Ledger(tmp_path / "b.sqlite")
    reply = asyncio.run(teacher.complete(request_at(0.7)))
    first.put(keys[3], request_at(0.7), reply, '{"options":{},"use":"fake","version":1}')
    export_parquet(first, tmp_path / "replies.parquet")
    assert import_parquet(second, tmp_path / "replies.parquet") == 1
    entry = second.entry(keys[3])
    assert entry is not None and entry.request.temperature == 0.7
    first.close()
    second.close()


def test_the_fake_teacher_has_one_reply_at_temperature_zero() -> None:
    def texts(temperature: float | None) -> set[str]:
        return {asyncio.run(FakeTeacher().complete(request_at(temperature, sample))).text for sample in range(5)}

    assert (len(texts(0)), len(texts(None)), len(texts(0.5))) == (1, 5, 5)
    shown = asyncio.run(FakeTeacher(replies=("at {temperature}",)).complete(request_at(0.5)))
    assert shown.text == "at 0.5"


def test_openai_and_its_own_option() -> None:
    teacher = OpenAITeacher(model="m", api_base="http://localhost/v1", temperature=0.4)
    assert [teacher.body(request_at(value))["temperature"] for value in (None, 0.0, 1.5)] == [0.4, 0.0, 1.5]
    assert "temperature" not in OpenAITeacher(model="m", api_base="http://localhost/v1").body(request_at(None))
    assert issubclass(OpenAITeacher, ChatTeacher) and issubclass(ChatTeacher, BaseModel)


class Tokens:
    """A model that is asked by ids, and keeps the temperature of each call."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, float]] = []

    def encode(self, prompts: list[Any]) -> list[list[int]]:
        return [[len(prompt)] for prompt in prompts]

    def decode(self, tokens: list[list[int]]) -> list[str]:
        return ["" for _ in tokens]

    def extend(self, prefixes: list[list[int]], *, temperature: float, **_: Any) -> list[list[Continuation]]:
        self.calls.append((len(prefixes), temperature))
        return [[Continuation((1,), f"at {temperature}", ended=True)] for _ in prefixes]

    def logprobs(self, pairs: Any) -> list[list[float]]:
        return []

    def complete(self, prompts: Any, **_: Any) -> list[list[str]]:
        return []

    def score(self, pairs: Any) -> list[Any]:
        return []

    def close(self) -> None:
        """Nothing to close."""


def test_a_checkpoint_answers_each_request_at_its_temperature(tmp_path: Path) -> None:
    model = Tokens()
    teacher = CheckpointTeacher(checkpoint=str(tmp_path), temperature=0.8)
    teacher.prepare({}, lambda folder: model)

    async def ask() -> list[str]:
        wanted = [None, 0.0, 0.8, 0.0]
        replies = await asyncio.gather(*(teacher.complete(request_at(value, sample)) for sample, value in enumerate(wanted)))
        await teacher.close()
        return [reply.text for reply in replies]

    assert asyncio.run(ask()) == ["at 0.8", "at 0.0", "at 0.8", "at 0.0"]
    assert sorted(model.calls) == [(2, 0.0), (2, 0.8)]
