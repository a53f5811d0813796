"""Plugin `sandbox`: judges that run what a model wrote, behind walls."""

from __future__ import annotations

from collections.abc import Iterable

from textbookgen import hookimpl
from textbookgen.stage import Stage
from textbookgen_sandbox.prints import Prints
from textbookgen_sandbox.runs import Runs


@hookimpl
def stages() -> Iterable[type[Stage]]:
    """The judges that run programs."""
    return [Runs, Prints]
