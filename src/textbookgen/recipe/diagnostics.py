"""Collect everything that is wrong with a recipe, so that it can be reported all at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from textbookgen.api.errors import Diagnostic, MissingRequirement
from textbookgen.recipe.parser import Entry, Recipe


@dataclass
class DiagnosticCollector:
    """Errors of a recipe, and requirements (a key, a library, a file) that are missing on this machine."""

    recipe: Recipe
    errors: list[Diagnostic] = field(default_factory=list)
    missing_requirements: list[Diagnostic] = field(default_factory=list)

    def report(self, entry: Entry, key: str, problem: str, hint: str = "") -> None:
        """Add an error about a table, or about one of its options."""
        self.errors.append(Diagnostic(self.recipe.place(entry.kind, entry.label, key), problem, hint))

    def extend(self, entry: Entry, diagnostics: Iterable[Diagnostic]) -> None:
        """Add what the `check` of a teacher or stage found; the places of its diagnostics are option names."""
        for diagnostic in diagnostics:
            located = replace(diagnostic, place=self.recipe.place(entry.kind, entry.label, diagnostic.place))
            (self.missing_requirements if isinstance(located, MissingRequirement) else self.errors).append(located)
