"""The teacher `litellm/chat`: any provider and model that litellm supports."""

from __future__ import annotations

from textbookgen import Teacher, hookimpl
from textbookgen_litellm.teacher import LiteLLMTeacher

__all__ = ["LiteLLMTeacher"]


@hookimpl
def teachers() -> tuple[type[Teacher], ...]:
    """Return the teacher of this plugin."""
    return (LiteLLMTeacher,)
