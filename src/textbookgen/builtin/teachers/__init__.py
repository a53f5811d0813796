"""Built-in teachers: `openai` (OpenAI-compatible servers), `checkpoint` (a trained model) and `fake` (for tests)."""

from __future__ import annotations

from textbookgen.api.hookspecs import hookimpl
from textbookgen.api.teacher import Teacher
from textbookgen.builtin.teachers.checkpoint import CheckpointTeacher
from textbookgen.builtin.teachers.fake import FakeTeacher
from textbookgen.builtin.teachers.openai import OpenAITeacher

__all__ = ["CheckpointTeacher", "FakeTeacher", "OpenAITeacher"]


@hookimpl
def teachers() -> tuple[type[Teacher], ...]:
    """Return the built-in teachers."""
    return FakeTeacher, OpenAITeacher, CheckpointTeacher
