"""Generators that ask about documents, and those that refuse many of them by design."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from textbookgen.artifacts import Documents
from textbookgen.marks import Labels, Pipe, Placement
from textbookgen.stage import Generator


class AboutDocuments(Generator):
    """A generator that has nothing to ask without documents."""

    inputs: Annotated[Labels, Pipe(Documents)] = Field(
        alias="from", min_length=1, description="stages above whose documents are asked about"
    )


class Selective(Generator):
    """A generator whose refusals are its work: however many documents fail, it goes on; the failures say why each did."""

    max_failures: Annotated[float, Placement] = Field(
        1.0, ge=0, le=1, description="share of documents that may fail before the step stops"
    )
