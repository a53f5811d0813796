"""The serving process: `python -m textbookgen_megatron.serving.server FOLDER`, one JSON line asked, one answered."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any

from textbookgen import Checkpoint
from textbookgen.training.generation import BatchGenerator
from textbookgen.training.job import read_card
from textbookgen.training.model_server import answer, serve
from textbookgen.training.prompt_codec import PromptCodec


def open_generator(checkpoint: Path) -> BatchGenerator:
    """The model of a folder, of this plugin's or of transformers, and how it is talked to.

    Raises:
        TrainerError: the folder is not whole.
    """
    from textbookgen_megatron.serving.decoding import CachedNetwork
    from textbookgen_megatron.torch_model import Network

    return BatchGenerator(CachedNetwork(Network.load(checkpoint)), PromptCodec.at(checkpoint, _card(checkpoint)))


def _card(checkpoint: Path) -> dict[str, Any]:
    """What serving must know of a checkpoint: its tokenizer, what ends a document, and its chat template."""
    if (checkpoint / Checkpoint.card_name).is_file():
        return read_card(checkpoint)
    from textbookgen_megatron.exchange.reader import chat_template, end_of_document

    return {"tokenizer": {"file": "tokenizer.json"}, "eod": end_of_document(checkpoint), "chat": chat_template(checkpoint)}


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    serve(lambda: partial(answer, open_generator(folder)))
