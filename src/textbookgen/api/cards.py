"""Cards: the JSON file that a folder of shards or a checkpoint describes itself with, as typed frozen classes.

Each class has one reader (`read`) and one writer (`write`). A card is written last, so a folder without it is incomplete.
Keys that a class does not know, such as those of other trainers, are kept: they are read into `model_extra` and written back.
Keys that were never set are not written.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from textbookgen.api.artifacts import Checkpoint, Shards
from textbookgen.api.errors import TrainerError
from textbookgen.api.files import write_text


class TokenizerCard(BaseModel):
    """Which tokenizer made the token ids."""

    model_config = ConfigDict(frozen=True, extra="allow")

    #: As the recipe named it, such as `hf:tokenizer.json` or `bytes`.
    name: str
    #: Digest of the tokenizer: equal digests mean equal ids.
    digest: str
    #: The tokenizer's file in the card's folder; None for the tokenizer `bytes`, which needs none.
    file: str | None = None


class ChatTemplateCard(BaseModel):
    """The chat template that conversations were written with, in the template language of transformers."""

    model_config = ConfigDict(frozen=True, extra="allow")

    name: str
    template: str


class ParentCard(BaseModel):
    """The checkpoint that training, export or import started from."""

    model_config = ConfigDict(frozen=True, extra="allow")

    #: Label of the stage that wrote it.
    label: str
    weights_digest: str | None = None


@dataclass(frozen=True)
class SplitCounts:
    """Size of a split.

    Attributes:
        documents: number of documents, as in the token files.
        tokens: number of tokens, end-of-document tokens included.
        bytes: UTF-8 bytes of text.
        loss_tokens: tokens that the loss is computed on; all without a loss mask.
        loss_bytes: bytes of text of these tokens.
    """

    documents: int = 0
    tokens: int = 0
    bytes: int = 0
    loss_tokens: int = 0
    loss_bytes: int = 0

    @property
    def bytes_per_token(self) -> float:
        """Bytes of text per token, over what the loss is computed on: converts nats per token into bits per byte."""
        return self.loss_bytes / self.loss_tokens if self.loss_tokens else 0.0


class Card(BaseModel):
    """What every card has: a format, one reader and one writer."""

    model_config = ConfigDict(frozen=True, extra="allow")

    #: Name of the card's file in its folder.
    file_name: ClassVar[str]
    #: What to do if the file is missing.
    missing_hint: ClassVar[str]

    #: The layout of the folder, such as `megatron`, `transformers` or `jsonl`.
    format: str

    @classmethod
    def read(cls, folder: Path, *, formats: Collection[str] | None = None, hint: str = "") -> Self:
        """Read the card of a folder.

        Args:
            folder: the folder of a checkpoint or of shards.
            formats: the formats that the caller supports; any unless given.
            hint: what to do if the folder has another format.

        Raises:
            TrainerError: the card is missing, malformed or incomplete, or the format is not supported.
        """
        path = folder / cls.file_name
        if not path.is_file():
            raise TrainerError(f"there is no {cls.file_name}", place=str(folder), hint=cls.missing_hint)
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
            if formats is not None and isinstance(value, dict) and value.get("format") not in formats:
                raise TrainerError(f"unsupported format {value.get('format')!r}", place=str(path), hint=hint)
            return cls.model_validate(value)
        except ValidationError as error:
            problem = f"{cls.file_name} is incomplete or invalid: {_problems(error)}"
        except ValueError as error:
            problem = f"{cls.file_name} cannot be read: {error}"
        raise TrainerError(problem, place=str(path), hint="remove the folder and run the recipe again")

    def write(self, folder: Path) -> None:
        """Write the card atomically and flush it to the device; call this last, since it marks the folder as complete."""
        write_text(folder / self.file_name, self.model_dump_json(indent=2, exclude_unset=True) + "\n", sync=True)


def _problems(error: ValidationError) -> str:
    return "; ".join(f"`{'.'.join(map(str, item['loc']))}`: {item['msg']}" for item in error.errors()[:4])


class CheckpointCard(Card):
    """`checkpoint.json`: what any trainer says of a checkpoint; only `format` is required."""

    file_name: ClassVar[str] = Checkpoint.card_name
    missing_hint: ClassVar[str] = "train the model first: run the recipe again"

    #: The stage that wrote it, as recipes name it.
    use: str | None = None
    #: Architecture by our name (`phi`, `llama`, ...), and the model class in transformers.
    architecture: str | None = None
    transformers: str | None = None
    #: Sizes of the model by name: layers, hidden, heads, kv_heads, vocabulary, sequence_length and others.
    shape: dict[str, Any] = {}
    #: Parameters, without and with the rows that pad the embedding table.
    parameters: int | None = None
    parameters_with_padding: int | None = None
    #: Optimizer steps taken and planned, and the step whose weights were kept.
    step: int = 0
    steps: int | None = None
    kept_step: int | None = None
    #: Tokens seen in this job, and in this job and all its parents.
    tokens: int = 0
    tokens_total: int = 0
    #: Passes over the training data.
    epochs: float | None = None
    #: Training loss of the last step, in nats per token.
    loss: float | None = None
    #: Loss (nats per token) and bits per byte on held-out data after training, and bits per byte before the first step.
    validation_loss: float | None = None
    bits_per_byte: float | None = None
    bits_per_byte_before: float | None = None
    #: Further held-out metrics by name.
    validation: dict[str, float] = {}
    tokenizer: TokenizerCard | None = None
    #: Id of the end-of-document token.
    eod: int | None = None
    chat: ChatTemplateCard | None = None
    #: The file of weights, if there is a single one, and the sha256 of the weights.
    weights: str | None = None
    weights_digest: str | None = None
    parent: ParentCard | None = None
    #: The folder that an imported model was read from.
    folder: str | None = None
    #: Precision of training; dtype and quantization of exported weights.
    precision: str | None = None
    dtype: str | None = None
    quantized: dict[str, Any] | None = None
    #: Bytes per process of weights, gradients and optimizer state, and the peak memory of a process in MiB.
    memory: dict[str, int] | None = None
    peak_mib: float = 0.0
    #: Wall-clock seconds of training, earlier attempts included, and the mean rate.
    seconds: float | None = None
    tokens_per_second: float | None = None


class CausalLMCard(CheckpointCard):
    """The card of a checkpoint that can be trained further and prompted by token ids: it names its tokenizer and eod."""

    tokenizer: TokenizerCard
    eod: int


class ShardManifest(Card):
    """`manifest.json`: what any stage that packs or exports says of its shards; only `format` is required."""

    file_name: ClassVar[str] = Shards.card_name
    missing_hint: ClassVar[str] = "pack the data first: run the recipe again"

    #: Documents written; a pair has two, its replies.
    documents: int = 0
    #: Rows of the corpus that were written, and those that were not, by reason; None if every row is a document.
    rows: int | None = None
    left_out: dict[str, int] = {}
    #: None if the shards are not tokenized.
    tokens: int | None = None
    #: Bytes of text.
    bytes: int | None = None
    tokenizer: TokenizerCard | None = None
    #: Number of token ids of the tokenizer, and the id that ends a document.
    vocabulary: int | None = None
    eod: int | None = None


class TokenShardManifest(ShardManifest):
    """The manifest that `pack` writes beside `.bin` and `.idx` files of token ids."""

    tokenizer: TokenizerCard
    vocabulary: int
    eod: int
    #: `vocabulary` rounded up, as the rows of an embedding table.
    padded_vocabulary: int
    #: What was packed.
    content: Literal["Documents", "Chats", "Pairs"] = "Documents"
    #: The template that chats or pairs were written with.
    chat: ChatTemplateCard | None = None
    #: dtype of the token files.
    dtype: Literal["uint16", "int32"]
    #: Tokens in a training window.
    sequence_length: int
    #: Whether `.mask` files say which tokens the loss is computed on.
    loss_mask: bool
    #: Share of documents held out, and the seed that chose them.
    validation_share: float = 0.0
    seed: int = 0
    train: SplitCounts
    valid: SplitCounts


class ExportedFile(BaseModel):
    """One file of an exported corpus."""

    model_config = ConfigDict(frozen=True, extra="allow")

    name: str
    split: Literal["train", "validation"]
    documents: int
    bytes: int
    tokens: int | None = None


class ExportManifest(ShardManifest):
    """The manifest that `export` writes beside the files of a corpus."""

    validation_documents: int = 0
    files: tuple[ExportedFile, ...] = ()
    #: sha256 of each file, by name.
    digests: dict[str, str] = {}
