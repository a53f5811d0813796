"""Every mistake in a recipe says place, problem and hint; the golden files hold the exact words.

`TEXTBOOKGEN_GOLDEN=write pytest tests/test_recipe.py` writes them again.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from conftest import RECIPE

from textbookgen.api.errors import RecipeError
from textbookgen.recipe.parser import parse_override, read_recipe
from textbookgen.recipe.planner import make_plan
from textbookgen.recipe.plugin_manager import Plugin, Plugins
from textbookgen.run.engine import run_plan
from textbookgen.storage.workspace import Workspace

GOLDEN = Path(__file__).parent / "golden" / "errors"


@pytest.mark.parametrize("name", sorted(file.stem for file in GOLDEN.glob("*.toml")))
def test_a_mistake_gives_place_problem_and_hint(
    name: str, plugins: Plugins, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(GOLDEN)
    plugins.installed["broken"] = Plugin(
        "broken", "textbookgen-broken", "1", ModuleNotFoundError("No module named 'not_there'")
    )
    with pytest.raises(RecipeError) as caught:
        plan = make_plan(read_recipe(Path(f"{name}.toml")), plugins)
        run_plan(plan, Workspace(tmp_path), plugins, executor="serial")
    expected = GOLDEN / f"{name}.txt"
    if os.environ.get("TEXTBOOKGEN_GOLDEN") == "write":
        expected.write_text(f"{caught.value}\n", encoding="utf-8")
    assert f"{caught.value}\n" == expected.read_text(encoding="utf-8")
    assert all(diagnostic.place and diagnostic.problem for diagnostic in caught.value.diagnostics)
    assert not list(tmp_path.iterdir()), "nothing was begun"


def test_what_is_missing_here_is_a_need_and_a_mistake_is_not(plugins: Plugins, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(GOLDEN)
    (need,) = make_plan(read_recipe(Path("missing-key.toml")), plugins).missing_requirements
    assert "is not set" in need.problem
    with pytest.raises(RecipeError, match="'nobody' does not flow in"):
        make_plan(read_recipe(Path("mistaken-option.toml")), plugins)


def test_a_recipe_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="cannot be read: No such file"):
        read_recipe(tmp_path / "none.toml")


def test_lists_beside_the_recipe_are_read(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("# comment\none\n\n two \n", encoding="utf-8")
    (tmp_path / "r.toml").write_text('[recipe]\nname = "r"\n[sampler.s]\nuse = "grid"\nthing = "@list.txt"\n', encoding="utf-8")
    (entry,) = read_recipe(tmp_path / "r.toml").of("sampler")
    assert entry.options == {"thing": ["one", "two"]}


def test_overrides_take_the_place_of_options(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text(RECIPE, encoding="utf-8")
    recipe = read_recipe(tmp_path / "r.toml", dict(map(parse_override, ["stage.numbers.count=4", "recipe.name=other"])))
    assert recipe.name == "other"
    assert recipe.of("stage")[0].options["count"] == 4
    with pytest.raises(RecipeError, match=r"no table \[stage.nobody\]"):
        read_recipe(tmp_path / "r.toml", {"stage.nobody.count": 4})
    with pytest.raises(RecipeError, match="has no '='"):
        parse_override("stage.numbers.count")


@pytest.mark.parametrize(
    ("assignment", "value"), [("a.b=1", 1), ("a.b=true", True), ("a.b=[1, 2]", [1, 2]), ("a.b=hello there", "hello there")]
)
def test_override_values_are_read_as_toml_or_text(assignment: str, value: object) -> None:
    assert parse_override(assignment) == ("a.b", value)


def test_places_name_the_line_of_the_table_and_the_key(tmp_path: Path) -> None:
    file = tmp_path / "r.toml"
    file.write_text(RECIPE, encoding="utf-8")
    recipe = read_recipe(file)
    lines = RECIPE.splitlines()
    line = lines.index("[stage.echoes]") + 1
    assert recipe.place("stage", "echoes") == f"{file}:{line}: [stage.echoes]"
    assert recipe.place("stage", "echoes", "sampler") == f"{file}:{line + 3}: [stage.echoes] sampler"
    assert recipe.place("stage", "echoes", "thing") == f"{file}:{line}: [stage.echoes] thing"
