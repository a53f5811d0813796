"""Artifacts: the typed outputs of steps, which other steps take as inputs.

Tables (Documents, Chats, Pairs) are lists of parquet files; folders (TrainedTokenizer, Shards, Checkpoint, Report) are complete
once their card, a JSON file, exists. All of them are handles to files: nothing grows with the corpus, and they pickle.

A plugin may derive its own types, with a `name`, so that `recipe check` rejects stages that do not fit each other.

**Columns of a table.** Every row has these standard columns, in this order, before any others:

- `id` (String): unique within a table and the same in every run. A source chooses it; a generator derives it from the request,
  with the suffix `-1`, `-2`, … for further documents of one draw.
- The content. Documents: `text` (String). Chats: `messages` (List(Struct(`role`: String, `content`: String))), with the roles
  `system`, `user` and `assistant`. Pairs: `prompt`, `chosen` and `rejected`, each of the dtype of `messages`: a conversation,
  and two replies to it.
- `kind` (String): the sort of document, such as `code` or `story`; recipes balance and report by it.
- `step` (String): the step that wrote the row, as `LABEL-FINGERPRINT` with 12 hexadecimal digits.
- `parents` (List(String)): ids of the documents it was made from; empty for sources and for generators without `from`.
- `reply` (String, null): ledger key of the teacher's reply, 64 hexadecimal digits; null if no teacher wrote the document.
- `draw` (String, null): the sampler's variables as a JSON object; null if the document was not drawn.

Further columns are named `PLUGIN.NAME`, such as `source.path` (the file that a document was read from) or `mix.of` (the id of
the document that a row repeats). Generators with `truncated_replies = "keep"` add `truncated` (Boolean). A column that only
some parts have is null in the others.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import polars as pl

from textbookgen.api.errors import WorkspaceError

#: The standard columns besides the content columns, and their dtypes.
COLUMNS: dict[str, pl.DataType] = {
    "id": pl.String(),
    "kind": pl.String(),
    "step": pl.String(),
    "parents": pl.List(pl.String()),
    "reply": pl.String(),
    "draw": pl.String(),
}

_RUN_AGAIN = "run the recipe again with `--again STAGE`"

#: The dtype of a conversation.
MESSAGES = pl.List(pl.Struct({"role": pl.String(), "content": pl.String()}))


def origin_id(columns: Container[str]) -> pl.Expr:
    """Return an expression for the id by which a row is held out: of the document that it repeats (`mix.of`), or its own.

    A validation split must use it instead of `id`, so that a text and its copies are in the same split.

    Args:
        columns: the columns of the table.
    """
    return pl.coalesce("mix.of", "id") if "mix.of" in columns else pl.col("id")


@dataclass(frozen=True)
class Part:
    """One parquet file of a table.

    Attributes:
        data: the file.
        verdicts: a parquet file with `id` and `keep` that says which rows belong to the table; None means all.
    """

    data: Path
    verdicts: Path | None = None

    def scan(self) -> pl.LazyFrame:
        """Return the rows lazily, in the order they were written."""
        rows = pl.scan_parquet(self.data)
        if self.verdicts is None:
            return rows
        kept = pl.scan_parquet(self.verdicts).filter(pl.col("keep")).select("id")
        return rows.join(kept, on="id", how="semi", maintain_order="left")

    def read(self, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """Return the rows in the order they were written.

        Args:
            columns: the columns to read; all unless given.
        """
        rows = self.scan()
        return (rows.select(columns) if columns else rows).collect()


class Artifact:
    """The output of a step.

    Attributes:
        name: the type's name in recipes' errors, plans and job.json.
    """

    name: ClassVar[str]

    @classmethod
    def kinds(cls) -> list[str]:
        """Return the names of this type and of the artifact types it derives from, most specific first."""
        return [kind.name for kind in cls.__mro__ if issubclass(kind, Artifact) and "name" in vars(kind)]


@dataclass(frozen=True)
class Table(Artifact):
    """Rows in parquet files, in a fixed order.

    Attributes:
        parts: the files, in order; each fits in memory.
        content: the content columns and their dtypes.
    """

    parts: tuple[Part, ...]
    content: ClassVar[dict[str, pl.DataType]]

    def frames(self, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        """Yield the table one part at a time, in order.

        Args:
            columns: the columns to read, which every part must have; all unless given.
        """
        for part in self.parts:
            yield part.read(columns)

    def scan(self) -> pl.LazyFrame:
        """Return the whole table lazily, in order; columns that only some parts have are null in the others."""
        if not self.parts:
            return pl.LazyFrame(schema=self.schema())
        return pl.concat([part.scan() for part in self.parts], how="diagonal_relaxed")

    def count(self) -> int:
        """Return the number of rows."""
        return int(self.scan().select(pl.len()).collect().item())

    @classmethod
    def schema(cls) -> dict[str, pl.DataType]:
        """Return the columns that every part has, and their dtypes."""
        return {**COLUMNS, **cls.content}

    @classmethod
    def concatenate(cls, tables: Sequence[Table]) -> Self:
        """Return several tables as one, in the order given."""
        return cls(tuple(part for table in tables for part in table.parts))


@dataclass(frozen=True)
class Documents(Table):
    """Texts, one per row."""

    name: ClassVar[str] = "Documents"
    content: ClassVar[dict[str, pl.DataType]] = {"text": pl.String()}


@dataclass(frozen=True)
class Chats(Table):
    """Conversations, one per row."""

    name: ClassVar[str] = "Chats"
    content: ClassVar[dict[str, pl.DataType]] = {"messages": MESSAGES}


@dataclass(frozen=True)
class Pairs(Table):
    """Preference pairs, one per row: a prompt, a chosen reply and a rejected one."""

    name: ClassVar[str] = "Pairs"
    content: ClassVar[dict[str, pl.DataType]] = {"prompt": MESSAGES, "chosen": MESSAGES, "rejected": MESSAGES}


@dataclass(frozen=True)
class Folder(Artifact):
    """A folder that is complete once its card exists, since the card is written last.

    Attributes:
        path: the folder.
        card_name: the file name of the card.
    """

    path: Path
    card_name: ClassVar[str]

    def card(self) -> dict[str, Any]:
        """Return the card as it is in the file; `textbookgen.api.cards` has typed cards for shards and checkpoints.

        Raises:
            WorkspaceError: the card is missing, or is not a JSON object.
        """
        file = self.path / self.card_name
        try:
            value = json.loads(file.read_bytes())
        except OSError as error:
            raise WorkspaceError(f"cannot be read: {error.strerror or error}", place=str(file), hint=_RUN_AGAIN) from error
        except ValueError as error:
            raise WorkspaceError(f"is not JSON: {error}", place=str(file), hint=_RUN_AGAIN) from error
        if not isinstance(value, dict):
            raise WorkspaceError("is not a JSON object", place=str(file), hint=_RUN_AGAIN)
        return value


@dataclass(frozen=True)
class TrainedTokenizer(Folder):
    """A tokenizer that a recipe trained: `tokenizer.json` for the library `tokenizers`, and a card.

    The card has `vocabulary` (number of ids), `digest` (sha256 of the file), `documents` and `bytes` (that it was trained on)
    and `bytes_per_token`.
    """

    name: ClassVar[str] = "TrainedTokenizer"
    card_name: ClassVar[str] = "vocabulary.json"

    @property
    def file(self) -> Path:
        """The path of tokenizer.json."""
        return self.path / "tokenizer.json"


@dataclass(frozen=True)
class Shards(Folder):
    """A packed or exported corpus; the card is a `textbookgen.api.cards.ShardManifest`."""

    name: ClassVar[str] = "Shards"
    card_name: ClassVar[str] = "manifest.json"


@dataclass(frozen=True)
class TokenShards(Shards):
    """Documents or conversations as token ids in Megatron's indexed format; `textbookgen.training.shards` reads them."""

    name: ClassVar[str] = "TokenShards"


@dataclass(frozen=True)
class PairShards(Shards):
    """Preference pairs as token ids, chosen and rejected alternating, in the format of TokenShards."""

    name: ClassVar[str] = "PairShards"


@dataclass(frozen=True)
class Checkpoint(Folder):
    """A trained model; the card is a `textbookgen.api.cards.CheckpointCard`."""

    name: ClassVar[str] = "Checkpoint"
    card_name: ClassVar[str] = "checkpoint.json"


@dataclass(frozen=True)
class TransformersCheckpoint(Checkpoint):
    """A checkpoint in the layout of transformers' `save_pretrained`, with its tokenizer, and the card."""

    name: ClassVar[str] = "TransformersCheckpoint"


@dataclass(frozen=True)
class Report(Folder):
    """Metrics: `report.parquet`, the same as JSON in the card (key `figures`), and any plots and sections."""

    name: ClassVar[str] = "Report"
    card_name: ClassVar[str] = "report.json"

    def table(self) -> pl.DataFrame:
        """Return the metrics, one per row (see `textbookgen.api.rows.REPORT_SCHEMA`)."""
        return pl.read_parquet(self.path / "report.parquet")
