"""A small corpus, its shards, and jobs as the engine writes them."""

from __future__ import annotations

import json
import os
import random
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from textbookgen_megatron.exchange.convert import main as run_conversion
from textbookgen_megatron.stages.options import MegatronTrainOptions

from textbookgen.api.artifacts import Artifact, Documents, Part
from textbookgen.api.stage import Job, StageInputs, Trainer
from textbookgen.api.tokenizer import ByteTokenizer, Tokenizer
from textbookgen.builtin.stages.pack.stage import Pack


class ByteResolver:
    """A resolver of the byte tokenizer."""

    def tokenizer(self, name: str) -> Tokenizer:
        assert name == "bytes"
        return ByteTokenizer()


def stories(count: int, seed: int = 0) -> list[str]:
    """Simple stories of many lengths that a small model can learn."""
    rng = random.Random(seed)
    who, what = ["Tom", "Ann", "Sue", "Bob", "Max", "Lily"], ["ball", "cat", "dog", "kite", "book", "cake"]
    return [" ".join(f"{rng.choice(who)} had a {rng.choice(what)}." for _ in range(rng.randint(1, 12))) for _ in range(count)]


def documents(folder: Path, texts: list[str], **columns: list[str | None]) -> Documents:
    """A table in two parts, as stages write them."""
    frame = pl.DataFrame({"id": [f"doc{i}" for i in range(len(texts))], "text": texts, **columns})
    half = len(texts) // 2
    parts = []
    for number, rows in enumerate((frame[:half], frame[half:])):
        path = folder / f"part-{number}.parquet"
        rows.write_parquet(path)
        parts.append(Part(path))
    return Documents(tuple(parts))


def pack(folder: Path, table: Documents, resolver: Any = None, **options: Any) -> Path:
    """Pack a table and return the folder of shards."""
    stage = Pack.model_validate({"from": "corpus", "tokenizer": "bytes", "sequence_length": 64, **options})
    inputs: dict[str, dict[str, Artifact]] = {"from": {"corpus": table}}
    stage.pack(StageInputs(inputs, folder, resolver or ByteResolver()), folder / "shards")
    return folder / "shards"


@dataclass
class StepContext:
    """Writes and runs jobs in a folder."""

    folder: Path

    def job(self, name: str, stage: Trainer, **inputs: Path) -> Job:
        """Write job.json as the engine does."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        content = {
            "use": f"megatron/{stage.name}",
            "options": json.loads(stage.model_dump_json()),
            "inputs": {option: [{"label": option, "artifact": "", "path": str(path)}] for option, path in inputs.items()},
            "seed": 0,
            "folder": str(folder),
        }
        (folder / "job.json").write_text(json.dumps(content))
        return Job(folder / "job.json", folder)

    def start(self, name: str, stage: MegatronTrainOptions, **inputs: Path) -> subprocess.Popen[str]:
        """Start the process of a job as the engine does."""
        command = stage.command(self.job(name, stage, **inputs))
        return subprocess.Popen(command, env={**os.environ, **stage.environment()}, stderr=subprocess.PIPE, text=True)

    def run(self, name: str, stage: MegatronTrainOptions, **inputs: Path) -> dict[str, Any]:
        """Run a job to its end and return checkpoint.json."""
        process = self.start(name, stage, **inputs)
        _, diagnostics = process.communicate(timeout=120)
        assert process.returncode == 0, diagnostics
        return card(self.folder / name)

    def convert(self, name: str, stage: Trainer, **inputs: Path) -> dict[str, Any]:
        """Run a conversion in this process and return checkpoint.json."""
        assert run_conversion(self.job(name, stage, **inputs).path) == 0
        return card(self.folder / name)


def card(folder: Path) -> dict[str, Any]:
    """checkpoint.json"""
    read: dict[str, Any] = json.loads((folder / "checkpoint.json").read_text())
    return read


def metrics(folder: Path) -> list[dict[str, Any]]:
    """metrics.jsonl"""
    path = folder / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Packed stories."""
    folder = tmp_path_factory.mktemp("shards")
    return pack(folder, documents(folder, stories(300)), validation_share=0.1)


@pytest.fixture(scope="session")
def context(tmp_path_factory: pytest.TempPathFactory) -> StepContext:
    """A folder for jobs, shared so that one can start from the checkpoint of another."""
    return StepContext(tmp_path_factory.mktemp("jobs"))
