"""`dedup/online`: refuse near copies of accepted documents while a generator runs."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import ClassVar

import polars as pl
from pydantic import Field, PrivateAttr

from textbookgen import Diagnostic, Filter, RunError, StageInputs
from textbookgen_dedup.lsh.online_index import BandTable, OnlineIndex, SketchedDocuments, exact_jaccard
from textbookgen_dedup.lsh.signatures import MinHashScheme


class OnlineDedup(Filter):
    """Refuses near copies of documents that a generator accepted earlier. Put it in `accept`, before expensive filters.

    MinHash finds candidates and the true Jaccard index of their shingles decides, as in `dedup/minhash`. An accepted
    document takes about 300 bytes of memory; its shingles are kept on disk.
    """

    name: ClassVar[str] = "online"

    threshold: float = Field(
        0.8, gt=0, le=1, description="true Jaccard index of word shingles from which a document is a near copy"
    )
    shingle: int = Field(5, ge=1, description="words in a shingle")
    permutations: int = Field(128, ge=16, description="values in a MinHash signature")
    _index: OnlineIndex | None = PrivateAttr(None)

    def check(self) -> Iterable[Diagnostic]:
        """Report a `from`: without a generator there are no accepted documents to compare with."""
        if self.inputs:
            yield Diagnostic("from", "`dedup/online` works only in a generator's `accept`", "use `dedup/minhash` here")

    def prepare(self, inputs: StageInputs) -> None:
        """Start with an empty index."""
        inputs.folder.mkdir(parents=True, exist_ok=True)
        scheme = MinHashScheme.for_threshold(self.threshold, self.shingle, self.permutations)
        self._index = OnlineIndex(scheme, tempfile.TemporaryFile(dir=inputs.folder))  # noqa: SIM115  (OnlineIndex closes it)

    def decide(self, docs: pl.DataFrame) -> pl.DataFrame:
        """Return verdicts; a document is also compared with those kept before it in the same part."""
        matches = list(self._matches(docs))
        details = [None if match is None else f"Jaccard {match[1]:.4f} with {match[0]}" for match in matches]
        columns = {
            "id": docs["id"],
            "keep": pl.Series([match is None for match in matches], dtype=pl.Boolean),
            "reason": pl.Series([None if match is None else "near copy" for match in matches], dtype=pl.String),
            "score": pl.Series([None if match is None else match[1] for match in matches], dtype=pl.Float64),
            "detail": pl.Series(details, dtype=pl.String),
        }
        return pl.DataFrame(columns)

    def add_accepted(self, accepted: pl.DataFrame) -> None:
        """Add accepted documents to the index."""
        index = self._prepared_index()
        index.add(SketchedDocuments.of(accepted, index.scheme))

    def _prepared_index(self) -> OnlineIndex:
        if self._index is None:
            raise RunError("`dedup/online` was called before `prepare`")
        return self._index

    def _matches(self, docs: pl.DataFrame) -> Iterator[tuple[str, float] | None]:
        """Yield for each document the id of its nearest original and their Jaccard index; None if it is new."""
        index = self._prepared_index()
        part = SketchedDocuments.of(docs, index.scheme)
        accepted = index.candidates(part)
        in_part: defaultdict[int, set[int]] = defaultdict(set)
        BandTable.of(part.bands, 0).add_candidates(part.bands, in_part)
        kept: set[int] = set()
        for row in range(len(part.ids)):
            own = part.shingles(row)
            scores = [(index.ids[at], exact_jaccard(own, index.shingles(at))) for at in sorted(accepted.get(row, ()))]
            earlier = sorted(at for at in in_part.get(row, ()) if at in kept)
            scores += [(part.ids[at], exact_jaccard(own, part.shingles(at))) for at in earlier]
            match = max(scores, key=lambda score: score[1], default=("", -1.0))
            if match[1] >= self.threshold:
                yield match
            else:
                kept.add(row)
                yield None
