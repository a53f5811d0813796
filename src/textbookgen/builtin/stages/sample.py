"""The filter `sample`: a reproducible random sample of the documents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

import polars as pl
from pydantic import Field, PrivateAttr

from textbookgen.api.errors import Diagnostic, RunError
from textbookgen.api.files import write_text
from textbookgen.api.hashing import stable_hash
from textbookgen.api.stage import Estimate, Filter, StageInputs


class Sample(Filter):
    """Keeps a share or a number of the documents: those whose ids have the smallest hashes.

    A smaller sample is a subset of a larger one with the same seed, and the order of the documents has no influence.
    """

    name: ClassVar[str] = "sample"

    share: float | None = Field(None, gt=0, le=1, description="keep about this share of the documents")
    count: int | None = Field(None, gt=0, description="keep N documents, or all if there are fewer")
    seed: int = Field(0, description="another seed gives another sample")
    _limit: int | None = PrivateAttr(None)  # documents with smaller hashes are kept

    def check(self) -> Iterable[Diagnostic]:
        """Report both or neither of `share` and `count`, and a count without a corpus."""
        if (self.share is None) == (self.count is None):
            yield Diagnostic(
                "share", "set either `share` or `count`", "share = 0.1 keeps a tenth, count = 1000 keeps a thousand documents"
            )
        if self.count is not None and not self.inputs:
            yield Diagnostic("count", "requires `from`", "use `share` in a generator's `accept`")

    def prepare(self, inputs: StageInputs) -> None:
        """Determine the hash limit; for a count, in one pass over the ids whose result is stored in the step's folder."""
        if self.share is not None:
            self._limit = int(self.share * 2**64)
            return
        file = inputs.folder / f"limit-{self.count}-{self.seed}"
        if not file.exists():
            write_text(file, str(self._find_limit(inputs, self.count or 0)))
        self._limit = int(file.read_text(encoding="utf-8"))

    def decide(self, docs: pl.DataFrame) -> pl.DataFrame:
        """Keep the documents whose hash is below the limit."""
        if self._limit is None:
            raise RunError("`sample` must be prepared before it decides")
        keep = pl.Series("keep", [self._hash(key) < self._limit for key in docs["id"]], dtype=pl.Boolean)
        reason = pl.when("keep").then(None).otherwise(pl.lit("not sampled")).alias("reason")
        return docs.select("id").with_columns(keep).with_columns(reason)

    def estimate(self, inputs: Mapping[str, Estimate]) -> Estimate | None:
        """Scale the input by the share."""
        corpus = inputs.get("from")
        if corpus is None or corpus.documents is None:
            return Estimate(documents=self.count)
        share = self.share if self.share is not None else min(1.0, (self.count or 0) / max(corpus.documents, 1))
        return Estimate(documents=corpus.documents * share, tokens=None if corpus.tokens is None else corpus.tokens * share)

    def _find_limit(self, inputs: StageInputs, count: int) -> int:
        smallest = pl.Series("hash", [], dtype=pl.UInt64)
        for docs in inputs["from"].frames(["id"]):
            hashes = pl.Series("hash", [self._hash(key) for key in docs["id"]], dtype=pl.UInt64)
            smallest = pl.concat([smallest, hashes]).bottom_k(count)
        return 2**64 if len(smallest) < count else max(smallest.to_list()) + 1

    def _hash(self, key: str) -> int:
        return stable_hash(f"{self.seed}/{key}")
