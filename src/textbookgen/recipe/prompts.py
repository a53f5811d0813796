"""Prompt templates: a strict, sandboxed Jinja environment over the folders of a recipe and of plugins."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from textbookgen.api.errors import TextbookgenError

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from jinja2 import Environment
    from jinja2.nodes import Template
    from jinja2.sandbox import ImmutableSandboxedEnvironment


_FOLDERS = (
    "templates are looked for beside the recipe and in the folder `prompts` there; "
    "`textbookgen prompt list` lists the shipped ones"
)


#: Where a template is that is written in the recipe itself.
IN_RECIPE = "the prompt in the recipe"


def is_inline(template: str) -> bool:
    """Return whether a template is given as text instead of by name: a name contains neither blanks nor variables."""
    return "{{" in template or any(character.isspace() for character in template)


#: Bits of the largest power, and characters of the longest repetition, that a template may compute.
_MAX_BITS, _MAX_REPETITION = 4_096, 1_000_000


@lru_cache(maxsize=1)
def _sandboxed_environment() -> type[ImmutableSandboxedEnvironment]:
    """Return jinja's immutable sandbox with limits on what operators compute; jinja is imported when it is first needed."""
    from jinja2.exceptions import SecurityError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class LimitedEnvironment(ImmutableSandboxedEnvironment):
        intercepted_binops = frozenset(("**", "*", "%"))

        def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
            if operator == "**" and isinstance(left, int) and isinstance(right, int):
                if abs(left).bit_length() * max(right, 0) > _MAX_BITS:
                    raise SecurityError(f"the template computes a power of more than {_MAX_BITS:,} bits")
            elif operator == "*" and isinstance(left, str | list | tuple | int) and isinstance(right, str | list | tuple | int):
                sizes = [len(item) for item in (left, right) if not isinstance(item, int)]
                counts = [item for item in (left, right) if isinstance(item, int)]
                if sizes and counts and sizes[0] * counts[0] > _MAX_REPETITION:
                    raise SecurityError(f"the template repeats a text to more than {_MAX_REPETITION:,} characters")
            elif operator == "%" and isinstance(left, str) and re.search(r"%[^a-zA-Z%]*\d{6}", left):
                raise SecurityError("the template formats a value with a width of more than 99,999 characters")
            return super().call_binop(context, operator, left, right)

    return LimitedEnvironment


class PromptError(TextbookgenError):
    """A prompt template is missing or malformed, or lacks a variable."""


class Prompts:
    """Prompt templates by name, each from the first of `folders` that contains it; a template may also be given as text."""

    def __init__(self, folders: Sequence[Traversable]) -> None:
        self._folders = folders

    @cached_property
    def _environment(self) -> Environment:
        from jinja2 import StrictUndefined
        from jinja2.loaders import FunctionLoader

        return _sandboxed_environment()(
            loader=FunctionLoader(self._find),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )

    def _find(self, name: str) -> tuple[str, str, Callable[[], bool]] | None:
        if is_inline(name):
            return name, IN_RECIPE, lambda: True
        if name.startswith("/") or ".." in name.split("/"):
            return None
        for folder in self._folders:
            file = folder.joinpath(*name.split("/"))
            if file.is_file():
                return file.read_text(encoding="utf-8"), str(file), lambda: True
        return None

    def text(self, name: str) -> str:
        """Return the source of a template.

        Raises:
            PromptError: no folder contains it.
        """
        source = self._find(name)
        if source is None:
            raise PromptError(f"there is no prompt template '{name}'", hint=_FOLDERS)
        return source[0]

    def sources(self, name: str) -> str:
        """Return the sources of a template and of all templates that it includes or extends, as one text for fingerprints.

        Raises:
            PromptError: one of them is missing or malformed.
        """
        return "\n".join(sorted(f"{item}\n{text}" for item, text, _ in self._walk(name)))

    def variables(self, name: str) -> set[str]:
        """Return all variables that a template, with those it includes, refers to.

        Raises:
            PromptError: one of the templates is missing or malformed.
        """
        from jinja2 import meta

        names: set[str] = set()
        for _, _, tree in self._walk(name):
            names |= meta.find_undeclared_variables(tree)
        return names

    def attributes(self, name: str, *path: str) -> set[str]:
        """Return the attributes that a template reads of a value, except for those that it tests with `is defined`.

        Args:
            name: the template.
            path: a variable and attributes of it, such as `document`, `draw` for what is read of `document.draw`.

        Raises:
            PromptError: a template is missing or malformed.
        """
        from jinja2 import nodes

        chains: set[tuple[str, ...]] = set()
        tested: set[tuple[str, ...]] = set()
        for _, _, tree in self._walk(name):
            chains |= {_chain(node) for kind in (nodes.Getattr, nodes.Getitem) for node in tree.find_all(kind)}
            tested |= {_chain(test.node) for test in tree.find_all(nodes.Test) if test.name == "defined"}
        return {chain[-1] for chain in chains - tested if chain and chain[:-1] == path}

    def missing(self, name: str, variables: Mapping[str, Any]) -> list[str]:
        """Return the variables that rendering a template requires and that are not among `variables`.

        A variable that the template tests with `is defined` is optional.

        Raises:
            PromptError: a template is missing or malformed.
        """
        from jinja2 import TemplateError, UndefinedError

        self.variables(name)
        missing: list[str] = []
        while True:
            try:
                self._environment.get_template(name).render({**variables, **dict.fromkeys(missing, "")})
            except UndefinedError as error:
                undefined = re.fullmatch(r"'(\w+)' is undefined", str(error.message))
                if undefined is None or undefined[1] in missing:
                    return missing
                missing.append(undefined[1])
            except (TemplateError, TypeError, ValueError):
                return missing
            else:
                return missing

    def _walk(self, name: str) -> Iterator[tuple[str, str, Template]]:
        """Yield name, source and syntax tree of a template and of all templates that it refers to."""
        from jinja2 import TemplateSyntaxError, meta

        waiting, seen = [name], set()
        while waiting:
            template = waiting.pop()
            if template in seen:
                continue
            seen.add(template)
            text = self.text(template)
            try:
                tree = self._environment.parse(text, filename=template)
            except TemplateSyntaxError as error:
                raise PromptError(f"line {error.lineno}: {error.message}", place=_place(template)) from error
            yield template, text, tree
            waiting += [reference for reference in meta.find_referenced_templates(tree) if reference]

    def render(self, name: str, variables: Mapping[str, Any]) -> str:
        """Return the prompt that a template gives with these variables.

        Raises:
            PromptError: a template is missing or malformed, or a variable is missing.
        """
        from jinja2 import TemplateError, TemplateNotFound

        try:
            return self._environment.get_template(name).render(variables).strip()
        except TemplateNotFound as error:
            self.text(str(error.name or name))
            raise PromptError(f"there is no prompt template '{error.name}'", place=_place(name)) from error
        except TemplateError as error:
            hint = "the sampler must provide every variable of the template"
            raise PromptError(str(error.message), place=_place(name), hint=hint) from error

    def names(self) -> list[str]:
        """Return the names of all templates, sorted."""
        names: set[str] = set()
        for folder in self._folders:
            names.update(_templates(folder, ""))
        return sorted(names)


def _place(template: str) -> str:
    return IN_RECIPE if is_inline(template) else template


def _chain(node: Any) -> tuple[str, ...]:
    """Return `("document", "draw", "topic")` for `document.draw.topic`; empty for any other expression."""
    from jinja2 import nodes

    match node:
        case nodes.Name():
            return (node.name,)
        case nodes.Getattr():
            inner = _chain(node.node)
            return (*inner, node.attr) if inner else ()
        case nodes.Getitem() if isinstance(node.arg, nodes.Const):
            inner = _chain(node.node)
            return (*inner, str(node.arg.value)) if inner else ()
    return ()


def _templates(folder: Traversable, prefix: str) -> list[str]:
    if not folder.is_dir():
        return []
    names: list[str] = []
    for entry in folder.iterdir():
        if entry.is_dir():
            names += _templates(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(".j2"):
            names.append(prefix + entry.name)
    return names
