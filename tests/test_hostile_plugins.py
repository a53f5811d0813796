"""Plugins that raise, exit or return junk: the error names plugin and method, other plugins go on, and no run ends as a success."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ClassVar

import polars as pl
import pytest
from pydantic import field_validator

from textbookgen.api.errors import Diagnostic, PluginError, RunError, TextbookgenError, TrainerError
from textbookgen.api.hookspecs import hookimpl
from textbookgen.api.stage import Filter, Source, Stage, Transform
from textbookgen.api.teacher import Reply, Request, Teacher
from textbookgen.builtin.executors import _call
from textbookgen.recipe.plan import Plan
from textbookgen.recipe.plugin_manager import Plugins
from textbookgen.storage.workspace import RunFolder

Ran = Callable[..., RunFolder]


def leave(*_: object, **__: object) -> Any:
    sys.exit(0)


def fail(*_: object, **__: object) -> Any:
    raise ZeroDivisionError("by zero")


class Exits(Filter):
    """Calls sys.exit."""

    name: ClassVar[str] = "exits"

    def decide(self, docs: pl.DataFrame) -> pl.DataFrame:
        sys.exit(0)


class Panics(Filter):
    """Raises what libraries in Rust raise, which is not of the class Exception."""

    name: ClassVar[str] = "panics"

    def decide(self, docs: pl.DataFrame) -> pl.DataFrame:
        raise pl.exceptions.PanicException("index out of bounds")


class Validates(Filter):
    """Raises while its options are validated."""

    name: ClassVar[str] = "validates"
    word: str = "x"

    @field_validator("word")
    @classmethod
    def look_up(cls, word: str) -> str:
        return {"a": "b"}[word]

    def decide(self, docs: pl.DataFrame) -> pl.DataFrame:
        return docs.select("id", keep=True, reason=None)


class Unwritten(Filter):
    """Has no method."""

    name: ClassVar[str] = "unwritten"


class Loses(Transform):
    """Returns rows without ids."""

    name: ClassVar[str] = "loses"

    def transform(self, docs: pl.DataFrame) -> pl.DataFrame:
        return docs.select("text")


class Misspells(Transform):
    """Reads a column that is not there."""

    name: ClassVar[str] = "misspells"

    def transform(self, docs: pl.DataFrame) -> pl.DataFrame:
        return docs.with_columns(pl.col("txet").str.to_uppercase().alias("text"))


class Checks(Filter):
    """Raises while its options are checked."""

    name: ClassVar[str] = "checks"

    def check(self) -> Iterable[Diagnostic]:
        raise KeyError("options")

    def decide(self, docs: pl.DataFrame) -> pl.DataFrame:
        return docs.select("id", keep=True, reason=None)


class Digests(Source):
    """Raises while its digest is computed."""

    name: ClassVar[str] = "digests"

    def digest(self) -> str:
        raise MemoryError


class Strings(Teacher):
    """Returns a string instead of a Reply."""

    name: ClassVar[str] = "strings"

    async def complete(self, request: Request) -> Reply:
        return "a fox"  # type: ignore[return-value]


class Hostile:
    """The classes above as a plugin."""

    @hookimpl
    def stages(self) -> list[type[Stage]]:
        return [Exits, Panics, Validates, Unwritten, Loses, Misspells, Checks, Digests]

    @hookimpl
    def teachers(self) -> list[type[Teacher]]:
        return [Strings]


NUMBERS = '[recipe]\nname = "hostile"\n\n[stage.numbers]\nuse = "toy/numbers"\n\n'


@pytest.mark.parametrize(
    ("use", "message"),
    [
        ("exits", r"stage `hostile/exits` .*failed in `run`: it called `sys.exit\(0\)` .* in decide\)"),
        ("panics", r"stage `hostile/panics` .*PanicException: index out of bounds .* in decide\)"),
        ('validates"\nword = "z', r"the class `Validates` failed in `validation`: KeyError: 'z' .* in look_up\)"),
        ("unwritten", r"stage `hostile/unwritten` .*failed in `run`: the method is not implemented .* in decide\)"),
        ("loses", "rows without the column `id`"),
        ("misspells", r"stage `hostile/misspells` .*ColumnNotFoundError"),
        ("checks", r"stage `hostile/checks` .*failed in `check`: KeyError: 'options' .* in check\)"),
    ],
)
def test_a_stage_that_fails_is_named(ran: Ran, plugins: Plugins, use: str, message: str) -> None:
    plugins.add("hostile", Hostile())
    with pytest.raises(TextbookgenError, match=message):
        ran(f'{NUMBERS}[stage.bad]\nuse = "hostile/{use}"\nfrom = "numbers"\n')


def test_a_panic_in_a_worker_process_is_named() -> None:
    assert not issubclass(pl.exceptions.PanicException, Exception)
    with pytest.raises(RunError, match="PanicException: index out of bounds"):
        _call(Panics().decide, pl.DataFrame())


def test_a_filter_in_accept_that_fails_in_its_check_is_named(planned: Callable[..., Plan], plugins: Plugins) -> None:
    plugins.add("hostile", Hostile())
    with pytest.raises(PluginError, match=r"hostile/checks.*failed in `check`: KeyError"):
        planned(sets={"stage.echoes.accept": ["hostile/checks"]})


def test_a_source_whose_digest_fails_is_named(ran: Ran, plugins: Plugins) -> None:
    plugins.add("hostile", Hostile())
    with pytest.raises(PluginError, match=r"source `hostile/digests` failed in `digest`: MemoryError"):
        ran('[recipe]\nname = "hostile"\n\n[stage.bad]\nuse = "hostile/digests"\n')


def test_a_teacher_that_returns_a_string_is_named(ran: Ran, plugins: Plugins) -> None:
    plugins.add("hostile", Hostile())
    recipe = (
        '[recipe]\nname = "hostile"\n\n[teacher.bad]\nuse = "hostile/strings"\n\n'
        '[stage.echoes]\nuse = "toy/echo"\nteacher = "bad"\ncount = 3\nprompt = "plain.md.j2"\n'
    )
    with pytest.raises(TextbookgenError, match="the teacher `hostile/strings` returned str instead of a Reply"):
        ran(recipe)


@pytest.fixture(autouse=True)
def plain_prompt(folder: Path) -> None:
    (folder / "plain.md.j2").write_text("Say something.", encoding="utf-8")


@pytest.mark.parametrize("command", ["python train.py", ["python", 3], [b"python"]], ids=repr)
def test_a_command_that_is_no_list_of_strings_is_an_error(
    ran: Ran, plugins: Plugins, monkeypatch: pytest.MonkeyPatch, command: object
) -> None:
    monkeypatch.setattr(plugins.stages["toy/hash"], "command", lambda self, job: command)
    with pytest.raises(TrainerError, match="`command` of 'toy/hash' must return a list of strings"):
        ran()


@pytest.mark.parametrize("hook", ["stages", "teachers", "samplers", "prompt_folders", "recipe_folders"])
@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (leave, "it called `sys.exit(0)`"),
        (fail, "ZeroDivisionError: by zero"),
        (lambda self: "text", "must return a list, but returned 'text'"),
        (lambda self: 7, "must return a list, but returned 7"),
    ],
    ids=["exits", "raises", "string", "number"],
)
def test_a_hook_that_fails_leaves_the_other_plugins_working(hook: str, answer: Callable[..., Any], message: str) -> None:
    plugins = Plugins([])
    plugins.add("bad", type("Bad", (), {hook: hookimpl(_named(hook, answer))})())
    plugins.add("good", Hostile())
    assert "hostile" not in plugins.stages and "good/exits" in plugins.stages and "good/strings" in plugins.teachers
    assert plugins.samplers and plugins.prompt_folders() and plugins.recipe_folders()
    error = plugins.installed["bad"].error
    assert error is not None and message in str(error) and plugins.installed["good"].error is None


def _named(hook: str, answer: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function with the signature of the hook: pluggy compares it."""

    def call(self: object) -> Any:
        return answer(self)

    call.__name__ = hook
    return call


@pytest.mark.parametrize("item", ["Filter", 3, int, type("Nameless", (Filter,), {"__doc__": "No name."})], ids=repr)
def test_a_stage_that_is_no_stage_class_is_an_error_of_its_plugin(item: object) -> None:
    plugins = Plugins([])
    plugins.add("bad", type("Bad", (), {"stages": hookimpl(_named("stages", lambda self: [item]))})())
    assert "sample" in plugins.stages
    assert isinstance(plugins.installed["bad"].error, PluginError)


@pytest.mark.parametrize("hook", ["open_tokenizer", "open_benchmark", "open_executor"])
@pytest.mark.parametrize(("answer", "message"), [(leave, "sys.exit"), (fail, "ZeroDivisionError")], ids=["exits", "raises"])
def test_a_hook_that_opens_names_the_plugin_that_failed(hook: str, answer: Callable[..., Any], message: str) -> None:
    def call(self: object, name: str) -> Any:
        return answer(name)

    call.__name__ = hook
    plugins = Plugins([])
    plugins.add("bad", type("Bad", (), {hook: hookimpl(call)})())
    with pytest.raises(PluginError, match=rf"plugin 'bad' \(not installed 0\) failed in `{hook}\('x'\)`: .*{message}"):
        getattr(plugins, hook.removeprefix("open_"))("x")


def test_an_observer_that_exits_does_not_end_the_run(ran: Ran) -> None:
    run = ran(observers=[("leaves", leave)])
    assert not run.summary().error and len(run.summary().steps) == 8


PACKAGE = {
    "exits": "import sys\nsys.exit(0)\n",
    "raises": "raise OSError('no such device')\n",
    "hangs": "import time\ntime.sleep(3)\n",
}


@pytest.mark.parametrize("name", PACKAGE)
def test_a_package_that_fails_on_import_is_listed_with_its_error(tmp_path: Path, name: str) -> None:
    """A real package in a folder on the path: `sys.exit(0)` in it must not make every command exit with 0 in silence."""
    (tmp_path / "badplugin.py").write_text(PACKAGE[name], encoding="utf-8")
    metadata = tmp_path / "badplugin-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: badplugin\nVersion: 1.0\n", encoding="utf-8")
    (metadata / "entry_points.txt").write_text("[textbookgen]\nbad = badplugin\n", encoding="utf-8")
    code = (
        "import textbookgen.recipe.plugin_boundary as b; b._SLOW_IMPORT = 1.0\n"
        "import sys; sys.argv = ['textbookgen', 'plugin', 'list']\n"
        "from textbookgen.cli import main; main()"
    )
    environment = {"PYTHONPATH": str(tmp_path), "TEXTBOOKGEN_PLUGINS": "bad", "PATH": ""}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    expected = {"exits": "sys.exit(0)", "raises": "no such device", "hangs": "still importing the plugin 'bad' (badplugin 1.0)"}
    assert result.returncode == 0 and expected[name] in result.stdout + result.stderr
