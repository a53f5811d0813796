"""Plugin `sandbox`: judges that run, or read, the code a model wrote."""

from __future__ import annotations

from collections.abc import Iterable

from textbookgen import hookimpl
from textbookgen.stage import Stage
from textbookgen_sandbox.lint import Lint
from textbookgen_sandbox.prints import Prints
from textbookgen_sandbox.runs import Runs


@hookimpl
def stages() -> Iterable[type[Stage]]:
    """The judges of code."""
    return [Runs, Prints, Lint]
