"""What a training process is given: job.json, the shards it names, and the checkpoint to start from."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

from filelock import FileLock, Timeout
from pydantic import BaseModel, ValidationError

from textbookgen.api.cards import CausalLMCard, CheckpointCard, TokenizerCard
from textbookgen.api.errors import TrainerError
from textbookgen.api.hashing import file_digest
from textbookgen.training.options import TrainOptions
from textbookgen.training.shards import PackedShards, check_same_tokenizer

#: Seconds to wait for another process that trains in the same folder.
_LOCK_TIMEOUT = 30

StageOptions = TypeVar("StageOptions", bound=BaseModel)
Options = TypeVar("Options", bound=TrainOptions)
CardType = TypeVar("CardType", bound=CausalLMCard)


@dataclass(frozen=True)
class JobInput:
    """A folder that the job reads, and the label of the stage that wrote it."""

    label: str
    path: Path


@dataclass(frozen=True)
class JobFile:
    """job.json, as the engine writes it; `inputs` by option, each in the recipe's order."""

    path: Path
    use: str
    options: Mapping[str, Any]
    inputs: Mapping[str, tuple[JobInput, ...]]
    seed: int
    folder: Path

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the file, without opening the folders it names.

        Raises:
            TrainerError: the file is missing, malformed or incomplete.
        """
        try:
            job = json.loads(path.read_text(encoding="utf-8"))
            inputs = {
                option: tuple(JobInput(item["label"], Path(item["path"])) for item in items)
                for option, items in job["inputs"].items()
            }
            return cls(path, job["use"], job["options"], inputs, int(job["seed"]), Path(job["folder"]))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            problem = f"the job file cannot be read: {type(error).__name__}: {error}"
            raise TrainerError(problem, place=str(path), hint="run the recipe again: the engine writes it") from None

    def first(self, option: str) -> JobInput | None:
        """Return the first input of an option; None if there is none."""
        return next(iter(self.inputs.get(option, ())), None)

    def parse_options(self, stages: Mapping[str, type[StageOptions]]) -> StageOptions:
        """Validate the options with the stage that the job uses.

        Args:
            stages: the stages of a trainer by their `use`.

        Raises:
            TrainerError: the trainer has no such stage, or the options are invalid.
        """
        if self.use not in stages:
            problem = f"this trainer has no stage {self.use!r}"
            raise TrainerError(problem, place=str(self.path), hint=f"available: {', '.join(stages)}")
        try:
            return stages[self.use].model_validate(self.options)
        except ValidationError as error:
            problem = f"invalid options for {self.use}: {error}"
            raise TrainerError(problem, place=str(self.path), hint="run the recipe again with this version") from None


@dataclass(frozen=True)
class ParentCheckpoint(Generic[CardType]):
    """The checkpoint a job starts from."""

    label: str
    folder: Path
    card: CardType

    @classmethod
    def read(cls, source: JobInput, card: type[CardType], formats: Collection[str], hint: str) -> Self:
        """Read the card of a checkpoint.

        Args:
            source: the checkpoint's folder.
            card: the class of the card.
            formats: the formats that the trainer can start from.
            hint: what to do about a checkpoint of another format.

        Raises:
            TrainerError: the card is missing or incomplete, or the format is not supported.
        """
        return cls(source.label, source.path, card.read(source.path, formats=formats, hint=hint))

    def check_tokenizer(self, tokenizer: TokenizerCard) -> None:
        """Raise TrainerError unless the checkpoint was trained with the tokenizer of the shards."""
        own = self.card.tokenizer
        if own.digest != tokenizer.digest:
            raise TrainerError(
                f"tokenizer mismatch: checkpoint {self.label!r} uses {own.name}, the shards use {tokenizer.name}",
                place="shards",
                hint="pack the shards with the tokenizer that the checkpoint was trained with",
            )


@dataclass(frozen=True)
class TrainingJob(Generic[Options, CardType]):
    """A training job: its options, shards by label, the checkpoint to start from, and the folder to write to."""

    options: Options
    use: str
    seed: int
    folder: Path
    blend: dict[str, PackedShards]
    parent: ParentCheckpoint[CardType] | None

    @classmethod
    def load(
        cls,
        path: Path,
        stages: Mapping[str, type[Options]],
        card: type[CardType],
        formats: Collection[str],
        hint: str,
    ) -> Self:
        """Read job.json, its shards and its checkpoint's card.

        Args:
            path: job.json.
            stages: the stages of the trainer by their `use`.
            card: the class of the card of checkpoints to start from.
            formats: the formats of checkpoints to start from.
            hint: what to do about a checkpoint of another format.

        Raises:
            TrainerError: something is missing or invalid, or the parts do not fit together.
        """
        file = JobFile.read(path)
        options = file.parse_options(stages)
        blend = {source.label: PackedShards.read(source.path) for source in file.inputs["shards"]}
        check_same_tokenizer(blend)
        parent = None
        if source := file.first("checkpoint"):
            parent = ParentCheckpoint.read(source, card, formats, hint)
            parent.check_tokenizer(next(iter(blend.values())).tokenizer)
        return cls(options, file.use, (file.seed + options.seed) % 2**32, file.folder, blend, parent)

    @property
    def shards(self) -> PackedShards:
        """The first shards of the blend, which share tokenizer and sequence length with the others."""
        return next(iter(self.blend.values()))

    @property
    def train_tokens(self) -> int:
        """Tokens in the training splits of all shards."""
        return sum(shards.counts("train").tokens for shards in self.blend.values())

    @property
    def required_parent(self) -> ParentCheckpoint[CardType]:
        """The checkpoint to start from, for stages that need one.

        Raises:
            TrainerError: the job names none.
        """
        if self.parent is None:
            raise TrainerError(f"{self.use} needs a checkpoint to start from", place="checkpoint", hint="name a stage above")
        return self.parent

    def check_no_pairs(self) -> None:
        """Raise TrainerError if shards hold preference pairs, which only preference training takes."""
        for label, shards in self.blend.items():
            if shards.content == "Pairs":
                hint = f"train on pairs with {self.use.partition('/')[0]}/dpo"
                raise TrainerError(f"the shards {label!r} hold pairs", place="shards", hint=hint)

    def check_held_out(self) -> None:
        """Raise TrainerError if `validate_every` is set but no shards have held-out data."""
        if self.options.validate_every and not any(shards.counts("valid").loss_tokens for shards in self.blend.values()):
            raise TrainerError(
                "no held-out data to evaluate on",
                place="validate_every",
                hint="pack with a validation_share above 0 and enough documents for at least one to be held out",
            )


@contextmanager
def job_lock(folder: Path) -> Iterator[None]:
    """Hold the lock of a job's folder, so that no two processes train in it.

    Raises:
        TrainerError: another process holds it.
    """
    try:
        with FileLock(folder / "lock", timeout=_LOCK_TIMEOUT):
            yield
    except Timeout:
        raise TrainerError(
            "another process is training in this folder", place=str(folder), hint="wait until it ends, or stop it"
        ) from None


def check_weights(folder: Path, card: CheckpointCard) -> Path:
    """Return the file of weights that a card names, after comparing its sha256 with the card's, if that has one.

    Raises:
        TrainerError: the file is missing, not named, or changed.
    """
    if card.weights is None:
        raise TrainerError(f"{card.file_name} names no file of `weights`", place=str(folder), hint="train it again")
    path, hint = folder / card.weights, "remove the checkpoint's folder and run the recipe again to train it again"
    if not path.is_file():
        raise TrainerError(f"there is no {path.name}", place=str(folder), hint=hint)
    if card.weights_digest is not None and file_digest(path) != card.weights_digest:
        problem = "the weights do not match the digest in the card: the file is incomplete, corrupt or was changed"
        raise TrainerError(problem, place=str(path), hint=hint)
    return path
