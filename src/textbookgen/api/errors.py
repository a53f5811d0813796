"""What can go wrong, as a tree; each error says place, problem and hint, in that order.

TextbookgenError
├─ RecipeError         complaints about a recipe, all at once
├─ PluginError         a plugin that is missing, broken or at odds with the hooks
├─ WorkspaceError      files of a run that are not as they should be
├─ RunError            a step that could not be worked
├─ TeacherError        a teacher could not be asked
│  ├─ Busy             not now: ask again (rate limits, dropped connections, server errors)
│  ├─ Refused          never: asking again would not help (content filter, bad request)
│  ├─ UnusableReply         the reply came, but holds no document
│  └─ BudgetExceeded       the next request could cost more than is left
└─ TrainerError        a trainer stopped, or left no whole checkpoint
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Diagnostic:
    """One thing that is wrong: where, what, and what to do about it."""

    place: str
    problem: str
    hint: str = ""

    def __str__(self) -> str:
        lines = [self.place] if self.place else []
        lines += [f"  {line}" for line in self.problem.splitlines()]
        if self.hint:
            lines.append(f"  hint: {self.hint}")
        return "\n".join(lines)


@dataclass(frozen=True)
class MissingRequirement(Diagnostic):
    """What keeps a well-written recipe from running here and now: a key, a library, a file that is not there.

    `recipe check` tells it and goes on; a plain Complaint is a mistake in the recipe, and nothing more is foreseen.
    """

    __str__ = Diagnostic.__str__


class TextbookgenError(Exception):
    """An error meant for people: it has a problem, and where known a place and a hint."""

    def __init__(self, problem: str, *, place: str = "", hint: str = "") -> None:
        super().__init__(problem)
        self.diagnostics: tuple[Diagnostic, ...] = (Diagnostic(place, problem, hint),)

    @property
    def problem(self) -> str:
        """What is wrong, in one or more sentences."""
        return self.diagnostics[0].problem

    @property
    def place(self) -> str:
        """Where it is wrong, as the recipe names it; empty if unknown."""
        return self.diagnostics[0].place

    @property
    def hint(self) -> str:
        """What to do about it; empty if there is nothing to say."""
        return self.diagnostics[0].hint

    def __str__(self) -> str:
        return "\n\n".join(str(diagnostic) for diagnostic in self.diagnostics)

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.diagnostics, self.__dict__)


def _rebuild(kind: type[TextbookgenError], diagnostics: tuple[Diagnostic, ...], state: dict[str, object]) -> TextbookgenError:
    """Makes an error again that crossed a process boundary, whatever its constructor takes."""
    error = kind.__new__(kind)
    Exception.__init__(error, diagnostics[0].problem)
    error.__dict__.update(state)
    return error


class RecipeError(TextbookgenError):
    """Everything that is wrong with a recipe, in file order."""

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        first = diagnostics[0]
        super().__init__(first.problem, place=first.place, hint=first.hint)
        self.diagnostics = tuple(diagnostics)


class PluginError(TextbookgenError):
    """A plugin that is missing, does not load, or breaks the contract of the hooks."""


class WorkspaceError(TextbookgenError):
    """A file of the workspace that is missing, locked or not what it should be."""


class RunError(TextbookgenError):
    """A step that could not be worked."""


class TeacherError(TextbookgenError):
    """A teacher that could not be asked."""


class TeacherBusy(TeacherError):
    """Not now: the same request may succeed later; `retry_after` is the teacher's own wish, in seconds."""

    def __init__(self, problem: str, *, retry_after: float | None = None, place: str = "", hint: str = "") -> None:
        super().__init__(problem, place=place, hint=hint)
        self.retry_after = retry_after


class RequestRefused(TeacherError):
    """Never: asking the same again would not help."""


class UnusableReply(TeacherError):
    """The teacher replied, but no document can be read from the reply."""


class BudgetExceeded(TeacherError):
    """The next request could cost more than is left of the budget."""


class TrainerError(TextbookgenError):
    """A trainer that stopped before its time, or left no whole checkpoint."""
