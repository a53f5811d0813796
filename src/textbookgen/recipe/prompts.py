"""Prompt templates: one strict, sandboxed Jinja environment, and where its templates are looked for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from textbookgen.api.errors import TextbookgenError

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from jinja2 import Environment
    from jinja2.nodes import Template


class PromptError(TextbookgenError):
    """A template that is missing, malformed, or lacks a variable."""


class Prompts:
    """Templates by name, from the first of `folders` that has them."""

    def __init__(self, folders: Sequence[Traversable]) -> None:
        self._folders = folders

    @cached_property
    def _environment(self) -> Environment:
        from jinja2 import StrictUndefined
        from jinja2.loaders import FunctionLoader
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        return ImmutableSandboxedEnvironment(
            loader=FunctionLoader(self._find),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )

    def _find(self, name: str) -> tuple[str, str, Callable[[], bool]] | None:
        if name.startswith("/") or ".." in name.split("/"):
            return None
        for folder in self._folders:
            file = folder.joinpath(*name.split("/"))
            if file.is_file():
                return file.read_text(encoding="utf-8"), str(file), lambda: True
        return None

    def text(self, name: str) -> str:
        """The template as written.

        Raises:
            PromptError: no folder has it.
        """
        result = self._find(name)
        if result is None:
            hint = "a recipe's own stand beside it or in a folder prompts there; `textbookgen prompt list` shows the others"
            raise PromptError(f"no prompt template is called '{name}'", hint=hint)
        return result[0]

    def sources(self, name: str) -> str:
        """The template and all that it includes or extends, as one text: what makes its prompts what they are.

        Raises:
            PromptError: one of them is missing or malformed.
        """
        return "\n".join(sorted(f"{item}\n{text}" for item, text, _ in self._walk(name)))

    def variables(self, name: str) -> set[str]:
        """The variables that the template and what it includes may ask for.

        Raises:
            PromptError: one of them is missing or malformed.
        """
        from jinja2 import meta

        wanted: set[str] = set()
        for _, _, tree in self._walk(name):
            wanted |= meta.find_undeclared_variables(tree)
        return wanted

    def missing(self, name: str, variables: Mapping[str, Any]) -> list[str]:
        """The variables that the prompt needs and that are not given; one that is asked for with `is defined` is not needed.

        Raises:
            PromptError: it is missing or malformed.
        """
        from jinja2 import TemplateError, UndefinedError

        self.variables(name)
        result: list[str] = []
        while True:
            try:
                self._environment.get_template(name).render({**variables, **dict.fromkeys(result, "")})
            except UndefinedError as error:
                undefined = re.fullmatch(r"'(\w+)' is undefined", str(error.message))
                if undefined is None or undefined[1] in result:
                    return result
                result.append(undefined[1])
            except (TemplateError, TypeError, ValueError):
                return result
            else:
                return result

    def _walk(self, name: str) -> Iterator[tuple[str, str, Template]]:
        """The template and all that it refers to: name, text and syntax tree."""
        from jinja2 import TemplateSyntaxError, meta

        waiting, seen = [name], set()
        while waiting:
            item = waiting.pop()
            if item in seen:
                continue
            seen.add(item)
            text = self.text(item)
            try:
                tree = self._environment.parse(text, filename=item)
            except TemplateSyntaxError as error:
                raise PromptError(f"line {error.lineno}: {error.message}", place=item) from error
            yield item, text, tree
            waiting += [reference for reference in meta.find_referenced_templates(tree) if reference]

    def render(self, name: str, variables: Mapping[str, Any]) -> str:
        """The prompt: the template with these variables.

        Raises:
            PromptError: it is missing or malformed, or needs a variable that is not given.
        """
        from jinja2 import TemplateError, TemplateNotFound

        try:
            return self._environment.get_template(name).render(variables).strip()
        except TemplateNotFound as error:
            self.text(str(error.name or name))
            raise PromptError(f"no prompt template is called '{error.name}'", place=name) from error
        except TemplateError as error:
            raise PromptError(
                str(error.message), place=name, hint="the sampler must draw every variable of the template"
            ) from error

    def names(self) -> list[str]:
        """Every template that can be found, by name."""
        result: set[str] = set()
        for folder in self._folders:
            result.update(_templates(folder, ""))
        return sorted(result)


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
