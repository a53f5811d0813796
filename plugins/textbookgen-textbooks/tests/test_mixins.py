"""Mixins set the options of generators, whatever the order of their bases."""

from __future__ import annotations

import pytest
import textbookgen_textbooks
from textbookgen_textbooks.mixins import NeedsDocuments, Selective

from textbookgen.api.generator import Generator

GENERATORS = [stage for stage in textbookgen_textbooks.stages() if issubclass(stage, Generator)]


@pytest.mark.parametrize("generator", GENERATORS, ids=lambda generator: generator.name)
def test_a_mixin_sets_its_options(generator: type[Generator]) -> None:
    assert generator.model_fields["max_failures"].default == (1.0 if issubclass(generator, Selective) else 0.1)
    if issubclass(generator, NeedsDocuments):
        assert generator.model_fields["inputs"].is_required()
