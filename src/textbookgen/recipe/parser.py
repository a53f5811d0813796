"""Parse a recipe file, and find the line of the file that each diagnostic is about."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, time
from pathlib import Path
from typing import Any

from textbookgen.api.errors import Diagnostic, RecipeError
from textbookgen.recipe.overrides import apply_overrides, override_of

KINDS = ("teacher", "sampler", "stage")
_HEAD: dict[str, tuple[type, str]] = {
    "name": (str, "a string"),
    "version": (str, "a string"),
    "seed": (int, "an integer"),
    "description": (str, "a string"),
}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
NAME_RULE = "use 1 to 100 letters, digits, '-', '_' and '.', starting with a letter or digit: it names folders"


@dataclass(frozen=True)
class Entry:
    """One `[KIND.LABEL]` table: the plugin class it uses and its options, with `@file` lists already read."""

    kind: str
    label: str
    use: str
    options: Mapping[str, Any]


@dataclass(frozen=True)
class Recipe:
    """A parsed recipe; its plugins have not been looked up yet."""

    path: Path
    text: str
    name: str
    version: str
    seed: int
    entries: tuple[Entry, ...]
    diagnostics: tuple[Diagnostic, ...] = ()  # errors so far; `make_plan` adds its own and raises all of them at once
    overrides: Mapping[str, Any] = field(default_factory=dict)

    def of(self, kind: str) -> list[Entry]:
        """Return the tables of one kind, in file order."""
        return [entry for entry in self.entries if entry.kind == kind]

    def entry(self, kind: str, label: str) -> Entry:
        """Return the table `[KIND.LABEL]`.

        Raises:
            RecipeError: the recipe has no such table.
        """
        for entry in self.of(kind):
            if entry.label == label:
                return entry
        hint = f"it has {', '.join(entry.label for entry in self.of(kind)) or 'none'}"
        raise RecipeError([Diagnostic(f"{self.path}:", f"the recipe has no [{kind}.{label}] table", hint)])

    def place(self, kind: str, label: str = "", key: str = "") -> str:
        """Return where a table or one of its keys is set: `phi1.toml:11: [stage.easy] max_words`, or the `--set` that did."""
        return _Locator(self.path, self.text, self.overrides).place(kind, label, key)


def read_recipe(path: Path, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """Parse a recipe file.

    Errors in single tables are collected in `Recipe.diagnostics`, so that `make_plan` can report all errors at once.

    Args:
        path: the TOML file.
        overrides: values that replace those of the file, by `KIND.LABEL.KEY`.

    Raises:
        RecipeError: the file cannot be read or is not TOML, or an override names a table that does not exist.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")  # editors on Windows begin files with a byte order mark
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        problem = f"is not UTF-8: the byte {error.object[error.start]:#04x} cannot be decoded"
        raise RecipeError([Diagnostic(f"{path}:{line}:", problem, "save the file with the encoding UTF-8")]) from error
    except OSError as error:
        hint = "`textbookgen recipe list` lists the shipped recipes"
        raise RecipeError([Diagnostic(str(path), f"cannot be read: {error.strerror or error}", hint)]) from error
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError([_syntax_error(path, error)]) from error
    overrides = dict(overrides or {})
    unknown = list(apply_overrides(tables, overrides))
    if unknown:
        raise RecipeError(unknown)
    reader = _TableReader(path, tables, _Locator(path, text, overrides))
    head, entries = reader.head(), tuple(reader.entries())
    return Recipe(
        path=path,
        text=text,
        name=head.get("name", ""),
        version=head.get("version", "1"),
        seed=head.get("seed", 0),
        entries=entries,
        diagnostics=tuple(reader.diagnostics),
        overrides=overrides,
    )


def is_valid_name(name: str) -> bool:
    """Return whether a recipe or a table may have this name: it becomes part of a folder's name (see `NAME_RULE`)."""
    return _NAME.fullmatch(name) is not None


def in_file_order(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Sort diagnostics by line number; those without a line come first, in the order given."""

    def line(diagnostic: Diagnostic) -> int:
        match = re.match(r".*?:(\d+):", diagnostic.place)
        return int(match[1]) if match else 0

    return sorted(diagnostics, key=line)


def _syntax_error(path: Path, error: tomllib.TOMLDecodeError) -> Diagnostic:
    position = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
    line = f":{position[1]}" if position else ""
    problem = str(error).replace(position[0], "").strip() if position else str(error)
    column = f" (column {position[2]})" if position else ""
    source = path.read_text(encoding="utf-8-sig").splitlines()[int(position[1]) - 1] if position else ""
    return Diagnostic(f"{path}{line}:", f"invalid TOML: {problem}{column}", _syntax_hint(problem, source))


def _syntax_hint(problem: str, line: str) -> str:
    """Return what to do about an error of tomllib, from its message and the line where it noticed it."""
    if "overwrite" in problem or "twice" in problem:
        what = "table" if line.lstrip().startswith("[") else "key"
        return f"this {what} is in the file twice: remove or rename one"
    if not line.split("=")[0].isascii() and not line.lstrip().startswith("#"):
        return "labels and keys consist of ASCII letters, digits, '-', '_' and '.'"
    return "common causes: a missing quote or bracket, or a string without quotes"


class _TableReader:
    """Read the tables of a recipe; errors are collected in `diagnostics`."""

    def __init__(self, path: Path, tables: dict[str, Any], locator: _Locator) -> None:
        self._path, self._tables, self._locator = path, tables, locator
        self.diagnostics: list[Diagnostic] = []

    def head(self) -> dict[str, Any]:
        """Check the `[recipe]` table and the names of all tables; return the valid values of the former."""
        for kind in self._tables.keys() - {"recipe", *KINDS}:
            self._report(f"unknown table [{kind}]", "use [recipe], [teacher.LABEL], [sampler.LABEL] and [stage.LABEL]", kind)
        head = self._tables.get("recipe")
        if not isinstance(head, dict):
            problem, hint = "there is no [recipe] table", 'start the file with [recipe] and name = "NAME"'
            self.diagnostics.append(Diagnostic(f"{self._path}:", problem, hint))
            return {}
        if "name" not in head:
            self._report("the option 'name' is required", "run folders and reports are named after the recipe", "recipe")
        valid: dict[str, Any] = {}
        for key, value in head.items():
            if key not in _HEAD:
                self._report(f"unknown option '{key}'", f"the options are {', '.join(_HEAD)}", "recipe", "", key)
            elif not isinstance(value, _HEAD[key][0]) or isinstance(value, bool) or _no_json(value):
                self._report(f"must be {_HEAD[key][1]} (got {value!r})", "", "recipe", "", key)
            elif key == "name" and isinstance(value, str) and not is_valid_name(value):
                self._report(f"invalid recipe name {_shortened(value)}", NAME_RULE, "recipe", "", key)
            else:
                valid[key] = value
        return valid

    def entries(self) -> Iterator[Entry]:
        """Yield the well-formed teacher, sampler and stage tables."""
        for kind in KINDS:
            group = self._tables.get(kind, {})
            if not isinstance(group, dict):
                self._report(f"[{kind}] must contain tables", f"write [{kind}.LABEL]", kind)
                continue
            for label, table in group.items():
                if not isinstance(table, dict):
                    self._report(f"[{kind}] contains tables, not values", f"write [{kind}.LABEL]", kind, "", label)
                elif not is_valid_name(label):
                    self._report(f"invalid label {_shortened(label)}", NAME_RULE, kind, label)
                elif not isinstance(table.get("use"), str):
                    self._report("the option 'use' is required", f'use = "NAME" selects the {kind}', kind, label)
                else:
                    options = {key: self._with_lists(kind, label, key, table[key]) for key in table if key != "use"}
                    wrong = {key: problem for key, value in options.items() if (problem := _no_json(value))}
                    for key, problem in wrong.items():
                        self._report(problem, "write a finite number of at most 64 bits; a date as a string", kind, label, key)
                    yield Entry(kind, label, table["use"], {key: options[key] for key in options if key not in wrong})

    def _with_lists(self, kind: str, label: str, key: str, value: Any) -> Any:
        """Return the value with each `@file` replaced by the lines of that file, which is looked for beside the recipe."""
        if isinstance(value, dict):
            return {name: self._with_lists(kind, label, key, item) for name, item in value.items()}
        if isinstance(value, list):  # of tables, such as `accept`; an item that begins with @ stays as it is
            return [self._with_lists(kind, label, key, item) if isinstance(item, dict) else item for item in value]
        if not (isinstance(value, str) and value.startswith("@")):
            return value
        file = self._path.parent / value[1:]
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            problem = f"cannot read the list '{file}': {getattr(error, 'strerror', None) or error}"
            self._report(problem, "the path of an @file is relative to the recipe", kind, label, key)
            return [value]
        return [line.strip() for line in lines if line.strip() and not line.startswith("#")]

    def _report(self, problem: str, hint: str, kind: str, label: str = "", key: str = "") -> None:
        self.diagnostics.append(Diagnostic(self._locator.place(kind, label, key), problem, hint))


@dataclass(frozen=True)
class _Locator:
    """Finds where a table or key is set. tomllib keeps no line numbers, so the text is searched."""

    path: Path
    text: str
    overrides: Mapping[str, Any]

    def place(self, kind: str, label: str, key: str) -> str:
        names = [name for name in (kind, label) if name]
        override = override_of(self.overrides, ".".join([*names, key])) if key else None
        if override is not None:
            return f"--set {override}"
        line = self._line(names, key)
        where = f"{self.path}:{line}:" if line else f"{self.path}:"
        return f"{where} [{'.'.join(names)}] {key}".rstrip()

    def _line(self, names: list[str], key: str) -> int | None:
        """Return the line of the key below the table's header, or else the line of the header."""
        dotted = r"\s*\.\s*".join(rf"[\"']?{re.escape(name)}[\"']?" for name in names)
        header = re.compile(rf"\s*\[\s*{dotted}\s*" + (r"\]" if len(names) > 1 else r"[.\]]"))
        inside, header_line = False, None
        for number, line in enumerate(self.text.splitlines(), 1):
            if header.match(line):
                inside, header_line = True, number
            elif inside and re.match(r"\s*\[[^\[\]]+\]\s*(#.*)?$", line):
                inside = False
            elif inside and key and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*[.=]", line):
                return number
        return header_line


def _no_json(value: Any) -> str:
    """Return what is wrong with a value of TOML that other programs could not read as JSON; empty if nothing is."""
    if isinstance(value, dict | list):
        items = value.values() if isinstance(value, dict) else value
        return next((problem for item in items if (problem := _no_json(item))), "")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return "an integer is larger than 64 bits"
    if isinstance(value, float) and not math.isfinite(value):
        return f"must be a finite number (got {value})"
    return f"dates and times are not supported (got {value})" if isinstance(value, date | time) else ""


def _shortened(value: str) -> str:
    return repr(value if len(value) <= 60 else f"{value[:57]}...")
