"""What a training process reads and tells: job.json, metrics.jsonl, checkpoint.json."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any, NoReturn, Self, TypeVar

from pydantic import BaseModel, ValidationError

from textbookgen.api.artifacts import Checkpoint
from textbookgen.api.errors import TextbookgenError, TrainerError

_ANEW = "remove the checkpoint's folder and run the recipe again: it is trained anew"
#: Dense bfloat16 peaks as their maker tells them, by what the name of the GPU contains.
PEAKS = {
    "H200": 989e12,
    "H100 PCIe": 756e12,
    "H100": 989e12,
    "A100": 312e12,
    "A10": 125e12,
    "L40S": 362e12,
    "L4": 121e12,
    "V100": 125e12,
    "B200": 2250e12,
}

#: Exit code of a run that was asked to stop and saved.
STOPPED = 143

Options = TypeVar("Options", bound=BaseModel)


@dataclass(frozen=True)
class Flow:
    """A folder that flows in, and the label of the stage it comes from."""

    label: str
    path: Path


@dataclass(frozen=True)
class JobFile:
    """job.json, as `textbookgen.api.stage.Job` tells of it; `pipes` by the option that names them, in the recipe's order."""

    path: Path
    use: str
    given: Mapping[str, Any]
    inputs: Mapping[str, tuple[Flow, ...]]
    seed: int
    folder: Path

    @classmethod
    def read(cls, path: Path) -> Self:
        """Reads the file; what it names is not looked at."""
        told = json.loads(path.read_text(encoding="utf-8"))
        inputs = {
            option: tuple(Flow(item["label"], Path(item["path"])) for item in inputs)
            for option, inputs in told["inputs"].items()
        }
        return cls(path, told["use"], told["options"], inputs, int(told["seed"]), Path(told["folder"]))

    def options(self, stages: Mapping[str, type[Options]]) -> Options:
        """The options as the stage of the job, one of these by their `use`, reads them.

        Raises:
            TrainerError: it is none of them, or has other options.
        """
        if self.use not in stages:
            raise TrainerError(
                f"this trainer does not do {self.use!r}", place=str(self.path), hint=f"it does {', '.join(stages)}"
            )
        try:
            return stages[self.use].model_validate(self.given)
        except ValidationError as error:
            raise TrainerError(f"the options are not those of {self.use}: {error}", place=str(self.path)) from None


@dataclass(frozen=True)
class Parent:
    """The checkpoint a job starts from."""

    label: str
    folder: Path
    card: dict[str, Any]

    @classmethod
    def read(cls, flow: Flow, formats: Collection[str], hint: str) -> Self:
        """Reads its card; `hint` says which checkpoints can be started from.

        Raises:
            TrainerError: there is none, or it is of none of these formats.
        """
        card = read_card(flow.path)
        if card.get("format") not in formats:
            place = str(flow.path / Checkpoint.card_name)
            raise TrainerError(f"the checkpoint is of format {card.get('format')!r}", place=place, hint=hint)
        return cls(flow.label, flow.path, card)

    def check_weights(self) -> None:
        """Raises TrainerError unless its file of weights is the one that its card tells of."""
        checked_weights(self.folder, self.card)

    def check_vocabulary(self, tokenizer: Mapping[str, Any]) -> None:
        """Raises TrainerError unless it was trained with the tokenizer of the shards."""
        mine = self.card["tokenizer"]
        if mine["digest"] != tokenizer["digest"]:
            raise TrainerError(
                f"the checkpoint {self.label!r} speaks the vocabulary {mine['name']}, the shards {tokenizer['name']}",
                place="shards",
                hint="pack the shards with the tokenizer the checkpoint was trained with",
            )


class Metrics:
    """metrics.jsonl: one line a step; lines that a resumed run will write again, and one torn by a kill, are dropped first."""

    def __init__(self, folder: Path, keep_until: int) -> None:
        path, beside = folder / "metrics.jsonl", folder / "metrics.jsonl.tmp"
        path.touch()
        with path.open(encoding="utf-8") as lines, beside.open("w", encoding="utf-8") as kept:
            kept.writelines(line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= keep_until)
        beside.replace(path)
        self._file = path.open("a", encoding="utf-8")

    def add(self, line: dict[str, Any]) -> None:
        """Writes a line at once; what is None is left out."""
        self._file.write(json.dumps({name: value for name, value in line.items() if value is not None}) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


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


def peak_of(name: str) -> float | None:
    """Floating point operations a second that a GPU of this name does at best in bfloat16, if it is known."""
    return next((peak for part, peak in PEAKS.items() if part in name), None)


def read_card(folder: Path) -> dict[str, Any]:
    """checkpoint.json.

    Raises:
        TrainerError: there is none, or it cannot be read.
    """
    path = folder / Checkpoint.card_name
    if not path.is_file():
        raise TrainerError(f"there is no {path.name}", place=str(folder), hint="train the stage above first")
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise TrainerError(f"the card cannot be read: {error}", place=str(path), hint=_ANEW) from None


def checked_weights(folder: Path, card: Mapping[str, Any]) -> Path:
    """The file of weights that a card names as `weights`; if it tells a sha256 as `weights_digest`, it is that.

    Raises:
        TrainerError: it is missing, or changed since.
    """
    path = folder / str(card["weights"])
    if not path.is_file():
        raise TrainerError(f"there is no {path.name}", place=str(folder), hint=_ANEW)
    with path.open("rb") as file:
        result = hashlib.file_digest(file, "sha256").hexdigest()
    if result != card.get("weights_digest", result):
        raise TrainerError(
            "the weights are not those that were written: the file is torn or changed", place=str(path), hint=_ANEW
        )
    return path


def write_card(folder: Path, card: dict[str, Any]) -> None:
    """Writes checkpoint.json beside and renames it into place: the checkpoint is whole from then on."""
    beside = folder / f"{Checkpoint.card_name}.tmp"
    with beside.open("w", encoding="utf-8") as file:
        json.dump(card, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(folder / Checkpoint.card_name)


def work(run: Callable[[Path, Event], bool], job: Path) -> int:
    """Runs a job, and gives the exit code. `run` looks whether it is to save and end early, and gives False if it did.

    What is wrong is told on standard error in words, once: by the process of rank 0.
    """
    stop = Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda number, frame: stop.set())
    try:
        return 0 if run(job, stop) else STOPPED
    except TextbookgenError as error:
        if os.environ.get("RANK", "0") == "0":
            print(error, file=sys.stderr)
    except Exception:
        traceback.print_exc()
    return 1


def leave(code: int) -> NoReturn:
    """Ends the process now; a library's threads may keep a failed one, and with it the whole job, from ending by itself."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
