"""Each hook is documented with its exact signature, and has a test named after it below."""

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


def test_there_are_ten() -> None:
    assert len(HOOKS) == 10


class Brings:
    """Answers every hook."""

    seen: ClassVar[list[Event]] = []

    @hookimpl
    def teachers(self) -> list[type[Teacher]]:
        return [type("Silent", (Teacher,), {"name": "silent", "__doc__": "Says nothing.", "__module__": __name__})]

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
        return One() if name == "one" else None

    @hookimpl
    def open_model(self, checkpoint: Path) -> object | None:
        return "a model" if checkpoint.name == "mine" else None

    @hookimpl
    def open_executor(self, name: str) -> Executor | None:
        return Backwards() if name == "backwards" else None

    @hookimpl
    def observe(self, event: Event) -> None:
        self.seen.append(event)


class One:
    """A benchmark of one item."""

    name = "one"
    stop = ("\n",)

    def items(self) -> list[BenchmarkItem]:  # type: ignore[override]
        return [BenchmarkItem("1", "1 + 1 =", " 2")]


class Backwards:
    """Works the last part first."""

    def map(self, work: Callable[..., object], tasks: list[object]) -> list[object]:  # type: ignore[override]
        return [work(task) for task in reversed(tasks)]

    def close(self) -> None:
        pass


@pytest.fixture
def found() -> Plugins:
    plugins = Plugins([])
    plugins.add("mine", Brings())
    return plugins


def test_hook_stages() -> None:
    plugins = Plugins([])
    plugins.add("toy", Toy())
    assert plugins.find("stage", "toy/numbers").name == "numbers"


def test_hook_teachers(found: Plugins) -> None:
    assert found.find("teacher", "mine/silent")().max_parallel == 32


def test_hook_samplers(found: Plugins) -> None:
    assert found.find("sampler", "mine/nothing").name == "nothing"


def test_hook_prompt_folders(found: Plugins) -> None:
    from textbookgen.recipe.prompts import Prompts

    assert Prompts(found.prompt_folders()).render("plain.md.j2", {}) == "Say something."


def test_hook_recipe_folders(found: Plugins) -> None:
    assert Path(__file__).parent / "golden" in found.recipe_folders()


def test_hook_open_tokenizer(found: Plugins) -> None:
    assert found.tokenizer("mine").encode_batch(["a"]) == [[97]]
    assert found.tokenizer("bytes").eod == 256
    with pytest.raises(PluginError, match="no plugin knows a tokenizer called 'nobody'"):
        found.tokenizer("nobody")


def test_hook_open_benchmark(found: Plugins) -> None:
    assert [item.solution for item in found.benchmark("one").items()] == [" 2"]
    with pytest.raises(PluginError, match="no plugin knows a benchmark"):
        found.benchmark("nobody")


def test_hook_open_model(found: Plugins, tmp_path: Path) -> None:
    assert found.model(tmp_path / "mine") == "a model"  # type: ignore[comparison-overlap]
    with pytest.raises(PluginError, match="no plugin knows a model"):
        found.model(tmp_path)


def test_hook_open_executor(found: Plugins) -> None:
    assert list(found.executor("backwards").map(str, [1, 2])) == ["2", "1"]
    assert list(found.executor("serial").map(str, [1, 2])) == ["1", "2"]


def test_hook_observe(ran: Callable[..., RunFolder], plugins: Plugins) -> None:
    Brings.seen.clear()
    plugins.add("mine", Brings())
    ran()
    assert isinstance(Brings.seen[0], RunStarted)
    assert isinstance(Brings.seen[-1], RunFinished)


class Misspelt:
    """Has a hook that does not exist."""

    @hookimpl
    def stagess(self) -> list[object]:
        return []


class Greedy:
    """Takes an argument that the hook does not have."""

    @hookimpl
    def open_tokenizer(self, name: str, size: int) -> None:
        return None


@pytest.mark.parametrize("plugin", [Misspelt(), Greedy()])
def test_a_plugin_that_does_not_fit_the_hooks_is_refused(plugin: object) -> None:
    with pytest.raises(PluginError, match=r"does not fit the hooks|stagess|size"):
        Plugins([]).add("bad", plugin)


def test_hooks_are_typed_and_described() -> None:
    for name, function in HOOKS.items():
        assert re.match(r"[A-Z].+[.,]", inspect.getdoc(function) or ""), name
        assert inspect.signature(function).return_annotation is not inspect.Signature.empty, name
