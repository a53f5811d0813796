"""`dedup/minhash`: of documents that are copies of each other, one flows on."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import polars as pl
from pydantic import Field, PrivateAttr

from textbookgen import CorpusFilter, Diagnostic, Runtime, StageInputs
from textbookgen_dedup.lsh.signatures import Scheme, scheme_for, sketch
from textbookgen_dedup.text.words import text_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from textbookgen_dedup.lsh.copies import Originals

Keep = Literal["first", "longest", "best", "source"]
Form = Literal["words", "code", "syntax"]


class MinHashDedup(CorpusFilter):
    """Drops exact and near copies: MinHash finds candidates, and the true Jaccard index of their shingles decides.

    A document is dropped if one that goes before it is kept and is at least as like it as `threshold` says. Broder,
    "On the resemblance and containment of documents", 1997; candidates by bands as in Leskovec, Rajaraman and Ullman,
    "Mining of Massive Datasets", chapter 3; permutations as datasketch's scheme `affine32`.
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
        None, ge=1, description="bands of the signature; with `rows`, or both are chosen from the threshold (25 of 5 at 0.8)"
    )
    rows: int | None = Field(None, ge=1, description="values in a band")
    keep: Keep = Field(
        "first", description="which copy stays: the first, the longest, the best by `score`, or by the order of `sources`"
    )
    score: str = Field("quality.score", description="with keep = 'best': the column with the score")
    sources: tuple[str, ...] = Field(
        (), description="with keep = 'source': stage labels or kinds, the one whose copies stay first"
    )
    form: Form = Field(
        "words",
        description="what of a text is compared: its words; Python `code` without format, comments and docstrings; or its "
        "`syntax`, without names and values too",
    )
    text: str = Field("text", description="the column that is compared")
    index: str | None = Field(
        None,
        description="a folder that remembers corpora: copies of what is there are dropped, and what is kept is added; the same "
        "corpus again gets the same verdicts again",
    )
    memory_mib: Annotated[int, Runtime] = Field(
        1024, ge=64, description="what indexes may take in memory; what does not fit is worked in blocks and files"
    )

    _folder: Path | None = PrivateAttr(None)

    def check(self) -> Iterable[Diagnostic]:
        """Complains about bands that do not fit the signature, and about a policy without what it needs."""
        if (self.bands is None) != (self.rows is None):
            yield Diagnostic(
                "bands", "`bands` and `rows` go together", "give both, or neither to have them chosen from the threshold"
            )
        elif self.bands and self.rows and self.bands * self.rows > self.permutations:
            yield Diagnostic("bands", f"{self.bands} bands of {self.rows} need more than {self.permutations} permutations")
        if self.keep == "source" and not self.sources:
            yield Diagnostic("sources", "keep = 'source' needs the order of sources", 'such as sources = ["textbooks", "web"]')

    def scheme(self) -> Scheme:
        """The sizes of sketches."""
        return scheme_for(self.threshold, self.shingle, self.permutations, self.bands, self.rows)

    def prepare(self, inputs: StageInputs) -> None:
        """Remembers the step's folder, where files go that are too big for memory, and has the kernels compiled once."""
        self._folder = inputs.folder
        sketch(pl.Series([""]), pl.Series([""]), self.scheme())

    def sketch(self, docs: pl.DataFrame) -> pl.DataFrame:
        """Of each document `id`, `exact`, `words`, `signature`, and what the policy looks at as `precedence`."""
        sketches = sketch(docs["id"], self._compared(docs), self.scheme())
        return sketches.with_columns(self._precedence(docs).alias("precedence"))

    def _compared(self, docs: pl.DataFrame) -> pl.Series:
        """What is compared of each document."""
        texts = text_of(docs, self.text)
        if self.form == "words":
            return texts
        from textbookgen_decontamination.syntax_trees import spelled

        return pl.Series([spelled(text, self.form == "code") for text in texts], dtype=pl.String)

    def _precedence(self, docs: pl.DataFrame) -> pl.Series:
        """A number for each document; among copies the one with the least stays."""
        if self.keep == "longest":
            return -text_of(docs, self.text).str.len_chars().cast(pl.Float64)
        if self.keep == "best":
            return docs.select(
                (-pl.col(self.score).cast(pl.Float64)).fill_null(float("inf")).fill_nan(float("inf"))
            ).to_series()
        if self.keep == "source":
            return docs.select(_place(self.sources)).to_series()
        return pl.Series([0.0], dtype=pl.Float64).new_from_index(0, len(docs))

    def decide(self, sketches: pl.LazyFrame, corpus: pl.LazyFrame) -> pl.DataFrame:
        """Verdicts, with the document that stays as `minhash.cluster` and the likeness to it as `score`."""
        import numpy as np

        from textbookgen_dedup.lsh.copies import find_originals
        from textbookgen_dedup.lsh.incremental_index import add
        from textbookgen_dedup.lsh.spill import SpillBuffer, emptied

        facts = sketches.select("id", "precedence").collect()
        precedence: NDArray[np.int64] = np.argsort(facts["precedence"].to_numpy(), kind="stable")
        with emptied(self._folder) as folder:
            room = SpillBuffer.of(folder, self.memory_mib)
            if self.index:
                return add(
                    Path(self.index),
                    sketches,
                    corpus,
                    self._compared,
                    precedence,
                    self.scheme(),
                    self.threshold,
                    self.form,
                    room,
                )
            result = find_originals(sketches, corpus, self._compared, precedence, self.scheme(), self.threshold, room)
        return verdicts_of(facts["id"], result)


def _place(sources: tuple[str, ...]) -> pl.Expr:
    """The place of a document's stage or kind in the list of sources; those not listed come last."""
    place: pl.Expr = pl.lit(float(len(sources)))
    for at in range(len(sources) - 1, -1, -1):
        named = pl.col("step").str.replace(r"-[0-9a-f]{6,}$", "").eq(sources[at]) | pl.col("kind").eq(sources[at])
        place = pl.when(named).then(pl.lit(float(at))).otherwise(place)
    return place.alias("precedence")


def verdicts_of(ids: pl.Series, result: Originals, earlier: pl.Series | None = None) -> pl.DataFrame:
    """One verdict a document, in the order of the corpus; originals are counted from the first of the `earlier` documents."""
    import numpy as np

    from textbookgen_dedup.lsh.copies import NONE

    pool = ids if earlier is None else pl.concat([earlier, ids])
    own = np.arange(len(pool) - len(ids), len(pool))
    dropped = result.of != NONE
    heads = np.zeros(len(pool), np.bool_)
    heads[result.of[dropped]] = True
    facts = {
        "id": ids,
        "dropped": dropped,
        "exact": result.exact,
        "original": pool.gather(np.where(dropped, result.of, own).astype(np.uint32)),
        "in_cluster": dropped | heads[own],
        "like": result.jaccard,
    }
    return pl.DataFrame(facts).select(
        "id",
        keep=~pl.col("dropped"),
        reason=pl.when("exact").then(pl.lit("exact copy")).when("dropped").then(pl.lit("near copy")),
        score=pl.when("dropped").then("like"),
        detail=pl.when("dropped").then(pl.format("Jaccard {} with {}", pl.col("like").round(4), "original")),
        **{"minhash.cluster": pl.when("in_cluster").then("original")},
    )
