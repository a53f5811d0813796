"""Unicode normalization: what counts as a word."""

from __future__ import annotations

import polars as pl

# Scripts written without spaces: each character counts as a word, or a page would be one word.
_UNSPACED = r"([\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}])"


def normalize(texts: pl.Series, accents: bool = True) -> pl.Series:
    """Return the texts in a form in which a word is a run of ASCII letters, digits, `_` and bytes above 127.

    ASCII texts are returned unchanged. In others, Unicode forms are unified, letters are lower-cased, characters of scripts
    without spaces are set apart, and everything that is not a word character becomes a space.

    Args:
        texts: String series without nulls.
        accents: unify by NFKC; if false, by NFKD with combining marks removed, so that `é` equals `e`.
    """
    not_ascii = texts.str.len_bytes() != texts.str.len_chars()
    if not not_ascii.any():
        return texts
    text = pl.col("text")
    unified = text.str.normalize("NFKC") if accents else text.str.normalize("NFKD").str.replace_all(r"\p{Mn}", "")
    words = unified.str.to_lowercase().str.replace_all(_UNSPACED, " ${1} ").str.replace_all(r"[^\w]+", " ")
    normalized = pl.DataFrame({"text": texts.filter(not_ascii)}).select(words).to_series()
    return texts.scatter(not_ascii.arg_true(), normalized)
