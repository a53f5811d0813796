"""Tokenizer files that transformers' `AutoTokenizer` opens: of trained tokenizers, and of the tokenizer `bytes`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from textbookgen.api.files import write_json, write_text
from textbookgen.api.tokenizer import END_OF_DOCUMENT


def write_tokenizer_files(
    out: Path, source: Path | None, eod: int, *, chat_template: str | None = None, max_length: int | None = None
) -> None:
    """Write `tokenizer.json` and `tokenizer_config.json`; the end-of-document token begins, ends and pads texts.

    Args:
        out: folder to write to.
        source: a `tokenizer.json`, copied byte for byte unless it is in `out`; None writes that of the tokenizer `bytes`.
        eod: id of the end-of-document token.
        chat_template: template of conversations, in the language of transformers.
        max_length: longest sequence of the model, in tokens; recorded only.
    """
    file = out / "tokenizer.json"
    if source is None:
        write_text(file, json.dumps(byte_tokenizer()))
    elif source != file:
        shutil.copyfile(source, file)
    end = _token(file, eod)
    config: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": end,
        "eos_token": end,
        "pad_token": end,
        "unk_token": end,
        "clean_up_tokenization_spaces": False,
    }
    if max_length is not None:
        config["model_max_length"] = max_length
    if chat_template is not None:
        config["chat_template"] = chat_template
    write_json(out / "tokenizer_config.json", config)


def _token(file: Path, token_id: int) -> str:
    """Return the token with an id, in a tokenizer.json."""
    content = json.loads(file.read_text(encoding="utf-8"))
    added = {token["id"]: token["content"] for token in content.get("added_tokens", [])}
    if token_id in added:
        return str(added[token_id])
    return next((token for token, index in content["model"]["vocab"].items() if index == token_id), END_OF_DOCUMENT)


def byte_tokenizer() -> dict[str, Any]:
    """Return the tokenizer.json of the tokenizer `bytes`: byte-level BPE without merges, ids 0 to 255, eod 256."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    vocabulary = {_byte_character(byte): byte for byte in range(256)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(END_OF_DOCUMENT, special=True)])
    content: dict[str, Any] = json.loads(tokenizer.to_str())
    return content


def _byte_character(byte: int) -> str:
    """Return the character for a byte in GPT-2's byte-to-unicode table: itself if printable, else one from U+0100 on."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    if byte in printable:
        return chr(byte)
    return chr(256 + [other for other in range(256) if other not in printable].index(byte))
