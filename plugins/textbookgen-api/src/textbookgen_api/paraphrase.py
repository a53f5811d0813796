"""Paraphrases of requests that keep their values word for word."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from random import Random
from typing import Annotated, Any, ClassVar

from pydantic import Field

from textbookgen import (
    Ask,
    Diagnostic,
    Documents,
    Draw,
    Estimate,
    Generator,
    Input,
    Labels,
    Reply,
    Runtime,
    Template,
    UnusableReply,
)
from textbookgen_api.application_file import list_entries
from textbookgen_api.parameters import Split, in_split
from textbookgen_api.request_writer import text_columns

_REPLY_TOKENS = 40.0
_PROMPT_TOKENS = 900.0
_KEPT_COLUMNS = ("api.case", "api.function", "api.description", "api.values", "api.defaults", "api.application")
_NUMBER = re.compile(r"\d+")

#: What models put before a paraphrase: "Sure! Here is the request:", "**Rephrased request:**", "Request:".
_ANNOUNCEMENT = re.compile(
    r"\A(?:```\w*\s+)?(?:(?:sure|certainly|of course|absolutely|okay)\b[^\n:]{0,60}[!,.]\s*)?"
    r"(?:(?:here is|here's|here\u2019s)\b[^\n:]{0,80}:\s*)?"
    r"(?:[*_]{0,2}(?:rephrased |paraphrased |new )?request[*_]{0,2}:[*_]{0,2}\s*)?",
    re.IGNORECASE,
)


class Paraphrase(Generator):
    """Rephrase each request in the voice of a person; its calls stay the same.

    The prompt says what the application does, with its functions and their arguments. Every value (`api.values`) must occur
    word for word, and no number may be added, or the paraphrase is rejected, since the calls would no longer be right. With
    `keep_original` the request itself is written too.
    """

    name: ClassVar[str] = "paraphrase"
    task: ClassVar[str] = "paraphrase"
    kind: ClassVar[str] = "request"
    version: ClassVar[int] = 2

    prompt: Annotated[str, Template] = Field("api/paraphrase.md.j2", description="prompt template")
    inputs: Annotated[Labels, Input(Documents)] = Field(
        alias="from", min_length=1, description="earlier stages whose requests are rephrased"
    )
    personas: tuple[str, ...] = Field(
        (),
        description="persons in whose voice requests are phrased, optionally as `voice: person`; by default the plugin's 20 in "
        "seven voices. A drawn `persona` takes precedence",
    )
    voices: Split = Field(
        "all",
        description="which persons are used: `all`, `seen` or `unseen` ones, by a hash of the person",
    )
    paraphrases: int = Field(1, gt=0, description="paraphrases per request, by different persons as far as there are enough")
    keep_original: bool = Field(True, description="also write the original request")
    max_failures: Annotated[float, Runtime] = Field(
        1.0, ge=0, le=1, description="share of requests that may fail before the step stops"
    )

    def check(self) -> Iterable[Diagnostic]:
        """Yield a problem if no person is in the split."""
        personas = self.personas or list_entries("personas")
        if not any(in_split("persona", item, self.voices) for item in personas):
            yield Diagnostic("voices", f"no person is {self.voices}", "add some to `personas`")

    def estimate(self, inputs: Mapping[str, Estimate]) -> Estimate | None:
        """Estimate one teacher request per paraphrase; None if the number of input requests is unknown."""
        source = inputs.get("from", Estimate())
        if source.documents is None:
            return None
        originals = min(source.documents, self.sample or source.documents)
        requests, documents = originals * self.paraphrases, originals * (self.paraphrases + self.keep_original)
        return Estimate(documents, _REPLY_TOKENS * documents, requests, _PROMPT_TOKENS * requests, _REPLY_TOKENS * requests)

    async def generate(self, draw: Draw, ask: Ask) -> Iterable[dict[str, Any]]:
        """Return the paraphrases that kept every value, after the original if it is kept.

        Raises:
            UnusableReply: none did, and the original is not kept.
        """
        document = draw["document"]
        problem = None
        rows = [_row(document, document["api.request"])] if self.keep_original else []
        for persona in self._personas(draw):
            voice, _, person = persona.rpartition(": ")
            variables = {
                **draw,
                "persona": person,
                "voice": voice,
                "request": document["api.request"],
                "call": document["api.call"],
                "case": document["api.case"],
                "application": document.get("api.application"),
                "description": document.get("api.description"),
                "required_values": list(document["api.values"] or ()),
            }
            reply = await ask(ask.render(self.prompt, variables), draw=variables)
            try:
                text = read_paraphrase(reply, variables["required_values"])
                _check_numbers(text, document["api.request"])
            except UnusableReply as error:
                problem = error
                continue
            rows.append(_row(document, text, persona))
        if not rows:
            raise UnusableReply("no paraphrase kept every value") from problem
        return rows

    def _personas(self, draw: Draw) -> list[str]:
        rng = Random(f"{self.seed}/{draw['document']['id']}")
        personas = [item for item in self.personas or list_entries("personas") if in_split("persona", item, self.voices)]
        rng.shuffle(personas)
        first = [str(draw["persona"])] if draw.get("persona") else []
        return [*first, *(personas * self.paraphrases)][: self.paraphrases]


def read_paraphrase(reply: Reply, required_values: Iterable[str]) -> str:
    """Return the paraphrase in a reply on one line, without announcement, label and quotation marks.

    Raises:
        UnusableReply: the reply is empty or cut off, or lacks a value.
    """
    if reply.finish == "length":
        raise UnusableReply("the reply was cut off")
    text = _ANNOUNCEMENT.sub("", reply.text.strip()).strip("`\n ")
    text = " ".join(text.split()).strip('"\u201c\u201d')
    if not text:
        raise UnusableReply("the reply is empty")
    if not all(has_value(text, value) for value in required_values):
        raise UnusableReply("the paraphrase lacks a value")
    return text


def has_value(text: str, value: str) -> bool:
    """Return whether a text has a value as whole words; the items of a list may be in any order."""
    items = re.split(r", | and ", value)
    return all(re.search(rf"(?<!\w){re.escape(item)}(?!\w)", text) for item in items)


def _check_numbers(text: str, request: str) -> None:
    """Raise UnusableReply if a paraphrase has a number that its request does not have."""
    if set(_NUMBER.findall(text)) - set(_NUMBER.findall(request)):
        raise UnusableReply("the paraphrase adds a number")


def _row(document: Mapping[str, Any], request: str, persona: str = "") -> dict[str, Any]:
    """The document with another wording of its request, and the person whose wording it is."""
    phrasing, voice = document.get("api.phrasing") or "", document.get("api.voice") or ""
    if persona:
        phrasing, voice = f"{phrasing} / {persona}", persona.rpartition(": ")[0] or "persona"
    kept = {name: document.get(name) for name in _KEPT_COLUMNS}
    return {**text_columns(request, document["api.call"]), **kept, "api.phrasing": phrasing, "api.voice": voice}
