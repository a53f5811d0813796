"""Descriptions of options: types, defaults and bounds as a recipe writes them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import pytest
from pydantic import BaseModel, Field

from textbookgen.api.annotations import Input, Label, Labels, Runtime, Template
from textbookgen.api.artifacts import Documents, TrainedTokenizer
from textbookgen.api.stage import Filter
from textbookgen.recipe.describe import as_toml, option_rows
from textbookgen.recipe.plugin_manager import Plugins


class Limits(BaseModel):
    max_items: int = 3
    share: float = 0.5


class Picky(Filter):
    """Has an option of each kind."""

    name: ClassVar[str] = "picky"

    mode: Literal["a", "b"] | bool = Field("a", description="how")
    share: float = Field(0.25, gt=0, le=1, description="of all")
    rates: tuple[Annotated[float, Field(ge=0, lt=1)], ...] = (0.5,)
    pair: tuple[int, str] = (1, "x")
    amounts: Mapping[str, int] = {"few": 20_000}
    limits: Limits | None = None
    folder: Annotated[Path | None, Runtime] = Field(None, description="where")
    prompt: Annotated[str, Template] = "p.md.j2"
    author: Annotated[str, Label("teacher")]
    others: Annotated[Labels, Input(Documents)]
    vocabulary: Annotated[str, Input(TrainedTokenizer, or_name=True)] = "bytes"


def test_options_are_described_in_the_terms_of_a_recipe_required_ones_first() -> None:
    rows = {name: rest for name, *rest in option_rows(Picky)}
    assert [name for name, (_, default, _) in rows.items() if default == "required"] == list(rows)[:2]
    assert rows["author"][0] == "teacher"
    assert rows["others"][0] == "stage or stages"
    assert rows["vocabulary"][:2] == ["stage or name", '"bytes"']
    assert rows["mode"] == ['"a" | "b" | boolean', '"a"', "how"]
    assert rows["share"][:2] == ["number > 0, ≤ 1", "0.25"]
    assert rows["rates"][:2] == ["list of number ≥ 0, < 1", "[0.5]"]
    assert rows["pair"][:2] == ["[integer, string]", '[1, "x"]']
    assert rows["amounts"][:2] == ["table of integer", "{ few = 20_000 }"]
    assert rows["limits"][:2] == ["table with max_items, share", "–"]
    assert rows["folder"] == ["path", "–", "where (runtime option: does not affect the output)"]
    assert rows["prompt"][0] == "prompt"


def test_values_are_written_as_toml() -> None:
    assert as_toml(True) == "true"
    assert as_toml(Limits(max_items=4)) == "{ max_items = 4, share = 0.5 }"
    assert as_toml({}) == "{}"
    assert as_toml(1e-7) == "1e-07"


@pytest.mark.parametrize("table", ["stages", "teachers", "samplers"])
def test_every_shipped_option_is_described(table: str) -> None:
    for name, kind in getattr(Plugins(), table).items():
        for option, type_, _, description in option_rows(kind):
            assert description, f"{name}: {option} has no description"
            assert "FieldInfo" not in type_ and "typing" not in type_, f"{name}: {option}: {type_}"
