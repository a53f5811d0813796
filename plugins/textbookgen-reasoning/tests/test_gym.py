"""reasoning-gym: its problems, its scorer, and the error without it."""

from __future__ import annotations

import importlib.util
import warnings

import polars as pl
import pytest
from textbookgen_reasoning.gym import Gym, gym_score
from textbookgen_reasoning.score import CellScores

from textbookgen.api.errors import RunError

needs_gym = pytest.mark.skipif(importlib.util.find_spec("reasoning_gym") is None, reason="reasoning-gym is not installed")


@pytest.fixture(autouse=True)
def _ignore_warnings_of_the_library():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@needs_gym
def test_reference_answers_get_the_full_score():
    source = Gym(tasks=("leg_counting", "spell_backward"), count=5, task_options={"leg_counting": {"max_animals": 4}})
    assert list(source.check()) == []
    rows = pl.concat(source.read())
    assert rows["reasoning.cell"].to_list() == ["leg_counting"] * 5 + ["spell_backward"] * 5
    assert (rows["text"] == rows["reasoning.prompt"] + rows["reasoning.answer"]).all()
    assert rows["id"].n_unique() == 10
    scores = CellScores(inputs="model", problems="gym", scoring="gym")
    for row in rows.iter_rows(named=True):
        assert scores.score(row, row["reasoning.answer"]) == 1.0
        assert (
            gym_score(row["reasoning.cell"], "surely wrong", row["reasoning.answer"].strip(), row["reasoning.metadata"]) < 1.0
        )
    assert rows.equals(pl.concat(source.read()))
    assert not rows.equals(pl.concat(source.model_copy(update={"seed": 1}).read()))
    assert "reasoning-gym 0" in source.digest()


@needs_gym
def test_unknown_tasks_and_options_are_reported():
    source = Gym(tasks=("no_such_task",), count=1, task_options={"leg_counting": {}}, prompt_template="?")
    assert [diagnostic.place for diagnostic in source.check()] == ["tasks", "task_options", "prompt_template"]
    with pytest.raises(RunError, match="rejects the options"):
        list(Gym(tasks=("leg_counting",), count=1, task_options={"leg_counting": {"legs": 3}}).read())


def test_a_missing_library_is_reported_with_a_hint(monkeypatch: pytest.MonkeyPatch):
    import sys

    monkeypatch.setitem(sys.modules, "reasoning_gym", None)
    monkeypatch.setattr("textbookgen_reasoning.gym._version", lambda: None)
    source = Gym(tasks=("leg_counting",), count=1)
    (diagnostic,) = source.check()
    assert "not installed" in diagnostic.problem
    assert "pip install" in diagnostic.hint
    with pytest.raises(RunError, match="not installed"):
        list(source.read())
    with pytest.raises(RunError, match="not installed"):
        gym_score("leg_counting", "1", "1", "{}")
