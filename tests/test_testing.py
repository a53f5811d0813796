"""The tools for plugin authors: `check_plugin` finds each violation, and the fakes behave like a run."""

from __future__ import annotations

import asyncio
import sys
import types
from pathlib import Path

import pytest

from textbookgen.api.artifacts import COLUMNS
from textbookgen.api.errors import PluginError, RecipeError
from textbookgen.api.message import Message
from textbookgen.recipe.plugin_manager import Plugins
from textbookgen.scaffold import new_plugin
from textbookgen.testing import ScriptedAsk, check_plugin, documents, stage_inputs, write_documents

HEAD = """
from typing import ClassVar
import polars as pl
from pydantic import Field, PrivateAttr
from textbookgen import Filter, Sampler, hookimpl

class Good(Filter):
    \"\"\"Keeps everything.\"\"\"
    name: ClassVar[str] = "good"

    def decide(self, docs):
        return docs.select("id", keep=pl.lit(True), reason=pl.lit(None, dtype=pl.String))
"""
FAULTS = {
    "without a docstring": ("class Bad(Good):\n    name = 'bad'", "has no docstring"),
    "undescribed option": (
        "class Bad(Good):\n    'Doc.'\n    name = 'bad'\n    size: int = 3",
        "option 'size' has no description",
    ),
    "verdicts of a part": (
        "class Bad(Good):\n    'Doc.'\n    name = 'bad'\n"
        "    def decide(self, docs):\n"
        "        return docs.select('id', keep=pl.int_range(pl.len()) > 0, reason=pl.lit('first'))",
        "other verdicts for a part than for the whole",
    ),
    "missing verdicts": (
        "class Bad(Good):\n    'Doc.'\n    name = 'bad'\n"
        "    def decide(self, docs):\n        return Good.decide(self, docs.head(1))",
        "exactly one verdict",
    ),
    "pickling": (
        "class Bad(Good):\n    'Doc.'\n    name = 'bad'\n    _open: object = PrivateAttr(default_factory=lambda: (x for x in 'a'))",
        "cannot be pickled",
    ),
    "heavy import": ("import scipy\nclass Bad(Good):\n    'Doc.'\n    name = 'bad'", "loading it imports scipy"),
}


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A function that makes Python code an installed plugin called `checked`."""

    def install(code: str, module: str) -> None:
        metadata = tmp_path / f"{module}-1.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1\n", encoding="utf-8")
        (metadata / "entry_points.txt").write_text(f"[textbookgen]\nchecked = {module}\n", encoding="utf-8")
        hook = "@hookimpl\ndef stages():\n    return [Good, Bad]\n"
        (tmp_path / f"{module}.py").write_text(f"{HEAD}\n{code}\n\n{hook}", encoding="utf-8")
        (tmp_path / "scipy.py").write_text("", encoding="utf-8")
        monkeypatch.setitem(sys.modules, "scipy", types.ModuleType("scipy"))  # in this process; a new one imports the file
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        monkeypatch.setenv("TEXTBOOKGEN_PLUGINS", "checked")

    return install


@pytest.mark.parametrize("fault", FAULTS)
def test_check_plugin_finds_a_violation(install, fault: str) -> None:
    code, problem = FAULTS[fault]
    install(code, f"checked_{list(FAULTS).index(fault)}")
    with pytest.raises(PluginError, match=problem) as caught:
        check_plugin("checked")
    assert "checked/good" not in str(caught.value)


def test_check_plugin_accepts_required_options(install) -> None:
    install("class Bad(Good):\n    'Fine.'\n    name = 'bad'\n    size: int = Field(description='required')", "checked_fine")
    check_plugin("checked")


def test_check_plugin_reports_a_plugin_that_is_not_installed_or_fails_to_load(install) -> None:
    with pytest.raises(PluginError, match="no plugin called 'absent' is installed"):
        check_plugin("absent")
    install("raise RuntimeError('broken')", "checked_broken")
    with pytest.raises(PluginError, match="failed to load: RuntimeError"):
        check_plugin("checked")


def test_documents_have_all_standard_columns(tmp_path: Path) -> None:
    frame = documents(["a", "b"], kind="story", **{"toy.words": [1, 2], "reply": ["key", None]})
    assert frame.columns == ["id", "text", *list(COLUMNS)[1:], "toy.words"]
    assert {name: frame.schema[name] for name in COLUMNS} == COLUMNS
    assert frame["kind"].to_list() == ["story", "story"]
    assert frame["reply"].to_list() == ["key", None]
    assert write_documents(tmp_path, frame).scan().collect().equals(frame)
    inputs = stage_inputs(tmp_path, Plugins([]), seed=5, from_=write_documents(tmp_path / "other"))
    assert (inputs.seed, inputs["from"].count(), inputs.folder.is_dir()) == (5, 4, True)


def test_scripted_ask_records_prompts_and_passes_the_draw() -> None:
    ask = ScriptedAsk(lambda prompt, draw: f"{draw['topic']}: {len(prompt)}", {"topic": "rain"})
    first = asyncio.run(ask(ask.render("page.md.j2", {"topic": "rain"})))
    second = asyncio.run(ask([Message("user", "hi")], draw={"topic": "snow"}))
    assert ask.prompts == ['page.md.j2 {"topic": "rain"}', "user: hi"]
    assert (first.text, second.text) == ("rain: 28", "snow: 8")


@pytest.mark.parametrize("name", ["Two", "two--words", "-two", "2words", "two words", ""])
def test_invalid_plugin_names_are_rejected(tmp_path: Path, name: str) -> None:
    with pytest.raises(PluginError, match="invalid plugin name"):
        new_plugin(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_new_plugin_bears_its_name_everywhere_and_replaces_no_folder(tmp_path: Path) -> None:
    folder = new_plugin("two-words", tmp_path)
    files = sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())
    assert "src/textbookgen_two_words/__init__.py" in files
    assert 'two-words = "textbookgen_two_words"' in (folder / "pyproject.toml").read_text(encoding="utf-8")
    assert 'use = "two-words/length"' in (folder / "README.md").read_text(encoding="utf-8")
    with pytest.raises(RecipeError, match="already exists"):
        new_plugin("two-words", tmp_path)


def test_an_empty_frame_has_the_same_types() -> None:
    assert documents([]).schema == documents().schema
