"""A pool with full isolation; tests that need it are skipped where the machine cannot provide it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from textbookgen_sandbox.pool import Pool, close_pools

from textbookgen.api.errors import PluginError


@pytest.fixture(scope="session")
def pool() -> Iterator[Pool]:
    """One worker, so that anything an attack leaves behind would affect the next test."""
    shared = Pool(workers=1, memory_mib=128)
    try:
        shared.check()
    except PluginError as error:
        shared.close()
        pytest.skip(error.problem)
    yield shared
    shared.close()


@pytest.fixture(scope="session", autouse=True)
def _close_pools() -> Iterator[None]:
    yield
    close_pools()
