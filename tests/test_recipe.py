"""Recipes: every error names its place, its problem and a hint; the golden files hold the exact texts.

`TEXTBOOKGEN_GOLDEN=write pytest tests/test_recipe.py` writes them again.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import RECIPE

from textbookgen.api.errors import RecipeError
from textbookgen.recipe.overrides import parse_override
from textbookgen.recipe.parser import read_recipe
from textbookgen.recipe.plan import Plan
from textbookgen.recipe.planner import make_plan
from textbookgen.recipe.plugin_manager import Plugin, Plugins
from textbookgen.run.engine import run_plan
from textbookgen.storage.workspace import Workspace

GOLDEN = Path(__file__).parent / "golden" / "errors"


@pytest.mark.parametrize("name", sorted(file.stem for file in GOLDEN.glob("*.toml")))
def test_an_error_names_place_problem_and_hint(
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
    assert not list(tmp_path.iterdir()), "the run was not started"


def test_a_missing_key_is_a_requirement_and_not_an_error(plugins: Plugins, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(GOLDEN)
    (missing,) = make_plan(read_recipe(Path("missing-key.toml")), plugins).missing_requirements
    assert "is not set" in missing.problem


def test_a_missing_recipe_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="cannot be read: No such file"):
        read_recipe(tmp_path / "none.toml")


def test_list_files_beside_the_recipe_are_read(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("# comment\none\n\n two \n", encoding="utf-8")
    (tmp_path / "r.toml").write_text('[recipe]\nname = "r"\n[sampler.s]\nuse = "grid"\nthing = "@list.txt"\n', encoding="utf-8")
    (entry,) = read_recipe(tmp_path / "r.toml").of("sampler")
    assert entry.options == {"thing": ["one", "two"]}


@pytest.mark.parametrize("name", ["../evil", "/x", "a/b", "", ".", "..", ".hidden", "a b", "[red]x[/red]", "x" * 101, "tiny\n"])
@pytest.mark.parametrize("key", ["recipe.name", "label"])
def test_names_that_are_no_folder_names_are_errors(planned: Callable[..., Plan], name: str, key: str) -> None:
    label = name if key == "label" else "numbers"
    escaped = label.replace("\n", "\\n")
    text = f'[recipe]\nname = "r"\n[stage."{escaped}"]\nuse = "toy/numbers"\n'
    with pytest.raises(RecipeError, match=r"(?s)invalid (recipe name|label).*it names folders"):
        planned(text, {"recipe.name": name} if key == "recipe.name" else None)


def test_a_name_of_100_letters_is_valid(planned: Callable[..., Plan]) -> None:
    assert planned(sets={"recipe.name": "n" * 100}).recipe.name == "n" * 100


# -- overrides


def test_overrides_replace_options(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text(RECIPE, encoding="utf-8")
    recipe = read_recipe(tmp_path / "r.toml", dict(map(parse_override, ["stage.numbers.count=4", "recipe.name=other"])))
    assert recipe.name == "other"
    assert recipe.of("stage")[0].options["count"] == 4
    with pytest.raises(RecipeError, match=r"no table \[stage.absent\]"):
        read_recipe(tmp_path / "r.toml", {"stage.absent.count": 4})
    with pytest.raises(RecipeError, match="has no '='"):
        parse_override("stage.numbers.count")


@pytest.mark.parametrize(
    ("assignment", "value"), [("a.b=1", 1), ("a.b=true", True), ("a.b=[1, 2]", [1, 2]), ("a.b=hello there", "hello there")]
)
def test_the_value_of_an_override_is_toml_or_text(assignment: str, value: object) -> None:
    assert parse_override(assignment) == ("a.b", value)


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("stage.numbers.count", "three", "must be an integer (got 'three')"),
        ("stage.numbers.colour", "red", "'toy/numbers' has no option 'colour'"),
        ("stage.numbers.use", "toy/numbrs", "there is no stage 'toy/numbrs'"),
        ("stage.even.from", "numbes", "no earlier stage is named 'numbes'"),
        ("stage.echoes.target.openings", 0.1, "0.1"),
        ("recipe.seed", "one", "must be an integer (got 'one')"),
        ("recipe.name", "../evil", "invalid recipe name '../evil'"),
    ],
)
def test_an_error_in_an_override_names_the_override(planned: Callable[..., Plan], name: str, value: Any, problem: str) -> None:
    text = RECIPE.replace("count = 20", "count = 20\ntarget = { openings = 0.5, coverage = 0.5, x = 1 }")
    with pytest.raises(RecipeError) as caught:
        planned(text if "target" in name else RECIPE, {name: value})
    places = [diagnostic.place for diagnostic in caught.value.diagnostics]
    assert f"--set {name}" in places
    if "target" not in name:
        assert caught.value.diagnostics[places.index(f"--set {name}")].problem.endswith(problem)
        assert not any("toy.toml" in place for place in places if name.split(".")[-1] in place)


def test_an_error_beside_an_override_names_the_line(planned: Callable[..., Plan]) -> None:
    with pytest.raises(RecipeError) as caught:
        planned(RECIPE.replace("count = 25", 'count = "many"'), {"stage.even.word": "x"})
    (diagnostic,) = caught.value.diagnostics
    assert "[stage.numbers] count" in diagnostic.place and "toy.toml:" in diagnostic.place


def test_places_name_the_line_of_the_table_and_the_key(tmp_path: Path) -> None:
    file = tmp_path / "r.toml"
    file.write_text(RECIPE, encoding="utf-8")
    recipe = read_recipe(file)
    lines = RECIPE.splitlines()
    line = lines.index("[stage.echoes]") + 1
    assert recipe.place("stage", "echoes") == f"{file}:{line}: [stage.echoes]"
    assert recipe.place("stage", "echoes", "sampler") == f"{file}:{line + 3}: [stage.echoes] sampler"
    assert recipe.place("stage", "echoes", "thing") == f"{file}:{line}: [stage.echoes] thing"


# -- inputs and option values


@pytest.mark.parametrize("option", ["stage.half.from", "stage.loud.from", "stage.report.from"])
def test_a_stage_that_is_listed_twice_is_an_error(planned: Callable[..., Plan], option: str) -> None:
    label = {"stage.half.from": "even", "stage.loud.from": "half", "stage.report.from": "model"}[option]
    with pytest.raises(RecipeError, match=rf"--set {option}\n  '{label}' is listed 2 times"):
        planned(sets={option: [label, label]})


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("toy/contains", "must be a list (got 'toy/contains'); write [\"toy/contains\"]"),
        ([5], "accept[0] must be a string or a table (got 5)"),
        (["toy/contains", {"use": "toy/contains", "word": 3}], "'toy/contains': word: must be a string (got 3)"),
        ([{"use": "toy/contains", "wrod": "x"}], "'toy/contains': wrod: 'toy/contains' has no option 'wrod'"),
        (["toy/shorter"], "'toy/shorter' is not a filter"),
        (["toy/shoter"], "there is no stage 'toy/shoter'"),
    ],
)
def test_a_wrong_value_of_accept_is_explained(planned: Callable[..., Plan], value: Any, problem: str) -> None:
    with pytest.raises(RecipeError) as caught:
        planned(sets={"stage.echoes.accept": value})
    assert [diagnostic.problem for diagnostic in caught.value.diagnostics] == [problem]
