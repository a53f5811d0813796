"""The teachers that come with the house: `fake`, which needs nobody, `openai`, for servers that speak OpenAI's API, and
`checkpoint`, a model of one's own."""

from __future__ import annotations

from textbookgen.builtin.checkpoint import OwnModel
from textbookgen.builtin.fake import Fake
from textbookgen.builtin.openai import OpenAI
from textbookgen.hookspecs import hookimpl
from textbookgen.teacher import Teacher

__all__ = ["Fake", "OpenAI", "OwnModel"]


@hookimpl
def teachers() -> tuple[type[Teacher], ...]:
    """The built-in teachers."""
    return Fake, OpenAI, OwnModel
