"""`passages`: a stretch of a document of the corpus, as a seed or as a source of noise for what a teacher writes."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Annotated, Any, ClassVar

import polars as pl
from pydantic import Field, PrivateAttr

from textbookgen.api.annotations import Input, Labels
from textbookgen.api.artifacts import Artifact, Documents
from textbookgen.api.errors import RunError
from textbookgen.api.sampler import AcceptedStats, Sampler
from textbookgen.builtin.samplers.fields import digest, walk
from textbookgen.builtin.stages.sample import stable_hash


class Passages(Sampler):
    """A passage of the documents that flow out of a stage above: each document's once before any comes again.

    phi-1.5 (arXiv 2309.05463) puts samples of web text into its prompts for variety; Cosmopedia writes from extracts of
    1,000 characters. Unlike a generator's `from`, this goes with `count`, with a target, and with other samplers in a
    `product`. Of each document one stretch is taken, always the same; they wait on disk.
    """

    name: ClassVar[str] = "passages"

    inputs: Annotated[Labels, Input(Documents)] = Field(
        alias="from", min_length=1, description="stages above whose documents passages are taken from"
    )
    field: str = Field("passage", description="what prompts call the passage; its document's id is drawn as `FIELD_id`")
    words: int = Field(150, gt=0, description="words of a passage; white space becomes single spaces")
    least_words: int = Field(20, gt=0, description="documents with fewer words give none")
    most: int = Field(100_000, gt=0, description="passages at most, of documents drawn evenly")
    seed: int = Field(0, description="another seed takes other stretches, in another order")
    _file: Path | None = PrivateAttr(None)
    _starts: array[int] = PrivateAttr(default_factory=lambda: array("Q"))

    def reads(self) -> tuple[str, ...]:
        """The stages that documents come from."""
        return self.inputs

    def prepare(self, inputs: Mapping[str, Artifact], folder: Path) -> None:
        """Writes the passages to a file of the step's own, unless an earlier run did."""
        tables = [flow for label in self.inputs if isinstance(flow := inputs[label], Documents)]
        salt = digest(self.inputs, self.field, self.words, self.least_words, self.most, self.seed)
        self._file = folder / f"passages-{salt[:12]}.jsonl"
        if not self._file.exists():
            folder.mkdir(parents=True, exist_ok=True)
            beside = self._file.with_suffix(".part")
            with beside.open("w", encoding="utf-8") as out:
                for key, passage in self._passages(Documents.concatenate(tables)):
                    out.write(json.dumps([key, passage], ensure_ascii=False) + "\n")
            beside.replace(self._file)
        with self._file.open("rb") as lines:
            at = 0
            for line in lines:
                self._starts.append(at)
                at += len(line)
        if not self._starts:
            raise RunError(f"no document of '{', '.join(self.inputs)}' has {self.least_words} words", place="sampler")

    def draw(self, n: int, rng: Random, seen: AcceptedStats) -> dict[str, Any]:
        """One passage, and the id of the document it is from."""
        if self._file is None:  # nothing is run: something as long as a passage, for forecasts
            return {self.field: " ".join(["passage"] * self.words), f"{self.field}_id": ""}
        with self._file.open("rb") as lines:
            lines.seek(self._starts[walk(n, len(self._starts), f"{self.field}/{self.seed}")])
            key, passage = json.loads(lines.readline())
        return {self.field: passage, f"{self.field}_id": key}

    def _passages(self, table: Documents) -> Iterator[tuple[str, str]]:
        """A stretch of each document whose hash is among the `most` least."""
        limit = self._limit(table)
        for frame in table.frames(["id", "text"]):
            for key, text in frame.iter_rows():
                place = self._hash(key)
                words = (text or "").split()
                if place > limit or len(words) < self.least_words:
                    continue
                start = stable_hash(f"{self.seed}/stretch/{key}") % (max(0, len(words) - self.words) + 1)
                yield key, " ".join(words[start : start + self.words])

    def _limit(self, table: Documents) -> int:
        """The hash up to which documents are taken; this reads words' counts and ids alone."""
        lowest = pl.Series("hash", [], dtype=pl.UInt64)
        for part in table.parts:
            long = part.scan().filter(pl.col("text").str.count_matches(r"\S+") >= self.least_words).select("id").collect()
            hashes = pl.Series("hash", [self._hash(key) for key in long["id"]], dtype=pl.UInt64)
            lowest = pl.concat([lowest, hashes]).bottom_k(self.most)
        return max(lowest.to_list(), default=0)

    def _hash(self, key: str) -> int:
        return stable_hash(f"{self.seed}/passages/{key}")
