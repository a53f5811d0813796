"""What observers are told: a run and its steps starting, getting on and finishing."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class StepRecord:
    """What a finished step came to; `tokens` are those of asked teachers, or of a trained model."""

    rows_in: int = 0
    rows_out: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    failures: int = 0
    requests: int = 0
    tokens: int = 0
    cost_usd: float = 0.0
    seconds: float = 0.0
    peak_mib: float = 0.0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunStarted:
    """A run begins: its name, its folder, and the labels of its steps in order."""

    run: str
    recipe: str
    folder: Path
    steps: tuple[str, ...]


@dataclass(frozen=True)
class StageStarted:
    """A step begins to be worked."""

    label: str
    use: str
    folder: Path


@dataclass(frozen=True)
class Progress:
    """A step got on: `done` of `total` (None if that is not known) `unit`s, with figures worth seeing, as text."""

    label: str
    done: float
    total: float | None
    unit: str
    note: str = ""


@dataclass(frozen=True)
class StageFinished:
    """A step is done, now or (`cached`) in an earlier run."""

    label: str
    use: str
    cached: bool
    record: StepRecord


@dataclass(frozen=True)
class RunFinished:
    """A run ends; `error` is empty if it went well."""

    run: str
    folder: Path
    seconds: float
    error: str = ""


Event = RunStarted | StageStarted | Progress | StageFinished | RunFinished
