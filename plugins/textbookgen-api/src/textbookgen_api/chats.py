"""Requests as chats for supervised finetuning: the user asks, the assistant answers with the call."""

from __future__ import annotations

from typing import Annotated, ClassVar

import polars as pl
from pydantic import Field

from textbookgen import Artifact, Chats, Documents, Input, Labels, Transform, document_id
from textbookgen.api.artifacts import MESSAGES


class RequestChats(Transform):
    """Turns requests into chats whose answer is the call."""

    name: ClassVar[str] = "chats"
    output: ClassVar[type[Artifact] | None] = Chats

    inputs: Annotated[Labels, Input(Documents)] = Field(alias="from", description="stages above whose requests become chats")
    system: str = Field("", description="what the system message says; none if empty")

    def transform(self, docs: pl.DataFrame) -> pl.DataFrame:
        """One chat a request."""
        first = [{"role": "system", "content": self.system}] if self.system else []
        rows = [
            {
                "id": document_id("api-chat", row["id"]),
                "kind": "chat",
                "parents": [row["id"]],
                "messages": [
                    *first,
                    {"role": "user", "content": row["api.request"]},
                    {"role": "assistant", "content": row["api.call"]},
                ],
                "api.case": row["api.case"],
            }
            for row in docs.iter_rows(named=True)
        ]
        schema = {
            "id": pl.String(),
            "kind": pl.String(),
            "parents": pl.List(pl.String()),
            "messages": MESSAGES,
            "api.case": pl.String(),
        }
        return pl.DataFrame(rows, schema=schema)
