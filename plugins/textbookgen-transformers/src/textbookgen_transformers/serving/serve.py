"""The serving process: `python -m textbookgen_transformers.serving.serve FOLDER`, one JSON line asked, one answered."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from textbookgen.training.generation import BatchGenerator
from textbookgen.training.job import read_card
from textbookgen.training.model_server import answer, serve
from textbookgen.training.prompt_codec import PromptCodec
from textbookgen_transformers.weights import check_weights


def open_writer(checkpoint: Path) -> BatchGenerator:
    """The model of a folder, in float32, and how it is talked to: by the tokenizer and the chat template of its shards.

    Raises:
        TrainerError: the folder is not whole.
    """
    card = read_card(checkpoint)
    check_weights(checkpoint, card)
    from textbookgen_transformers.backend.opening import model_at
    from textbookgen_transformers.serving.reading import CachedModel

    return BatchGenerator(CachedModel(model_at(checkpoint)), PromptCodec.at(checkpoint, card))


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    serve(lambda: partial(answer, open_writer(folder)))
