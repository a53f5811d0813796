"""The serving process: `python -m textbookgen_transformers.serving.serve FOLDER`, one JSON line asked, one answered."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from textbookgen.generation import Writer
from textbookgen.serving import answer, serve
from textbookgen.talk import Talk
from textbookgen.trainer import read_card
from textbookgen_transformers.weights import check_weights


def open_writer(checkpoint: Path) -> Writer:
    """The model of a folder, in float32, and how it is talked to: by the tokenizer and the chat template of its shards.

    Raises:
        TrainerError: the folder is not whole.
    """
    card = read_card(checkpoint)
    check_weights(checkpoint, card)
    from textbookgen_transformers.backend.opening import model_at
    from textbookgen_transformers.serving.reading import CachedModel

    return Writer(CachedModel(model_at(checkpoint)), Talk.at(checkpoint, card))


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    serve(lambda: partial(answer, open_writer(folder)))
