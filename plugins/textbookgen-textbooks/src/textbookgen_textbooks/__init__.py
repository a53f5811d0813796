"""The writings of the phi line: pages of textbooks, exercises, and what later papers asked teachers for."""

from __future__ import annotations

from textbookgen import hookimpl
from textbookgen.sampler import Sampler
from textbookgen.stage import Stage
from textbookgen_textbooks.exercise import Exercise
from textbookgen_textbooks.function_names import FunctionNames
from textbookgen_textbooks.lessons import Lessons
from textbookgen_textbooks.page import Page


@hookimpl
def stages() -> list[type[Stage]]:
    """What asks and writes."""
    return [Page, Exercise]


@hookimpl
def samplers() -> list[type[Sampler]]:
    """What keeps the writing various."""
    return [FunctionNames, Lessons]
