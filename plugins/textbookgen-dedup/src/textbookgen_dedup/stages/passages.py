"""`dedup/passages`: a paragraph or line that a corpus has again and again is left out where it comes again."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import polars as pl
from pydantic import Field, PrivateAttr

from textbookgen import Diagnostic, Documents, Input, Labels, RunError, StageInputs, Transform, document_id
from textbookgen_dedup.text.words import in_slices

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SLICES = 16  # hashes are counted a sixteenth at a time, so that memory holds a sixteenth of them


class PassageDedup(Transform):
    """Takes out of documents the paragraphs or lines that were in the corpus before, word by word.

    As the line-level steps of CCNet (Wenzek et al. 2019, section 3.1) and Dolma (Soldaini et al. 2024, section 3), with the
    first place kept. A document of which something was taken out is a new one, whose parent is the old. One of which all
    was taken out is left with no text.
    """

    name: ClassVar[str] = "passages"

    corpus: Annotated[Labels, Input(Documents)] = Field(
        description="stages above whose passages are counted, in the order in which the first place counts: those of `from`, "
        "and any whose passages are not to come again"
    )
    unit: Literal["paragraph", "line"] = Field(
        "paragraph", description="what is compared: paragraphs (between empty lines) or lines"
    )
    min_words: int = Field(8, ge=1, description="passages of fewer words may come again: headings, braces, `return result`")
    copies: int = Field(1, ge=1, description="in how many documents a passage may be, the first of them")
    text: str = Field("text", description="the column that is changed")

    _repeated: tuple[NDArray[np.uint64], list[frozenset[str]]] | None = PrivateAttr(None)

    def check(self) -> Iterable[Diagnostic]:
        """Complains if documents would be changed that were not counted."""
        if missing := [label for label in self.inputs if label not in self.corpus]:
            yield Diagnostic(
                "corpus", f"`from` names {', '.join(missing)}, which `corpus` does not", "name all of `from` in `corpus`"
            )

    def prepare(self, inputs: StageInputs) -> None:
        """Counts the passages of the whole corpus the first time, a part at a time and on disk."""
        import numpy as np

        file = inputs.folder / "repeated.parquet"
        if not file.exists():
            _count(inputs, self, file)
        repeated = pl.read_parquet(file)
        self._repeated = repeated["hash"].to_numpy().astype(np.uint64), [frozenset(ids) for ids in repeated["first"].to_list()]

    def passages(self, docs: pl.DataFrame) -> pl.DataFrame:
        """Every passage of the documents in order: `row`, `passage`, and `hash`, null for those that may come again."""
        import numpy as np

        from textbookgen_dedup.lsh import kernels

        separator = "\n\n" if self.unit == "paragraph" else "\n"
        rows = docs.select(pl.col(self.text).fill_null("").str.split(separator).alias("passage")).with_row_index("row")
        rows = rows.explode("passage", empty_as_null=True).with_columns(pl.col("passage").fill_null(""))
        hashes = np.empty(len(rows), np.uint64)
        for part, laid in in_slices(rows["passage"], 8192):
            kernels.fingerprints(laid.eights, laid.starts, hashes[part])
        long = pl.col("passage").str.count_matches(r"\w+") >= self.min_words
        return rows.with_columns(hash=pl.when(long).then(pl.Series(hashes)))

    def transform(self, docs: pl.DataFrame) -> pl.DataFrame:
        """The documents without what was there before; `minhash.removed` has how many characters were taken out."""
        if self._repeated is None:
            raise RunError("`dedup/passages` changes only after `prepare` has counted")
        passages = self.passages(docs)
        kept = passages.filter(~_again(docs["id"].gather(passages["row"]), passages["hash"], *self._repeated))
        joined = kept.group_by("row", maintain_order=True).agg(pl.col("passage"))
        separator = "\n\n" if self.unit == "paragraph" else "\n"
        texts = (
            docs.select("id").with_row_index("row").join(joined, on="row", how="left", maintain_order="left")["passage"]
            .list.join(separator).fill_null("")
        )  # fmt: skip
        return _changed(docs, self.text, texts)


def _again(ids: pl.Series, own: pl.Series, hashes: NDArray[np.uint64], firsts: list[frozenset[str]]) -> pl.Series:
    """Whether each passage was there before: in documents enough, or earlier in this one."""
    import numpy as np

    values = own.fill_null(0).to_numpy()
    again = np.zeros(len(values), np.bool_)
    if not len(hashes):
        return pl.Series(again)
    places = np.minimum(np.searchsorted(hashes, values), len(hashes) - 1)
    known = (hashes[places] == values) & own.is_not_null().to_numpy()
    seen = set[tuple[str, int]]()
    for at in known.nonzero()[0].tolist():
        here = (ids[at], int(values[at]))
        again[at] = here[0] not in firsts[places[at]] or here in seen
        seen.add(here)
    return pl.Series(again)


def _changed(docs: pl.DataFrame, column: str, texts: pl.Series) -> pl.DataFrame:
    """The documents with new texts; those that are other documents now have an id of their own."""
    changed = texts != docs[column].fill_null("")
    ids = [
        document_id("dedup/passages", old, text) if new else old
        for old, text, new in zip(docs["id"], texts, changed, strict=True)
    ]
    removed = docs[column].fill_null("").str.len_chars().cast(pl.Int64) - texts.str.len_chars().cast(pl.Int64)
    columns: dict[str, Any] = {"id": pl.Series(ids, dtype=pl.String), column: texts, "minhash.removed": removed}
    if "parents" in docs.columns:
        columns["parents"] = pl.when(changed).then(pl.concat_list(docs["id"])).otherwise(docs["parents"])
    return docs.with_columns(**columns)


def _count(inputs: StageInputs, stage: PassageDedup, file: Path) -> None:
    """Writes the hashes that are in more than one place, sorted, with the documents that may have them."""
    folder = inputs.folder / "passages"
    folder.mkdir(parents=True, exist_ok=True)
    at = 0
    for number, docs in enumerate(inputs["corpus"].frames()):
        result = stage.passages(docs).drop_nulls("hash").select("hash", place=pl.col("row").cast(pl.Int64) + at)
        result.with_columns(docs["id"].gather(result["place"] - at).alias("id")).write_parquet(folder / f"{number:06d}.parquet")
        at += len(docs)
    counted = [_slice(folder, number, stage.copies) for number in range(_SLICES if at else 0)]
    repeated = pl.concat(counted) if counted else pl.DataFrame(schema={"hash": pl.UInt64, "first": pl.List(pl.String)})
    part = file.with_suffix(".part")
    repeated.sort("hash").write_parquet(part)
    part.replace(file)


def _slice(folder: Path, number: int, copies: int) -> pl.DataFrame:
    """Of a sixteenth of all hashes those in more than one place, with the first documents that have each."""
    passages = pl.scan_parquet(folder / "*.parquet").filter(pl.col("hash") % _SLICES == number)
    again = passages.group_by("hash").len().filter(pl.col("len") > 1).select("hash").collect()
    documents = passages.join(again.lazy(), on="hash", how="semi").unique(["hash", "place"]).sort("hash", "place")
    return documents.group_by("hash").agg(first=pl.col("id").head(copies)).collect()
