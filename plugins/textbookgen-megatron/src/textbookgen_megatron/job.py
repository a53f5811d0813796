"""What a training process is told, by job.json and by the checkpoint it starts from; and what it tells, by metrics.jsonl."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from textbookgen.errors import TrainerError
from textbookgen_megatron.preference import Dpo
from textbookgen_megatron.shape import Shape
from textbookgen_megatron.shards import PackedShards
from textbookgen_megatron.training import Grow, Pretrain, Sft, Training

STAGES: dict[str, type[Training]] = {f"megatron/{stage.name}": stage for stage in (Pretrain, Grow, Sft, Dpo)}


@dataclass(frozen=True)
class Parent:
    """The checkpoint a job starts from."""

    label: str
    folder: Path
    card: dict[str, Any]

    @property
    def shape(self) -> Shape:
        """Its shape."""
        return Shape.from_card(self.card)


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
        return cls(options, told["use"], int(told["seed"]) + options.seed, Path(told["folder"]), blend, parent)


def _check_alike(blend: dict[str, PackedShards]) -> None:
    """Raises TrainerError unless shards that are blended speak one vocabulary."""
    first, *others = blend
    for label in others:
        if blend[label].tokenizer["digest"] != blend[first].tokenizer["digest"]:
            raise TrainerError(
                f"the shards {label!r} speak the vocabulary {blend[label].tokenizer['name']}, "
                f"{first!r} {blend[first].tokenizer['name']}",
                place="shards",
                hint="pack all that is blended with one tokenizer",
            )


def read_parent(label: str, folder: Path) -> Parent:
    """The checkpoint in this folder.

    Raises:
        TrainerError: there is none, or it is of another plugin.
    """
    path = folder / "checkpoint.json"
    if not path.is_file():
        raise TrainerError("there is no checkpoint.json", place=str(folder), hint="train the stage above first")
    card = json.loads(path.read_text(encoding="utf-8"))
    if card.get("format") != "megatron":
        raise TrainerError(
            f"the checkpoint is of format {card.get('format')!r}", place=str(path), hint="megatron stages read their own"
        )
    return Parent(label, folder, card)


def _parent(pipe: dict[str, Any], shards: PackedShards) -> Parent:
    parent = read_parent(pipe["label"], Path(pipe["path"]))
    mine, theirs = parent.card["tokenizer"], shards.tokenizer
    if mine["digest"] != theirs["digest"]:
        raise TrainerError(
            f"the checkpoint {pipe['label']!r} speaks the vocabulary {mine['name']}, the shards {theirs['name']}",
            place="shards",
            hint="pack the shards with the tokenizer the checkpoint was trained with",
        )
    return parent


class Metrics:
    """metrics.jsonl: one line a step; lines that a resumed run will write again are dropped first."""

    def __init__(self, folder: Path, keep_until: int) -> None:
        path = folder / "metrics.jsonl"
        kept = [line for line in _lines(path) if line["step"] <= keep_until]
        whole = folder / "metrics.jsonl.tmp"
        whole.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
        whole.replace(path)
        self._file = path.open("a", encoding="utf-8")

    def add(self, line: dict[str, Any]) -> None:
        """Writes a line at once."""
        self._file.write(json.dumps({name: value for name, value in line.items() if value is not None}) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def _lines(path: Path) -> list[dict[str, Any]]:
    """The whole lines; a torn last one is left out."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.is_file() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


class Clock:
    """Seconds and tokens of a run, those before it was killed included."""

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
