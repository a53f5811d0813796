"""A third-party plugin works in a fresh environment, and a broken one does not affect the others."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BROKEN = """
[project]
name = "textbookgen-broken"
version = "0.1"
[project.entry-points.textbookgen]
broken = "textbookgen_broken"
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with textbookgen, the example plugin, and a plugin that fails to load."""
    folder = tmp_path_factory.mktemp("fresh")
    broken = folder / "broken"
    broken.mkdir()
    (broken / "pyproject.toml").write_text(BROKEN, encoding="utf-8")
    (broken / "textbookgen_broken.py").write_text("import not_there\n", encoding="utf-8")
    example = folder / "third_party_plugin"
    shutil.copytree(ROOT / "examples" / "third_party_plugin", example)
    venv.create(folder / "env", with_pip=True)
    python = folder / "env" / "bin" / "python"
    done = subprocess.run(
        [python, "-m", "pip", "install", "--quiet", ROOT, example, broken], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder


def program(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [folder / "env" / "bin" / "textbookgen", *arguments],
        cwd=folder / "third_party_plugin",
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_recipe_uses_the_example_plugin(environment: Path) -> None:
    (recipe,) = [file.name for file in (environment / "third_party_plugin").glob("*.toml") if file.name != "pyproject.toml"]
    done = program(environment, "recipe", "run", recipe)
    assert done.returncode == 0, done.stderr
    shown = json.loads(program(environment, "run", "show", "--json").stdout)
    (step,) = [step for step in shown["steps"] if step["use"] == "readability/sentence-length"]
    assert step["rows_out"] > 0
    (dropped, *_) = program(environment, "corpus", "dropped", step["label"], "--json").stdout.splitlines()
    story = program(environment, "corpus", "why", json.loads(dropped)["examples"][0]["id"]).stdout
    assert "readability/sentence-length: dropped:" in story
    assert "words per sentence" in story


def test_the_example_passes_plugin_check(environment: Path) -> None:
    done = program(environment, "plugin", "check", "readability")
    assert done.stdout == "readability: no problems\n", done.stderr


def test_a_plugin_that_fails_to_load_is_listed_with_its_error(environment: Path) -> None:
    listed = program(environment, "plugin", "list").stdout
    assert "No module named 'not_there'" in listed
    assert "readability/sentence-length" in listed


def test_the_wheel_contains_prompts_recipes_and_the_template(environment: Path) -> None:
    assert 'name = "phi1"' in program(environment, "recipe", "show", "phi1").stdout
    assert "phi1/page.md.j2" in program(environment, "prompt", "list").stdout
    made = program(environment, "plugin", "new", "mine", "--into", str(environment))
    assert made.returncode == 0, made.stderr
    assert (environment / "textbookgen-mine" / "pyproject.toml").exists()


def test_a_new_plugin_installs_and_its_tests_pass(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "textbookgen", "plugin", "new", "two-words", "--into", tmp_path], check=True, capture_output=True
    )
    folder = tmp_path / "textbookgen-two-words"
    left = [file for file in folder.rglob("*") if file.is_file() and "template" in file.name + file.read_text(encoding="utf-8")]
    assert left == []
    site = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", site, folder]
    subprocess.run(install, check=True, capture_output=True)
    tests = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", folder / "tests"],
        cwd=folder,
        env={"PYTHONPATH": str(site), "PATH": str(Path(sys.executable).parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert tests.returncode == 0, tests.stdout + tests.stderr
