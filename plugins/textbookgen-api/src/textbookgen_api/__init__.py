"""Training data and scores for small models that turn requests in plain language into calls of an application's functions."""

from __future__ import annotations

from textbookgen import Stage, hookimpl
from textbookgen_api.answers import Answers
from textbookgen_api.call_accuracy import CallAccuracy
from textbookgen_api.paraphrase import Paraphrase
from textbookgen_api.recorded_requests import RecordedRequests
from textbookgen_api.request_chats import RequestChats
from textbookgen_api.requests import Requests
from textbookgen_api.word_references import WordReferences


@hookimpl
def stages() -> list[type[Stage]]:
    """Return the stages from the description of an application to scores."""
    return [Requests, RecordedRequests, Paraphrase, RequestChats, WordReferences, Answers, CallAccuracy]
