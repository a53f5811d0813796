"""Every hook is documented with its exact signature, and has a test named after it below."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import ClassVar

import pytest
from conftest import Toy

from textbookgen.api import hookspecs
from textbookgen.api.benchmark import Benchmark, BenchmarkItem
from textbookgen.api.errors import PluginError
from textbookgen.api.events import Event, RunFinished, RunStarted
from textbookgen.api.executor import Executor
from textbookgen.api.hookspecs import hookimpl
from textbookgen.api.sampler import Sampler
from textbookgen.api.teacher import Teacher
from textbookgen.api.tokenizer import ByteTokenizer, Tokenizer
from textbookgen.recipe.plugin_manager import Plugins
from textbookgen.storage.workspace import RunFolder

DOCS = Path(__file__).parents[1] / "docs" / "plugins.md"
HOOKS = {name: function for name, function in vars(hookspecs).items() if hasattr(function, "textbookgen_spec")}


@pytest.mark.parametrize("name", HOOKS)
def test_a_hook_is_documented_with_its_signature(name: str) -> None:
    signature = str(inspect.signature(HOOKS[name])).replace("'", "")
    assert f"### `{name}{signature}`" in DOCS.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", HOOKS)
def test_a_hook_has_a_test(name: str) -> None:
    assert f"test_hook_{name}" in globals()


def test_there_are_ten_hooks() -> None:
    assert len(HOOKS) == 10


class EveryHook:
    """A plugin that implements every hook, besides `stages`."""

    events: ClassVar[list[Event]] = []

    @hookimpl
    def teachers(self) -> list[type[Teacher]]:
        return [type("Silent", (Teacher,), {"name": "silent", "__doc__": "Never replies.", "__module__": __name__})]

    @hookimpl
    def samplers(self) -> list[type[Sampler]]:
        return [type("Nothing", (Sampler,), {"name": "nothing", "__doc__": "Draws nothing.", "__module__": __name__})]

    @hookimpl
    def prompt_folders(self) -> list[Traversable]:
        return [Path(__file__).parent / "golden" / "errors"]

    @hookimpl
    def recipe_folders(self) -> list[Traversable]:
        return [Path(__file__).parent / "golden"]

    @hookimpl
    def open_tokenizer(self, name: str) -> Tokenizer | None:
        return ByteTokenizer() if name == "mine" else None

    @hookimpl
    def open_benchmark(self, name: str) -> Benchmark | None:
        return OneItem() if name == "one" else None

    @hookimpl
    def open_model(self, checkpoint: Path) -> object | None:
        return "a model" if checkpoint.name == "mine" else None

    @hookimpl
    def open_executor(self, name: str) -> Executor | None:
        return Backwards() if name == "backwards" else None

    @hookimpl
    def observe(self, event: Event) -> None:
        self.events.append(event)


class OneItem:
    """A benchmark with one item."""

    name = "one"
    stop = ("\n",)

    def items(self) -> list[BenchmarkItem]:  # type: ignore[override]
        return [BenchmarkItem("1", "1 + 1 =", " 2")]


class Backwards:
    """An executor that runs the last task first."""

    def map(self, function: Callable[..., object], tasks: list[object]) -> list[object]:  # type: ignore[override]
        return [function(task) for task in reversed(tasks)]

    def close(self) -> None:
        pass


@pytest.fixture
def with_mine() -> Plugins:
    """The built-in plugins, and one called `mine` that implements every hook."""
    plugins = Plugins([])
    plugins.add("mine", EveryHook())
    return plugins


def test_hook_stages() -> None:
    plugins = Plugins([])
    plugins.add("toy", Toy())
    assert plugins.find("stage", "toy/numbers").name == "numbers"


def test_hook_teachers(with_mine: Plugins) -> None:
    assert with_mine.find("teacher", "mine/silent")().max_parallel == 32


def test_hook_samplers(with_mine: Plugins) -> None:
    assert with_mine.find("sampler", "mine/nothing").name == "nothing"


def test_hook_prompt_folders(with_mine: Plugins) -> None:
    from textbookgen.recipe.prompts import Prompts

    assert Prompts(with_mine.prompt_folders()).render("plain.md.j2", {}) == "Say something."


def test_hook_recipe_folders(with_mine: Plugins) -> None:
    assert Path(__file__).parent / "golden" in with_mine.recipe_folders()


def test_hook_open_tokenizer(with_mine: Plugins) -> None:
    assert with_mine.tokenizer("mine").encode_batch(["a"]) == [[97]]
    assert with_mine.tokenizer("bytes").eod == 256
    with pytest.raises(PluginError, match="no installed plugin provides the tokenizer 'absent'"):
        with_mine.tokenizer("absent")


def test_hook_open_benchmark(with_mine: Plugins) -> None:
    assert [item.solution for item in with_mine.benchmark("one").items()] == [" 2"]
    with pytest.raises(PluginError, match="no installed plugin provides the benchmark"):
        with_mine.benchmark("absent")


def test_hook_open_model(with_mine: Plugins, tmp_path: Path) -> None:
    assert with_mine.model(tmp_path / "mine") == "a model"  # type: ignore[comparison-overlap]
    with pytest.raises(PluginError, match="no installed plugin provides the model"):
        with_mine.model(tmp_path)


def test_hook_open_executor(with_mine: Plugins) -> None:
    assert list(with_mine.executor("backwards").map(str, [1, 2])) == ["2", "1"]
    assert list(with_mine.executor("serial").map(str, [1, 2])) == ["1", "2"]


def test_hook_observe(ran: Callable[..., RunFolder], plugins: Plugins) -> None:
    EveryHook.events.clear()
    plugins.add("mine", EveryHook())
    ran()
    assert isinstance(EveryHook.events[0], RunStarted)
    assert isinstance(EveryHook.events[-1], RunFinished)


class UnknownHook:
    """A plugin with a hook that does not exist."""

    @hookimpl
    def stagess(self) -> list[object]:
        return []


class WrongSignature:
    """A plugin with an argument that the hook does not have."""

    @hookimpl
    def open_tokenizer(self, name: str, size: int) -> None:
        return None


@pytest.mark.parametrize("plugin", [UnknownHook(), WrongSignature()])
def test_a_plugin_with_a_wrong_hook_is_rejected(plugin: object) -> None:
    with pytest.raises(PluginError, match=r"does not match the hook|stagess|size"):
        Plugins([]).add("bad", plugin)


def test_hooks_are_typed_and_described() -> None:
    for name, function in HOOKS.items():
        assert re.match(r"[A-Z].+[.,]", inspect.getdoc(function) or ""), name
        assert inspect.signature(function).return_annotation is not inspect.Signature.empty, name
