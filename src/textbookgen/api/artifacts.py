"""What flows between stages: documents, chats, pairs, vocabularies, shards, checkpoints and reports.

A plugin may derive further ones, so that stages that do not understand each other are told apart before anything runs. Each
is a handle to a folder on disk; tables are read a part at a time, so nothing here grows with the corpus.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import polars as pl

#: The columns that are ours; every other column is a plugin's own and is called `PLUGIN.NAME`.
COLUMNS: dict[str, pl.DataType] = {
    "id": pl.String(),
    "kind": pl.String(),
    "step": pl.String(),
    "parents": pl.List(pl.String()),
    "reply": pl.String(),
    "draw": pl.String(),
}

MESSAGES = pl.List(pl.Struct({"role": pl.String(), "content": pl.String()}))


def origin_id(columns: Container[str]) -> pl.Expr:
    """What decides whether a row is held out: its id, or (after `mix`) that of the document it repeats.

    So that no text is both learnt and held out.
    """
    return pl.coalesce("mix.of", "id") if "mix.of" in columns else pl.col("id")


@dataclass(frozen=True)
class Part:
    """One parquet file of a table, and the verdicts that say which of its rows flow on (all, if there are none)."""

    data: Path
    verdicts: Path | None = None

    def scan(self) -> pl.LazyFrame:
        """The rows that flow, lazily and in the order they were written."""
        rows = pl.scan_parquet(self.data)
        if self.verdicts is None:
            return rows
        kept = pl.scan_parquet(self.verdicts).filter(pl.col("keep")).select("id")
        return rows.join(kept, on="id", how="semi", maintain_order="left")

    def read(self, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """The rows that flow, in the order they were written; only these `columns`, where given."""
        rows = self.scan()
        return (rows.select(columns) if columns else rows).collect()


class Artifact:
    """What one stage gives and another takes."""

    name: ClassVar[str]

    @classmethod
    def kinds(cls) -> list[str]:
        """Its name, and those of the artifacts that it is a kind of."""
        return [item.name for item in cls.__mro__ if issubclass(item, Artifact) and "name" in vars(item)]


@dataclass(frozen=True)
class Table(Artifact):
    """Rows in parquet parts, in a fixed order."""

    parts: tuple[Part, ...]
    content: ClassVar[dict[str, pl.DataType]]

    def frames(self, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        """The table a part at a time, in order."""
        for part in self.parts:
            yield part.read(columns)

    def scan(self) -> pl.LazyFrame:
        """The whole table, lazily and in order; columns that only some parts have are null elsewhere."""
        if not self.parts:
            return pl.LazyFrame(schema=self.schema())
        return pl.concat([part.scan() for part in self.parts], how="diagonal_relaxed")

    def count(self) -> int:
        """How many rows flow."""
        return int(self.scan().select(pl.len()).collect().item())

    @classmethod
    def schema(cls) -> dict[str, pl.DataType]:
        """The columns every part of this table has, and their types."""
        return {**COLUMNS, **cls.content}

    @classmethod
    def concatenate(cls, tables: Sequence[Table]) -> Self:
        """Several tables as one, in the order given."""
        return cls(tuple(part for table in tables for part in table.parts))


@dataclass(frozen=True)
class Documents(Table):
    """Texts: one document a row."""

    name: ClassVar[str] = "Documents"
    content: ClassVar[dict[str, pl.DataType]] = {"text": pl.String()}


@dataclass(frozen=True)
class Chats(Table):
    """Conversations: one a row, each a list of messages with role and content."""

    name: ClassVar[str] = "Chats"
    content: ClassVar[dict[str, pl.DataType]] = {"messages": MESSAGES}


@dataclass(frozen=True)
class Pairs(Table):
    """Preferences: a prompt, the reply that was chosen and the one that was rejected, each a list of messages."""

    name: ClassVar[str] = "Pairs"
    content: ClassVar[dict[str, pl.DataType]] = {"prompt": MESSAGES, "chosen": MESSAGES, "rejected": MESSAGES}


@dataclass(frozen=True)
class Folder(Artifact):
    """A folder that is whole once its `card`, a JSON file, is there."""

    path: Path
    card_name: ClassVar[str]

    def card(self) -> dict[str, Any]:
        """What the folder says of itself."""
        return dict(json.loads((self.path / self.card_name).read_text(encoding="utf-8")))


@dataclass(frozen=True)
class TrainedTokenizer(Folder):
    """A tokenizer that a recipe trained: `tokenizer.json`, as the `tokenizers` library reads it."""

    name: ClassVar[str] = "Vocabulary"
    card_name: ClassVar[str] = "vocabulary.json"

    @property
    def file(self) -> Path:
        """Where the tokenizer is."""
        return self.path / "tokenizer.json"


@dataclass(frozen=True)
class Shards(Folder):
    """Packed data for a trainer or for others; `manifest.json` has format, documents, tokens, bytes and digests."""

    name: ClassVar[str] = "Shards"
    card_name: ClassVar[str] = "manifest.json"


@dataclass(frozen=True)
class TokenShards(Shards):
    """Documents or conversations as token ids, in Megatron's indexed format; `textbookgen.training.shards` reads them."""

    name: ClassVar[str] = "TokenShards"


@dataclass(frozen=True)
class PairShards(Shards):
    """Preferences as token ids, chosen and rejected in turn, in the same format."""

    name: ClassVar[str] = "PairShards"


@dataclass(frozen=True)
class Checkpoint(Folder):
    """A trained model; `checkpoint.json` has format, shape, parameters, step, tokens, tokenizer and parent."""

    name: ClassVar[str] = "Checkpoint"
    card_name: ClassVar[str] = "checkpoint.json"


@dataclass(frozen=True)
class TransformersCheckpoint(Checkpoint):
    """One as transformers' `save_pretrained` lays it out, with its tokenizer, beside the card."""

    name: ClassVar[str] = "TransformersCheckpoint"


@dataclass(frozen=True)
class Report(Folder):
    """What was measured: `report.json` beside the table `report.parquet` and any plots."""

    name: ClassVar[str] = "Report"
    card_name: ClassVar[str] = "report.json"

    def table(self) -> pl.DataFrame:
        """The figures, one measurement a row."""
        return pl.read_parquet(self.path / "report.parquet")


@dataclass(frozen=True)
class Document:
    """One row of a table, for tests and for `corpus why`."""

    id: str
    text: str
    kind: str = "document"
    step: str = ""
    parents: tuple[str, ...] = ()
    reply: str | None = None
