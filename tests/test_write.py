"""`write`: prompt, reader and columns together, with replies as language models format them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import polars as pl
import pytest

from textbookgen.api.errors import RecipeError, UnusableReply
from textbookgen.api.hookspecs import hookimpl
from textbookgen.api.teacher import Price, Reply, Request, Teacher
from textbookgen.builtin.stages.write import Write
from textbookgen.recipe.plan import Plan
from textbookgen.recipe.plugin_manager import Plugins
from textbookgen.recipe.prompts import Prompts
from textbookgen.storage.workspace import RunFolder, Workspace
from textbookgen.testing import ScriptedAsk

Ran = Callable[..., RunFolder]
FABLE = "A fox ran.\n\nIt slept."
SCHEMA = {
    "type": "object",
    "properties": {"story": {"type": "string"}, "words": {"type": "integer"}, "tags": {"type": "array"}},
    "required": ["story", "words"],
}
ITEMS = {"type": "object", "properties": {"stories": {"type": "array", "items": SCHEMA}}, "required": ["stories"]}


def stage(**options: Any) -> Write:
    return Write(**{"teacher": "author", "prompt": "Write a fable.", "count": 1, **options})


def documents(reply: str, **options: Any) -> list[dict[str, Any]]:
    rows = stage(**options).parse({}, Reply(reply))
    return [{name: value for name, value in row.items() if name != "kind"} for row in rows if isinstance(row, dict)]


# -- one reading mode at a time, in at least three styles


@pytest.mark.parametrize(
    "reply",
    [FABLE, f"Sure! Here is a fable:\n\n{FABLE}", f"```markdown\n{FABLE}\n```", f"{FABLE}\n\nLet me know if you want changes!"],
)
def test_the_reply_as_text(reply: str) -> None:
    assert documents(reply) == [{"text": FABLE}]


@pytest.mark.parametrize(
    "reply",
    [
        f"Title: The Fox\nStory: {FABLE}",
        f"Certainly!\n\n**Title:** The Fox\n\n**Story:**\n{FABLE}\n\nLet me know if you would like another one.",
        f"## Title\nThe Fox\n\n## Story\n```\n{FABLE}\n```",
    ],
)
def test_sections(reply: str) -> None:
    columns = {"text": "Story", "title": "Title"}
    assert documents(reply, read_as="sections", columns=columns) == [{"text": FABLE, "write.title": "The Fox"}]


@pytest.mark.parametrize(
    "reply", ["Q: How many?\nA: 12", "Sure!\n\nQ: How many?\nA: 12.", "**Notes**\nQ: How many?\nA: 12 foxes"]
)
def test_patterns(reply: str) -> None:
    columns = {"text": "(?s)^(Q: .*?$)", "number": r"^A: (\d+)"}
    columns["text"] = r"^Q: (.*)$"
    assert documents(reply, read_as="pattern", columns=columns) == [{"text": "How many?", "write.number": "12"}]


@pytest.mark.parametrize(
    "form", ["{}", "```json\n{}\n```", "Sure! Here is the JSON object:\n\n{}\n\nEnjoy!", "<think>hm</think>\n{}"]
)
def test_json_with_the_types_of_the_schema(form: str) -> None:
    reply = form.replace("{}", json.dumps({"story": FABLE, "words": 5, "tags": ["fox", "sleep"]}))
    columns = {"text": "story", "words": "words", "tags": "tags", "first": "tags.0"}
    expected = {"text": FABLE, "write.words": 5, "write.tags": '["fox", "sleep"]', "write.first": "fox"}
    assert documents(reply, schema=SCHEMA, columns=columns) == [expected]
    assert documents(reply, read_as="json", columns=columns) == [expected | {"write.words": "5"}]


@pytest.mark.parametrize("separator", ["---", "**---**", "\n---\n"])
def test_several_documents_between_separators(separator: str) -> None:
    reply = f"Here are three fables about a fox:\n\nOne.\n{separator}\nTwo.\n\nTwo again.\n{separator}\nThree.\n{separator}\n"
    texts = [row["text"] for row in documents(reply, separator="---", documents_per_reply=3)]
    assert texts == ["One.", "Two.\n\nTwo again.", "Three."]


@pytest.mark.parametrize("form", ["{}", "```\n{}\n```", "Here you go:\n{}"])
@pytest.mark.parametrize("nested", [True, False])
def test_several_documents_in_a_json_list(form: str, nested: bool) -> None:
    items = [{"story": "One.", "words": 1}, {"story": "Two.", "words": 1}]
    reply = form.replace("{}", json.dumps({"stories": items} if nested else items))
    options = {"items": "stories", "schema": ITEMS} if nested else {"read_as": "json"}
    assert [row["text"] for row in documents(reply, columns={"text": "story"}, **options)] == ["One.", "Two."]


def test_messages_and_pairs() -> None:
    turns = json.dumps(
        {"q": "Why?", "a": "So.", "talk": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yo"}]}
    )
    asked, answered = {"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So."}
    assert documents(turns, read_as="json", columns={"messages": ("q", "a")}) == [{"messages": [asked, answered]}]
    (talk,) = documents(turns, read_as="json", columns={"messages": "talk"})
    assert [message["content"] for message in talk["messages"]] == ["Hi", "Yo"]
    (pair,) = documents(turns, read_as="json", columns={"prompt": "q", "chosen": "a", "rejected": "a"})
    assert (pair["prompt"], pair["chosen"]) == ([asked], [answered])


# -- what is refused, and why


@pytest.mark.parametrize(
    ("reply", "options", "problem"),
    [
        ("", {}, "the reply is empty"),
        ("I'm sorry, but I can't help with that.", {}, "the teacher declined"),
        ("Title: The Fox", {"read_as": "sections", "columns": {"text": "Story"}}, "the reply has no section 'Story'"),
        ("Story:\n\n", {"read_as": "sections", "columns": {"text": "Story"}}, "`Story` is missing or empty in the reply"),
        ("no number", {"read_as": "pattern", "columns": {"text": r"\d+"}}, "nothing in the reply matches the pattern"),
        ("Once upon a time", {"read_as": "json", "columns": {"text": "story"}}, "the reply contains no JSON object or list"),
        ('{"tale": "x"}', {"read_as": "json", "columns": {"text": "story"}}, "`story` is missing or empty in the reply"),
        ('{"story": 7}', {"read_as": "json", "columns": {"text": "story"}}, "`story` is not text in the reply"),
        ('{"story": "x", "words": "many"}', {"schema": SCHEMA, "columns": {"text": "story", "n": "words"}}, "not of the type"),
        ('{"talk": [{"from": "me"}]}', {"read_as": "json", "columns": {"messages": "talk"}}, "is not a list of messages"),
        ("One. Two.", {"separator": "---", "documents_per_reply": 2}, "no line that separates its documents"),
        (
            '{"stories": []}',
            {"schema": ITEMS, "items": "stories", "columns": {"text": "story"}},
            "the list in the reply is empty",
        ),
    ],
)
def test_an_unusable_reply_is_refused_with_the_reason(reply: str, options: dict[str, Any], problem: str) -> None:
    with pytest.raises(UnusableReply, match=problem):
        documents(reply, **options)


def test_the_usable_part_of_a_reply_is_kept_and_the_rest_counted() -> None:
    reply = json.dumps([{"story": "One."}, {"tale": "Two."}, {"story": ""}])
    rows = list(stage(read_as="json", columns={"text": "story"}).parse({}, Reply(reply)))
    assert [row["text"] for row in rows if isinstance(row, dict)] == ["One."]
    assert [row.problem for row in rows if isinstance(row, UnusableReply)] == ["`story` is missing or empty in the reply"] * 2


# -- several turns


class RenderingAsk(ScriptedAsk):
    """An `Ask` that renders templates and keeps the schema of each request."""

    schemas: list[Any]

    async def __call__(self, prompt: Any, **options: Any) -> Reply:
        self.__dict__.setdefault("schemas", []).append(options.get("schema"))
        return await super().__call__(prompt, **options)

    def render(self, template: str, variables: Mapping[str, Any]) -> str:
        return Prompts([]).render(template, variables)


def conversation(replies: Sequence[str], **options: Any) -> tuple[list[Any], RenderingAsk]:
    waiting = iter(replies)
    ask = RenderingAsk(lambda prompt, draw: next(waiting))
    options = {"follow_ups": ("Shorten this: {{ replies[0] | length }}", "Give it a title."), **options}
    return list(asyncio.run(stage(**options).generate({"animal": "fox"}, ask))), ask


def test_each_turn_is_sent_with_the_conversation_so_far() -> None:
    columns = {"text": "reply 2", "draft": "reply 1", "title": "reply", "asked": "prompt 1"}
    rows, ask = conversation(
        ["Sure! Here is a draft:\n\nA long fable.", "A fable.", "**Fox**"],
        prompt="Write about a {{ animal }}.",
        system="You write for {{ animal }}es.",
        columns=columns,
        schema=None,
    )
    expected = {
        "text": "A fable.",
        "write.draft": "A long fable.",
        "write.title": "**Fox**",
        "write.asked": "Write about a fox.",
    }
    assert rows == [{"kind": "document", **expected}]
    assert ask.prompts[0] == "system: You write for foxes.\nuser: Write about a fox."
    lines = ask.prompts[2].split("\n")
    assert lines[-3:] == [
        "user: Shorten this: 35".replace("35", str(len("Sure! Here is a draft:\n\nA long fable."))),
        "assistant: A fable.",
        "user: Give it a title.",
    ]


def test_the_schema_is_sent_with_the_last_turn_and_a_draft_and_its_revision_make_a_pair() -> None:
    _, ask = conversation(["a", "b", '{"story": "c", "words": 1}'], schema=SCHEMA, columns={"text": "story"})
    assert ask.schemas == [None, None, SCHEMA]
    rows, _ = conversation(["draft", "better", "t"], columns={"prompt": "prompt 1", "chosen": "reply 2", "rejected": "reply 1"})
    assert [rows[0][name][0]["content"] for name in ("prompt", "chosen", "rejected")] == ["Write a fable.", "better", "draft"]
    rows, _ = conversation(["one", "two", "three"], columns={"messages": "conversation"})
    assert [message["content"] for message in rows[0]["messages"]][1::2] == ["one", "two", "three"]
    with pytest.raises(UnusableReply, match="declined"):
        conversation(["I'm sorry, but I cannot help with that.", "x", "y"])


# -- what `recipe check` finds

HEAD = """
[recipe]
name = "w"
[teacher.author]
use = "{teacher}"
{options}
[sampler.things]
use = "grid"
animal = ["fox", "owl", "hen"]
[stage.fables]
use = "write"
teacher = "author"
sampler = "things"
"""


def recipe(body: str, teacher: str = "fake", options: str = "") -> str:
    return HEAD.format(teacher=teacher, options=options) + body


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ('prompt = "About {{ anmal }} please"', "needs the variable 'anmal', which the sampler does not provide"),
        ('prompt = "none.md.j2"', "there is no prompt template 'none.md.j2'"),
        ('prompt = "About {% if %} x"', "Expected an expression"),
        ('prompt = "a b"\nsystem = "For {{ who }} now"', "needs the variable 'who'"),
        ('prompt = "a b"\nfollow_ups = ["Now {{ replies[0] }} and {{ more }}"]', "needs the variable 'more'"),
        ('prompt = "a {{ replies }}"', "needs the variable 'replies'"),
        ('prompt = "a b"\ncolumns = { title = "reply" }', "no column is `text` or `messages`"),
        ('prompt = "a b"\ncolumns = { text = "story" }', "'story' is not a part of the conversation"),
        ('prompt = "a b"\ncolumns = { text = "reply 2" }', "there are 1 turns"),
        ('prompt = "a b"\ncolumns = { chosen = "reply", rejected = "reply" }', "a pair needs"),
        ('prompt = "a b"\ncolumns = { text = "reply", id = "reply" }', "is a column of the engine"),
        ('prompt = "a b"\nread_as = "pattern"\ncolumns = { text = "(" }', "is not a regular expression"),
        ('prompt = "a b"\nread_as = "sections"', "needs `columns`"),
        ('prompt = "a b"\ndocuments_per_reply = 3', "need a `separator`"),
        ('prompt = "a b"\nschema = { type = "objekt" }', "is not a JSON schema"),
        ('prompt = "a b"\nschema = "@none.json"', "cannot read the list"),
        ('prompt = "a b"\nschema = "{"', "is not JSON"),
        (
            'prompt = "a b"\nschema = { type = "object", properties = { story = { type = "string" } } }\ncolumns = { text = "tale" }',
            "the schema has no field 'tale'",
        ),
    ],
)
def test_recipe_check_reports_what_cannot_work(planned: Callable[..., Plan], body: str, problem: str) -> None:
    with pytest.raises(RecipeError) as caught:
        planned(recipe(f"{body}\ncount = 3\n"))
    assert problem in str(caught.value)


def test_documents_of_a_stage_above_and_what_they_were_drawn_with(planned: Callable[..., Plan]) -> None:
    first = recipe('prompt = "About {{ animal }} please"\ncount = 3\n')
    more = '[stage.more]\nuse = "write"\nteacher = "author"\nfrom = "fables"\nprompt = "{}"\n'
    planned(first + more.format("On {{ document.draw.animal }}: {{ document.text }} {{ document['write.title'] }}"))
    with pytest.raises(RecipeError, match=r"reads document\.draw\.plant, which the documents were not drawn with"):
        planned(first + more.format("On {{ document.draw.plant }}: {{ document.text }}"))
    planned(first + more.format("On {% if document.draw.plant is defined %}{{ document.draw.plant }}{% endif %}"))


# -- runs


class Storyteller(Teacher):
    """Replies with as many stories as the prompt asks for, every third story without its text."""

    name: ClassVar[str] = "storyteller"

    async def complete(self, request: Request) -> Reply:
        number = int(request.messages[-1].content.split()[1])
        items = [{"story": "" if at == 2 else f"{request.sample} {at}", "words": 2} for at in range(number)]
        return Reply(f"Sure! Here are {number} stories:\n```json\n{json.dumps({'stories': items})}\n```", 10, 20)

    def price(self) -> Price:
        return Price(0, 0)


class Tales:
    """A plugin with the storyteller."""

    @hookimpl
    def teachers(self) -> list[type[Teacher]]:
        return [Storyteller]


def rows(folder: Path, kind: str = "data", label: str = "fables") -> pl.DataFrame:
    files = sorted((folder / "work" / "steps").glob(f"{label}-*/{kind}/*.parquet"))
    return pl.concat([pl.read_parquet(file) for file in files], how="diagonal_relaxed")


def test_exactly_count_documents_of_several_per_reply(ran: Ran, folder: Path, plugins: Plugins) -> None:
    plugins.add("tales", Tales())
    (folder / "stories.json").write_text(json.dumps(ITEMS, indent=1), encoding="utf-8")
    body = """
prompt = "Write {{ documents_per_reply }} stories about a {{ animal }}."
schema = "@stories.json"
items = "stories"
columns = { text = "story", words = "words" }
documents_per_reply = 5
count = 90
"""
    run = ran(recipe(body, "tales/storyteller"))
    (step,) = run.summary().steps
    verdicts, failures = rows(folder, "verdicts"), rows(folder, "failures")
    assert step.rows_out == int(verdicts["keep"].sum()) == 90
    assert 23 <= step.requests <= 25  # four usable stories in a reply
    assert step.dropped == {"count reached": step.rows_in - 90}
    assert step.failures == len(failures) == step.requests
    assert set(failures["reason"]) == {"unusable: `story` is missing or empty in the reply"}
    assert rows(folder)["write.words"].dtype == pl.Int64
    assert rows(folder)["id"].n_unique() == len(rows(folder))


def test_labels_are_added_to_the_documents_of_a_stage_above(ran: Ran, folder: Path) -> None:
    first = recipe('prompt = "About {{ animal }} please"\ncount = 3\n', options='replies = ["language: English {sample}"]')
    more = """
[stage.labelled]
use = "write"
teacher = "author"
from = "fables"
prompt = "Which language is this? {{ document.text }}"
read_as = "sections"
columns = { language = "language" }
"""
    ran(first + more)
    before, after = rows(folder), rows(folder, label="labelled")
    assert after["text"].to_list() == before["text"].to_list()
    assert all(value.startswith("English") for value in after["write.language"])
    assert after["parents"].to_list() == [[key] for key in before["id"]]


def test_chats_are_the_output_where_messages_are_a_column(ran: Ran, folder: Path) -> None:
    body = 'prompt = "About {{ animal }} please"\ncolumns = { messages = ["prompt", "reply"] }\ncount = 3\n'
    run = ran(recipe(body, options='replies = ["Reply {sample}"]'))
    assert run.plan().steps[0].output[0] == "Chats"
    assert rows(folder)["messages"].to_list()[0][0]["content"].startswith("About ")


def test_a_preview_and_an_offline_run(ran: Ran, folder: Path) -> None:
    text = recipe('prompt = "About {{ animal }} please"\ncount = 30\n')
    ran(text)
    again = ran(text, rerun=["fables"], offline=True).summary().step("fables")
    assert (again.requests, again.rows_out) == (0, 30)
    assert Workspace(folder / "work").run().summary().error == ""
