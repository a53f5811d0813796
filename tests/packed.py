"""Small corpora, packed with the tokenizer `bytes`."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import polars as pl

from textbookgen.api.artifacts import Documents, Pairs, Part, Table
from textbookgen.api.stage import StageInputs
from textbookgen.api.tokenizer import ByteTokenizer, Tokenizer
from textbookgen.builtin.stages.pack.stage import Pack


class BytesOnly:
    """Resolves the tokenizer `bytes` only."""

    def tokenizer(self, name: str) -> Tokenizer:
        assert name == "bytes"
        return ByteTokenizer()


def stories(count: int, seed: int = 0) -> list[str]:
    """Sentences of 1 to 12 clauses."""
    draw = random.Random(seed)
    who, what = ["Tom", "Ann", "Sue", "Bob", "Max", "Lily"], ["ball", "cat", "dog", "kite", "book", "cake"]
    return [
        " ".join(f"{draw.choice(who)} had a {draw.choice(what)}." for _ in range(draw.randint(1, 12))) for _ in range(count)
    ]


def documents(folder: Path, texts: list[str], **columns: list[str | None]) -> Documents:
    """A table in two parts, as stages write them."""
    folder.mkdir(parents=True, exist_ok=True)
    frame = pl.DataFrame({"id": [f"doc{i}" for i in range(len(texts))], "text": texts, **columns})
    parts = []
    for number, rows in enumerate((frame[: len(texts) // 2], frame[len(texts) // 2 :])):
        rows.write_parquet(folder / f"part-{number}.parquet")
        parts.append(Part(folder / f"part-{number}.parquet"))
    return Documents(tuple(parts))


def pairs(folder: Path, rows: list[tuple[str, str, str]]) -> Pairs:
    """A table of pairs: prompt, chosen reply, rejected reply."""
    folder.mkdir(parents=True, exist_ok=True)
    names = (("prompt", "user"), ("chosen", "assistant"), ("rejected", "assistant"))
    messages = {name: [[{"role": role, "content": row[place]}] for row in rows] for place, (name, role) in enumerate(names)}
    table = {"id": [f"pair{i}" for i in range(len(rows))], **messages}
    pl.DataFrame(table, schema={"id": pl.String(), **Pairs.content}).write_parquet(folder / "pairs.parquet")
    return Pairs((Part(folder / "pairs.parquet"),))


def pack(folder: Path, table: Table, resolver: Any = None, **options: Any) -> Path:
    """Pack a table and return the folder of shards."""
    stage = Pack.model_validate({"from": "corpus", "tokenizer": "bytes", "sequence_length": 64, **options})
    stage.pack(StageInputs({"from": {"corpus": table}}, folder, resolver or BytesOnly()), folder / "shards")
    return folder / "shards"
