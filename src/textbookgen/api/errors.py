"""Errors: each has a problem and, where known, a place and a hint.

    TextbookgenError
    ├─ RecipeError             a recipe has mistakes, all reported at once
    ├─ PluginError             a plugin is missing, does not load, or violates the contract of the hooks
    ├─ WorkspaceError          a file of the workspace is missing, locked or damaged
    ├─ RunError                a step failed
    ├─ TeacherError            a request failed
    │  ├─ TeacherBusy          temporarily: rate limits, connection errors, server errors; the request is retried
    │  ├─ RequestRefused       permanently: content filters, invalid requests; a retry would fail again
    │  ├─ UnusableReply        the reply contains no document
    │  └─ BudgetExceeded       the request could cost more than is left of a budget
    └─ TrainerError            a training process failed or left no complete checkpoint

Raise one of these for every problem that a user can solve, with a hint that says how; the command line prints it without a
traceback. Any other exception is a bug. All of them pickle, so they can be raised in worker processes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Diagnostic:
    """One mistake: where it is, what is wrong, and what to do about it. Yield it from `check`.

    Attributes:
        place: the name of an option in `check`, and otherwise a file, stage or other location; may be empty.
        problem: what is wrong; one or more lines.
        hint: what to do about it; may be empty.
    """

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
    """Something that a valid recipe needs to run and this machine lacks: a key, a library, a file.

    `recipe check` reports it and still estimates the cost; `recipe run` refuses to start.
    """


class TextbookgenError(Exception):
    """The base of all errors that are meant for users.

    Args:
        problem: what is wrong.
        place: where, such as a file or an option; may be empty. The engine adds the stage.
        hint: what to do about it; may be empty.

    The attribute `diagnostics` has these three; a RecipeError has several diagnostics.
    """

    def __init__(self, problem: str, *, place: str = "", hint: str = "") -> None:
        super().__init__(problem)
        self.diagnostics: tuple[Diagnostic, ...] = (Diagnostic(place, problem, hint),)

    @property
    def problem(self) -> str:
        """What is wrong, according to the first diagnostic."""
        return self.diagnostics[0].problem

    @property
    def place(self) -> str:
        """Where it is wrong; empty if unknown."""
        return self.diagnostics[0].place

    @property
    def hint(self) -> str:
        """What to do about it; may be empty."""
        return self.diagnostics[0].hint

    def __str__(self) -> str:
        return "\n\n".join(str(diagnostic) for diagnostic in self.diagnostics)

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.diagnostics, self.__dict__)


def _rebuild(kind: type[TextbookgenError], diagnostics: tuple[Diagnostic, ...], state: dict[str, object]) -> TextbookgenError:
    """Return an unpickled error, whatever arguments its constructor takes."""
    error = kind.__new__(kind)
    Exception.__init__(error, diagnostics[0].problem)
    error.__dict__.update(state)
    return error


class RecipeError(TextbookgenError):
    """A recipe has mistakes.

    Args:
        diagnostics: at least one, in the order of the file.
    """

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        first = diagnostics[0]
        super().__init__(first.problem, place=first.place, hint=first.hint)
        self.diagnostics = tuple(diagnostics)


class PluginError(TextbookgenError):
    """A plugin is missing, does not load, or violates the contract of the hooks; or no plugin provides a name."""


class WorkspaceError(TextbookgenError):
    """A file of the workspace is missing, locked or damaged."""


class RunError(TextbookgenError):
    """A step failed: raise it from a stage's method if its inputs or files make the work impossible."""


class TeacherError(TextbookgenError):
    """A request failed. Raised from `Teacher.complete`, this class itself stops the run: no request can succeed."""


class TeacherBusy(TeacherError):
    """The request failed for now and is retried; after all retries, the document counts as failed.

    Args:
        problem: what is wrong.
        retry_after: seconds after which the teacher asks to retry, kept as an attribute; None leaves it to the retry policy.
        place: where; may be empty.
        hint: what to do about it; may be empty.
    """

    def __init__(self, problem: str, *, retry_after: float | None = None, place: str = "", hint: str = "") -> None:
        super().__init__(problem, place=place, hint=hint)
        self.retry_after = retry_after


class RequestRefused(TeacherError):
    """The teacher rejects this request and would do so again; the document counts as failed, and the run continues."""


class UnusableReply(TeacherError):
    """The reply contains no document: raise it from `Generator.parse`. The document counts as failed."""


class BudgetExceeded(TeacherError):
    """The next request could cost more than is left of a budget; raised before it is sent, and stops the run."""


class TrainerError(TextbookgenError):
    """A training process failed, left no complete checkpoint, or cannot use its inputs."""
