"""Requests with numbered words, and calls that refer to these words instead of repeating them."""

from __future__ import annotations

from typing import Annotated, ClassVar

import polars as pl
from pydantic import Field

from textbookgen import Documents, Input, Labels, Transform, document_id
from textbookgen_api.calls import parse_plan
from textbookgen_api.references import number_words, write_with_references


class WordReferences(Transform):
    """Number the words of requests, and write arguments that a request has as it is as the numbers of its words.

    `Play Red Kites` becomes `Play①Red②Kites③`, and its call `play_music(artist=②③)`. A small model that points at words
    (arXiv 1506.03134) does not have to spell names which it has never seen. Replaced are `text` and
    `api.prompt`; `api.request` and `api.call` stay. Score such a model with `references = true` in `api/call-accuracy`;
    `textbookgen_api.references.resolve_references` puts the words back in an application.
    """

    name: ClassVar[str] = "word-references"

    inputs: Annotated[Labels, Input(Documents)] = Field(alias="from", description="earlier stages whose requests are numbered")
    literal: tuple[str, ...] = Field(
        (), description="names of arguments that are always written out, such as those with few values"
    )

    def transform(self, docs: pl.DataFrame) -> pl.DataFrame:
        """Return the requests with other texts and prompts."""
        prompts = [reference_prompt(request) for request in docs["api.request"]]
        calls = [
            write_with_references(request, parse_plan(call), self.literal)
            for request, call in docs.select("api.request", "api.call").iter_rows()
        ]
        texts = [f"{prompt} {call}\n" for prompt, call in zip(prompts, calls, strict=True)]
        return docs.with_columns(
            pl.Series("id", [document_id("api-references", id) for id in docs["id"]], dtype=pl.String),
            pl.Series("text", texts, dtype=pl.String),
            pl.Series("api.prompt", prompts, dtype=pl.String),
            parents=pl.concat_list("id"),
        )


def reference_prompt(request: str) -> str:
    """Return the prompt of a request for a model that refers to its words."""
    return f"Request: {number_words(request)}\nCall:"
