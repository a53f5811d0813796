"""`quality/parses`: Python that is no Python does not flow on."""

from __future__ import annotations

import ast
import re
import warnings
from typing import ClassVar

import polars as pl
from pydantic import Field

from textbookgen import Filter

_FENCE = re.compile(r"^```[ \t]*(?:python|py|python3)[ \t]*\n(.*?)^```", re.DOTALL | re.MULTILINE | re.IGNORECASE)


class Parses(Filter):
    """Drops documents whose Python code this interpreter cannot parse."""

    name: ClassVar[str] = "parses"

    kinds: tuple[str, ...] = Field(("code", "exercise"), description="kinds of documents that are code as a whole")
    fenced: bool = Field(True, description="in documents of other kinds, look at blocks between ```python and ```")
    text: str = Field("text", description="the column that is parsed")

    def decide(self, docs: pl.DataFrame) -> pl.DataFrame:
        """Verdicts, with the line and what is wrong with it."""
        kinds = docs["kind"].to_list() if "kind" in docs.columns else [self.kinds[0] if self.kinds else ""] * len(docs)
        faults = [self._fault(text, kind) for text, kind in zip(docs[self.text].to_list(), kinds, strict=True)]
        return docs.select("id").with_columns(
            keep=pl.Series([fault is None for fault in faults], dtype=pl.Boolean),
            reason=pl.Series([None if fault is None else "does not parse" for fault in faults], dtype=pl.String),
            detail=pl.Series(faults, dtype=pl.String),
        )

    def _fault(self, text: str | None, kind: str) -> str | None:
        if kind in self.kinds:
            return fault(text or "")
        blocks = _FENCE.findall(text or "") if self.fenced else []
        return next((result for block in blocks if (result := fault(block))), None)


def fault(code: str) -> str | None:
    """What keeps code from being Python, and in which line; None if nothing does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes in a document's strings are no news to who runs a recipe
        try:
            ast.parse(code)
        except SyntaxError as error:
            return f"line {error.lineno}: {error.msg}"
        except (ValueError, RecursionError, MemoryError) as error:
            return str(error) or type(error).__name__
    return None
