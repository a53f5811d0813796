"""Asks for each request in other words, with its values word for word."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from random import Random
from typing import Annotated, Any, ClassVar

from pydantic import Field

from textbookgen import Ask, Documents, Draw, Estimate, Generator, Input, Labels, Reply, Runtime, Template, UnusableReply
from textbookgen_api.calling import read_call
from textbookgen_api.requests import listed, request_row


class Paraphrase(Generator):
    """Writes each request that flows in anew in somebody's voice; its call stays the same.

    The values (`api.slots`) must come up word for word, or the paraphrase is refused: the call would no longer be right.
    `keep_original` gives the request as it was too.
    """

    name: ClassVar[str] = "paraphrase"
    task: ClassVar[str] = "paraphrase"
    kind: ClassVar[str] = "request"

    prompt: Annotated[str, Template] = Field("api/paraphrase.md.j2", description="name of the prompt template")
    inputs: Annotated[Labels, Input(Documents)] = Field(
        alias="from", min_length=1, description="stages above whose requests are put in other words"
    )
    roles: tuple[str, ...] = Field((), description="voices to draw from; the plugin's unless given. A drawn `role` goes first")
    paraphrases: int = Field(1, gt=0, description="paraphrases of each request, in different voices where there are enough")
    keep_original: bool = Field(True, description="give the request as it was beside its paraphrases")
    max_failures: Annotated[float, Runtime] = Field(
        1.0, ge=0, le=1, description="share of requests that may fail before the step stops"
    )

    def estimate(self, inputs: Mapping[str, Estimate]) -> Estimate | None:
        """A request for each paraphrase, which is about as long as what it says."""
        inflow = inputs.get("from", Estimate())
        if inflow.documents is None:
            return None
        asked = min(inflow.documents, self.sample or inflow.documents)
        requests, documents = asked * self.paraphrases, asked * (self.paraphrases + self.keep_original)
        return Estimate(documents, 40.0 * documents, requests, 150.0 * requests, 40.0 * requests)

    async def generate(self, draw: Draw, ask: Ask) -> Iterable[dict[str, Any]]:
        """The paraphrases that kept every value.

        Raises:
            UnusableReply: none did, and the original is not kept.
        """
        document = draw["document"]
        rows = [self._row(document, document["api.request"])] if self.keep_original else []
        for role in self._voices(draw):
            full = {**draw, "role": role, "request": document["api.request"], "slots": list(document["api.slots"] or ())}
            try:
                rows.append(self._row(document, self._said(full, await ask(ask.render(self.prompt, full), draw=full))))
            except UnusableReply:
                continue
        if not rows:
            raise UnusableReply("no paraphrase kept every value")
        return rows

    def _voices(self, draw: Draw) -> list[str]:
        rng = Random(f"{self.seed}/{draw['document']['id']}")
        roles = list(self.roles or listed("roles"))
        rng.shuffle(roles)
        first = [str(draw["role"])] if draw.get("role") else []
        return [*first, *(roles * self.paraphrases)][: self.paraphrases]

    def _said(self, draw: Draw, reply: Reply) -> str:
        """The paraphrase in a reply.

        Raises:
            UnusableReply: it is empty, cut off, or lacks a value.
        """
        text = " ".join(reply.text.split()).strip().strip('"\u201c\u201d')
        if not text or reply.finish == "length":
            raise UnusableReply("the paraphrase is empty or cut off")
        if any(not holds(text, words) for words in draw["slots"]):
            raise UnusableReply("the paraphrase lost a value")
        return text

    def _row(self, document: Draw, text: str) -> dict[str, Any]:
        row = request_row(
            "",
            text,
            read_call(document["api.call"]),
            document["api.case"],
            document["api.function"],
            document["api.slots"] or (),
        )
        return {name: value for name, value in row.items() if name != "id"} | {"api.defaults": document["api.defaults"]}


def holds(text: str, words: str) -> bool:
    """Whether a text holds these words as they are, not as part of longer ones; lists may come in any order."""
    items = re.split(r", | and ", words)
    return all(re.search(rf"(?<!\w){re.escape(item)}(?!\w)", text) for item in items)
