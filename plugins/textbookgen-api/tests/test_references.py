"""References: calls that point at words of the request mean what the calls that repeat them mean."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from textbookgen_api.call_accuracy import CallAccuracy
from textbookgen_api.calls import equal_plans, parse_plan
from textbookgen_api.references import NUMBERS, number_words, resolve_references, write_with_references
from textbookgen_api.requests import Requests
from textbookgen_api.word_references import WordReferences

from textbookgen.api.artifacts import Checkpoint
from textbookgen.api.stage import StageInputs
from textbookgen.testing import write_documents

REQUEST = "Text Red Kites: I'm late. Then 2 eggs, 12 rolls and a taxi at 7pm!"


def household(**options: object) -> pl.DataFrame:
    return pl.concat(Requests(path="household", count=400, sequence_share=0.2, **options).read())


def test_each_word_is_followed_by_its_number():
    assert number_words("Turn the attic to 35%, please!") == "Turn①the②attic③to④35⑤%,please⑥!"
    assert number_words(" I'm late: 8pm ") == "I'm①late②:8③pm④"
    assert number_words("don’t ①②stop") == "don’t①stop②"
    assert number_words("") == ""
    assert number_words("…") == "…"


def test_words_after_the_fiftieth_have_no_number():
    request = " ".join(["word"] * 60)
    assert number_words(request).count("word") == 60
    assert number_words(request).endswith(NUMBERS[-1] + "word " * 9 + "word")
    plan = parse_plan("f(a='last')")
    assert write_with_references(request + " last", plan) == "f(a='last')"


@pytest.mark.parametrize(
    ("call", "written"),
    [
        ("send(person='Red Kites', text=\"I'm late\")", "send(person=②③, text=④⑤)"),
        ("add(item='eggs', quantity=2); add(item='rolls', quantity=12)", "add(item=⑧, quantity=⑦); add(item=⑩, quantity=⑨)"),
        ("f(hour=19, a='7', b='Egg', c=True, d='gg', e=1.5)", "f(hour=19, a='7', b='Egg', c=True, d='gg', e=1.5)"),
        ("a = f(x='taxi'); g(y=a, z=['eggs'])", "a = f(x=⑬); g(y=a, z=['eggs'])"),
        ("f(x='Kites: I\\'m late. Then')", "f(x=③⑥)"),
        ("decline()", "decline()"),
    ],
)  # fmt: skip
def test_values_of_the_request_are_written_as_references(call: str, written: str):
    assert write_with_references(REQUEST, parse_plan(call)) == written
    assert equal_plans(parse_plan(resolve_references(REQUEST, written)), parse_plan(call))


def test_arguments_can_be_kept_literal():
    assert write_with_references("at 7 on friday", parse_plan("f(hour=7, day='friday')"), ("hour",)) == "f(hour=7, day=④)"


def test_of_several_places_the_one_beside_the_other_values_is_taken():
    plan = parse_plan("add(item='eggs', quantity=2); add(item='rolls', quantity=2)")
    assert write_with_references("2 eggs and 2 rolls", plan) == "add(item=②, quantity=①); add(item=⑤, quantity=④)"
    assert write_with_references("eggs eggs", parse_plan("f(a='eggs', b='eggs')")) == "f(a=①, b=②)"


@pytest.mark.parametrize("answer", ["f(a=⑤)", "f(a=③②)", "f(a=①②③)", "f(①)", "f(a=x①)"])
def test_references_to_words_that_are_not_there_are_not_resolved(answer: str):
    assert resolve_references("one two three", answer) == answer


@given(st.text(), st.lists(st.one_of(st.text(), st.integers(), st.booleans()), max_size=3))
def test_references_never_change_what_a_call_means(text: str, values: list[object]):
    values = [value for value in values if not isinstance(value, str) or not set(value) & set(NUMBERS)]
    request = f"{text} {' and '.join(map(str, values))}"
    call = f"f({', '.join(f'a{place}={value!r}' for place, value in enumerate(values))})"
    written = write_with_references(request, parse_plan(call))
    assert equal_plans(parse_plan(resolve_references(request, written)), parse_plan(call))


def test_all_values_of_the_household_that_a_request_repeats_become_references():
    rows = household(typo_share=0.1)
    numbered = WordReferences(inputs="requests", literal=("hour", "day")).transform(rows)
    assert set(numbered["id"]) & set(rows["id"]) == set()
    assert numbered["parents"].to_list() == [[item] for item in rows["id"]]
    assert numbered.drop("id", "text", "api.prompt", "parents").equals(rows.drop("id", "text", "api.prompt"))
    for row in numbered.iter_rows(named=True):
        answer = row["text"].removeprefix(row["api.prompt"]).strip()
        assert row["text"].startswith(row["api.prompt"])
        assert equal_plans(parse_plan(resolve_references(row["api.request"], answer)), parse_plan(row["api.call"]))
        names = ("room", "artist", "label", "person", "text", "item", "dish")
        assert not any(f"{name}='" in answer or f'{name}="' in answer for name in names), answer


def test_a_model_that_answers_in_references_is_scored_by_what_they_mean(tmp_path: Path):
    rows = household()
    numbered = WordReferences(inputs="requests").transform(rows)
    right = dict(zip(numbered["api.prompt"], numbered["text"], strict=True))

    class Model:
        def complete(self, prompts: list[str], **_: object) -> list[list[str]]:
            return [[right[prompt].removeprefix(prompt).strip()] for prompt in prompts]

        def close(self) -> None: ...

    class Resolver:
        def model(self, checkpoint: Path) -> Model:
            return Model()

    requests = write_documents(tmp_path / "flow", rows)
    inputs = StageInputs({"from": {"m": Checkpoint(tmp_path)}, "requests": {"r": requests}}, tmp_path, Resolver())
    report = CallAccuracy(inputs="m", requests="r", references=True).evaluate(inputs, tmp_path)
    assert report.filter(pl.col("metric") == "exact call")["value"].to_list() == [1.0]
