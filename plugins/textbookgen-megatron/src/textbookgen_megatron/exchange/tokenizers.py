"""The tokenizer beside a model in transformers' format, that of bytes included."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

END = "<|endoftext|>"


def write_tokenizer(card: dict[str, Any], source: Path, out: Path) -> None:
    """`tokenizer.json` and `tokenizer_config.json`, for transformers' AutoTokenizer; a document is read from its end token."""
    tokenizer = card["tokenizer"]
    if tokenizer["file"]:
        shutil.copyfile(source / tokenizer["file"], out / "tokenizer.json")
    else:
        (out / "tokenizer.json").write_text(json.dumps(_of_bytes()), encoding="utf-8")
    end = _token(out / "tokenizer.json", card["eod"])
    config: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": end,
        "eos_token": end,
        "pad_token": end,
        "unk_token": end,
        "model_max_length": card["shape"]["sequence_length"],
        "clean_up_tokenization_spaces": False,
    }
    if card.get("chat"):
        config["chat_template"] = card["chat"]["template"]
    (out / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def _token(file: Path, number: int) -> str:
    """The token of this id."""
    described = json.loads(file.read_text(encoding="utf-8"))
    added = {token["id"]: token["content"] for token in described.get("added_tokens", [])}
    if number in added:
        return str(added[number])
    return next((token for token, index in described["model"]["vocab"].items() if index == number), END)


def _of_bytes() -> dict[str, Any]:
    """A tokenizer of one id a byte, in the words of the `tokenizers` library: BPE that never merges."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    vocabulary = {_visible(byte): byte for byte in range(256)}
    opened = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    opened.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    opened.decoder = decoders.ByteLevel()
    opened.add_special_tokens([AddedToken(END, special=True)])
    described: dict[str, Any] = json.loads(opened.to_str())
    return described


def _visible(byte: int) -> str:
    """The character that stands for a byte in GPT-2's alphabet: itself if it prints, else one above 255, in order."""
    printed = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    if byte in printed:
        return chr(byte)
    return chr(256 + [item for item in range(256) if item not in printed].index(byte))
