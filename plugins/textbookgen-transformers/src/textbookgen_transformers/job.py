"""What a training process is told, by job.json and by the checkpoint it starts from; and what it tells, by metrics.jsonl."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from textbookgen.errors import TrainerError
from textbookgen_transformers.preference import Dpo
from textbookgen_transformers.training import Pretrain, Sft, Training

if TYPE_CHECKING:
    from textbookgen_transformers.shards import PackedShards

STAGES: dict[str, type[Training]] = {f"transformers/{stage.name}": stage for stage in (Pretrain, Sft, Dpo)}

#: What this plugin writes, and what others export in the format of transformers: both can be opened and trained on.
FORMAT = "transformers/trainer"
FORMATS = (FORMAT, "transformers")


@dataclass(frozen=True)
class Parent:
    """The checkpoint a job starts from."""

    label: str
    folder: Path
    card: dict[str, Any]


@dataclass(frozen=True)
class TrainingJob:
    """A job: its options, what flows in, and the folder it works in."""

    options: Training
    use: str
    seed: int
    folder: Path
    blend: dict[str, PackedShards]
    parent: Parent | None

    @property
    def shards(self) -> PackedShards:
        """The shards; of several, the first, which says what tokenizer and windows all have."""
        return next(iter(self.blend.values()))

    @classmethod
    def read(cls, path: Path) -> TrainingJob:
        """Reads job.json and all it names.

        Raises:
            TrainerError: something it names is missing, or does not fit together.
        """
        from textbookgen_transformers.shards import PackedShards

        told = json.loads(path.read_text(encoding="utf-8"))
        try:
            options = STAGES[told["use"]].model_validate(told["options"])
        except ValidationError as error:
            raise TrainerError(f"the options are not those of {told['use']}: {error}", place=str(path)) from None
        blend = {pipe["label"]: PackedShards.read(Path(pipe["path"])) for pipe in told["pipes"]["shards"]}
        _check_alike(blend)
        parent = None
        if "checkpoint" in told["pipes"]:
            parent = _parent(told["pipes"]["checkpoint"][0], next(iter(blend.values())))
        seed = (int(told["seed"]) + options.seed) % 2**32  # numpy takes no larger one
        return cls(options, told["use"], seed, Path(told["folder"]), blend, parent)


def _check_alike(blend: dict[str, PackedShards]) -> None:
    """Raises TrainerError unless shards that are blended speak one vocabulary and have windows of one length."""
    first, *others = blend
    for label in others:
        mine, theirs = blend[first], blend[label]
        if mine.tokenizer["digest"] != theirs.tokenizer["digest"]:
            problem = f"{label!r} speaks the vocabulary {theirs.tokenizer['name']}, {first!r} {mine.tokenizer['name']}"
            raise TrainerError(f"the shards {problem}", place="shards", hint="pack all that is blended with one tokenizer")
        if mine.sequence_length != theirs.sequence_length:
            problem = f"{label!r} have windows of {theirs.sequence_length}, {first!r} of {mine.sequence_length}"
            raise TrainerError(f"the shards {problem}", place="shards", hint="pack all that is blended to one length")


def _parent(pipe: dict[str, Any], shards: PackedShards) -> Parent:
    folder = Path(pipe["path"])
    path = folder / "checkpoint.json"
    if not path.is_file():
        raise TrainerError("there is no checkpoint.json", place=str(folder), hint="train the stage above first")
    card = json.loads(path.read_text(encoding="utf-8"))
    if card.get("format") not in FORMATS:
        raise TrainerError(
            f"the checkpoint is of format {card.get('format')!r}",
            place=str(path),
            hint="transformers stages read their own checkpoints and those exported for transformers, as by megatron/export",
        )
    if card["tokenizer"]["digest"] != shards.tokenizer["digest"]:
        theirs, mine = card["tokenizer"]["name"], shards.tokenizer["name"]
        raise TrainerError(
            f"the checkpoint {pipe['label']!r} speaks the vocabulary {theirs}, the shards {mine}",
            place="shards",
            hint="pack the shards with the tokenizer the checkpoint was trained with",
        )
    return Parent(pipe["label"], folder, card)


class Metrics:
    """metrics.jsonl: one line a step; lines that a resumed run will write again are dropped first."""

    def __init__(self, folder: Path, keep_until: int) -> None:
        self._path = folder / "metrics.jsonl"
        text = self._path.read_text(encoding="utf-8") if self._path.is_file() else ""
        whole = [line for line in text.splitlines(keepends=True) if line.endswith("\n")]  # not one torn by a kill
        beside = folder / "metrics.jsonl.tmp"
        beside.write_text("".join(line for line in whole if json.loads(line)["step"] <= keep_until), encoding="utf-8")
        beside.replace(self._path)

    def add(self, line: dict[str, Any]) -> None:
        """Writes a line at once."""
        told = {name: value for name, value in line.items() if value is not None}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(told) + "\n")


class Clock:
    """Seconds of a run, those before it was killed included, and its rate."""

    def __init__(self, seconds: float = 0.0) -> None:
        self._start = time.monotonic() - seconds
        self._last = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since the run first began, without the time it lay still."""
        return time.monotonic() - self._start

    def rate(self, tokens: int) -> float:
        """Tokens a second since this was last asked."""
        now = time.monotonic()
        spent, self._last = now - self._last, now
        return tokens / max(spent, 1e-9)


def write_card(folder: Path, card: dict[str, Any]) -> None:
    """Writes checkpoint.json beside and renames it into place: the checkpoint is whole from then on."""
    beside = folder / "checkpoint.json.tmp"
    with beside.open("w", encoding="utf-8") as file:
        json.dump(card, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(folder / "checkpoint.json")
