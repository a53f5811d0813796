from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import polars as pl
import pytest

from textbookgen import hookimpl
from textbookgen.api.annotations import Filters
from textbookgen.api.artifacts import Checkpoint
from textbookgen.api.errors import RecipeError, RequestRefused, TeacherError, TrainerError
from textbookgen.api.generator import Draw, Generator
from textbookgen.api.message import Message
from textbookgen.api.model import Continuation, Score, TokenModel
from textbookgen.api.stage import Filter, Job, Stage, Trainer, Transform
from textbookgen.api.teacher import Reply, Request
from textbookgen.builtin.chat_prompts import render_chat
from textbookgen.builtin.teachers.checkpoint import CheckpointTeacher, model_digest
from textbookgen.llm import Client
from textbookgen.recipe.parser import read_recipe
from textbookgen.recipe.planner import make_plan
from textbookgen.recipe.plugin_manager import Plugins
from textbookgen.run.engine import run_plan
from textbookgen.storage.ledger import Ledger, request_key
from textbookgen.storage.workspace import Workspace


class Texts:
    """A model that completes texts only: with its weights, and what is drawn."""

    def __init__(self, folder: Path) -> None:
        self.weights = (folder / "model.bin").read_text(encoding="utf-8")
        self.calls: list[list[str]] = []
        self.closed = False

    def complete(
        self,
        prompts: Sequence[str],
        *,
        max_tokens: int,
        temperature: float = 0.0,
        stop: Sequence[str] = (),
        samples: int = 1,
        seed: int = 0,
    ) -> list[list[str]]:
        self.calls.append(list(prompts))
        return [[f"{self.weights}: {prompt} {random.Random(f'{seed}/{n}').random():.3f}"] for n, prompt in enumerate(prompts)]

    def score(self, pairs: Sequence[tuple[str, str]]) -> list[Score]:
        return [Score(0.0, 1, True) for _ in pairs]

    def close(self) -> None:
        self.closed = True


class Tokens(Texts):
    """The same, asked by ids: one a letter."""

    def encode(self, prompts: Sequence[str | Sequence[Message]]) -> list[list[int]]:
        return [[ord(each) for each in (p if isinstance(p, str) else "|".join(m.content for m in p))] for p in prompts]

    def decode(self, tokens: Sequence[Sequence[int]]) -> list[str]:
        return ["".join(map(chr, row)) for row in tokens]

    def extend(
        self,
        prefixes: Sequence[Sequence[int]],
        *,
        max_tokens: int,
        seeds: Sequence[int],
        temperature: float = 1.0,
        stop: Sequence[str] = (),
        samples: int = 1,
    ) -> list[list[Continuation]]:
        self.calls.append(self.decode(prefixes))
        told = [
            f"{self.weights} {text} {random.Random(seed).random():.6f}"
            for text, seed in zip(self.decode(prefixes), seeds, strict=True)
        ]
        return [[Continuation(tuple(map(ord, text[:max_tokens])), text[:max_tokens], len(text) <= max_tokens)] for text in told]

    def logprobs(self, pairs: Sequence[tuple[Sequence[int], Sequence[int]]]) -> list[list[float]]:
        return [[0.0] * len(after) for _, after in pairs]


def folder_of(root: Path, weights: str, **card: Any) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    (root / "model.bin").write_text(weights, encoding="utf-8")
    (root / "checkpoint.json").write_text(json.dumps({"format": "toy", **card}), encoding="utf-8")
    return root


def ready(folder: Path, kind: type[Texts] = Tokens, **options: Any) -> CheckpointTeacher:
    teacher = CheckpointTeacher(checkpoint=str(folder), **options)
    teacher.prepare({}, kind)
    return teacher


def request(text: str, sample: int = 0) -> Request:
    return Request((Message("user", text),), sample=sample)


async def asked(teacher: CheckpointTeacher, requests: Sequence[Request]) -> list[str]:
    return [reply.text for reply in await asyncio.gather(*map(teacher.complete, requests))]


def test_the_two_models_keep_the_contract(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "w")
    assert isinstance(Tokens(folder), TokenModel)
    assert not isinstance(Texts(folder), TokenModel)


@pytest.mark.parametrize("kind", [Texts, Tokens])
def test_a_reply_does_not_depend_on_what_else_is_asked(tmp_path: Path, kind: type[Texts]) -> None:
    folder = folder_of(tmp_path, "w")
    requests = [request("one"), request("two"), request("two", sample=1), request("three")]
    together = asyncio.run(asked(ready(folder, kind), requests))
    alone = [asyncio.run(asked(ready(folder, kind), [each]))[0] for each in reversed(requests)][::-1]
    assert together == alone
    assert len(set(together)) == 4
    assert asyncio.run(asked(ready(folder, kind, seed=1), requests)) != together


def test_requests_that_wait_together_are_answered_together(tmp_path: Path) -> None:
    teacher = ready(folder_of(tmp_path, "w"), max_parallel=8)
    asyncio.run(asked(teacher, [request(f"number {n}") for n in range(20)]))
    assert isinstance(teacher._model, Tokens)
    assert [len(call) for call in teacher._model.calls] == [8, 8, 4]


def test_a_reply_that_is_cut_is_known_as_such_and_tokens_are_counted(tmp_path: Path) -> None:
    reply = asyncio.run(ready(folder_of(tmp_path, "w"), max_tokens=5).complete(request("one")))
    assert (reply.finish, reply.tokens_in, reply.tokens_out) == ("length", 3, 5)


def test_a_model_that_cannot_answer_is_an_error_for_people_who_asked(tmp_path: Path) -> None:
    def shut(folder: Path) -> Texts:
        raise TrainerError("the process ended", hint="look at it")

    teacher = CheckpointTeacher(checkpoint=str(folder_of(tmp_path, "w")))
    teacher.prepare({}, shut)
    with pytest.raises(TeacherError, match="the process ended"):
        asyncio.run(teacher.complete(request("one")))


def test_the_model_is_closed_and_opened_again(tmp_path: Path) -> None:
    teacher = ready(folder_of(tmp_path, "w"))

    async def twice() -> None:
        await teacher.complete(request("one"))
        first = teacher._model
        assert isinstance(first, Tokens)
        await teacher.close()
        assert first.closed
        assert (await teacher.complete(request("one"))).text.startswith("w")
        await teacher.close()

    asyncio.run(twice())


def test_the_ledger_knows_a_model_by_its_weights_and_not_by_its_name(tmp_path: Path) -> None:
    one, same, other = (folder_of(tmp_path / name, w) for name, w in (("a", "w"), ("b", "w"), ("c", "v")))
    keys = [request_key(ready(folder), "checkpoint", request("one")) for folder in (one, same, other)]
    assert keys[0] == keys[1] != keys[2]
    named = CheckpointTeacher(checkpoint="tuned")
    named.prepare({"tuned": Checkpoint(one)}, Tokens)
    assert request_key(named, "checkpoint", request("one")) == keys[0]
    assert model_digest(folder_of(tmp_path / "d", "w", chat={"name": "own", "template": "x"})) != model_digest(one)


def test_conversations_are_written_by_the_cards_template() -> None:
    template = "{% for m in messages %}<{{ m.role }}>{{ m.content }}<end>{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
    talk = (Message("user", "How?"), Message("assistant", "So"))
    assert render_chat(talk[:1], template) == ("<user>How?<end><assistant>", "<end>")
    assert render_chat(talk, template) == ("<user>How?<end><assistant>So", "<end>")
    assert render_chat(talk, None) == ("How?\n\nSo", "")


class Forges(Trainer):
    """A checkpoint without training."""

    name = "forge"
    weights: str

    def command(self, job: Job) -> list[str]:
        import sys

        program = (
            "import json, sys, pathlib; told = json.load(open(sys.argv[1])); folder = pathlib.Path(told['folder']); "
            "(folder / 'model.bin').write_text(told['options']['weights']); (folder / 'checkpoint.json').write_text('{\"format\": \"toy\"}')"
        )
        return [sys.executable, "-c", program, str(job.path)]


class Says(Generator):
    """What the teacher says."""

    name = "says"

    def parse(self, draw: Draw, reply: Reply) -> Iterable[dict[str, Any]]:
        return [{"text": reply.text}]


class Long(Filter):
    """Keeps what is long."""

    name = "long"
    least: int = 0


class Asks(Transform):
    """Asks a judge."""

    name = "asks"
    who: Annotated[dict[str, Any], Filters]


class Smithy:
    @hookimpl
    def stages(self) -> list[type[Stage]]:
        return [Forges, Says, Long, Asks]

    @hookimpl
    def open_model(self, checkpoint: Path) -> Tokens | None:
        return Tokens(checkpoint) if (checkpoint / "model.bin").is_file() else None


RECIPE = """
[recipe]
name = "own"
version = "1"

[teacher.mine]
use = "checkpoint"
checkpoint = "{checkpoint}"

[stage.tuned]
use = "smithy/forge"
weights = "{weights}"

[stage.questions]
use = "jsonl"
path = "{folder}/questions.jsonl"

[stage.said]
use = "smithy/says"
teacher = "mine"
prompt = "ask.md.j2"
from = "questions"
"""


@pytest.fixture
def smithy() -> Plugins:
    plugins = Plugins([])
    plugins.add("smithy", Smithy())
    return plugins


def plan_of(folder: Path, plugins: Plugins, checkpoint: str = "tuned", weights: str = "w") -> Any:
    (folder / "questions.jsonl").write_text("".join(json.dumps({"text": f"Q{n}"}) + "\n" for n in range(5)), encoding="utf-8")
    (folder / "ask.md.j2").write_text("{{ document.text }}?", encoding="utf-8")
    (folder / "own.toml").write_text(RECIPE.format(folder=folder, checkpoint=checkpoint, weights=weights), encoding="utf-8")
    return make_plan(read_recipe(folder / "own.toml"), plugins)


def step_of(plan: Any, label: str) -> Any:
    return next(step for step in plan.steps if step.label == label)


def test_a_stage_that_asks_depends_on_the_stage_that_trained(tmp_path: Path, smithy: Plugins) -> None:
    plan = plan_of(tmp_path, smithy)
    assert step_of(plan, "said").inputs["teacher"] == ("tuned",)
    changed = plan_of(tmp_path, smithy, weights="v")
    assert step_of(changed, "said").fingerprint != step_of(plan, "said").fingerprint


def test_what_the_stage_is_called_does_not_count(tmp_path: Path, smithy: Plugins) -> None:
    before = step_of(plan_of(tmp_path, smithy), "said").fingerprint
    text = (tmp_path / "own.toml").read_text(encoding="utf-8").replace("tuned", "trained")
    (tmp_path / "own.toml").write_text(text, encoding="utf-8")
    assert step_of(make_plan(read_recipe(tmp_path / "own.toml"), smithy), "said").fingerprint == before


def test_a_judge_that_a_stage_asks_is_part_of_what_it_is(tmp_path: Path, smithy: Plugins) -> None:
    plan_of(tmp_path, smithy)
    recipe = (tmp_path / "own.toml").read_text(encoding="utf-8")

    def planned(least: int) -> str:
        asks = f'\n[stage.asks]\nuse = "smithy/asks"\nfrom = "questions"\nwho = {{ use = "smithy/long", least = {least} }}\n'
        (tmp_path / "own.toml").write_text(recipe + asks, encoding="utf-8")
        return step_of(make_plan(read_recipe(tmp_path / "own.toml"), smithy), "asks").fingerprint

    assert planned(1) == planned(1) != planned(2)


def test_a_folder_counts_by_what_lies_in_it(tmp_path: Path, smithy: Plugins) -> None:
    folder = folder_of(tmp_path / "elsewhere", "w")
    before = step_of(plan_of(tmp_path, smithy, str(folder)), "said").fingerprint
    folder_of(folder, "other weights")
    assert step_of(plan_of(tmp_path, smithy, str(folder)), "said").fingerprint != before


def test_what_is_neither_a_stage_nor_a_folder_is_complained_of(tmp_path: Path, smithy: Plugins) -> None:
    with pytest.raises(RecipeError, match="no earlier stage is named 'tund'") as error:
        plan_of(tmp_path, smithy, "tund")
    assert "did you mean 'tuned'" in str(error.value)
    assert "[teacher.mine]" in str(error.value)


def test_a_run_asks_the_model_it_trained_and_the_ledger_answers_the_next(tmp_path: Path, smithy: Plugins) -> None:
    workspace = Workspace(tmp_path / "work")
    plan = plan_of(tmp_path, smithy)
    summary = run_plan(plan, workspace, smithy, executor="serial").summary()
    assert summary is not None
    assert summary.step("said").requests == 5
    rows = workspace.step(step_of(plan, "said").address).parts("data")
    assert all(text.startswith("w Q") for text in pl.read_parquet(rows)["text"])
    again = run_plan(plan, workspace, smithy, executor="serial", rerun={"said"}).summary()
    assert again is not None
    assert again.step("said").requests == 0


def test_a_bug_in_a_model_is_raised_in_every_waiting_request(tmp_path: Path) -> None:
    class Broken(Tokens):
        def extend(self, *args: Any, **options: Any) -> list[list[Continuation]]:
            raise ZeroDivisionError

    async def run() -> list[Any]:
        teacher = ready(folder_of(tmp_path, "w"), Broken)
        requests = [teacher.complete(request(str(n))) for n in range(3)]
        return await asyncio.wait_for(asyncio.gather(*requests, return_exceptions=True), 10)

    assert [type(result) for result in asyncio.run(run())] == [ZeroDivisionError] * 3


def test_a_request_without_messages_is_refused_and_fails_no_other(tmp_path: Path) -> None:
    async def run() -> list[Any]:
        teacher = ready(folder_of(tmp_path, "w"))
        return await asyncio.gather(teacher.complete(request("one")), teacher.complete(Request(())), return_exceptions=True)

    reply, refusal = asyncio.run(run())
    assert reply.text.startswith("w one")
    assert isinstance(refusal, RequestRefused)


def test_it_goes_through_the_ledger(tmp_path: Path) -> None:
    async def ask(teacher: CheckpointTeacher) -> bool:
        ledger = Ledger(tmp_path / "ledger.sqlite")
        try:
            async with Client(teacher, "checkpoint", ledger) as client:
                return not (await client.complete(request("one"))).from_ledger
        finally:
            ledger.close()

    folder = folder_of(tmp_path / "a", "w")
    assert asyncio.run(ask(ready(folder)))
    assert not asyncio.run(ask(ready(folder)))
    folder_of(folder, "learned more")
    assert asyncio.run(ask(ready(folder)))
