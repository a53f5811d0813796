"""Tokenizer files in the format of transformers, also for the byte tokenizer."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from textbookgen.api.cards import CausalLMCard
from textbookgen.api.files import write_json, write_text

#: The end-of-document token of tokenizers trained by this project and of the byte tokenizer.
END_OF_DOCUMENT = "<|endoftext|>"


def write_tokenizer(card: CausalLMCard, source: Path, out: Path) -> None:
    """Write tokenizer.json and tokenizer_config.json, for AutoTokenizer; the eod is the bos, eos, pad and unk token.

    Args:
        card: Card of the checkpoint.
        source: Folder of the checkpoint.
        out: Folder to write to.
    """
    if card.tokenizer.file:
        shutil.copyfile(source / card.tokenizer.file, out / "tokenizer.json")
    else:
        write_text(out / "tokenizer.json", json.dumps(byte_tokenizer()))
    eod = _token(out / "tokenizer.json", card.eod)
    config: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": eod,
        "eos_token": eod,
        "pad_token": eod,
        "unk_token": eod,
        "model_max_length": card.shape["sequence_length"],
        "clean_up_tokenization_spaces": False,
    }
    if card.chat is not None:
        config["chat_template"] = card.chat.template
    write_json(out / "tokenizer_config.json", config)


def _token(file: Path, token_id: int) -> str:
    """Return the token with an id, in a tokenizer.json."""
    content = json.loads(file.read_text(encoding="utf-8"))
    added = {token["id"]: token["content"] for token in content.get("added_tokens", [])}
    if token_id in added:
        return str(added[token_id])
    return next((token for token, index in content["model"]["vocab"].items() if index == token_id), END_OF_DOCUMENT)


def byte_tokenizer() -> dict[str, Any]:
    """Return the tokenizer.json of the byte tokenizer: byte-level BPE without merges, ids 0 to 255, eod 256."""
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
