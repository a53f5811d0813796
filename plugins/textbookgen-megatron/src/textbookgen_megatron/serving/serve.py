"""The serving process: `python -m textbookgen_megatron.serving.serve FOLDER`, one JSON line asked, one answered."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any

from textbookgen.artifacts import Checkpoint
from textbookgen.generation import Writer
from textbookgen.serving import answer, serve
from textbookgen.talk import Talk
from textbookgen.trainer import read_card


def open_writer(checkpoint: Path) -> Writer:
    """The model of a folder, of this plugin's or of transformers, and how it is talked to.

    Raises:
        TrainerError: the folder is not whole.
    """
    from textbookgen_megatron.serving.forward import Network
    from textbookgen_megatron.serving.reading import CachedNetwork

    return Writer(CachedNetwork(Network.load(checkpoint)), Talk.at(checkpoint, _card(checkpoint)))


def _card(checkpoint: Path) -> dict[str, Any]:
    """What serving must know of a checkpoint: its tokenizer, what ends a document, and its chat template."""
    if (checkpoint / Checkpoint.card_name).is_file():
        return read_card(checkpoint)
    from textbookgen_megatron.exchange.model import chat_template, end_of_document

    return {"tokenizer": {"file": "tokenizer.json"}, "eod": end_of_document(checkpoint), "chat": chat_template(checkpoint)}


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    serve(lambda: partial(answer, open_writer(folder)))
