"""The porter: who is installed, who brought what, and who would not load."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property, lru_cache
from importlib.metadata import EntryPoint, PackageNotFoundError, entry_points, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import pluggy

from textbookgen.api import hookspecs
from textbookgen.api.errors import PluginError

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from textbookgen.api.benchmark import Benchmark
    from textbookgen.api.executor import Executor
    from textbookgen.api.model import Model
    from textbookgen.api.sampler import Sampler
    from textbookgen.api.stage import Filter, Stage
    from textbookgen.api.teacher import Teacher
    from textbookgen.api.tokenizer import Tokenizer

#: Plugins that are always there: by name, so that this room imports none of them.
BUILTIN = (
    "sources",
    "samplers",
    "stages",
    "teachers",
    "tokenizers",
    "benchmarks",
    "executors",
    "shipped_files",
)

Brought = TypeVar("Brought")


@dataclass(frozen=True)
class Plugin:
    """One installed plugin: its name, its distribution, and why it did not load (None if it did)."""

    name: str
    distribution: str
    version: str
    error: Exception | None = None


class Plugins:
    """All plugins that are installed, or those `names` only; built-in ones are always there.

    A plugin that does not load is kept aside with its error and harms nobody else.
    """

    def __init__(self, names: Iterable[str] | None = None) -> None:
        self.names = _wanted() if names is None else frozenset(names)
        self.installed: dict[str, Plugin] = {}
        self._manager = pluggy.PluginManager("textbookgen")
        self._manager.add_hookspecs(hookspecs)
        if "hooks" in os.environ.get("TEXTBOOKGEN_TRACE", "").split(","):
            self._manager.trace.root.setwriter(lambda text: sys.stderr.write(text))
            self._manager.enable_tracing()
        for name in BUILTIN:
            self._manager.register(importlib.import_module(f"textbookgen.builtin.{name}"), name=f"builtin.{name}")
        for entry in sorted(entry_points(group="textbookgen"), key=lambda entry: entry.name):
            if self.names is None or entry.name in self.names:
                self._load(entry)

    def __reduce__(self) -> tuple[object, ...]:
        return _cached_plugins, (self.names,)

    def _load(self, entry: EntryPoint) -> None:
        distribution, release = (entry.dist.name, entry.dist.version) if entry.dist else ("?", "?")
        error: Exception | None = None
        try:
            if entry.name in self.installed:
                raise PluginError(f"plugin '{entry.name}' is brought by {self.installed[entry.name].distribution} as well")
            module = entry.load()
            self._manager.register(module, name=entry.name)
            self._manager.check_pending()
        except Exception as problem:  # whatever a stranger's import raises must not harm the others
            error = problem
            if self._manager.has_plugin(entry.name):
                self._manager.unregister(name=entry.name)
        if entry.name not in self.installed:
            self.installed[entry.name] = Plugin(entry.name, distribution, release, error)

    def add(self, name: str, plugin: object) -> None:
        """Lets in a plugin that is not installed, under this name: for tests, and for hosts with one of their own.

        Executors of other processes do not know it.

        Raises:
            PluginError: it has a hook that does not exist, or takes an argument that no hook has.
        """
        try:
            self._manager.register(plugin, name=name)
            self._manager.check_pending()
        except pluggy.PluginValidationError as error:
            self._manager.unregister(name=name)
            raise PluginError(f"plugin '{name}' does not fit the hooks: {error}") from error
        self.installed[name] = Plugin(name, "not installed", "0")
        for brought in ("stages", "teachers", "samplers"):
            self.__dict__.pop(brought, None)

    # -- What do you bring?

    @cached_property
    def stages(self) -> dict[str, type[Stage]]:
        """Every stage, by the name a recipe uses."""
        return self._brought("stages")

    @cached_property
    def teachers(self) -> dict[str, type[Teacher]]:
        """Every teacher, by the name a recipe uses."""
        return self._brought("teachers")

    @cached_property
    def samplers(self) -> dict[str, type[Sampler]]:
        """Every sampler, by the name a recipe uses."""
        return self._brought("samplers")

    def prompt_folders(self) -> list[Traversable]:
        """Folders of prompt templates, plugins' before our own."""
        return [folder for _, folders in self._answers("prompt_folders") for folder in folders]

    def recipe_folders(self) -> list[Traversable]:
        """Folders of recipes."""
        return [folder for _, folders in self._answers("recipe_folders") for folder in folders]

    def _brought(self, hook: str) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for plugin, brought in self._answers(hook):
            prefix = "" if plugin.startswith("builtin.") else f"{plugin}/"
            for item in brought:
                name = prefix + item.name
                if name in result:
                    raise PluginError(f"two classes are called '{name}': {result[name]!r} and {item!r}")
                result[name] = item
        return dict(sorted(result.items()))

    def _answers(self, hook: str) -> Iterator[tuple[str, list[Any]]]:
        for implementation in getattr(self._manager.hook, hook).get_hookimpls():
            function = cast("Callable[[], Iterable[Any]]", implementation.function)
            yield implementation.plugin_name, list(function())

    # -- Can you open this?

    def tokenizer(self, name: str) -> Tokenizer:
        """The tokenizer of this name.

        Raises:
            PluginError: no plugin knows it.
        """
        return cast("Tokenizer", self._opened("open_tokenizer", "tokenizer", name=name))

    def benchmark(self, name: str) -> Benchmark:
        """The benchmark of this name.

        Raises:
            PluginError: no plugin knows it.
        """
        return cast("Benchmark", self._opened("open_benchmark", "benchmark", name=name))

    def model(self, checkpoint: Path) -> Model:
        """The model in this folder.

        Raises:
            PluginError: no plugin can open it.
        """
        return cast("Model", self._opened("open_model", "model", checkpoint=checkpoint))

    def executor(self, name: str) -> Executor:
        """The executor of this name.

        Raises:
            PluginError: no plugin knows it.
        """
        return cast("Executor", self._opened("open_executor", "executor", name=name))

    def filter(self, use: str | Mapping[str, Any]) -> Filter:
        """The judge of this name, or of a table of options with `use`.

        Raises:
            PluginError: nobody brought it, or it is not a Judge.
        """
        from textbookgen.api.stage import Filter

        options = {"use": use} if isinstance(use, str) else dict(use)
        name = str(options.pop("use", ""))
        result = self.find("stage", name)
        if not issubclass(result, Filter):
            raise PluginError(f"'{name}' is not a judge", hint="a judge says of each document whether it is kept")
        return result(**options)

    def _opened(self, hook: str, what: str, **argument: Any) -> object:
        result = getattr(self._manager.hook, hook)(**argument)
        if result is None:
            (wanted,) = argument.values()
            raise PluginError(
                f"no plugin knows a {what} called '{wanted}'", hint="`textbookgen plugin list` shows who is installed"
            )
        return result

    # -- Who is who?

    def find(self, table: str, use: str) -> type[Any]:
        """The class that a recipe means by `use` in a `[stage.…]`, `[teacher.…]` or `[sampler.…]` table.

        Raises:
            PluginError: nobody brought it; says whether its plugin is missing, broken, or brings something like it.
        """
        tables: dict[str, dict[str, type[Any]]] = {
            "stage": {**self.stages},
            "teacher": {**self.teachers},
            "sampler": {**self.samplers},
        }
        known = tables[table]
        if use in known:
            return known[use]
        plugin = use.partition("/")[0] if "/" in use else ""
        if plugin and plugin not in self.installed:
            raise PluginError(f"no plugin called '{plugin}' is installed", hint="`textbookgen plugin list` shows what is")
        if plugin and (error := self.installed[plugin].error) is not None:
            raise PluginError(f"plugin '{plugin}' is installed but did not load: {error!r}")
        close = get_close_matches(use, known, n=1)
        hint = f"did you mean '{close[0]}'?" if close else f"`textbookgen {table} list` shows what there is"
        raise PluginError(f"no {table} is called '{use}'", hint=hint)

    def release(self, use: str) -> str:
        """The distribution and version that brought what a recipe uses, such as `textbookgen-dedup 0.1.0`."""
        plugin = self.installed.get(use.partition("/")[0]) if "/" in use else None
        return f"{plugin.distribution} {plugin.version}" if plugin else f"textbookgen {own_version()}"

    def observers(self) -> list[tuple[str, Callable[..., None]]]:
        """The functions that are told of events, with the names of their plugins."""
        implementations = self._manager.hook.observe.get_hookimpls()
        return [(item.plugin_name, cast("Callable[..., None]", item.function)) for item in implementations]


@lru_cache(maxsize=4)
def _cached_plugins(names: frozenset[str] | None) -> Plugins:
    """The one porter of a process that works parts: plugins are loaded once, however many parts arrive."""
    return Plugins(names)


def _wanted() -> frozenset[str] | None:
    """The plugins that TEXTBOOKGEN_PLUGINS names; None for all."""
    chosen = os.environ.get("TEXTBOOKGEN_PLUGINS")
    return None if chosen is None else frozenset(name for name in chosen.split(",") if name)


def own_version() -> str:
    """The version of textbookgen itself."""
    try:
        return version("textbookgen")
    except PackageNotFoundError:
        return "unknown"
