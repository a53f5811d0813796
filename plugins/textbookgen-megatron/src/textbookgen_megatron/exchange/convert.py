"""The conversion process: `python -m textbookgen_megatron.exchange.convert job.json` runs an export or import."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from textbookgen import TextbookgenError, TrainerError
from textbookgen.api.cards import CausalLMCard, ParentCard, TokenizerCard
from textbookgen.api.files import atomic_path, write_json
from textbookgen.api.hashing import file_digest
from textbookgen.training.job import JobFile, JobInput, ParentCheckpoint, check_weights
from textbookgen.training.prompt_codec import PromptCodec
from textbookgen.training.shards import PackedShards
from textbookgen.training.tokenizer_files import write_tokenizer_files
from textbookgen_megatron.exchange import quantize
from textbookgen_megatron.exchange.configs import shape_to_config
from textbookgen_megatron.exchange.reader import chat_template, end_of_document, read_model
from textbookgen_megatron.exchange.weight_files import SAFETENSORS, open_safetensors, write_weights
from textbookgen_megatron.exchange.weight_names import to_transformers
from textbookgen_megatron.shape import Shape
from textbookgen_megatron.stages.conversion import Conversion
from textbookgen_megatron.stages.export import Export
from textbookgen_megatron.stages.import_ import Import
from textbookgen_megatron.torch_model import TorchModel

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
BITS = {"int8": 8, "int4": 4}
STAGES: dict[str, type[Conversion]] = {"megatron/export": Export, "megatron/import": Import}


def export_model(options: Export, checkpoint: JobInput, out: Path, shards: JobInput | None = None) -> None:
    """Write a checkpoint of this plugin in the format of transformers.

    Args:
        options: Options of the stage.
        checkpoint: The checkpoint to export.
        out: Folder to write to; its card is written last.
        shards: Shards to measure the loss of quality on, with `quantize`.

    Raises:
        TrainerError: The checkpoint is incomplete, transformers has no such model, or the shards hold out nothing.
    """
    parent = ParentCheckpoint.read(
        checkpoint, CausalLMCard, ("megatron",), "only checkpoints of megatron stages can be exported"
    )
    card, shape = parent.card, Shape.from_card(parent.card)
    config = shape_to_config(shape, card.eod, options.dtype)
    out.mkdir(parents=True, exist_ok=True)
    weights, quantized = check_weights(parent.folder, card), None
    with open_safetensors(weights) as get_tensor:
        write_weights(to_transformers(get_tensor, shape), DTYPES[options.dtype], out)
        if options.quantize != "none":
            bits = BITS[options.quantize]
            size = quantize.write(to_transformers(get_tensor, shape), bits, options.group_size, out)
            quality = _quality(TorchModel(shape, load_file(weights)), options, bits, shards)
            quantized = {"bits": bits, "group_size": options.group_size, "bytes": size, **quality}
    write_json(out / "config.json", config)
    write_tokenizer_files(
        out,
        parent.folder / card.tokenizer.file if card.tokenizer.file else None,
        card.eod,
        chat_template=card.chat.template if card.chat else None,
        max_length=card.shape["sequence_length"],
    )
    end_ids = PromptCodec.load(out, "tokenizer.json", card.eod, card.chat).generation_end_ids
    write_json(out / "generation_config.json", {"bos_token_id": card.eod, "eos_token_id": end_ids, "pad_token_id": card.eod})
    is_single_file = (out / SAFETENSORS).is_file()
    changes = {
        "format": "transformers",
        "use": "megatron/export",
        "transformers": config["architectures"][0],
        "dtype": options.dtype,
        "quantized": quantized,
        "weights": SAFETENSORS if is_single_file else None,
        "weights_digest": file_digest(out / SAFETENSORS) if is_single_file else None,
        "step": 0,
        "tokens": 0,
        "parent": ParentCard(label=parent.label, weights_digest=card.weights_digest),
    }
    card.model_copy(update=changes).write(out)


def _quality(model: TorchModel, options: Export, bits: int, shards: JobInput | None) -> dict[str, Any]:
    """Return bits per byte and perplexity on held-out documents, of the model as it is (`exact`) and `quantized`."""
    packed = None if shards is None else PackedShards.read(shards.path)
    if packed is None or not packed.counts("valid").tokens or packed.content == "Pairs":
        raise TrainerError(
            "no held-out text to measure the loss of quality on",
            place="shards",
            hint="name shards of documents or chats, packed with a validation_share above 0",
        )
    quantized = quantize.round_trip(model, bits, options.group_size)
    return {
        "exact": quantize.evaluate(model, packed, options.validation_tokens),
        "quantized": quantize.evaluate(quantized, packed, options.validation_tokens),
    }


def import_model(options: Import, out: Path, checkpoint: JobInput | None = None) -> None:
    """Write a model in the format of transformers as a checkpoint of this plugin.

    Args:
        options: Options of the stage.
        out: Folder to write to; its card is written last.
        checkpoint: The checkpoint to import; None for the folder in the options.

    Raises:
        TrainerError: A file is missing or invalid, or the model is not supported.
    """
    folder = Path(str(options.folder)) if checkpoint is None else checkpoint.path
    source = None if checkpoint is None else CausalLMCard.read(folder)
    shape, weights = read_model(folder, options.sequence_length)
    tokenizer = _tokenizer_card(folder) if source is None else source.tokenizer
    out.mkdir(parents=True, exist_ok=True)
    with atomic_path(out / SAFETENSORS) as path:
        save_file(weights, path)
    if tokenizer.file:
        shutil.copyfile(folder / tokenizer.file, out / tokenizer.file)
    parent = None
    if checkpoint is not None and source is not None:
        parent = ParentCard(label=checkpoint.label, weights_digest=source.weights_digest)
    CausalLMCard(
        format="megatron",
        use="megatron/import",
        architecture=shape.architecture,
        shape=shape.card(),
        parameters=shape.parameters(),
        parameters_with_padding=shape.parameters(padding=True),
        step=0,
        tokens=0,
        tokens_total=0,
        tokenizer=tokenizer,
        eod=end_of_document(folder) if source is None else source.eod,
        chat=chat_template(folder) if source is None else source.chat,
        weights=SAFETENSORS,
        weights_digest=file_digest(out / SAFETENSORS),
        parent=parent,
        folder=str(folder),
        precision="fp32",
    ).write(out)


def _tokenizer_card(folder: Path) -> TokenizerCard:
    file = folder / "tokenizer.json"
    if not file.is_file():
        raise TrainerError(
            "there is no tokenizer.json",
            place=str(folder),
            hint="create it: AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)",
        )
    return TokenizerCard(name=f"hf:{file}", digest=file_digest(file), file="tokenizer.json")


def main(path: Path) -> int:
    """Run the job of a job.json and return the exit code; errors are printed to stderr."""
    try:
        job = JobFile.read(path)
        options = job.parse_options(STAGES)
        if isinstance(options, Export):
            export_model(options, job.inputs["checkpoint"][0], job.folder, job.first("shards"))
        elif isinstance(options, Import):
            import_model(options, job.folder, job.first("checkpoint"))
    except TextbookgenError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[-1])))
