"""The teacher `litellm/chat`: any provider and model that litellm knows, by name."""

from __future__ import annotations

from textbookgen import Teacher, hookimpl
from textbookgen_litellm.chat import Chat

__all__ = ["Chat"]


@hookimpl
def teachers() -> tuple[type[Teacher], ...]:
    """The teacher of this plugin."""
    return (Chat,)
