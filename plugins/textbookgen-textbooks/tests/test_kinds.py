"""The kinds that generators are of give them their options, whatever the order of bases."""

from __future__ import annotations

import pytest
import textbookgen_textbooks
from textbookgen_textbooks.kinds import AboutDocuments, Selective

from textbookgen.api.stage import Generator

GENERATORS = [each for each in textbookgen_textbooks.stages() if issubclass(each, Generator)]


@pytest.mark.parametrize("kind", GENERATORS, ids=lambda kind: kind.name)
def test_a_kind_gives_its_options(kind: type[Generator]) -> None:
    assert kind.model_fields["max_failures"].default == (1.0 if issubclass(kind, Selective) else 0.1)
    if issubclass(kind, AboutDocuments):
        assert kind.model_fields["inputs"].is_required()
