"""Plugin `sandbox`: judges that run, or read, the code a model wrote."""

from __future__ import annotations

from collections.abc import Iterable

from textbookgen import Stage, hookimpl
from textbookgen_sandbox.lint import Lint
from textbookgen_sandbox.prints import Doctest
from textbookgen_sandbox.runs import PassesTests


@hookimpl
def stages() -> Iterable[type[Stage]]:
    """The judges of code."""
    return [PassesTests, Doctest, Lint]
