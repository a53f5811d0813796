"""The stage `export`: a corpus as files for trainers outside this project, with a manifest."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import polars as pl
from pydantic import Field

from textbookgen.api.annotations import Input, Labels
from textbookgen.api.artifacts import Chats, Documents, Pairs, Table, TrainedTokenizer, origin_id
from textbookgen.api.cards import ExportedFile, ExportManifest, TokenizerCard
from textbookgen.api.errors import Diagnostic, RunError
from textbookgen.api.files import write_text
from textbookgen.api.hashing import file_digest, stable_hash
from textbookgen.api.rows import contents_of
from textbookgen.api.stage import Packer, StageInputs
from textbookgen.api.tokenizer import Tokenizer
from textbookgen.api.validation_split import HASHES, validation_hash
from textbookgen.training.tokenizer_files import write_tokenizer_files

SPILL_BYTES = 64 * 2**20  # rows are held in memory up to this size before they are written to their files' spill
ROW_GROUP = 1024  # rows, as nanochat writes them
SHARE = 0.02  # held out by `parquet-text` unless given; the same as that of `pack`, so that both hold out the same documents

Layout = Literal["parquet-text", "jsonl", "trl", "tokenized"]


class Export(Packer):
    """Writes a corpus for other trainers, with a `manifest.json` (see `textbookgen.api.cards.ExportManifest`).

    - `parquet-text`: `shard_00000.parquet`, …, with a column `text`; the last file is for validation, as nanochat expects,
      whose processes divide each file by its row groups: every file has at least one for each of `processes`.
    - `jsonl`: one JSON object per line: `text`, `messages`, or `prompt`, `chosen` and `rejected`.
    - `trl`: parquet with the columns TRL trains on: `text`, `messages`, or `prompt`, `chosen` and `rejected`.
    - `tokenized`: parquet with `input_ids` (List of Int32), one document per row, including its end-of-document id, and the
      tokenizer, which AutoTokenizer opens.

    A README.md names the files of each split for Hugging Face's `load_dataset`. The split and the order follow from hashes
    of the ids, so they are the same in every run; `pack` with the same share and seed holds out the same documents.
    """

    name: ClassVar[str] = "export"
    version: ClassVar[int] = 2

    inputs: Annotated[Labels, Input(Documents, Chats, Pairs)] = Field(
        alias="from", description="stages above whose rows are written"
    )
    layout: Layout = Field(description="format of the files")
    tokenizer: Annotated[str | None, Input(TrainedTokenizer, or_name=True)] = Field(
        None, description='for `tokenized`: a stage above that trains a tokenizer, or a name such as "hf:tokenizer.json"'
    )
    validation: float | None = Field(
        None, ge=0, lt=1, description="share of the rows for validation; unless given, 0.02 for `parquet-text` and 0 otherwise"
    )
    shuffle: bool = Field(True, description="shuffle the rows, so that sources are mixed; false keeps the order of the corpus")
    rows_per_file: int = Field(50_000, gt=0, description="approximate number of rows per file; one file must fit in memory")
    processes: int = Field(
        8, gt=0, description="for `parquet-text`: processes of the trainer; each file has as many row groups, if rows suffice"
    )
    columns: tuple[str, ...] = Field((), description='further columns to write, such as "id", "kind" or "step"')
    seed: int = Field(0, description="another seed gives another order and another validation split")

    def check(self) -> Iterable[Diagnostic]:
        """Report options that contradict each other."""
        if self.layout == "tokenized" and self.tokenizer is None:
            hint = 'a stage that trains one, "hf:PATH", or "bytes"'
            yield Diagnostic("tokenizer", "is required for `tokenized`", hint)
        if self.layout != "tokenized" and self.tokenizer is not None:
            yield Diagnostic("tokenizer", f"has no effect with `{self.layout}`", 'remove it, or set layout = "tokenized"')
        if self.layout == "parquet-text" and self.validation == 0:
            yield Diagnostic(
                "validation", "must be above 0: the last file of `parquet-text` is for validation", "a share such as 0.01"
            )

    def pack(self, inputs: StageInputs, out: Path) -> None:
        """Distribute the rows over spill files, one part of the corpus at a time; then write each file, and the manifest.

        Raises:
            RunError: the layout does not support the rows, there are too few of them, or a column is missing.
        """
        table: Table = inputs["from"]
        if self.layout in ("parquet-text", "tokenized") and not isinstance(table, Documents):
            raise RunError(
                f"`{self.layout}` requires Documents, but the input is {table.name}",
                hint="`jsonl` and `trl` support chats and pairs",
                place="from",
            )
        tokenizer = inputs.tokenizer("tokenizer", self.tokenizer) if self.tokenizer is not None else None
        split = self._split(table)
        spill = _SpillBuffer(out / "unsorted")
        for frame in self._assign_files(table, split):
            spill.add(frame)
        files = [self._write(rows, number, split, tokenizer, out) for number, rows in enumerate(spill.files(split.files))]
        if tokenizer is not None:
            write_tokenizer_files(out, tokenizer.file, tokenizer.eod)
        write_text(out / "README.md", _dataset_card(files))
        self._manifest(files, tokenizer, out).write(out)

    def _split(self, table: Table) -> _Split:
        """Determine the number of files and the hash limit of the validation split, in one pass over the ids.

        The limit is the share, but a small corpus holds out some rows in any case, and never all of them.
        """
        share = self.validation if self.validation is not None else SHARE if self.layout == "parquet-text" else 0.0
        rows = table.count()
        if rows <= bool(share):
            raise RunError(f"the corpus has {rows} rows, too few to export", place="from")
        if not share:
            return _Split(ceil(rows / self.rows_per_file), 0)
        minimum = max(1, min(self.processes if self.layout == "parquet-text" else 1, rows // 2))
        limit, held_out, lowest, highest = int(share * HASHES), 0, pl.Series("id", [], dtype=pl.UInt64), 0
        for frame in _select(table, []):
            hashes = self._validation_hashes(frame)
            held_out += int((hashes < limit).sum())
            lowest, highest = pl.concat([lowest, hashes]).bottom_k(minimum), max(highest, int(hashes.max() or 0))  # type: ignore[arg-type]
        if held_out < minimum:
            limit = max(lowest.to_list()) + 1
        elif held_out == rows:
            limit = highest
        held_out = min(max(held_out, minimum), rows - 1)
        return _Split(ceil((rows - held_out) / self.rows_per_file), limit)

    def _validation_hashes(self, frame: pl.DataFrame) -> pl.Series:
        hashes = [validation_hash(document, self.seed) for document in frame["_origin"]]
        return pl.Series("id", hashes, dtype=pl.UInt64)

    def _assign_files(self, table: Table, split: _Split) -> Iterator[pl.DataFrame]:
        """Yield the rows, a part at a time, with `_file`, the number of a row's file, and `_position`, its order there."""
        train_rows = 0  # so far
        for frame in _select(table, [*table.content, *self.columns]):
            none = pl.repeat(False, len(frame), eager=True)
            held_out = self._validation_hashes(frame) < split.limit if split.limit else none
            index = ((~held_out).cum_sum().cast(pl.Int64) - 1 + train_rows).clip(0)  # of a held-out row: of the row before
            train_rows += len(frame) - int(held_out.sum())
            position = self._order(frame["_id"]) if self.shuffle else index.cast(pl.UInt64)
            file = position // (2**63 // split.train_files + 1) if self.shuffle else index // self.rows_per_file
            yield frame.drop("_id", "_origin").with_columns(
                _position=position, _file=pl.when(held_out).then(split.train_files).otherwise(file.cast(pl.Int64))
            )

    def _order(self, ids: pl.Series) -> pl.Series:
        """Return 63-bit hashes of ids (UInt64), the same on every machine."""
        hashes = [stable_hash(f"order/{self.seed}/{key}") >> 1 for key in ids]
        return pl.Series("id", hashes, dtype=pl.UInt64)

    def _write(self, rows: pl.DataFrame, number: int, split: _Split, tokenizer: Tokenizer | None, out: Path) -> ExportedFile:
        file = out / self._file_name(number, split)
        card = ExportedFile(name=file.name, split=split.name(number), documents=len(rows), bytes=_content_bytes(rows))
        if tokenizer is not None:
            rows = rows.select(_tokenize(rows["text"], tokenizer), *self.columns)
            card = card.model_copy(update={"tokens": int(rows["input_ids"].list.len().sum())})
        if self.layout == "jsonl":
            rows.write_ndjson(file)
        else:
            groups = self.processes if self.layout == "parquet-text" else 1
            rows.write_parquet(file, row_group_size=min(ROW_GROUP, max(1, len(rows) // groups)))
        return card

    def _file_name(self, number: int, split: _Split) -> str:
        if self.layout == "parquet-text":
            return f"shard_{number:05}.parquet"
        suffix = "jsonl" if self.layout == "jsonl" else "parquet"
        if split.name(number) == "validation":
            return f"validation-00000-of-00001.{suffix}"
        return f"train-{number:05}-of-{split.train_files:05}.{suffix}"

    def _manifest(self, files: list[ExportedFile], tokenizer: Tokenizer | None, out: Path) -> ExportManifest:
        manifest = ExportManifest(
            format=self.layout,
            documents=sum(file.documents for file in files),
            bytes=sum(file.bytes for file in files),
            validation_documents=sum(file.documents for file in files if file.split == "validation"),
            files=tuple(files),
            digests={file.name: file_digest(out / file.name) for file in files},
        )
        if tokenizer is None:
            return manifest
        return manifest.model_copy(
            update={
                "tokens": sum(file.tokens or 0 for file in files),
                "tokenizer": TokenizerCard(name=tokenizer.name, digest=tokenizer.digest, file="tokenizer.json"),
                "vocabulary": tokenizer.vocabulary,
                "eod": tokenizer.eod,
            }
        )


@dataclass(frozen=True)
class _Split:
    """The number of training files, and the hash below which rows are for validation; 0 if no rows are."""

    train_files: int
    limit: int

    @property
    def files(self) -> int:
        return self.train_files + bool(self.limit)

    def name(self, number: int) -> Literal["train", "validation"]:
        return "train" if number < self.train_files else "validation"


class _SpillBuffer:
    """Rows by the file they belong to: in memory while they are few, then in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.rmtree(folder, ignore_errors=True)  # of a run that was killed
        self._frames: list[pl.DataFrame] = []
        self._bytes: float = 0
        self._flushes = 0

    def add(self, rows: pl.DataFrame) -> None:
        """Add rows with the columns `_file` and `_position`."""
        self._frames.append(rows)
        self._bytes += rows.estimated_size()
        if self._bytes > SPILL_BYTES:
            self._flush()

    def files(self, count: int) -> Iterator[pl.DataFrame]:
        """Yield the rows of each file, sorted; then delete the folder."""
        self._flush()
        for number in range(count):
            rows = pl.concat(
                [pl.read_parquet(file) for file in sorted(self.folder.glob(f"*/{number}.parquet"))] or [self._empty]
            )
            yield rows.sort("_position", maintain_order=True).drop("_position", "_file")
        shutil.rmtree(self.folder)

    def _flush(self) -> None:
        if not self._frames:
            return
        folder = self.folder / f"{self._flushes:06}"
        folder.mkdir(parents=True)
        rows = pl.concat(self._frames)
        self._empty = rows.clear()
        for (number,), group in rows.partition_by("_file", as_dict=True).items():
            group.write_parquet(folder / f"{number}.parquet", compression="lz4")
        self._frames, self._bytes = [], 0
        self._flushes += 1


def _dataset_card(files: Sequence[ExportedFile]) -> str:
    """Return the README.md of the folder, whose metadata names the files of each split for `datasets` and the Hub."""
    splits: dict[str, list[ExportedFile]] = {}
    for file in files:
        splits.setdefault(file.split, []).append(file)
    lines = ["---", "configs:", "- config_name: default", "  data_files:"]
    for split, members in splits.items():
        lines += [f"  - split: {split}", "    path:", *(f"    - {file.name}" for file in members)]
    lines += ["---", "", "# Data set", "", "Written by textbookgen; `manifest.json` has the digest of each file.", ""]
    lines += ["| split | files | rows | bytes of text |", "|---|---:|---:|---:|"]
    for split, members in splits.items():
        rows, size = sum(file.documents for file in members), sum(file.bytes for file in members)
        lines.append(f"| {split} | {len(members):,} | {rows:,} | {size:,} |")
    return "\n".join([*lines, ""])


def _select(table: Table, columns: list[str]) -> Iterator[pl.DataFrame]:
    """Yield columns a part at a time, with `_id` and `_origin`; a column is null in parts that lack it."""
    schema = table.scan().collect_schema()
    for name in columns:
        if name not in schema:
            raise RunError(f"the corpus has no column '{name}'", place="columns", hint=f"it has {', '.join(schema)}")
    for part in table.parts:
        rows = part.scan()
        present = rows.collect_schema()
        selected = [(pl.col(name) if name in present else pl.lit(None).alias(name)).cast(schema[name]) for name in columns]
        yield rows.select(*selected, _id=pl.col("id"), _origin=origin_id(present)).collect()


def _content_bytes(rows: pl.DataFrame) -> int:
    """Return the UTF-8 bytes of texts or messages, without roles and further columns."""
    if "text" in rows.columns:
        return int(rows["text"].str.len_bytes().sum())
    columns = [name for name in ("messages", "prompt", "chosen", "rejected") if name in rows.columns]
    contents = rows.select(contents_of(name) for name in columns)
    return sum(int(contents[name].explode().str.len_bytes().sum()) for name in columns)


def _tokenize(texts: pl.Series, tokenizer: Tokenizer) -> pl.Series:
    """Return the ids of each text and the end-of-document id, a series of List(Int32)."""
    ids: list[list[int]] = []
    for start in range(0, len(texts), ROW_GROUP):
        batch = texts[start : start + ROW_GROUP].to_list()
        ids += ([*row, tokenizer.eod] for row in tokenizer.encode_batch(batch))
    return pl.Series("input_ids", ids, dtype=pl.List(pl.Int32))
