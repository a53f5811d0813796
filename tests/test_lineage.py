"""Lineage: documents as text, and the parts of unfinished runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from textbookgen.provenance.lineage import Lineage
from textbookgen.storage.workspace import RunFolder, Workspace

ASKED = [{"role": "user", "content": 'Say "hi".'}]


def reply(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ({"text": "Once."}, ["Once."]),
        ({"messages": [*ASKED, *reply("Hi.")]}, ['user: Say "hi".', "assistant: Hi."]),
        (
            {"prompt": ASKED, "chosen": reply("Hi."), "rejected": reply("No.")},
            ['user: Say "hi".', "chosen:", "assistant: Hi.", "rejected:", "assistant: No."],
        ),
    ],
    ids=["document", "chat", "pair"],
)
def test_documents_chats_and_pairs_are_formatted_as_text(
    ran: Any, folder: Path, body: dict[str, Any], shown: list[str]
) -> None:
    run: RunFolder = ran()
    lineage = Lineage(Workspace(folder / "work"), run.name)
    row = {"id": "abc", "kind": "chat", "draw": None, "reply": None, **body}
    assert lineage.format_document(row).splitlines() == ["── abc  chat  ", *shown]
