"""A run with deduplication that is killed at any moment and resumed gives the verdicts of an undisturbed one."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl

from textbookgen.provenance.lineage import Lineage
from textbookgen.storage.workspace import Workspace

VOCABULARY = [f"word{n}" for n in range(500)]
RECIPE = """
[recipe]
name = "kills"
version = "1"
seed = 1

[stage.pages]
use = "parquet"
path = "{files}"
id = "id"

[stage.distinct]
use = "dedup/minhash"
from = "pages"
index = "{index}"

[stage.twice]
use = "dedup/filter-and-dedup"
from = "pages"
filters = ["template/length"]
"""


def write(folder: Path) -> Path:
    """Documents of which half are copies, and a recipe that looks for them with an index and without."""
    rng = random.Random(3)
    texts = [rng.choices(VOCABULARY, k=120) for _ in range(300)]
    texts += [[*text[:40], "changed", *text[41:]] for text in texts]
    rng.shuffle(texts)
    frame = pl.DataFrame({"id": [f"d{n}" for n in range(len(texts))], "text": [" ".join(text) for text in texts]})
    frame.write_parquet(folder / "pages.parquet")
    recipe = folder / "kills.toml"
    recipe.write_text(RECIPE.format(files=folder / "pages.parquet", index=folder / "index"), encoding="utf-8")
    return recipe


def command(folder: Path, recipe: Path) -> list[str]:
    run = ["recipe", "run", str(recipe), "--work", str(folder / "work"), "--executor", "serial", "--quiet"]
    return [sys.executable, "-m", "textbookgen", *run]


def verdicts(folder: Path, label: str) -> pl.DataFrame:
    parts = Lineage(Workspace(folder / "work")).parts(label)
    return pl.concat([pl.read_parquet(part.verdicts) for part in parts if part.verdicts])


def test_a_run_killed_at_random_gives_the_same_verdicts(tmp_path: Path) -> None:
    calm, rough = tmp_path / "calm", tmp_path / "rough"
    for folder in (calm, rough):
        folder.mkdir()
    began = time.monotonic()
    subprocess.run(command(calm, write(calm)), check=True)
    took = time.monotonic() - began
    recipe, rng, killed = write(rough), random.Random(11), 0
    for _ in range(4):
        process = subprocess.Popen(command(rough, recipe), stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            process.wait(timeout=rng.uniform(0.3, 1.0) * took)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            killed += process.wait() == -signal.SIGKILL
    subprocess.run(command(rough, recipe), check=True)
    assert killed
    for label in ("distinct", "twice"):
        assert verdicts(rough, label).equals(verdicts(calm, label))
        assert 0 < verdicts(calm, label)["keep"].sum() < 600
    assert not list((rough / "work").rglob("dedup-scratch"))
