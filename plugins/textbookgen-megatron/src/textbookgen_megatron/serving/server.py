"""The serving process: `python -m textbookgen_megatron.serving.server FOLDER` answers JSON lines on standard input."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from textbookgen import Checkpoint
from textbookgen.api.cards import CausalLMCard, TokenizerCard
from textbookgen.training.generation import BatchGenerator
from textbookgen.training.model_server import handle_request, serve
from textbookgen.training.prompt_codec import PromptCodec


def open_generator(checkpoint: Path) -> BatchGenerator:
    """Open the model of a checkpoint of this plugin, or of a folder in the format of transformers, for generation.

    Raises:
        TrainerError: The folder is incomplete, or its model is not supported.
    """
    from textbookgen_megatron.serving.decoding import CachedModel
    from textbookgen_megatron.serving.loading import load_model

    card = _card(checkpoint)
    codec = PromptCodec.load(checkpoint, card.tokenizer.file, card.eod, card.chat)
    return BatchGenerator(CachedModel(load_model(checkpoint)), codec)


def _card(checkpoint: Path) -> CausalLMCard:
    """Return the card of a checkpoint; for a folder without one, what its files say of tokenizer and chat template."""
    if (checkpoint / Checkpoint.card_name).is_file():
        return CausalLMCard.read(checkpoint)
    from textbookgen_megatron.exchange.reader import chat_template, end_of_document

    return CausalLMCard(
        format="transformers",
        tokenizer=TokenizerCard(name="tokenizer.json", digest="", file="tokenizer.json"),
        eod=end_of_document(checkpoint),
        chat=chat_template(checkpoint),
    )


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    serve(lambda: partial(handle_request, open_generator(folder)))
