"""Plugin discovery and lookup: what is installed, what it provides, and what failed to load."""

from __future__ import annotations

import importlib
import logging
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cached_property, lru_cache
from importlib.metadata import EntryPoint, PackageNotFoundError, entry_points, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import pluggy

from textbookgen.api import hookspecs
from textbookgen.api.errors import PluginError
from textbookgen.recipe.plugin_boundary import describe_error, plugin_boundary, report_slow_import

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from pydantic import BaseModel

    from textbookgen.api.benchmark import Benchmark
    from textbookgen.api.executor import Executor
    from textbookgen.api.model import Model
    from textbookgen.api.sampler import Sampler
    from textbookgen.api.stage import Filter, Stage
    from textbookgen.api.teacher import Teacher
    from textbookgen.api.tokenizer import Tokenizer

    Options = TypeVar("Options", bound=BaseModel)

log = logging.getLogger(__name__)

#: Plugins that are always present, by module name, so that importing this module imports none of them.
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

#: The base class of what a hook provides, by module and name: imported when it is needed.
_BASES = {
    "stages": ("textbookgen.api.stage", "Stage"),
    "teachers": ("textbookgen.api.teacher", "Teacher"),
    "samplers": ("textbookgen.api.sampler", "Sampler"),
}
_CLASS_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


@dataclass(frozen=True)
class Plugin:
    """One installed plugin: its name, its distribution, and the error if it failed to load."""

    name: str
    distribution: str
    version: str
    error: Exception | None = None


class Plugins:
    """The installed plugins, or only those in `names`; built-in ones are always included.

    A plugin that fails to load is skipped: `installed` has its error, and the other plugins are not affected.
    """

    def __init__(self, names: Iterable[str] | None = None) -> None:
        self.names = _requested_names() if names is None else frozenset(names)
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
                raise PluginError(f"plugin '{entry.name}' is already provided by {self.installed[entry.name].distribution}")
            with report_slow_import(f"'{entry.name}' ({distribution} {release})"):
                module = entry.load()
            self._manager.register(module, name=entry.name)
            self._manager.check_pending()
        except KeyboardInterrupt:
            raise
        except BaseException as problem:  # a plugin may raise anything while it is imported
            error = problem if isinstance(problem, Exception) else PluginError(describe_error(problem))
            if self._manager.has_plugin(entry.name):
                self._manager.unregister(name=entry.name)
        if entry.name not in self.installed:
            self.installed[entry.name] = Plugin(entry.name, distribution, release, error)

    def add(self, name: str, plugin: object) -> None:
        """Register a plugin object that is not installed, for tests and for programs that embed textbookgen.

        Executors that run parts in other processes cannot use it.

        Raises:
            PluginError: it implements a hook that does not exist, or a hook with an unknown argument.
        """
        try:
            self._manager.register(plugin, name=name)
            self._manager.check_pending()
        except pluggy.PluginValidationError as error:
            self._manager.unregister(name=name)
            raise PluginError(f"plugin '{name}' does not match the hook specifications: {error}") from error
        self.installed[name] = Plugin(name, "not installed", "0")
        for table in ("stages", "teachers", "samplers"):
            self.__dict__.pop(table, None)

    # -- what plugins provide

    @cached_property
    def stages(self) -> dict[str, type[Stage]]:
        """Every stage class, by the name a recipe uses."""
        return self._provided("stages")

    @cached_property
    def teachers(self) -> dict[str, type[Teacher]]:
        """Every teacher class, by the name a recipe uses."""
        return self._provided("teachers")

    @cached_property
    def samplers(self) -> dict[str, type[Sampler]]:
        """Every sampler class, by the name a recipe uses."""
        return self._provided("samplers")

    def prompt_folders(self) -> list[Traversable]:
        """Return the folders of prompt templates, those of plugins before the built-in ones."""
        return [folder for _, folders in self._call_each("prompt_folders") for folder in folders]

    def recipe_folders(self) -> list[Traversable]:
        """Return the folders of recipes."""
        return [folder for _, folders in self._call_each("recipe_folders") for folder in folders]

    def _provided(self, hook: str) -> dict[str, Any]:
        classes: dict[str, Any] = {}
        for plugin, provided in self._call_each(hook):
            prefix = "" if plugin.startswith("builtin.") else f"{plugin}/"
            for kind in provided:
                name = prefix + kind.name
                if name in classes:
                    raise PluginError(f"two classes are named '{name}': {classes[name]!r} and {kind!r}")
                classes[name] = kind
        return dict(sorted(classes.items()))

    def _call_each(self, hook: str) -> Iterator[tuple[str, list[Any]]]:
        """Yield each plugin that implements a hook, with the items that it returns.

        A plugin that fails, or returns something else, gets an error in `installed` and is skipped.
        """
        for implementation in getattr(self._manager.hook, hook).get_hookimpls():
            function = cast("Callable[[], Iterable[Any]]", implementation.function)
            name = implementation.plugin_name
            try:
                with plugin_boundary(self._describe(name), hook):
                    items = _checked_items(hook, function())
            except PluginError as error:
                self._fail(name, error)
                continue
            yield name, items

    def _describe(self, name: str) -> str:
        plugin = self.installed.get(name)
        return f"plugin '{name}' ({plugin.distribution} {plugin.version})" if plugin else f"'{name}'"

    def _fail(self, name: str, error: PluginError) -> None:
        """Record the error of a plugin; an error of textbookgen itself is raised."""
        plugin = self.installed.get(name)
        if plugin is None:
            raise error
        if plugin.error is None:
            log.warning("%s", error.problem)
            self.installed[name] = replace(plugin, error=error)

    # -- what the first plugin that knows a name opens

    def tokenizer(self, name: str) -> Tokenizer:
        """Return the tokenizer of this name.

        Raises:
            PluginError: no plugin provides it.
        """
        return cast("Tokenizer", self._open("open_tokenizer", "tokenizer", name=name))

    def benchmark(self, name: str) -> Benchmark:
        """Return the benchmark of this name.

        Raises:
            PluginError: no plugin provides it.
        """
        return cast("Benchmark", self._open("open_benchmark", "benchmark", name=name))

    def model(self, checkpoint: Path) -> Model:
        """Open the model in this folder.

        Raises:
            PluginError: no plugin can open it.
        """
        return cast("Model", self._open("open_model", "model", checkpoint=checkpoint))

    def executor(self, name: str) -> Executor:
        """Return the executor of this name.

        Raises:
            PluginError: no plugin provides it.
        """
        return cast("Executor", self._open("open_executor", "executor", name=name))

    def filter(self, use: str | Mapping[str, Any]) -> Filter:
        """Build a filter from its name, or from a table of options with `use`.

        Raises:
            PluginError: no plugin provides it, or it is not a filter.
            ValidationError: its options are wrong.
        """
        from textbookgen.api.stage import Filter

        options = {"use": use} if isinstance(use, str) else dict(use)
        name = str(options.pop("use", ""))
        if not name:
            hint = 'write the name of a filter, as in { use = "sample", share = 0.5 }'
            raise PluginError("a table of a filter needs the key 'use'", hint=hint)
        kind = self.find("stage", name)
        if not issubclass(kind, Filter):
            hint = "use a stage of the family Filter: `textbookgen stage list` shows them"
            raise PluginError(f"'{name}' is not a filter", hint=hint)
        return self.build(kind, options)

    def build(self, kind: type[Options], options: Mapping[str, Any]) -> Options:
        """Validate the options of a stage, teacher or sampler.

        The validation context holds the sampler classes, for samplers that contain other samplers.

        Raises:
            ValidationError: the options are wrong.
            PluginError: the class raised another error while they were validated.
        """
        from pydantic import ValidationError

        try:
            return kind.model_validate(dict(options), context={"samplers": self.samplers})
        except ValidationError:
            raise
        except BaseException:
            with plugin_boundary(f"the class `{kind.__name__}`", "validation"):
                raise

    def _open(self, hook: str, what: str, **argument: Any) -> object:
        (name,) = argument.values()
        opened = None
        for implementation in reversed(getattr(self._manager.hook, hook).get_hookimpls()):  # pluggy's order: the last first
            with plugin_boundary(self._describe(implementation.plugin_name), f"{hook}({str(name)!r})"):
                opened = implementation.function(*(argument[key] for key in implementation.argnames))
            if opened is not None:
                break
        if opened is None:
            hint = "`textbookgen plugin list` lists the installed plugins"
            raise PluginError(f"no installed plugin provides the {what} '{name}'", hint=hint)
        return opened

    # -- classes by name

    def find(self, table: str, use: str) -> type[Any]:
        """Return the class that `use` names in a `[stage.…]`, `[teacher.…]` or `[sampler.…]` table.

        Raises:
            PluginError: no plugin provides it; says whether its plugin is missing or broken, or has a similar name.
        """
        tables: dict[str, dict[str, type[Any]]] = {
            "stage": {**self.stages},
            "teacher": {**self.teachers},
            "sampler": {**self.samplers},
        }
        classes = tables[table]
        if use in classes:
            return classes[use]
        plugin = use.partition("/")[0] if "/" in use else ""
        if plugin and plugin not in self.installed:
            hint = "`textbookgen plugin list` lists the installed plugins"
            raise PluginError(f"the plugin '{plugin}' is not installed", hint=hint)
        if plugin and (error := self.installed[plugin].error) is not None:
            raise PluginError(f"the plugin '{plugin}' failed to load: {error!r}", hint="reinstall it with its dependencies")
        close = get_close_matches(use, classes, n=1)
        hint = f"did you mean '{close[0]}'?" if close else f"`textbookgen {table} list` lists the {table}s"
        raise PluginError(f"there is no {table} '{use}'", hint=hint)

    def release(self, use: str) -> str:
        """Return the distribution and version that provides a class, such as `textbookgen-dedup 0.1.0`."""
        plugin = self.installed.get(use.partition("/")[0]) if "/" in use else None
        return f"{plugin.distribution} {plugin.version}" if plugin else f"textbookgen {own_version()}"

    def observers(self) -> list[tuple[str, Callable[..., None]]]:
        """Return the functions that receive events, with the names of their plugins."""
        implementations = self._manager.hook.observe.get_hookimpls()
        return [(item.plugin_name, cast("Callable[..., None]", item.function)) for item in implementations]


def _checked_items(hook: str, returned: object) -> list[Any]:
    """Return what a hook returned as a list; classes must have a base of the right family, and a name.

    Raises:
        PluginError: it is not a list, or an item of it is of no use.
    """
    if isinstance(returned, str | bytes) or not isinstance(returned, Iterable):
        raise PluginError(f"`{hook}` must return a list, but returned {returned!r:.80}")
    items = list(returned)
    if hook not in _BASES:
        return items
    module, name = _BASES[hook]
    base = getattr(importlib.import_module(module), name)
    for item in items:
        if not (isinstance(item, type) and issubclass(item, base)):
            raise PluginError(f"`{hook}` must return classes derived from {name}, but returned {item!r:.80}")
        label = getattr(item, "name", None)
        if not isinstance(label, str) or not _CLASS_NAME.fullmatch(label):
            problem = f"{item.__module__}.{item.__qualname__} needs a class attribute `name` of letters, digits, '-' and '_'"
            raise PluginError(f"{problem}, but has {label!r:.80}")
    return items


@lru_cache(maxsize=4)
def _cached_plugins(names: frozenset[str] | None) -> Plugins:
    """Return the plugins of a worker process, which loads them once however many parts it receives."""
    return Plugins(names)


def _requested_names() -> frozenset[str] | None:
    """Return the plugins that TEXTBOOKGEN_PLUGINS names; None for all."""
    names = os.environ.get("TEXTBOOKGEN_PLUGINS")
    return None if names is None else frozenset(name for name in names.split(",") if name)


def own_version() -> str:
    """Return the version of textbookgen itself."""
    try:
        return version("textbookgen")
    except PackageNotFoundError:
        return "unknown"
