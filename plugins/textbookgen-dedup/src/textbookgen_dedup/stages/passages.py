"""`dedup/passages`: remove paragraphs or lines that the corpus has elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import polars as pl
from pydantic import Field, PrivateAttr

from textbookgen import Diagnostic, Documents, Input, Labels, RunError, StageInputs, Transform, document_id
from textbookgen.api.files import write_frame

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SLICES = 16  # hashes are counted a sixteenth at a time, so that memory holds a sixteenth of them


class PassageDedup(Transform):
    """Removes from documents the paragraphs or lines that occurred earlier in the corpus, word for word.

    As in the line-level steps of CCNet (Wenzek et al. 2019, section 3.1) and Dolma (Soldaini et al. 2024, section 3), but the
    first occurrence is kept. A document from which something was removed is a new one, with the original as parent. If
    everything was removed, its text is empty.
    """

    name: ClassVar[str] = "passages"

    corpus: Annotated[Labels, Input(Documents)] = Field(
        description="stages whose passages are counted, in order of precedence: those of `from`, and any others whose "
        "passages should not be repeated"
    )
    unit: Literal["paragraph", "line"] = Field(
        "paragraph", description="what is compared: paragraphs (between empty lines) or lines"
    )
    min_words: int = Field(8, ge=1, description="shorter passages may repeat: headings, closing braces, `return result`")
    max_documents: int = Field(1, ge=1, description="documents that may contain the same passage; the first ones keep it")
    text: str = Field("text", description="the column to change")

    _repeated: tuple[NDArray[np.uint64], list[frozenset[str]]] | None = PrivateAttr(None)

    def check(self) -> Iterable[Diagnostic]:
        """Report documents that would be changed but not counted."""
        if missing := [label for label in self.inputs if label not in self.corpus]:
            yield Diagnostic(
                "corpus", f"{', '.join(missing)} in `from` but not in `corpus`", "name all stages of `from` in `corpus`"
            )

    def prepare(self, inputs: StageInputs) -> None:
        """Count the passages of the whole corpus the first time, one part at a time and on disk."""
        import numpy as np

        file = inputs.folder / "repeated.parquet"
        if not file.exists():
            _count_passages(inputs, self, file)
        repeated = pl.read_parquet(file)
        self._repeated = repeated["hash"].to_numpy().astype(np.uint64), [frozenset(ids) for ids in repeated["first"].to_list()]

    @property
    def _separator(self) -> str:
        return "\n\n" if self.unit == "paragraph" else "\n"

    def passages(self, docs: pl.DataFrame) -> pl.DataFrame:
        """Return every passage of the documents in order: `row`, `passage`, and `hash`, null for those that may repeat."""
        import numpy as np

        from textbookgen_dedup import kernels
        from textbookgen_dedup.text.word_bytes import word_batches

        rows = docs.select(pl.col(self.text).fill_null("").str.split(self._separator).alias("passage")).with_row_index("row")
        rows = rows.explode("passage", empty_as_null=True).with_columns(pl.col("passage").fill_null(""))
        hashes = np.empty(len(rows), np.uint64)
        for part, words in word_batches(rows["passage"], 8192):
            kernels.hash_word_sequences(words.packed, words.starts, hashes[part])
        is_long = pl.col("passage").str.count_matches(r"\w+") >= self.min_words
        return rows.with_columns(hash=pl.when(is_long).then(pl.Series(hashes)))

    def transform(self, docs: pl.DataFrame) -> pl.DataFrame:
        """Return the documents without repeated passages; `dedup.removed` is the number of characters removed."""
        if self._repeated is None:
            raise RunError("`dedup/passages` was called before `prepare`")
        passages = self.passages(docs)
        repeated = _is_repeated(docs["id"].gather(passages["row"]), passages["hash"], *self._repeated)
        joined = passages.filter(~repeated).group_by("row", maintain_order=True).agg(pl.col("passage"))
        rows = docs.select("id").with_row_index("row").join(joined, on="row", how="left", maintain_order="left")
        return _with_texts(docs, self.text, rows["passage"].list.join(self._separator).fill_null(""))


def _is_repeated(
    ids: pl.Series, passage_hashes: pl.Series, hashes: NDArray[np.uint64], first_documents: list[frozenset[str]]
) -> pl.Series:
    """Whether each passage occurs in enough earlier documents, or earlier in its own.

    Args:
        ids: the document of each passage.
        passage_hashes: the hash of each passage, null for one that may repeat.
        hashes: sorted hashes of repeated passages.
        first_documents: for each of `hashes` the documents that keep the passage.
    """
    import numpy as np

    values = passage_hashes.fill_null(0).to_numpy()
    repeated = np.zeros(len(values), np.bool_)
    if not len(hashes):
        return pl.Series(repeated)
    places = np.minimum(np.searchsorted(hashes, values), len(hashes) - 1)
    known = (hashes[places] == values) & passage_hashes.is_not_null().to_numpy()
    seen = set[tuple[str, int]]()
    for at in known.nonzero()[0].tolist():
        key = (ids[at], int(values[at]))
        repeated[at] = key[0] not in first_documents[places[at]] or key in seen
        seen.add(key)
    return pl.Series(repeated)


def _with_texts(docs: pl.DataFrame, column: str, texts: pl.Series) -> pl.DataFrame:
    """Return the documents with new texts; those that changed get new ids, with the old ones as parents."""
    changed = texts != docs[column].fill_null("")
    ids = [
        document_id("dedup/passages", old, text) if new else old
        for old, text, new in zip(docs["id"], texts, changed, strict=True)
    ]
    removed = docs[column].fill_null("").str.len_chars().cast(pl.Int64) - texts.str.len_chars().cast(pl.Int64)
    columns: dict[str, Any] = {"id": pl.Series(ids, dtype=pl.String), column: texts, "dedup.removed": removed}
    if "parents" in docs.columns:
        columns["parents"] = pl.when(changed).then(pl.concat_list(docs["id"])).otherwise(docs["parents"])
    return docs.with_columns(**columns)


def _count_passages(inputs: StageInputs, stage: PassageDedup, file: Path) -> None:
    """Write the hashes of passages that occur more than once, sorted, with the documents that keep each."""
    folder = inputs.folder / "passages"
    folder.mkdir(parents=True, exist_ok=True)
    at = 0
    for number, docs in enumerate(inputs["corpus"].frames()):
        rows = stage.passages(docs).drop_nulls("hash").select("hash", document=pl.col("row").cast(pl.Int64) + at)
        rows = rows.with_columns(docs["id"].gather(rows["document"] - at).alias("id"))
        rows.write_parquet(folder / f"{number:06d}.parquet")
        at += len(docs)
    slices = [_repeated_in_slice(folder, number, stage.max_documents) for number in range(_SLICES if at else 0)]
    repeated = pl.concat(slices) if slices else pl.DataFrame(schema={"hash": pl.UInt64, "first": pl.List(pl.String)})
    write_frame(file, repeated.sort("hash"))


def _repeated_in_slice(folder: Path, number: int, max_documents: int) -> pl.DataFrame:
    """Return the repeated hashes of one slice, with the first documents that contain each."""
    passages = pl.scan_parquet(folder / "*.parquet").filter(pl.col("hash") % _SLICES == number)
    repeated = passages.group_by("hash").len().filter(pl.col("len") > 1).select("hash").collect()
    documents = passages.join(repeated.lazy(), on="hash", how="semi").unique(["hash", "document"]).sort("hash", "document")
    return documents.group_by("hash").agg(first=pl.col("id").head(max_documents)).collect()
