"""What options say of themselves, in the words of a recipe."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import pytest
from pydantic import BaseModel, Field

from textbookgen.api.annotations import Input, Label, Labels, Runtime, Template
from textbookgen.api.artifacts import Documents, TrainedTokenizer
from textbookgen.api.stage import Filter
from textbookgen.recipe.describe import as_toml, options_of
from textbookgen.recipe.plugin_manager import Plugins


class Limits(BaseModel):
    most: int = 3
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


def test_options_are_told_in_the_words_of_a_recipe_needed_ones_first():
    told = {name: rest for name, *rest in options_of(Picky)}
    assert [name for name, (_, default, _) in told.items() if default == "needed"] == list(told)[:2]
    assert told["author"][0] == "teacher"
    assert told["others"][0] == "stage or stages"
    assert told["vocabulary"][:2] == ["stage or name", '"bytes"']
    assert told["mode"] == ['"a" | "b" | boolean', '"a"', "how"]
    assert told["share"][:2] == ["number > 0, ≤ 1", "0.25"]
    assert told["rates"][:2] == ["list of number ≥ 0, < 1", "[0.5]"]
    assert told["pair"][:2] == ["[integer, string]", '[1, "x"]']
    assert told["amounts"][:2] == ["table of integer", "{ few = 20_000 }"]
    assert told["limits"][:2] == ["table with most, share", "–"]
    assert told["folder"] == ["path", "–", "where (placement)"]
    assert told["prompt"][0] == "prompt"


def test_values_are_told_as_a_recipe_would_write_them():
    assert as_toml(True) == "true"
    assert as_toml(Limits(most=4)) == "{ most = 4, share = 0.5 }"
    assert as_toml({}) == "{}"
    assert as_toml(1e-7) == "1e-07"


@pytest.mark.parametrize("table", ["stages", "teachers", "samplers"])
def test_every_option_that_is_shipped_says_what_it_is(table):
    for name, kind in getattr(Plugins(), table).items():
        for option, type_, _, description in options_of(kind):
            assert description, f"{name}: {option} has no description"
            assert "FieldInfo" not in type_ and "typing" not in type_, f"{name}: {option}: {type_}"
