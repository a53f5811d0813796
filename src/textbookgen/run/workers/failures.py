"""Failures: documents that a teacher did not write or grade, as rows of the folder `failures` of a step."""

from __future__ import annotations

import polars as pl

from textbookgen.api.errors import RunError

#: The columns of a failures file: `n` is the number of the draw, `id` the input document or the document to grade.
FAILURE_SCHEMA: dict[str, pl.DataType] = {"n": pl.Int64(), "id": pl.String(), "reason": pl.String(), "detail": pl.String()}


class TooManyFailures(RunError):
    """More documents failed than the stage allows."""
