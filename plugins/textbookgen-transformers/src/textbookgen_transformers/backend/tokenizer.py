"""The tokenizer of shards as transformers opens it, that of bytes included."""

# transformers' types are partial
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast
from transformers.convert_slow_tokenizer import bytes_to_unicode

from textbookgen.training.shards import PackedShards

END = "<|endoftext|>"


def tokenizer_of(shards: PackedShards, length: int, chat: str | None) -> PreTrainedTokenizerFast:
    """The shards' tokenizer; documents begin and end with its end of document, which fills what is empty too."""
    file = shards.tokenizer["file"]
    opened = Tokenizer.from_file(str(shards.folder / file)) if file else _of_bytes()
    opened.no_truncation()
    opened.no_padding()
    end = opened.id_to_token(shards.eod) or END
    result = PreTrainedTokenizerFast(
        tokenizer_object=opened,
        bos_token=end,
        eos_token=end,
        pad_token=end,
        model_max_length=length,
        clean_up_tokenization_spaces=False,
    )
    if chat:
        result.chat_template = chat
    return result


def write_tokenizer(tokenizer: PreTrainedTokenizerFast, shards: PackedShards, folder: Path) -> None:
    """`tokenizer.json`, to the letter that of the shards where they have one, and `tokenizer_config.json`."""
    file = shards.tokenizer["file"]
    with tempfile.TemporaryDirectory(dir=folder) as beside:
        tokenizer.save_pretrained(beside)
        if file:
            (Path(beside) / "tokenizer.json").write_bytes((shards.folder / file).read_bytes())
        config = Path(beside) / "tokenizer_config.json"
        told = {name: value for name, value in json.loads(config.read_text(encoding="utf-8")).items() if name != "is_local"}
        config.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
        for path in Path(beside).iterdir():
            path.replace(folder / path.name)


def _of_bytes() -> Tokenizer:
    """One id a byte, in the words of the `tokenizers` library: BPE that never merges."""
    opened = Tokenizer(models.BPE(vocab={char: byte for byte, char in bytes_to_unicode().items()}, merges=[]))
    opened.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    opened.decoder = decoders.ByteLevel()
    opened.add_special_tokens([AddedToken(END, special=True)])
    return opened
