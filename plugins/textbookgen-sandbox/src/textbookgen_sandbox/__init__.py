"""Plugin `sandbox`: filters that run, or lint, code that a model wrote.

Model-written code is treated as hostile. What isolates it, by layer:

- `pool` (host): starts workers, interpreters that programs are forked from, with an empty environment and closed descriptors.
- `worker.isolation`, `worker.filesystem`: namespaces, a private read-only root, resource limits, dropped privileges.
- `worker.landlock`, `worker.seccomp`: kernel filters on files and system calls.
- `worker.supervisor`: CPU, wall-clock and output limits, enforced from outside the program.
- `worker.runner`, `worker.proxies`: tests in a separate process, so that a program cannot forge their result.

The README says what this does not defend against.
"""

from __future__ import annotations

from collections.abc import Iterable

from textbookgen import Stage, hookimpl
from textbookgen_sandbox.stages.doctest import Doctest
from textbookgen_sandbox.stages.lint import Lint
from textbookgen_sandbox.stages.tests_pass import PassingTests


@hookimpl
def stages() -> Iterable[type[Stage]]:
    """Return the filters of code."""
    return [PassingTests, Doctest, Lint]
