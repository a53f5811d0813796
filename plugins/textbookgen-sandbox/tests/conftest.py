"""A pool behind full walls, and the reason there is none where this machine cannot build them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from textbookgen_sandbox.pool import Pool, close_pools

from textbookgen.api.errors import PluginError


@pytest.fixture(scope="session")
def pool() -> Iterator[Pool]:
    """One worker, so that what an attack leaves behind would meet the next."""
    made = Pool(workers=1, memory_mib=128)
    try:
        made.check()
    except PluginError as error:
        made.close()
        pytest.skip(error.problem)
    yield made
    made.close()


@pytest.fixture(scope="session", autouse=True)
def _leave_nothing() -> Iterator[None]:
    yield
    close_pools()
