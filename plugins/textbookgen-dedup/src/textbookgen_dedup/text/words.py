"""Text as the compiled kernels read it: one run of bytes, in which every word is a run of word bytes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from textbookgen import RunError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Scripts written without spaces: each character counts as a word, or a page would be one word.
_UNSPACED = r"([\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}])"


@dataclass(frozen=True)
class Bytes:
    """Texts laid end to end, a line break after each: document `i` is `data[starts[i] : starts[i + 1] - 1]`."""

    data: NDArray[np.uint8]
    starts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts) - 1


@dataclass(frozen=True)
class Letters:
    """Texts in which every run of bytes that are not zero is a word: `i` is in the bytes `starts[i]` to `starts[i + 1] - 1`.

    Words are lower-case, eight bytes to a number, and followed by 64 bytes or more of zeros; `raw` is what they are from.
    """

    eights: NDArray[np.uint64]
    starts: NDArray[np.int64]
    raw: Bytes

    def __len__(self) -> int:
        return len(self.starts) - 1


def text_of(docs: pl.DataFrame, column: str = "text") -> pl.Series:
    """The text of each row: the column where there is one, or else all that is said in its messages.

    Raises:
        RunError: the rows have neither.
    """
    if column in docs.columns:
        return docs[column].fill_null("")
    spoken = [name for name in ("messages", "prompt", "chosen", "rejected") if docs.schema.get(name) == pl.List]
    if not spoken:
        raise RunError(f"there is no column `{column}` to read", hint=f"the columns are {', '.join(docs.columns)}")
    contents = [pl.col(name).list.eval(pl.element().struct.field("content")).list.join("\n\n") for name in spoken]
    return docs.select(pl.concat_str(contents, separator="\n\n", ignore_nulls=True)).to_series()


def plain(texts: pl.Series, accents: bool = True) -> pl.Series:
    """Texts whose words can be told by their bytes alone; ASCII texts are as they were.

    In others Unicode forms are unified (NFKC; NFKD without marks where `accents` are to go), letters are lower-case, and
    all that is no word character becomes a space.
    """
    odd = texts.str.len_bytes() != texts.str.len_chars()
    if not odd.any():
        return texts
    words = (
        pl.col("text").str.normalize("NFKC") if accents else pl.col("text").str.normalize("NFKD").str.replace_all(r"\p{Mn}", "")
    )
    words = words.str.to_lowercase().str.replace_all(_UNSPACED, " ${1} ").str.replace_all(r"[^\w]+", " ")
    unified = pl.DataFrame({"text": texts.filter(odd)}).select(words).to_series()
    return texts.scatter(odd.arg_true(), unified)


def to_bytes(texts: pl.Series) -> Bytes:
    """Texts end to end, copied once."""
    import numpy as np

    starts: NDArray[np.int64] = np.zeros(len(texts) + 1, np.int64)
    np.cumsum(texts.str.len_bytes().to_numpy() + 1, out=starts[1:])
    joined: bytes = texts.str.join("\n").cast(pl.Binary).item() if len(texts) else b""
    return Bytes(np.frombuffer(joined, np.uint8), starts)


def letters(texts: pl.Series, accents: bool = True) -> Letters:
    """The words of texts, as `plain` tells them, for the kernels."""
    from textbookgen_dedup.text.normalize import letters_of

    return letters_of(texts, accents)


def in_slices(texts: pl.Series, size: int = 128) -> Iterator[tuple[slice, Letters]]:
    """The words of some texts at a time: few enough to stay in the processor's cache."""
    for low in range(0, len(texts), size):
        rows = slice(low, min(low + size, len(texts)))
        yield rows, letters(texts[rows])
