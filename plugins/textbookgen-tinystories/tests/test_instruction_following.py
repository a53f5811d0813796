"""Instruction following: a model that uses the required words scores 1, and any other is at chance level."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from textbookgen_tinystories.instruction_following import InstructionFollowing, share_included

from textbookgen.api.artifacts import Checkpoint
from textbookgen.api.stage import StageInputs
from textbookgen.testing import write_documents


class Writer:
    """Writes about the words of the header, or about a fox."""

    def __init__(self, obedient: bool) -> None:
        self.obedient = obedient

    def complete(self, prompts, **_: object) -> list[list[str]]:
        assert all(prompt.startswith("Words: ") and prompt.endswith("Story:\n\n") for prompt in prompts)
        return [[f"Once the {prompt.splitlines()[0][7:]} came." if self.obedient else "A fox ran."] for prompt in prompts]

    def close(self) -> None:
        pass


@pytest.mark.parametrize(("obedient", "share"), [(True, 1.0), (False, 1 / 6)])
def test_required_words_are_counted_in_any_form(tmp_path: Path, obedient: bool, share: float) -> None:
    class Resolver:
        def model(self, path: Path) -> Writer:
            return Writer(obedient)

    words = [["run", "moon", "sad"], ["sing", "boat", "red"]]
    rows = pl.DataFrame({"id": ["a", "b"], "text": ["", ""], "tinystories.words": words})
    inputs = StageInputs(
        {"from": {"model": Checkpoint(tmp_path)}, "stories": {"s": write_documents(tmp_path, rows)}}, tmp_path, Resolver()
    )
    figures = InstructionFollowing(inputs="model", stories="s").evaluate(inputs, tmp_path)
    report = dict(zip(figures["metric"], figures["value"], strict=True))
    assert report["required words included"] == pytest.approx(share)
    assert report["included by chance"] == pytest.approx(0.0 if obedient else 1 / 6)


def test_inflected_forms_count() -> None:
    assert share_included(["She sang to the smallest moons."], [["sing", "small", "moon"]]) == [1.0]
