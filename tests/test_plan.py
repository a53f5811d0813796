from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import RECIPE
from hypothesis import given
from hypothesis import strategies as st

from textbookgen.api.errors import RecipeError
from textbookgen.recipe.fingerprint import fingerprint, named_files
from textbookgen.recipe.plan import Plan

Planned = Callable[..., Plan]

ARC = '{{"id": "1", "question": "Q?", "choices": {{"text": ["x", "y"], "label": ["A", "B"]}}, "answerKey": "{answer}"}}\n'


def fingerprints(plan: Plan) -> dict[str, str]:
    return {step.label: step.fingerprint for step in plan.steps}


def changed(before: Plan, after: Plan) -> list[str]:
    """The labels whose fingerprints differ."""
    one, other = fingerprints(before), fingerprints(after)
    return [label for label in one if one[label] != other[label]]


DOWN_FROM_ECHOES = ["echoes", "half", "loud", "shards", "model", "report"]


@pytest.mark.parametrize(
    ("change", "labels"),
    [
        ({"stage.even.word": "odd"}, ["even", "half", "loud", "shards", "model", "report"]),
        ({"stage.echoes.count": 21}, DOWN_FROM_ECHOES),
        ({"stage.echoes.seed": 1}, DOWN_FROM_ECHOES),
        ({"stage.echoes.accept": ["toy/contains"]}, DOWN_FROM_ECHOES),
        ({"teacher.parrot.words": 13}, DOWN_FROM_ECHOES),
        ({"sampler.things.place": ["sea"]}, DOWN_FROM_ECHOES),
        ({"recipe.seed": 4}, ["echoes", "even", "half", "loud", "shards", "model", "report"]),
        ({"stage.model.fails": True}, ["model", "report"]),
        ({"teacher.parrot.max_parallel": 99, "teacher.parrot.budget_usd": 1.0}, []),
        ({"stage.echoes.max_failures": 0.9, "stage.echoes.reply_tokens": 7}, []),
        ({"recipe.name": "other", "recipe.version": "2"}, []),
    ],
)
def test_which_options_change_a_fingerprint(planned: Planned, change: dict[str, Any], labels: list[str]) -> None:
    assert changed(planned(), planned(sets=change)) == labels


def test_the_text_of_a_prompt_is_fingerprinted(planned: Planned, folder: Path) -> None:
    before = planned()
    (folder / "echo.md.j2").write_text("Write about a {{ thing }} at the {{ place }}.", encoding="utf-8")
    assert changed(before, planned()) == DOWN_FROM_ECHOES


def test_the_content_of_benchmark_files_is_fingerprinted(planned: Planned, folder: Path) -> None:
    """A changed file of items, or of few-shot examples, runs the evaluation again, and nothing else."""
    items, examples = folder / "arc.jsonl", folder / "train.jsonl"
    items.write_text(ARC.format(answer="A"), encoding="utf-8")
    examples.write_text(ARC.format(answer="A"), encoding="utf-8")
    recipe = RECIPE.replace(
        'use = "toy/digits"',
        f'use = "evaluate"\nrunner = "toy/contains"\nbenchmarks = ["arc_easy@{items}?shots=1&examples={examples}"]',
    )
    before = planned(recipe)
    items.touch()
    assert changed(before, planned(recipe)) == []
    items.write_text(ARC.format(answer="B"), encoding="utf-8")
    after = planned(recipe)
    assert changed(before, after) == ["report"]
    examples.write_text(ARC.format(answer="B"), encoding="utf-8")
    assert changed(after, planned(recipe)) == ["report"]


def test_the_files_that_a_benchmark_names(folder: Path) -> None:
    (folder / "mmlu").mkdir()
    files = [folder / "a.jsonl", folder / "b.jsonl", folder / "mmlu" / "c.csv"]
    for file in files:
        file.write_text("x", encoding="utf-8")
    assert named_files(f"squad@{files[0]}") == [files[0]]
    assert named_files(f"arc_easy@{files[0]}?shots=5&examples={files[1]}&form=choice") == files[:2]
    assert named_files(f"mmlu@{folder / 'mmlu'}") == [files[2]]
    assert named_files(f"gsm8k?examples={files[1]}") == [files[1]]
    assert (
        named_files("humaneval") == named_files("exercises-heldout") == named_files(f"squad@{folder / 'missing.jsonl'}") == []
    )
    assert named_files("humaneval@hf://datasets/openai/openai_humaneval/test.parquet") == []


def test_labels_are_in_the_address_but_not_in_the_fingerprint(planned: Planned) -> None:
    before, after = planned(), planned(RECIPE.replace("[stage.loud]", "[stage.noisy]").replace('"loud"', '"noisy"'))
    assert list(fingerprints(before).values()) == list(fingerprints(after).values())
    assert after.steps[4].address.startswith("noisy-")


def test_order_of_options_does_not_matter(planned: Planned) -> None:
    assert fingerprints(planned()) == fingerprints(
        planned(RECIPE.replace('from = "numbers"\nword = "even"', 'word = "even"\nfrom = "numbers"'))
    )


def test_the_output_type_of_a_filter_is_that_of_its_input(planned: Planned) -> None:
    assert [step.output.name for step in planned().steps] == ["Documents"] * 5 + ["JoinedShards", "HashCheckpoint", "Report"]


def test_limit_applies_to_sources_and_generators(planned: Planned) -> None:
    plan = planned(limit=3).before_packing()
    assert [step.label for step in plan.steps] == ["numbers", "echoes", "even", "half", "loud"]
    assert plan.steps[0].limit == 3
    assert plan.steps[1].stage.count == 3  # type: ignore[attr-defined]


def test_until_must_name_a_stage(planned: Planned) -> None:
    assert [step.label for step in planned().until("even").steps] == ["numbers", "echoes", "even"]
    with pytest.raises(RecipeError, match="the stages are numbers, echoes"):
        planned().until("nothing")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), JSON), st.randoms())
def test_fingerprints_do_not_depend_on_the_order_of_keys(facts: dict[str, Any], rng: Any) -> None:
    keys = list(facts)
    rng.shuffle(keys)
    assert fingerprint({key: facts[key] for key in keys}) == fingerprint(facts)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), {1, 2}])
def test_a_value_without_stable_json_is_rejected(value: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        fingerprint({"fact": value})
