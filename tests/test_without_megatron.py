"""Packing is core: in a fresh environment without megatron-core, a recipe goes from stories to a scored model."""

from __future__ import annotations

import json
import shutil
import subprocess
import venv
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RECIPE = ROOT / "examples" / "transformers_only" / "stories.toml"
#: Pinned to the versions of this environment, above all so that a CPU build of torch stays one.
PINNED = ("torch", "transformers", "trl", "accelerate", "datasets", "numpy", "polars")
PLUGINS = ("procedural", "tinystories", "transformers")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with textbookgen and three of its plugins, installed from wheels."""
    pytest.importorskip("torch")
    folder = tmp_path_factory.mktemp("fresh") / "env"
    pins = folder.with_name("constraints.txt")
    pins.write_text("".join(f"{name}=={version(name)}\n" for name in PINNED), encoding="utf-8")
    venv.create(folder, with_pip=True)
    install = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--constraint", pins]
    third_party = subprocess.run([*install, *PINNED], capture_output=True, text=True, check=False)
    if third_party.returncode:
        shutil.rmtree(folder)
        pytest.skip(f"these wheels cannot be installed here: {third_party.stderr.strip().splitlines()[-1]}")
    ours = [ROOT, *(ROOT / "plugins" / f"textbookgen-{name}" for name in PLUGINS)]
    done = subprocess.run([*install, *ours], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
def test_stories_become_a_packed_trained_and_scored_model(environment: Path, tmp_path: Path) -> None:
    missing = "import importlib.util as u; print([n for n in ('megatron', 'textbookgen_megatron') if u.find_spec(n)])"
    assert subprocess.check_output([environment / "bin" / "python", "-c", missing], text=True, cwd=tmp_path) == "[]\n"
    command = [environment / "bin" / "textbookgen"]
    done = subprocess.run([*command, "recipe", "run", RECIPE], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    shown = json.loads(subprocess.check_output([*command, "run", "show", "--json"], cwd=tmp_path, text=True))
    tokens = {step["label"]: step["tokens"] for step in shown["steps"]}
    assert tokens["story-shards"] > 10_000 and tokens["base"] >= 150_000
    assert 0 < shown["models"]["tuned"]["bits_per_byte"] < 4  # of text at 8 bits a byte
    scores = shown["models"]["tuned"]["scores"]
    assert scores and all(score["value"] >= 0 for score in scores)
