"""A small corpus, shards of it, and jobs as the engine would write them."""

from __future__ import annotations

import json
import os
import random
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import polars as pl
import pytest
from textbookgen_megatron.exchange.convert import main as convert
from textbookgen_megatron.stages.export import Export

from textbookgen.api.artifacts import Documents, Pairs, Part, Table
from textbookgen.api.stage import Job, StageInputs, Trainer
from textbookgen.api.tokenizer import ByteTokenizer, Tokenizer
from textbookgen.builtin.stages.pack.stage import Pack


class BytesOnly:
    """Resolves the tokenizer `bytes` only."""

    def tokenizer(self, name: str) -> Tokenizer:
        assert name == "bytes"
        return ByteTokenizer()


def stories(count: int, seed: int = 0) -> list[str]:
    """Sentences a small model can learn, of many lengths."""
    draw = random.Random(seed)
    who, what = ["Tom", "Ann", "Sue", "Bob", "Max", "Lily"], ["ball", "cat", "dog", "kite", "book", "cake"]
    return [
        " ".join(f"{draw.choice(who)} had a {draw.choice(what)}." for _ in range(draw.randint(1, 12))) for _ in range(count)
    ]


def documents(folder: Path, texts: list[str], **columns: list[str]) -> Documents:
    """A table, as stages write it."""
    pl.DataFrame({"id": [f"doc{i}" for i in range(len(texts))], "text": texts, **columns}).write_parquet(folder / "t.parquet")
    return Documents((Part(folder / "t.parquet"),))


def pairs(folder: Path, rows: list[tuple[str, str, str]]) -> Pairs:
    """A table of pairs: prompt, chosen reply, rejected reply."""
    table = {
        "id": [f"pair{i}" for i in range(len(rows))],
        **{
            name: [[{"role": role, "content": row[place]}] for row in rows]
            for place, (name, role) in enumerate((("prompt", "user"), ("chosen", "assistant"), ("rejected", "assistant")))
        },
    }
    pl.DataFrame(table, schema={"id": pl.String(), **Pairs.content}).write_parquet(folder / "pairs.parquet")
    return Pairs((Part(folder / "pairs.parquet"),))


def pack(folder: Path, table: Table, **options: Any) -> Path:
    """Pack a table and return the folder of shards."""
    folder.mkdir(exist_ok=True)
    stage = Pack.model_validate({"from": "corpus", "tokenizer": "bytes", "sequence_length": 64, **options})
    stage.pack(StageInputs({"from": {"corpus": table}}, folder, BytesOnly()), folder / "shards")
    return folder / "shards"


@dataclass
class StepContext:
    """A folder of jobs of this plugin and of the other trainer."""

    folder: Path

    def job(self, name: str, stage: Trainer, **inputs: Path) -> Job:
        """Write job.json as the engine does."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        job = {
            "use": f"{type(stage).__module__.split('.')[0].removeprefix('textbookgen_')}/{stage.name}",
            "options": json.loads(stage.model_dump_json()),
            "inputs": {option: [{"label": option, "artifact": "", "path": str(path)}] for option, path in inputs.items()},
            "seed": 0,
            "folder": str(folder),
        }
        (folder / "job.json").write_text(json.dumps(job))
        return Job(folder / "job.json", folder)

    def start(self, name: str, stage: Trainer, **inputs: Path) -> subprocess.Popen[str]:
        """Start the process of a job as the engine does."""
        command = stage.command(self.job(name, stage, **inputs))
        environment = {**os.environ, **stage.environment(), "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)

    def work(self, name: str, stage: Trainer, **inputs: Path) -> dict[str, Any]:
        """Run a job to its end and return checkpoint.json."""
        process = self.start(name, stage, **inputs)
        _, diagnostics = process.communicate(timeout=120)
        assert process.returncode == 0, diagnostics
        return card(self.folder / name)

    def here(self, name: str, stage: Trainer, **inputs: Path) -> dict[str, Any]:
        """Run a job of this plugin in this process, which is faster, and return checkpoint.json."""
        from threading import Event

        from textbookgen_transformers.backend.run import run
        from textbookgen_transformers.job import TransformersJob

        assert run(TransformersJob.read(self.job(name, stage, **inputs).path), Event())
        return card(self.folder / name)

    def export(self, name: str, checkpoint: Path) -> Path:
        """Export a checkpoint of the other trainer for transformers."""
        assert convert(self.job(name, Export(checkpoint="c"), checkpoint=checkpoint).path) == 0
        return self.folder / name


def card(folder: Path) -> dict[str, Any]:
    """Return checkpoint.json."""
    read: dict[str, Any] = json.loads((folder / "checkpoint.json").read_text())
    return read


def metrics(folder: Path) -> list[dict[str, Any]]:
    """Return the lines of metrics.jsonl."""
    path = folder / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Packed stories."""
    folder = tmp_path_factory.mktemp("shards")
    return pack(folder, documents(folder, stories(300)), validation_share=0.1)


@pytest.fixture(scope="session")
def context(tmp_path_factory: pytest.TempPathFactory) -> StepContext:
    """A folder for jobs, shared so that one may start from another's checkpoint."""
    return StepContext(tmp_path_factory.mktemp("jobs"))
