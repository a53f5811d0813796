"""Pages: every snippet runs and prints what the page says, in any style, for any audience."""

from __future__ import annotations

import contextlib
import io
import re

import pytest
from textbookgen_procedural import topics
from textbookgen_procedural.code_snippets import with_outputs
from textbookgen_procedural.compositions import pair_is_held_out
from textbookgen_procedural.concepts import concept_for, concepts
from textbookgen_procedural.data_files import words
from textbookgen_procedural.primitives import primitives_by_name

STYLES = (
    "a plain lecture",
    "questions and answers",
    "one worked example followed to its end",
    "a short story with a problem in it",
)
AUDIENCES = ("a curious child", "a first-year student", "a working programmer")
FENCE = re.compile(r"```python\n(.*?)\n```", re.S)


def expected_output(code: str) -> list[str]:
    """Return what the comments of a snippet say that it prints."""
    return [match[1] or match[2] for match in re.finditer(r"(?m)(?:\)  # (.*)|^# ?(.*))$", code)]


@pytest.mark.parametrize("topic", topics())
def test_snippets_print_what_the_page_says(ask, topic):
    for number, style in enumerate(STYLES):
        page = ask("page", {"topic": topic, "audience": AUDIENCES[number % 3], "style": style, "difficulty": number + 1})
        assert 120 <= len(page.split()) <= 350
        snippets = FENCE.findall(page)
        assert 1 <= len(snippets) <= 3
        for code in snippets:
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                exec(code, {"__name__": "snippet"})
            assert expected_output(code) == out.getvalue().splitlines()
        assert page.startswith("# ") and "**Question.**" in page and "**Answer.**" in page


def test_pages_show_functions_in_the_form_of_exercises(ask):
    for topic in topics()[::5]:
        assert re.search(r'def \w+\(\w+: [\w\[\]]+\) -> [\w\[\], ]+:\n    """[A-Z]', ask("page", {"topic": topic}))


def test_every_concept_has_enough_material():
    assert len(concepts()) >= 40
    for concept in concepts().values():
        assert len(concept.definitions) >= 2 and len(concept.explanations) >= 4 and len(concept.snippets) >= 2
        assert concept.comparisons and concept.pitfalls
        assert all(name in primitives_by_name() for name in concept.practice)


def test_pairs_shown_in_snippets_are_not_held_out():
    for pair in words("taught pairs"):
        first, second = pair.split(">")
        assert first in primitives_by_name() and second in primitives_by_name()
        assert not pair_is_held_out(first, second)


def test_a_topic_gets_the_nearest_concept():
    assert concept_for("Running Totals").name == "running totals"
    assert concept_for("rotating a list").name == "rotating lists"
    assert concept_for("sorting a dictionary by value").name in ("counting with a dictionary", "dictionaries", "sorting")
    assert concept_for("the price of tea in winter") is concept_for("the price of tea in winter")


def test_the_output_of_a_loop_is_below_it():
    assert with_outputs("for n in [1, 2]:\n    print(n)") == "for n in [1, 2]:\n    print(n)\n# 1\n# 2"
    assert with_outputs("def f():\n    print('in')\n\nf()\nprint(3)") == "def f():\n    print('in')\n\nf()  # in\nprint(3)  # 3"


def test_the_list_of_topics_is_the_list_of_concepts():
    from importlib.resources import files

    kept = files("textbookgen_procedural").joinpath("topics.txt").read_text(encoding="utf-8").splitlines()
    assert tuple(kept) == topics()
