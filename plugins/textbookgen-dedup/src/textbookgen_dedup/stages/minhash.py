"""`dedup/minhash`: keep one of several documents that are copies of each other."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import polars as pl
from pydantic import Field, PrivateAttr

from textbookgen import CorpusFilter, Diagnostic, Runtime, StageInputs
from textbookgen.api.rows import text_of
from textbookgen_dedup.lsh.incremental_index import add_batch
from textbookgen_dedup.lsh.signatures import MinHashScheme, sketch_texts
from textbookgen_dedup.lsh.spill import SpillBuffer, scratch_folder
from textbookgen_dedup.lsh.verdicts import duplicate_verdicts
from textbookgen_dedup.lsh.verification import CorpusReader, find_duplicates
from textbookgen_dedup.text.python_code import code_as_words

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Keep = Literal["first", "longest", "best", "source"]
Form = Literal["words", "code", "syntax"]


class MinHashDedup(CorpusFilter):
    """Drops exact and near copies: MinHash finds candidates, and the true Jaccard index of their shingles decides.

    A document is dropped if the Jaccard index with a kept document of higher precedence reaches `threshold`. Broder,
    "On the resemblance and containment of documents", 1997; candidates by bands as in Leskovec, Rajaraman and Ullman,
    "Mining of Massive Datasets", chapter 3; permutations as in datasketch's scheme `affine32`.
    """

    name: ClassVar[str] = "minhash"

    threshold: float = Field(
        0.8,
        gt=0,
        le=1,
        description="true Jaccard index of word shingles from which a document is a near copy; 1 drops exact copies only",
    )
    shingle: int = Field(5, ge=1, description="words in a shingle")
    permutations: int = Field(128, ge=16, description="values in a MinHash signature")
    bands: int | None = Field(
        None, ge=1, description="bands of the signature, with `rows`; chosen from the threshold by default (25 of 5 at 0.8)"
    )
    rows: int | None = Field(None, ge=1, description="values in a band")
    keep: Keep = Field(
        "first", description="which copy to keep: the first, the longest, the best by `score`, or by the order of `sources`"
    )
    score: str = Field("quality.score", description="with keep = 'best': the column with the score")
    sources: tuple[str, ...] = Field(
        (), description="with keep = 'source': stage labels or kinds, in order of precedence; others come last"
    )
    form: Form = Field(
        "words",
        description="what is compared: the `words` of a text; Python `code` without format, comments and docstrings; or its "
        "`syntax`, which also leaves out names and values",
    )
    text: str = Field("text", description="the column to compare")
    index: str | None = Field(
        None,
        description="a folder that remembers corpora: copies of documents in it are dropped, and kept documents are added; "
        "the same corpus always gets the same verdicts",
    )
    memory_mib: Annotated[int, Runtime] = Field(
        1024, ge=64, description="memory for indexes in MiB; what does not fit is processed in blocks, from files"
    )

    _folder: Path | None = PrivateAttr(None)

    def check(self) -> Iterable[Diagnostic]:
        """Report bands that do not fit the signature, and a policy without its option."""
        if (self.bands is None) != (self.rows is None):
            yield Diagnostic(
                "bands", "`bands` and `rows` must be set together", "set both, or neither to choose them from the threshold"
            )
        elif self.bands and self.rows and self.bands * self.rows > self.permutations:
            yield Diagnostic("bands", f"{self.bands} bands of {self.rows} need more than {self.permutations} permutations")
        if self.keep == "source" and not self.sources:
            yield Diagnostic("sources", "keep = 'source' needs `sources`", 'such as sources = ["textbooks", "web"]')

    def scheme(self) -> MinHashScheme:
        """Return the parameters of signatures."""
        return MinHashScheme.for_threshold(self.threshold, self.shingle, self.permutations, self.bands, self.rows)

    def prepare(self, inputs: StageInputs) -> None:
        """Store the step's folder, for files that do not fit in memory, and compile the kernels."""
        self._folder = inputs.folder
        sketch_texts(pl.Series([""]), pl.Series([""]), self.scheme())

    def sketch(self, docs: pl.DataFrame) -> pl.DataFrame:
        """Return `id`, `exact`, `words` and `signature` of each document, and its `precedence`: the lowest is kept."""
        sketches = sketch_texts(docs["id"], self._compared_text(docs), self.scheme())
        return sketches.with_columns(self._precedence(docs).alias("precedence"))

    def _compared_text(self, docs: pl.DataFrame) -> pl.Series:
        texts = text_of(docs, self.text)
        if self.form == "words":
            return texts
        return pl.Series([code_as_words(text, names=self.form == "code") for text in texts], dtype=pl.String)

    def _precedence(self, docs: pl.DataFrame) -> pl.Series:
        if self.keep == "longest":
            return -text_of(docs, self.text).str.len_chars().cast(pl.Float64)
        if self.keep == "best":
            return docs.select(
                (-pl.col(self.score).cast(pl.Float64)).fill_null(float("inf")).fill_nan(float("inf"))
            ).to_series()
        if self.keep == "source":
            return docs.select(_source_rank(self.sources)).to_series()
        return pl.Series([0.0], dtype=pl.Float64).new_from_index(0, len(docs))

    def decide(self, sketches: pl.LazyFrame, corpus: pl.LazyFrame) -> pl.DataFrame:
        """Return verdicts, with the kept document as `dedup.cluster` and the Jaccard index with it as `score`."""
        import numpy as np

        rows = sketches.select("id", "precedence").collect()
        precedence: NDArray[np.int64] = np.argsort(rows["precedence"].to_numpy(), kind="stable")
        with scratch_folder(self._folder) as folder:
            buffer = SpillBuffer.of_mib(folder, self.memory_mib)
            reader = CorpusReader(sketches, corpus, self._compared_text, self.scheme(), self.threshold, buffer)
            if self.index:
                return add_batch(Path(self.index), reader, precedence, self.form)
            return duplicate_verdicts(rows["id"], find_duplicates(reader, precedence))


def _source_rank(sources: tuple[str, ...]) -> pl.Expr:
    """Return the position of a document's stage label or kind in `sources`; those not listed come last."""
    rank: pl.Expr = pl.lit(float(len(sources)))
    for at in range(len(sources) - 1, -1, -1):
        matches = pl.col("step").str.replace(r"-[0-9a-f]{6,}$", "").eq(sources[at]) | pl.col("kind").eq(sources[at])
        rank = pl.when(matches).then(pl.lit(float(at))).otherwise(rank)
    return rank.alias("precedence")
