"""Small models for an application: requests in plain language, and the calls that answer them."""

from __future__ import annotations

from textbookgen import Stage, hookimpl
from textbookgen_api.chats import RequestChats
from textbookgen_api.paraphrase import Paraphrase
from textbookgen_api.requests import Requests
from textbookgen_api.score import CallScores


@hookimpl
def stages() -> list[type[Stage]]:
    """From the description of an application to scores."""
    return [Requests, Paraphrase, RequestChats, CallScores]
