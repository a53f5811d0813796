"""Generators that refuse much by design."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from textbookgen.marks import Placement
from textbookgen.stage import Generator


class Selective(Generator):
    """A generator whose refusals are its work: however many documents fail, it goes on; the failures say why each did."""

    max_failures: Annotated[float, Placement] = Field(
        1.0, ge=0, le=1, description="share of documents that may fail before the step stops"
    )
