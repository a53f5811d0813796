"""Request chats: the user's message is the request, the assistant's is the call."""

from __future__ import annotations

from pathlib import Path

import polars as pl
from textbookgen_api.request_chats import RequestChats
from textbookgen_api.requests import Requests

from textbookgen.api.artifacts import Chats


def test_requests_become_chats(file: Path):
    rows = pl.concat(Requests(path=str(file), count=5).read())
    chats = RequestChats(inputs="requests", system="You ship.").transform(rows)
    assert chats.schema["messages"] == Chats.content["messages"]
    assert [turn["role"] for turn in chats["messages"][0]] == ["system", "user", "assistant"]
    assert chats["messages"][0][2]["content"] == rows["api.call"][0]
    assert [turn["role"] for turn in RequestChats(inputs="requests").transform(rows)["messages"][0]] == ["user", "assistant"]
