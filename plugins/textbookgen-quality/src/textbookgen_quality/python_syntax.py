"""`quality/python-syntax`: drop documents with Python code that does not parse."""

from __future__ import annotations

import ast
import re
import warnings
from typing import ClassVar

import polars as pl
from pydantic import Field

from textbookgen import Filter
from textbookgen.api.rows import text_of

_CODE_BLOCK = re.compile(r"^```[ \t]*(?:python|py|python3)[ \t]*\n(.*?)^```", re.DOTALL | re.MULTILINE | re.IGNORECASE)


class PythonSyntaxFilter(Filter):
    """Drops documents whose Python code this interpreter cannot parse."""

    name: ClassVar[str] = "python-syntax"

    kinds: tuple[str, ...] = Field(("code", "exercise"), description="kinds of documents that consist of code")
    fenced: bool = Field(True, description="in documents of other kinds, check blocks between ```python and ```")
    text: str = Field("text", description="the column to parse")

    def decide(self, docs: pl.DataFrame) -> pl.DataFrame:
        """Return verdicts; `detail` has the line and the error."""
        kinds = docs["kind"].to_list() if "kind" in docs.columns else [self.kinds[0] if self.kinds else ""] * len(docs)
        errors = [self._error(text, kind) for text, kind in zip(text_of(docs, self.text), kinds, strict=True)]
        return docs.select("id").with_columns(
            keep=pl.Series([error is None for error in errors], dtype=pl.Boolean),
            reason=pl.Series([None if error is None else "does not parse" for error in errors], dtype=pl.String),
            detail=pl.Series(errors, dtype=pl.String),
        )

    def _error(self, text: str, kind: str) -> str | None:
        if kind in self.kinds:
            return syntax_error(text)
        blocks = _CODE_BLOCK.findall(text) if self.fenced else []
        return next((error for block in blocks if (error := syntax_error(block))), None)


def syntax_error(code: str) -> str | None:
    """Return why code does not parse, with the line; None if it does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes in a document's strings do not concern the user of a recipe
        try:
            ast.parse(code)
        except SyntaxError as error:
            return f"line {error.lineno}: {error.msg}"
        except (ValueError, RecursionError, MemoryError) as error:
            return str(error) or type(error).__name__
    return None
