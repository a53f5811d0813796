"""The serving process: `python -m textbookgen_transformers.serving.server FOLDER` answers JSON lines on standard input."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from textbookgen.api.cards import CausalLMCard
from textbookgen.training.generation import BatchGenerator
from textbookgen.training.model_server import handle_request, serve
from textbookgen.training.prompt_codec import PromptCodec
from textbookgen_transformers.weight_files import check_weight_files


def open_generator(checkpoint: Path) -> BatchGenerator:
    """Open the model of a checkpoint, in float32, for generation.

    Raises:
        TrainerError: the folder is incomplete or corrupt.
    """
    card = CausalLMCard.read(checkpoint)
    check_weight_files(checkpoint, card)
    from textbookgen_transformers.backend.loading import load_model
    from textbookgen_transformers.serving.decode_state import CachedModel

    codec = PromptCodec.load(checkpoint, card.tokenizer.file, card.eod, card.chat)
    return BatchGenerator(CachedModel(load_model(checkpoint)), codec)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    serve(lambda: partial(handle_request, open_generator(folder)))
