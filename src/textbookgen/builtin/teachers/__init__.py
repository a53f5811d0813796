"""The teachers that come with the house: `fake`, which needs nobody, `openai`, for servers that speak OpenAI's API, and
`checkpoint`, a model of one's own."""

from __future__ import annotations

from textbookgen.api.hookspecs import hookimpl
from textbookgen.api.teacher import Teacher
from textbookgen.builtin.teachers.checkpoint import OwnModel
from textbookgen.builtin.teachers.fake import Fake
from textbookgen.builtin.teachers.openai import OpenAI

__all__ = ["Fake", "OpenAI", "OwnModel"]


@hookimpl
def teachers() -> tuple[type[Teacher], ...]:
    """The built-in teachers."""
    return Fake, OpenAI, OwnModel
