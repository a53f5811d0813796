"""Message: one message of a conversation."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Message:
    """One message of a conversation.

    Attributes:
        role: `system`, `user` or `assistant`.
        content: its text.
    """

    role: str
    content: str
