"""`export`: a corpus as files that trainers outside this house read, with nothing of ours but a manifest."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import polars as pl
from pydantic import Field

from textbookgen.api.annotations import Input, Labels
from textbookgen.api.artifacts import Chats, Documents, Pairs, Shards, Table, TrainedTokenizer, origin_id
from textbookgen.api.errors import Diagnostic, RunError
from textbookgen.api.stage import Packer, StageInputs
from textbookgen.api.tokenizer import Tokenizer

CONTENT: dict[type[Table], list[str]] = {Documents: ["text"], Chats: ["messages"], Pairs: ["prompt", "chosen", "rejected"]}
SPILL_BYTES = 64 * 2**20  # rows wait in memory up to this before they go to the files they belong to
ROW_GROUP = 1024  # rows: trainers that read in several processes share a parquet file by its row groups

Layout = Literal["parquet-text", "jsonl", "trl", "tokenised"]


class Export(Packer):
    """Writes a corpus for others' trainers, and `manifest.json` last.

    - `parquet-text`: `shard_00000.parquet`, …, with a column `text`; the last file is for validation (nanochat's contract).
    - `jsonl`: one JSON object a line, `text`, `messages`, or `prompt`, `chosen` and `rejected`.
    - `trl`: parquet with the columns TRL trains on: `text`, `messages`, or `prompt`, `chosen` and `rejected`.
    - `tokenised`: parquet with `input_ids` (List of Int32), one document a row, its end of document included.

    All but the first are called `train-…` and `validation-…`, as Hugging Face's `load_dataset` expects. Which documents
    are for validation, and where the others go, follows from a hash of their ids: it is the same on every run.
    """

    name: ClassVar[str] = "export"

    inputs: Annotated[Labels, Input(Documents, Chats, Pairs)] = Field(
        alias="from", description="stages above whose rows are written"
    )
    layout: Layout = Field(description="in what form the trainer reads")
    tokenizer: Annotated[str | None, Input(TrainedTokenizer, or_name=True)] = Field(
        None, description='for `tokenised`: a stage above that trained a tokenizer, or a name such as "hf:tokenizer.json"'
    )
    validation: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="share of the rows that is kept for validation; 0.01 for `parquet-text` and 0 for others unless given",
    )
    shuffle: bool = Field(
        True, description="mix the rows, so that sources do not come one after the other; false keeps the corpus' order"
    )
    rows_per_file: int = Field(50_000, gt=0, description="about how many rows a file holds; a file's rows must fit in memory")
    columns: tuple[str, ...] = Field((), description='further columns to write, such as "id", "kind" or "step"')
    seed: int = Field(0, description="another seed mixes the rows otherwise, and keeps others for validation")

    def check(self) -> Iterable[Diagnostic]:
        """Options that do not go together."""
        if self.layout == "tokenised" and self.tokenizer is None:
            yield Diagnostic("tokenizer", "is needed to write `tokenised`", 'a stage that trains one, "hf:PATH", or "bytes"')
        if self.layout != "tokenised" and self.tokenizer is not None:
            yield Diagnostic("tokenizer", f"is not used for `{self.layout}`", 'take it away, or write layout = "tokenised"')
        if self.layout == "parquet-text" and self.validation == 0:
            yield Diagnostic(
                "validation", "`parquet-text` keeps its last file for validation", "say a share above 0, such as 0.01"
            )

    def pack(self, inputs: StageInputs, out: Path) -> None:
        """Sends rows to the files they belong to, a part of the corpus at a time; then writes each file, and the manifest."""
        table: Table = inputs["from"]
        if self.layout in ("parquet-text", "tokenised") and not isinstance(table, Documents):
            raise RunError(
                f"`{self.layout}` takes Documents, and {table.name} flow in", hint="`jsonl` and `trl` take them", place="from"
            )
        tokenizer = inputs.tokenizer("tokenizer", self.tokenizer) if self.tokenizer is not None else None
        split = self._split(table)
        spill = _Spill(out / "unsorted")
        for frame in self._placed(table, split):
            spill.add(frame)
        files = [self._write(rows, number, split, tokenizer, out) for number, rows in enumerate(spill.files(split.files))]
        manifest = self._manifest(files, tokenizer)
        (out / Shards.card_name).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")

    def _split(self, table: Table) -> _Split:
        """How many files there are to be, and the hash up to which rows are for validation; this reads ids alone."""
        share = self.validation if self.validation is not None else 0.01 if self.layout == "parquet-text" else 0.0
        count = table.count()
        kept = max(1, round(count * share)) if share else 0
        if count <= kept:
            raise RunError(f"{count} rows flow in, too few to write", place="from")
        train_files = ceil((count - kept) / self.rows_per_file)
        if not kept:
            return _Split(train_files, None)
        lowest = pl.Series("id", [], dtype=pl.UInt64)
        for frame in _columns(table, []):
            lowest = pl.concat([lowest, self._hashes(frame["_held_by"], "validation")]).bottom_k(kept)
        return _Split(train_files, max(lowest.to_list()))

    def _placed(self, table: Table, split: _Split) -> Iterator[pl.DataFrame]:
        """The rows, a part at a time, each with the number of its `_file` and its `_place` among that file's rows."""
        rows = 0  # for training, so far
        for frame in _columns(table, [*CONTENT[type(table)], *self.columns]):
            held = (
                self._hashes(frame["_held_by"], "validation") <= split.limit
                if split.limit is not None
                else pl.repeat(False, len(frame), eager=True)
            )
            nth = (~held).cum_sum().cast(pl.Int64) - 1 + rows
            rows += len(frame) - int(held.sum())
            place = self._hashes(frame["_id"], "order") if self.shuffle else nth.cast(pl.UInt64)
            file = place // (2**63 // split.train_files + 1) if self.shuffle else nth // self.rows_per_file
            yield frame.drop("_id", "_held_by").with_columns(
                _place=place, _file=pl.when(held).then(split.train_files).otherwise(file.cast(pl.Int64))
            )

    def _hashes(self, ids: pl.Series, purpose: str) -> pl.Series:
        """Numbers below 2**63, the same on every machine."""
        salt = f"{purpose}/{self.seed}/"
        hashes = [int.from_bytes(hashlib.blake2b((salt + item).encode(), digest_size=8).digest(), "big") >> 1 for item in ids]
        return pl.Series("id", hashes, dtype=pl.UInt64)

    def _write(self, rows: pl.DataFrame, number: int, split: _Split, tokenizer: Tokenizer | None, out: Path) -> dict[str, Any]:
        file = out / self._file_name(number, split)
        facts = {"name": file.name, "split": split.name(number), "documents": len(rows), "bytes": _bytes(rows)}
        if tokenizer is not None:
            rows = rows.select(_tokenised(rows["text"], tokenizer), *self.columns)
            facts["tokens"] = int(rows["input_ids"].list.len().sum())
        if self.layout == "jsonl":
            rows.write_ndjson(file)
        else:
            rows.write_parquet(file, row_group_size=ROW_GROUP)
        return {**facts, "digest": _sha256(file)}

    def _file_name(self, number: int, split: _Split) -> str:
        if self.layout == "parquet-text":
            return f"shard_{number:05}.parquet"
        suffix = "jsonl" if self.layout == "jsonl" else "parquet"
        if split.name(number) == "validation":
            return f"validation-00000-of-00001.{suffix}"
        return f"train-{number:05}-of-{split.train_files:05}.{suffix}"

    def _manifest(self, files: list[dict[str, Any]], tokenizer: Tokenizer | None) -> dict[str, Any]:
        manifest: dict[str, Any] = {
            "format": self.layout,
            "documents": sum(file["documents"] for file in files),
            "bytes": sum(file["bytes"] for file in files),
            "validation_documents": sum(file["documents"] for file in files if file["split"] == "validation"),
        }
        if tokenizer is not None:
            manifest["tokens"] = sum(file["tokens"] for file in files)
            manifest["tokenizer"] = {"name": tokenizer.name, "digest": tokenizer.digest, "eod": tokenizer.eod}
            manifest["vocabulary"] = tokenizer.vocabulary
        digests = {file["name"]: file.pop("digest") for file in files}
        return {**manifest, "files": files, "digests": digests}


@dataclass(frozen=True)
class _Split:
    """How many files are for training, and the hash up to which rows are for validation, in one more file."""

    train_files: int
    limit: int | None

    @property
    def files(self) -> int:
        return self.train_files + (self.limit is not None)

    def name(self, number: int) -> str:
        return "train" if number < self.train_files else "validation"


class _Spill:
    """Rows on their way to the files they belong to: in memory while they are few, then in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.rmtree(folder, ignore_errors=True)  # of a run that was killed
        self._waiting: list[pl.DataFrame] = []
        self._bytes: float = 0
        self._flushed = 0

    def add(self, rows: pl.DataFrame) -> None:
        """Takes rows that know their `_file` and `_place`."""
        self._waiting.append(rows)
        self._bytes += rows.estimated_size()
        if self._bytes > SPILL_BYTES:
            self._flush()

    def files(self, count: int) -> Iterator[pl.DataFrame]:
        """All rows of each file, one file after the other, in their order there; the folder is gone afterwards."""
        self._flush()
        for number in range(count):
            rows = pl.concat(
                [pl.read_parquet(file) for file in sorted(self.folder.glob(f"*/{number}.parquet"))] or [self._empty]
            )
            yield rows.sort("_place", maintain_order=True).drop("_place", "_file")
        shutil.rmtree(self.folder)

    def _flush(self) -> None:
        if not self._waiting:
            return
        folder = self.folder / f"{self._flushed:06}"
        folder.mkdir(parents=True)
        rows = pl.concat(self._waiting)
        self._empty = rows.clear()
        for (number,), some in rows.partition_by("_file", as_dict=True).items():
            some.write_parquet(folder / f"{number}.parquet", compression="lz4")
        self._waiting, self._bytes = [], 0
        self._flushed += 1


def _columns(table: Table, columns: list[str]) -> Iterator[pl.DataFrame]:
    """These columns a part at a time, `_id` and `_held_by`; one that only some parts have is null in the others."""
    schema = table.scan().collect_schema()
    for name in columns:
        if name not in schema:
            raise RunError(f"no column is called '{name}'", place="columns", hint=f"there are {', '.join(schema)}")
    for part in table.parts:
        rows = part.scan()
        there = rows.collect_schema()
        result = [(pl.col(name) if name in there else pl.lit(None).alias(name)).cast(schema[name]) for name in columns]
        yield rows.select(*result, _id=pl.col("id"), _held_by=origin_id(there)).collect()


def _bytes(rows: pl.DataFrame) -> int:
    """The UTF-8 bytes of the content, roles and further columns left out."""
    total = 0
    for names in CONTENT.values():
        for name in names:
            if name in rows.columns:
                texts = rows[name] if name == "text" else rows[name].explode().struct.field("content")
                total += int(texts.str.len_bytes().sum())
    return total


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _tokenised(texts: pl.Series, tokenizer: Tokenizer) -> pl.Series:
    ids: list[list[int]] = []
    for start in range(0, len(texts), ROW_GROUP):
        ids += ([*item, tokenizer.eod] for item in tokenizer.encode_batch(texts[start : start + ROW_GROUP].to_list()))
    return pl.Series("input_ids", ids, dtype=pl.List(pl.Int32))
