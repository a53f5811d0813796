"""Calls that a teacher makes for requests, as a baseline for small models."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field

from textbookgen import Ask, Documents, Draw, Estimate, Generator, Input, Labels, Reply, Runtime, Template, UnusableReply
from textbookgen.api.generator import Temperature
from textbookgen.api.reply_text import complete_text, unwrapped
from textbookgen_api.calls import parse_plan_or_none, write_plan

_PROMPT_TOKENS = 900.0
#: What models put before calls: "Call:", "**Answer:**", "- ".
_LABEL = re.compile(r"^\s*(?:[-*>]\s+)?[*_`]*(?:(?:calls?|answer|output|line)[*_]*:[*_]*)?\s*", re.IGNORECASE)
_REPLY_TOKENS = 40.0


class Answers(Generator):
    """Have a teacher answer each request with calls, given the description of the application.

    The output are the requests, with the columns `api.answer` (the calls; or the whole reply, if it has none that can be
    read), `api.seconds` (from the request to the reply, including the wait for a free place among `max_parallel`; close to 0 if
    the reply was in the ledger) and `api.cost_usd`. `api/call-accuracy` scores them beside checkpoints.
    """

    name: ClassVar[str] = "answers"
    task: ClassVar[str] = "function-calls"
    kind: ClassVar[str] = "answered request"

    prompt: Annotated[str, Template] = Field(
        "api/answer.md.j2", description="prompt template; its variables are `application`, `request` and `examples`"
    )
    inputs: Annotated[Labels, Input(Documents)] = Field(
        alias="from", min_length=1, description="earlier stages whose requests are answered"
    )
    temperature: Temperature = Field(
        0.0, description='sampling temperature of the requests; "teacher" leaves it to the table of the teacher'
    )
    max_failures: Annotated[float, Runtime] = Field(
        1.0, ge=0, le=1, description="share of requests that may fail before the step stops"
    )

    def template_variables(self, option: str) -> Mapping[str, Any]:
        """Return the variables of the prompt."""
        return {"application": "", "request": ""}

    def estimate(self, inputs: Mapping[str, Estimate]) -> Estimate | None:
        """Estimate one request per document; None if their number is unknown."""
        documents = inputs.get("from", Estimate()).documents
        if documents is None:
            return None
        count = min(documents, self.sample or documents)
        return Estimate(count, _REPLY_TOKENS * count, count, _PROMPT_TOKENS * count, _REPLY_TOKENS * count)

    async def generate(self, draw: Draw, ask: Ask) -> Iterable[dict[str, Any]]:
        """Return the request with the teacher's calls. An unreadable reply is an answer, too: a wrong one."""
        document = draw["document"]
        variables = {**draw, "application": document["api.application"], "request": document["api.request"]}
        prompt = ask.render(self.prompt, variables)
        started = time.perf_counter()
        reply = await ask(prompt, draw=variables)
        columns = {name: value for name, value in document.items() if name == "text" or name.startswith("api.")}
        return [
            {
                **columns,
                "api.answer": read_calls(reply),
                "api.seconds": time.perf_counter() - started,
                "api.cost_usd": reply.cost_usd,
            }
        ]


def read_calls(reply: Reply) -> str:
    """Return the calls in a reply: the last paragraph or code block that has nothing else; or the whole text.

    Announcements, code fences and a label such as `Call:` are left out. A reply that was cut off is returned as it is.
    """
    try:
        text = complete_text(reply)
    except UnusableReply:
        return reply.text.strip()
    lines = [_LABEL.sub("", line).strip("` ") for line in text.splitlines()]
    pieces = [unwrapped(text), "\n".join(lines), *reversed(_runs_of_calls(lines))]
    for piece in pieces:
        plan = parse_plan_or_none(piece)
        if plan is not None:
            return write_plan(plan)
    return text


def _runs_of_calls(lines: Iterable[str]) -> list[str]:
    """Runs of lines that can be read as calls."""
    runs: list[list[str]] = [[]]
    for line in lines:
        if line and parse_plan_or_none("\n".join([*runs[-1], line])) is not None:
            runs[-1].append(line)
        elif runs[-1]:
            runs.append([])
            if line and parse_plan_or_none(line) is not None:
                runs[-1].append(line)
    return ["\n".join(run) for run in runs if run]
