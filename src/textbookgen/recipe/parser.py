"""TOML to a Recipe, and the place in the file of every complaint."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textbookgen.api.errors import Diagnostic, RecipeError

KINDS = ("teacher", "sampler", "stage")
_HEAD = {"name": str, "version": str, "seed": int, "description": str}


@dataclass(frozen=True)
class Entry:
    """One `[KIND.LABEL]` table: what it uses and its other keys, `@file` lists read."""

    kind: str
    label: str
    use: str
    options: Mapping[str, Any]


@dataclass(frozen=True)
class Recipe:
    """A recipe as read: nothing in it was looked up yet."""

    path: Path
    text: str
    name: str
    version: str
    seed: int
    entries: tuple[Entry, ...]
    diagnostics: tuple[Diagnostic, ...] = ()  # what is wrong with it so far; `make_plan` adds its own

    def of(self, kind: str) -> list[Entry]:
        """The tables of one kind, in file order."""
        return [entry for entry in self.entries if entry.kind == kind]

    def place(self, kind: str, label: str = "", key: str = "") -> str:
        """Where a table, or a key of it, stands: `phi1.toml:11: [stage.easy] max_words`."""
        return _place(self.path, self.text, kind, label, key)


def read_recipe(path: Path, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """Reads a recipe; `overrides` maps `KIND.LABEL.KEY` to values that take the place of the file's.

    What is wrong with single tables is kept in `complaints`, so that it can be told with all the rest.

    Raises:
        RecipeError: it cannot be read, is not TOML, or an override names no table.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise RecipeError(
            [Diagnostic(str(path), f"cannot be read: {reason}", "`textbookgen recipe list` shows what is shipped")]
        ) from error
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError([_syntax(path, error)]) from error
    misdirected = list(_override(path, tables, overrides or {}))
    if misdirected:
        raise RecipeError(misdirected)
    diagnostics = list(_head(path, text, tables))
    entries = list(_entries(path, text, tables, diagnostics))
    head = tables.get("recipe", {})
    return Recipe(
        path, text, head.get("name", ""), head.get("version", "1"), head.get("seed", 0), tuple(entries), tuple(diagnostics)
    )


def _syntax(path: Path, error: tomllib.TOMLDecodeError) -> Diagnostic:
    result = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
    line = f":{result[1]}" if result else ""
    problem = str(error).replace(result[0], "").strip() if result else str(error)
    column = f" (column {result[2]})" if result else ""
    return Diagnostic(
        f"{path}{line}:",
        f"not TOML: {problem}{column}",
        "two tables of one name, or a quote or bracket left open, are the usual causes",
    )


def _head(path: Path, text: str, tables: dict[str, Any]) -> Iterable[Diagnostic]:
    head = tables.get("recipe")
    if not isinstance(head, dict):
        yield Diagnostic(f"{path}:", "has no [recipe] table", 'begin with [recipe] and name = "…"')
        return
    if "name" not in head:
        yield Diagnostic(_place(path, text, "recipe"), "has no name", "runs and reports are called by it")
    for key, value in head.items():
        place = _place(path, text, "recipe", "", key)
        if key not in _HEAD:
            yield Diagnostic(place, f"no option is called '{key}'", f"there are {', '.join(_HEAD)}")
        elif not isinstance(value, _HEAD[key]) or isinstance(value, bool):
            yield Diagnostic(place, f"should be of type {_HEAD[key].__name__} (got {value!r})")
    for kind in tables.keys() - {"recipe", *KINDS}:
        yield Diagnostic(
            _place(path, text, kind),
            f"no table is called [{kind}]",
            "there are [recipe], [teacher.…], [sampler.…] and [stage.…]",
        )


def _entries(path: Path, text: str, tables: dict[str, Any], diagnostics: list[Diagnostic]) -> Iterable[Entry]:
    for kind in KINDS:
        group = tables.get(kind, {})
        for label, table in group.items() if isinstance(group, dict) else ():
            place = _place(path, text, kind, label)
            if not isinstance(table, dict):
                diagnostics.append(
                    Diagnostic(
                        _place(path, text, kind, "", label), f"[{kind}] holds tables, not values", f"write [{kind}.LABEL]"
                    )
                )
            elif not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", label):
                diagnostics.append(
                    Diagnostic(place, f"'{label}' cannot be a label", "labels name folders: letters, digits, '-', '_' and '.'")
                )
            elif not isinstance(table.get("use"), str):
                diagnostics.append(Diagnostic(place, "has no `use`", f'use = "…" says which {kind} it is'))
            else:
                options = {key: value for key, value in table.items() if key != "use"}
                yield Entry(kind, label, table["use"], _with_files(path, text, kind, label, options, diagnostics))


def _with_files(
    path: Path, text: str, kind: str, label: str, options: dict[str, Any], diagnostics: list[Diagnostic]
) -> dict[str, Any]:
    """The options with each `@file` replaced by the lines of the file beside the recipe."""

    def read(key: str, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: read(key, item) for name, item in value.items()}
        if not (isinstance(value, str) and value.startswith("@")):
            return value
        file = path.parent / value[1:]
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            problem = f"the list '{file}' cannot be read: {getattr(error, 'strerror', None) or error}"
            diagnostics.append(
                Diagnostic(_place(path, text, kind, label, key), problem, "@file is looked for beside the recipe")
            )
            return [value]
        return [line.strip() for line in lines if line.strip() and not line.startswith("#")]

    return {key: read(key, value) for key, value in options.items()}


def _override(path: Path, tables: dict[str, Any], overrides: Mapping[str, Any]) -> Iterable[Diagnostic]:
    for name, value in overrides.items():
        *groups, key = name.split(".")
        table: Any = tables
        for group in groups:
            table = table.get(group) if isinstance(table, dict) else None
        if not groups or not isinstance(table, dict):
            yield Diagnostic(
                f"--set {name}",
                f"the recipe has no table [{'.'.join(groups)}]",
                "write --set KIND.LABEL.KEY=VALUE, such as stage.small.tokens=1000",
            )
        else:
            table[key] = value


def parse_override(assignment: str) -> tuple[str, Any]:
    """`stage.small.layers=4` as a name and a value, the value read as TOML or else as text.

    Raises:
        RecipeError: there is no `=`.
    """
    name, equals, value = assignment.partition("=")
    if not equals:
        raise RecipeError([Diagnostic(f"--set {assignment}", "has no '='", "write --set KIND.LABEL.KEY=VALUE")])
    try:
        return name.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return name.strip(), value.strip()


def in_file_order(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Complaints by the line they are about; those without a line stay where they are, first."""

    def line(diagnostic: Diagnostic) -> int:
        result = re.match(r".*?:(\d+):", diagnostic.place)
        return int(result[1]) if result else 0

    return sorted(diagnostics, key=line)


def _place(path: Path, text: str, kind: str, label: str = "", key: str = "") -> str:
    """tomllib keeps no lines, so the text is read again for the table's header and, below it, the key."""
    table = kind if not label else f"{kind}.{label}"
    names = r"\s*\.\s*".join(rf"[\"']?{re.escape(name)}[\"']?" for name in (kind, label) if name)
    header = re.compile(rf"\s*\[\s*{names}\s*" + (r"\]" if label else r"[.\]]"))
    inside, result = False, 0
    for number, line in enumerate(text.splitlines(), 1):
        if header.match(line):
            inside, result = True, number
        elif inside and re.match(r"\s*\[[^\[\]]+\]\s*(#.*)?$", line):
            inside = False
        elif inside and key and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*[.=]", line):
            result = number
            break
    where = f"{path}:{result}:" if result else f"{path}:"
    return f"{where} [{table}] {key}".rstrip()
