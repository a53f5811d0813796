"""Importing is cheap: what `--help`, `plugin list` and `recipe check` import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = ("litellm", "torch", "megatron", "datasketch", "sklearn", "rapidfuzz", "numba", "transformers")
CODE = """
import sys
sys.argv = ["textbookgen", *{arguments!r}]
from textbookgen.cli import main
try:
    main()
except SystemExit as done:
    assert not done.code, done.code
print("HEAVY", *(name for name in {names!r} if name in sys.modules))
"""


def imported(arguments: list[str], names: tuple[str, ...]) -> list[str]:
    code = CODE.format(arguments=arguments, names=names)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.rsplit("HEAVY", 1)[1].split()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["plugin", "list"],
        ["stage", "list"],
        ["recipe", "list"],
        *[["recipe", "check", f"recipes/{name.name}"] for name in (ROOT / "recipes").glob("*.toml")],
    ],
    ids=" ".join,
)
def test_commands_import_no_heavy_library(arguments: list[str]) -> None:
    assert imported(arguments, HEAVY) == []


def test_help_imports_none_of_the_larger_dependencies() -> None:
    assert imported(["--help"], ("numpy", "polars", "pydantic", "jinja2", "rich", "aiohttp", "sqlite3", "asyncio")) == []
