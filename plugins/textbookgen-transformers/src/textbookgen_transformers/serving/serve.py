"""The serving process: `python -m textbookgen_transformers.serving.serve FOLDER`, one JSON line asked, one answered."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textbookgen.errors import TextbookgenError
from textbookgen.plugins import Plugins
from textbookgen.serving import answer, serve
from textbookgen.trainer import read_card
from textbookgen_transformers.weights import check_weights

if TYPE_CHECKING:
    from textbookgen_transformers.serving.generation import Writer


def open_writer(checkpoint: Path) -> Writer:
    """The model of a folder, in float32, with the tokenizer its shards were packed with.

    Raises:
        TrainerError: the folder is not whole.
    """
    card = read_card(checkpoint)
    check_weights(checkpoint, card)
    import torch

    from textbookgen_transformers.backend.opening import model_at
    from textbookgen_transformers.serving.generation import Writer

    file = card["tokenizer"]["file"]
    tokenizer = Plugins([]).tokenizer(f"hf:{checkpoint / file}" if file else "bytes")
    model: Any = model_at(checkpoint)
    ends, stop = _ending(checkpoint, card["chat"]["template"]) if card.get("chat") else ((), ())
    return Writer(model.to("cuda" if torch.cuda.is_available() else "cpu"), tokenizer, card["eod"], ends, stop)


def _ending(checkpoint: Path, template: str) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """What the chat template writes after an answer, as one id, or else as text."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    said = [{"role": "user", "content": "?"}, {"role": "assistant", "content": "\ue000"}]
    written: Any = tokenizer.apply_chat_template(said, chat_template=template, tokenize=False)
    text = written.partition("\ue000")[2].strip()
    ids = tokenizer(text, add_special_tokens=False)["input_ids"] if text else []
    if len(ids) == 1:
        return (ids[0],), ()
    return (), (text,) if text else ()


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    try:
        serve(lambda: partial(answer, open_writer(folder)))
    except TextbookgenError as error:
        sys.exit(str(error))
