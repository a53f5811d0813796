"""The tokenizer of shards as transformers' tokenizer, the tokenizer `bytes` included."""

# transformers' types are partial
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from textbookgen.api.cards import ChatTemplateCard
from textbookgen.api.tokenizer import END_OF_DOCUMENT
from textbookgen.training.shards import PackedShards
from textbookgen.training.tokenizer_files import byte_tokenizer


def load_tokenizer(shards: PackedShards, length: int, chat: ChatTemplateCard | None) -> PreTrainedTokenizerFast:
    """Return the tokenizer of shards; its end-of-document token begins, ends and pads documents.

    Args:
        shards: the shards.
        length: the maximum length of a sequence, which is only recorded.
        chat: the chat template, if there is one.
    """
    file = shards.tokenizer.file
    backend = Tokenizer.from_file(str(shards.folder / file)) if file else Tokenizer.from_str(json.dumps(byte_tokenizer()))
    backend.no_truncation()
    backend.no_padding()
    end = backend.id_to_token(shards.eod) or END_OF_DOCUMENT
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=end,
        eos_token=end,
        pad_token=end,
        model_max_length=length,
        clean_up_tokenization_spaces=False,
    )
    if chat:
        tokenizer.chat_template = chat.template
    return tokenizer


def write_tokenizer(tokenizer: PreTrainedTokenizerFast, shards: PackedShards, folder: Path) -> None:
    """Write `tokenizer.json`, byte for byte that of the shards if they have one, and `tokenizer_config.json`."""
    file = shards.tokenizer.file
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        tokenizer.save_pretrained(temporary)
        if file:
            (Path(temporary) / "tokenizer.json").write_bytes((shards.folder / file).read_bytes())
        path = Path(temporary) / "tokenizer_config.json"
        config = {name: value for name, value in json.loads(path.read_text(encoding="utf-8")).items() if name != "is_local"}
        path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        for written in Path(temporary).iterdir():
            written.replace(folder / written.name)
