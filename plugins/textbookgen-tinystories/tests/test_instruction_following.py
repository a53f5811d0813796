"""Obedience: a model that does as it is told is told apart from one that does not."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from textbookgen_tinystories.obeyed import InstructionFollowing, included

from textbookgen.api.artifacts import Checkpoint
from textbookgen.api.stage import StageInputs
from textbookgen.testing import write_documents


class Teller:
    """Tells of the words of the header, or of a fox."""

    def __init__(self, obedient: bool) -> None:
        self.obedient = obedient

    def complete(self, prompts, **_: object) -> list[list[str]]:
        assert all(each.startswith("Words: ") and each.endswith("Story:\n\n") for each in prompts)
        return [[f"Once the {each.splitlines()[0][7:]} came." if self.obedient else "A fox ran."] for each in prompts]

    def close(self) -> None:
        pass


@pytest.mark.parametrize(("obedient", "share"), [(True, 1.0), (False, 1 / 6)])
def test_required_words_are_counted_in_any_form(tmp_path: Path, obedient: bool, share: float) -> None:
    class Resolver:
        def model(self, path: Path) -> Teller:
            return Teller(obedient)

    words = [["run", "moon", "sad"], ["sing", "boat", "red"]]
    rows = pl.DataFrame({"id": ["a", "b"], "text": ["", ""], "tinystories.words": words})
    given = StageInputs(
        {"from": {"model": Checkpoint(tmp_path)}, "stories": {"s": write_documents(tmp_path, rows)}}, tmp_path, Resolver()
    )
    figures = InstructionFollowing(inputs="model", stories="s").evaluate(given, tmp_path)
    found = dict(zip(figures["metric"], figures["value"], strict=True))
    assert found["required words found"] == pytest.approx(share)
    assert found["found by chance"] == pytest.approx(0.0 if obedient else 1 / 6)


def test_forms_count() -> None:
    assert included(["She sang to the smallest moons."], [["sing", "small", "moon"]]) == [1.0]
