"""Requests as chats for supervised finetuning."""

from __future__ import annotations

from typing import Annotated, ClassVar

import polars as pl
from pydantic import Field

from textbookgen import Artifact, Chats, Documents, Input, Labels, Transform, document_id
from textbookgen.api.artifacts import MESSAGES

_SCHEMA = {
    "id": pl.String(),
    "kind": pl.String(),
    "parents": pl.List(pl.String()),
    "messages": MESSAGES,
    "api.case": pl.String(),
}


class RequestChats(Transform):
    """Turn requests into chats: the user's message is the request, the assistant's is the call."""

    name: ClassVar[str] = "request-chats"
    output: ClassVar[type[Artifact] | None] = Chats

    inputs: Annotated[Labels, Input(Documents)] = Field(alias="from", description="earlier stages whose requests become chats")
    system: str = Field("", description="content of a system message; none if empty")

    def transform(self, docs: pl.DataFrame) -> pl.DataFrame:
        """Return one chat per request, with the column `api.case`."""
        system = [{"role": "system", "content": self.system}] if self.system else []
        rows = [
            {
                "id": document_id("api-chat", row["id"]),
                "kind": "chat",
                "parents": [row["id"]],
                "messages": [
                    *system,
                    {"role": "user", "content": row["api.request"]},
                    {"role": "assistant", "content": row["api.call"]},
                ],
                "api.case": row["api.case"],
            }
            for row in docs.iter_rows(named=True)
        ]
        return pl.DataFrame(rows, schema=_SCHEMA)
