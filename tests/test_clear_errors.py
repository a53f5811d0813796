"""Mistakes that once led to a hint about something else, to several errors, or to none at all."""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import polars as pl
import pytest
from conftest import RECIPE

from textbookgen.api.errors import PluginError, RecipeError, RunError, TeacherBusy, TextbookgenError
from textbookgen.api.hookspecs import hookimpl
from textbookgen.api.teacher import Reply, Request, Teacher
from textbookgen.builtin.sources import text as text_source
from textbookgen.builtin.sources.reading import Row
from textbookgen.builtin.teachers.openai import OpenAITeacher
from textbookgen.provenance.cost_estimate import CostEstimate, StepEstimate, disk_warnings
from textbookgen.recipe.parser import read_recipe
from textbookgen.recipe.plan import Plan
from textbookgen.recipe.plugin_manager import Plugins
from textbookgen.recipe.prompts import PromptError, Prompts
from textbookgen.storage.ledger import teacher_identity
from textbookgen.storage.workspace import RunFolder

Ran = Callable[..., RunFolder]


@pytest.mark.parametrize(
    ("content", "place", "message"),
    [
        ('[recipe]\nname = "größe"\n'.encode("latin-1"), ":2:", "save the file with the encoding UTF-8"),
        (b'[recipe]\nname = "a"\nname = "b"\n', ":3:", "this key is in the file twice"),
        (b'[recipe]\nname = "a"\n[stage.x]\nuse = "y"\n[stage.x]\nuse = "z"\n', ":5:", "this table is in the file twice"),
        ('[recipe]\nname = "a"\n[stage.größe]\nuse = "y"\n'.encode(), ":3:", "consist of ASCII letters"),
        (b"[recipe]\nname = a\n", ":2:", "a string without quotes"),
    ],
)
def test_the_hint_about_a_broken_file_is_about_that(tmp_path: Path, content: bytes, place: str, message: str) -> None:
    file = tmp_path / "broken.toml"
    file.write_bytes(content)
    with pytest.raises(RecipeError, match=message) as caught:
        read_recipe(file)
    assert place in str(caught.value)


def test_a_byte_order_mark_is_no_error(tmp_path: Path) -> None:
    file = tmp_path / "windows.toml"
    file.write_bytes(b'\xef\xbb\xbf[recipe]\r\nname = "a"\r\n')
    assert read_recipe(file).name == "a"


def test_a_wrong_executor_is_found_before_the_run_folder_is_made(
    planned: Callable[..., Plan], plugins: Plugins, folder: Path
) -> None:
    from textbookgen.run.engine import run_plan
    from textbookgen.storage.workspace import Workspace

    with pytest.raises(PluginError, match="executor 'cluster'"):
        run_plan(planned(), Workspace(folder / "work"), plugins, executor="cluster")
    assert not (folder / "work").exists()


@pytest.mark.parametrize(
    "template",
    [
        "{{ 2 ** 9999999999 }}",
        "{{ 'x' * 99999999 }}",
        "{{ 99999999 * [1] }}",
        "{{ '%999999999d' % 1 }}",
        "{{ '%0*d' % (9, 1) }}",
    ],
)
def test_a_template_that_computes_without_end_is_an_error(template: str) -> None:
    prompts = Prompts([])
    if "*d" in template:
        assert prompts.render(template, {}) == "000000001"
    else:
        with pytest.raises(PromptError, match="the template"):
            prompts.render(template, {})
    assert prompts.render("{{ 2 ** 10 }} {{ 'ab' * 3 }} {{ 7 % 4 }} {{ '%05d' % 42 }}", {}) == "1024 ababab 3 00042"


class Down(Teacher):
    """A server that is down."""

    name: ClassVar[str] = "down"

    async def complete(self, request: Request) -> Reply:
        raise TeacherBusy("cannot connect", hint="check that the server is running") from ConnectionRefusedError("refused")


class Outage:
    """A plugin with a teacher that is down."""

    @hookimpl
    def teachers(self) -> list[type[Teacher]]:
        return [Down]


@pytest.mark.parametrize("count", [3, 40, 2_000])
def test_a_server_that_is_down_is_recognized_however_many_documents_there_are(
    ran: Ran, folder: Path, plugins: Plugins, count: int
) -> None:
    plugins.add("outage", Outage())
    (folder / "plain.md.j2").write_text("Say something.", encoding="utf-8")
    recipe = (
        '[recipe]\nname = "down"\n\n[teacher.server]\nuse = "outage/down"\nmax_retries = 0\n\n'
        f'[stage.echoes]\nuse = "toy/echo"\nteacher = "server"\ncount = {count}\nprompt = "plain.md.j2"\n'
    )
    with pytest.raises(TextbookgenError, match=r"has not answered any request|consecutive requests failed") as caught:
        ran(recipe)
    assert caught.value.hint == "check that the server is running"


TEXTS = '[recipe]\nname = "texts"\n\n[stage.texts]\nuse = "text"\npath = "{folder}/a.txt"\n'


def test_other_content_of_the_same_size_and_time_is_noticed(planned: Callable[..., Plan], folder: Path) -> None:
    file = folder / "a.txt"
    file.write_text("one fox", encoding="utf-8")
    os.utime(file, ns=(10**18, 10**18))
    before = planned(TEXTS.format(folder=folder)).steps[0].fingerprint
    file.write_text("two fox", encoding="utf-8")
    os.utime(file, ns=(10**18, 10**18))
    assert planned(TEXTS.format(folder=folder)).steps[0].fingerprint != before


def test_a_file_that_changes_while_it_is_read_is_not_kept_under_the_old_fingerprint(
    ran: Ran, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "a.txt").write_text("one fox", encoding="utf-8")
    original = text_source.Text.read_file

    def read_and_change(self: text_source.Text, file: str) -> Iterator[Row]:
        yield from original(self, file)
        Path(file).write_text("another fox", encoding="utf-8")

    monkeypatch.setattr(text_source.Text, "read_file", read_and_change)
    with pytest.raises(RunError, match="have changed since the recipe was planned"):
        ran(TEXTS.format(folder=folder))
    monkeypatch.undo()
    (data,) = [file for step in ran(TEXTS.format(folder=folder)).plan().steps for file in _data(folder, step.address)]
    assert pl.read_parquet(data)["text"].to_list() == ["another fox"]


def _data(folder: Path, address: str) -> list[Path]:
    return list((folder / "work" / "steps" / address / "data").glob("*.parquet"))


def test_a_revision_is_part_of_the_identity_and_an_address_is_not() -> None:
    one = OpenAITeacher(model="m", api_base=("http://a/v1",))
    other = OpenAITeacher(model="m", api_base=("http://b/v1",))
    revised = OpenAITeacher(model="m", api_base=("http://b/v1",), revision="q4")
    assert teacher_identity(one, "openai") == teacher_identity(other, "openai") != teacher_identity(revised, "openai")


def test_an_output_that_does_not_fit_on_the_disk_is_a_warning(planned: Callable[..., Plan], tmp_path: Path) -> None:
    from textbookgen.api.stage import Estimate

    step = planned().steps[0]
    small = CostEstimate((StepEstimate(step, Estimate(disk_bytes=10.0), None),))
    large = CostEstimate((StepEstimate(step, Estimate(disk_bytes=1e18), None),))
    assert list(disk_warnings(small, tmp_path / "none" / "work")) == []
    (warning,) = disk_warnings(large, tmp_path / "none" / "work")
    assert "931,322,574.6 GiB" in warning and "GiB free" in warning


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("x", "must be a list (got 'x'); write [\"x\"]"),
        ({"use": "sample", "share": 0.5}, 'write [{ use = "sample", share = 0.5 }]'),
        ([{"share": 0.5}], "a table of a filter needs the key 'use'"),
        (["nosuch"], "there is no stage 'nosuch'"),
        ([3], "accept[0] must be a string or a table (got 3)"),
    ],
)
def test_a_filter_that_is_written_in_another_way_is_explained(planned: Callable[..., Plan], value: Any, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        planned(sets={"stage.echoes.accept": value})
    (diagnostic,) = caught.value.diagnostics
    assert message in str(diagnostic)


def test_one_list_that_is_not_there_is_one_complaint(planned: Callable[..., Plan]) -> None:
    with pytest.raises(RecipeError) as caught:
        planned(RECIPE.replace('thing = ["cat", "dog", "owl", "eel"]', 'thing = "@nowhere.txt"'))
    (diagnostic,) = caught.value.diagnostics
    assert "nowhere.txt" in diagnostic.problem and diagnostic.place.endswith("[sampler.things] thing")


def test_an_empty_list_is_explained_without_terms_of_the_library(planned: Callable[..., Plan]) -> None:
    with pytest.raises(RecipeError) as caught:
        planned(sets={"sampler.things.thing": []})
    assert "must have at least 1 item (got [])" in str(caught.value)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("recipe.seed", float("nan"), "must be an integer (got nan)"),
        ("recipe.seed", 2**70, "must be an integer"),
        ("sampler.things.thing", [float("inf")], "must be a finite number (got inf)"),
        ("teacher.parrot.replies", ["a", {"b": datetime.date(1979, 5, 27)}], "dates and times are not supported"),
        ("stage.echoes.count", 2**64, "larger than 64 bits"),
    ],
)
def test_values_that_json_cannot_hold_are_refused(planned: Callable[..., Plan], option: str, value: Any, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        planned(sets={option: value})
    assert message in str(caught.value) and option in str(caught.value)
