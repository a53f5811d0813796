"""Stories for small children: a plot and its characters, the words and features that a draw asks for, in paragraphs."""

from __future__ import annotations

from textbookgen_procedural.stories.abstracts import abstract_of
from textbookgen_procedural.stories.writer import write_story

__all__ = ["abstract_of", "write_story"]
