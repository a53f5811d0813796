"""Docs: generated parts are fresh, options are described, names and recipes are listed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import textbookgen
from textbookgen.recipe.plugin_manager import Plugins

ROOT = Path(__file__).parents[1]
DOCS = sorted(file for file in (ROOT / "docs").glob("*.md") if file.name != "api-reference.md")  # which is written whole
BUILT_IN = Plugins([])


def test_the_generated_parts_of_the_docs_are_fresh() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cogapp", "--check", *map(str, DOCS)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("use", [*BUILT_IN.stages, *BUILT_IN.teachers, *BUILT_IN.samplers])
def test_every_option_of_a_built_in_has_a_description(use: str) -> None:
    kind = (BUILT_IN.stages | BUILT_IN.teachers | BUILT_IN.samplers)[use]
    assert kind.__doc__
    assert [name for name, option in kind.model_fields.items() if not option.description] == []


def test_the_api_reference_is_fresh() -> None:
    done = subprocess.run(
        [sys.executable, "docs/reference.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_every_public_name_is_documented() -> None:
    reference = (ROOT / "docs" / "api-reference.md").read_text(encoding="utf-8")
    assert [name for name in textbookgen.__all__ if f"| `{name}` |" not in reference] == []


def test_every_module_has_a_docstring() -> None:
    for file in [*(ROOT / "src").rglob("*.py"), *(ROOT / "plugins").glob("*/src/**/*.py")]:
        first = file.read_text(encoding="utf-8").lstrip().splitlines()[:1]
        assert first, file
        assert re.match(r'(r?""")[A-Za-z`0-9].*[.;:,\w`"]', first[0]), f"{file}: {first[0]}"


def test_shipped_recipes_are_listed_in_the_docs() -> None:
    text = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
    assert [file.stem for file in (ROOT / "recipes").glob("*.toml") if f"`{file.stem}`" not in text] == []


def test_no_committed_file_contains_a_local_path() -> None:
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    here = re.compile(
        "|".join(
            rf"(?<![\w}}]){re.escape(str(folder))}/"
            for folder in (*([] if Path.home() == Path("/root") else [Path.home()]), ROOT)
        )
    )
    assert [name for name in files if here.search((ROOT / name).read_text(encoding="utf-8", errors="ignore"))] == []
