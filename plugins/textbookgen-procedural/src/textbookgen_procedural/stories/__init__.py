"""Stories for small children: a plot with its cast, the words and features that a draw asks for, told in paragraphs."""

from __future__ import annotations

from textbookgen_procedural.stories.telling import write_story

__all__ = ["write_story"]
