"""The process that converts models: `python -m textbookgen_megatron.exchange.convert job.json`."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from textbookgen import TextbookgenError, TrainerError
from textbookgen.training.job import Flow, JobFile, read_card, write_card
from textbookgen.training.shards import PackedShards
from textbookgen_megatron.exchange import quantize
from textbookgen_megatron.exchange.configs import config_of
from textbookgen_megatron.exchange.reader import chat_template, end_of_document, read_model
from textbookgen_megatron.exchange.tokenizers import write_tokenizer
from textbookgen_megatron.exchange.weight_files import SINGLE, getter, write_weights
from textbookgen_megatron.exchange.weight_names import to_transformers
from textbookgen_megatron.job import read_parent
from textbookgen_megatron.stages.export import Export
from textbookgen_megatron.stages.import_ import Import
from textbookgen_megatron.torch_model import Network

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def export(options: Export, checkpoint: Flow, out: Path, shards: Flow | None = None) -> None:
    """Writes the folder, its card last."""
    parent = read_parent(checkpoint)
    parent.check_weights()
    out.mkdir(parents=True, exist_ok=True)
    config = config_of(parent.shape, parent.card["eod"], options.dtype)
    get, close = getter(parent.folder, parent.card["weights"])
    with close:
        write_weights(to_transformers(get, parent.shape), DTYPES[options.dtype], out)
        rounding = None
        if options.quantise != "none":
            bits = {"int8": 8, "int4": 4}[options.quantise]
            size = quantize.write(to_transformers(get, parent.shape), bits, options.group, out)
            rounding = {"bits": bits, "group": options.group, "bytes": size, **_cost(options, bits, parent.folder, shards)}
    _write_json(out / "config.json", config)
    eod = parent.card["eod"]
    _write_json(out / "generation_config.json", {"bos_token_id": eod, "eos_token_id": eod, "pad_token_id": eod})
    write_tokenizer(parent.card, parent.folder, out)
    write_card(
        out,
        {
            **parent.card,
            "format": "transformers",
            "use": "megatron/export",
            "transformers": config["architectures"][0],
            "dtype": options.dtype,
            "quantised": rounding,
            "weights": SINGLE if (out / SINGLE).is_file() else None,
            "weights_digest": _digest(out / SINGLE) if (out / SINGLE).is_file() else None,
            "step": 0,
            "tokens": 0,
            "tokens_total": parent.card["tokens_total"],
            "parent": {"label": parent.label, "weights_digest": parent.card["weights_digest"]},
        },
    )


def _cost(options: Export, bits: int, folder: Path, shards: Flow | None) -> dict[str, Any]:
    """Bits per byte and perplexity of held-out documents, with the weights as they are and as they are rounded."""
    packed = None if shards is None else PackedShards.read(shards.path)
    if packed is None or not packed.counts("valid").tokens or packed.content == "Pairs":
        raise TrainerError(
            "there is no held-out text to measure the cost of rounding on",
            place="shards",
            hint="name shards of documents or chats, packed with a validation_share",
        )
    exact, told = Network.load(folder), {}
    for name, network in (("exact", exact), ("rounded", quantize.approximate(exact, bits, options.group))):
        nats, tokens = quantize.measured(network, packed, options.validation_tokens)
        told[name] = quantize.figures(nats, tokens, packed.counts("valid").bytes_per_token)
    return told


def import_model(options: Import, out: Path, checkpoint: Flow | None = None) -> None:
    """Reads the folder, or that of a checkpoint, and writes a checkpoint of this plugin's, its card last."""
    folder = Path(str(options.folder)) if checkpoint is None else checkpoint.path
    card = {} if checkpoint is None else read_card(folder)
    shape, weights = read_model(folder, options.sequence_length)
    out.mkdir(parents=True, exist_ok=True)
    save_file(weights, out / f"{SINGLE}.tmp")
    (out / f"{SINGLE}.tmp").replace(out / SINGLE)
    tokenizer = card.get("tokenizer") or _tokenizer(folder)
    if tokenizer["file"]:
        shutil.copyfile(folder / tokenizer["file"], out / tokenizer["file"])
    write_card(
        out,
        {
            "format": "megatron",
            "use": "megatron/import",
            "architecture": shape.architecture,
            "shape": shape.card(),
            "parameters": shape.parameters(),
            "parameters_with_padding": shape.parameters(padding=True),
            "step": 0,
            "tokens": 0,
            "tokens_total": 0,
            "loss": None,
            "bits_per_byte": None,
            "tokenizer": tokenizer,
            "eod": card["eod"] if card else end_of_document(folder),
            "chat": card.get("chat") if card else chat_template(folder),
            "weights": SINGLE,
            "weights_digest": _digest(out / SINGLE),
            "parent": checkpoint and {"label": checkpoint.label, "weights_digest": card.get("weights_digest")},
            "folder": str(folder),
            "precision": "fp32",
        },
    )


def _tokenizer(folder: Path) -> dict[str, Any]:
    file = folder / "tokenizer.json"
    if not file.is_file():
        raise TrainerError(
            "there is no tokenizer.json",
            place=str(folder),
            hint="write one: AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)",
        )
    return {"name": f"hf:{file}", "digest": _digest(file), "file": "tokenizer.json"}


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main(path: Path) -> int:
    """Works a job; what is wrong is told on standard error, in words."""
    told = JobFile.read(path)
    try:
        if told.use.endswith("/export"):
            shards = next(iter(told.inputs.get("shards", ())), None)
            export(Export.model_validate(told.given), told.inputs["checkpoint"][0], told.folder, shards)
        else:
            import_model(Import.model_validate(told.given), told.folder, next(iter(told.inputs.get("checkpoint", ())), None))
    except TextbookgenError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[-1])))
