"""Pages: about their topic, with snippets that print what the page says, and changed by audience, level, skill and style."""

from __future__ import annotations

import contextlib
import io
import re

import pytest
from textbookgen_procedural import topics
from textbookgen_procedural.audiences import audience_for, audiences
from textbookgen_procedural.code_in_words import statements_in_words, without_hints
from textbookgen_procedural.code_snippets import output_of, with_outputs
from textbookgen_procedural.compositions import pair_is_held_out
from textbookgen_procedural.concepts import concept_for, concepts
from textbookgen_procedural.data_files import words
from textbookgen_procedural.page_material import reading_difficulty
from textbookgen_procedural.primitives import primitives_by_name

from textbookgen.api.errors import RequestRefused

STYLES = (
    "a plain lecture",
    "questions and answers",
    "one worked example followed to its end",
    "a short story in which a problem is solved",
    "a dialogue between a tutor and a pupil",
    "a mistake, how it is found, and how it is fixed",
    "a comparison of two solutions",
    "a recipe in numbered steps",
)
AUDIENCES = ("a curious child of eleven", "a nurse on a ward", "a first-year student of computer science")
SKILLS = ("tracing a program by hand", "testing with small examples", "finding and fixing a mistake", "comparing two solutions")
FENCE = re.compile(r"```python\n(.*?)\n```", re.S)


def expected_output(code: str) -> list[str]:
    """Return what the comments of a snippet say that it prints."""
    return [match[1] or match[2] for match in re.finditer(r"(?m)(?:\)  # (.*)|^# ?(.*))$", code)]


def printed(code: str) -> list[str]:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(code, "snippet", "exec", dont_inherit=True), {"__name__": "snippet"})
    return out.getvalue().splitlines()


@pytest.mark.parametrize("number", range(8))
def test_snippets_print_what_the_page_says(ask, number):
    for place, topic in enumerate(topics()[number::8]):
        draw = {
            "topic": topic,
            "audience": AUDIENCES[place % 3],
            "style": STYLES[(place + number) % 8],
            "difficulty": place % 5 + 1,
            "skill": SKILLS[place % 4],
        }
        page = ask("page", draw)
        assert 80 <= len(page.split()) <= 800, draw
        snippets = FENCE.findall(page)
        assert 1 <= len(snippets) <= 8, draw
        for code in snippets:
            assert expected_output(code) == printed(code), (draw, code)
        assert page.startswith("# ") and "**Answer.**" in page, draw


def test_every_concept_has_enough_material_and_its_snippets_run():
    assert len(concepts()) >= 190
    for concept in concepts().values():
        assert len(concept.definitions) >= 2 and len(concept.explanations) >= 4 and len(concept.snippets) >= 2, concept.name
        assert concept.comparisons and concept.pitfalls and concept.notes, concept.name
        assert all(name in primitives_by_name() for name in concept.practice if not name.startswith("@"))
        assert all(concept.family in audience.uses for audience in audiences())


def test_second_solutions_print_the_same():
    from random import Random

    variants = [snippet for concept in concepts().values() for snippet in concept.snippets if snippet.variant]
    assert len(variants) >= 60
    for number, snippet in enumerate(variants):
        values = snippet.fill(Random(number))
        assert output_of(snippet.program(values)) == output_of(snippet.program(values, variant=True)), snippet.introduction


def test_every_topic_of_the_sampler_has_a_concept_of_its_own_name():
    pytest.importorskip("textbookgen_textbooks")
    from textbookgen_textbooks.page_topics import known_topics

    assert len(known_topics()) == 180
    assert set(known_topics()) <= set(topics())


def test_pages_are_about_their_topic(ask):
    pytest.importorskip("textbookgen_textbooks")
    from textbookgen_textbooks.page_facts import is_about
    from textbookgen_textbooks.page_topics import known_topics

    about = [
        is_about(ask("page", {"topic": topic, "audience": AUDIENCES[n % 3], "style": STYLES[n % 8], "difficulty": 3}), topic)
        for n, topic in enumerate(known_topics())
    ]
    assert sum(about) >= 0.98 * len(about)
    hanoi = ask("page", {"topic": "towers of Hanoi", "difficulty": 5})
    assert "disc" in hanoi and "minimum" not in hanoi
    assert not is_about(hanoi, "minimum and maximum in one pass") and not is_about(hanoi, "binary search")


def test_other_words_for_a_known_topic_are_understood_and_unknown_topics_refused(ask):
    assert concept_for("Running Totals").name == "running totals"
    assert concept_for("an introduction to rotating lists").name == "rotating lists"
    assert concept_for("the price of tea in winter") is None
    with pytest.raises(RequestRefused, match="knows nothing about 'the price of tea in winter'"):
        ask("page", {"topic": "the price of tea in winter"})
    with pytest.raises(RequestRefused) as caught:
        ask("page", {"topic": "tower of hanoy"})
    assert "towers of Hanoi" in str(caught.value.hint)


def test_the_level_changes_length_code_and_exercises(ask):
    def measure(difficulty: int) -> tuple[float, float, int]:
        pages = [ask("page", {"topic": topic, "difficulty": difficulty}) for topic in topics()[::6]]
        lines = sum(code.count("\n") + 1 for page in pages for code in FENCE.findall(page))
        return sum(len(page.split()) for page in pages), lines, sum(page.count("**Answer.**") for page in pages)

    low, high = measure(1), measure(5)
    assert high[0] > 1.3 * low[0] and high[1] > 1.8 * low[1] and high[2] > 1.5 * low[2]


def test_the_audience_changes_words_examples_and_what_is_taken_for_granted(ask):
    def pages(audience: str) -> list[str]:
        return [ask("page", {"topic": topic, "audience": audience, "difficulty": 3}) for topic in topics()[::6]]

    child, programmer, nurse = pages("a child of eleven"), pages("a working programmer"), pages("a nurse")

    def signatures(texts: list[str]) -> str:
        return "\n".join(line for text in texts for line in text.splitlines() if line.startswith("def "))

    # the functions of exercises keep their hints; those of snippets lose them for beginners
    assert signatures(child).count("->") < 0.5 * signatures(child).count("def ")
    assert signatures(programmer).count("->") > 0.9 * signatures(programmer).count("def ")
    assert sum("\n- *" in text for text in child) > 15 and not any("\n- *" in text for text in programmer)  # a glossary
    assert any(word in " ".join(nurse) for word in ("pulse", "fever", "bandage")) and "pulse" not in " ".join(child)
    assert all(text not in nurse for text in child)


def test_prose_for_children_is_easier_to_read_than_for_experts(ask):
    def difficulty(audience: str) -> float:
        draws = ({"topic": topic, "audience": audience, "difficulty": 3} for topic in topics()[::4])
        pages = (ask("page", draw).partition("\n\n")[2].partition("```")[0] for draw in draws)  # up to the first code
        prose = " ".join(re.sub(r"(?m)^- .*$|\*\*.{3,30}?\.\*\*", "", page) for page in pages)
        sentences = [sentence for sentence in re.split(r"(?<=[.!?])\s+", prose) if len(sentence.split()) > 3]
        return sum(map(reading_difficulty, sentences)) / len(sentences)

    assert difficulty("a child of eleven") < difficulty("a working programmer") - 0.5


def test_styles_have_forms_of_their_own(ask):
    signs = {
        "questions": r"(?m)^\*\*[^*\n]+\?\*\*",
        "dialogue": r"(?m)^\*\*Pupil:\*\*",
        "mistake": r"leads to line \d+",
        "comparison": r"\*\*Second solution\.\*\*",
        "recipe": r"(?m)^1\. ",
    }
    shown = dict.fromkeys(signs, 0)
    chosen = topics()[::9]
    for topic in chosen:
        for style in STYLES:
            page = ask("page", {"topic": topic, "style": style, "difficulty": 2, "skill": "testing with small examples"})
            for name, sign in signs.items():
                if name in style:
                    shown[name] += bool(re.search(sign, page))
                elif name in ("dialogue", "questions"):
                    assert not re.search(sign, page), (topic, style, name)
    assert shown["dialogue"] == shown["questions"] == len(chosen)
    assert all(count >= 0.7 * len(chosen) for count in shown.values()), shown


def test_a_skill_that_is_named_is_practised(ask):
    signs = {
        "testing with small examples": "assert ",
        "finding and fixing a mistake": "is wrong",
        "choosing good names": "could be",
    }
    for skill, sign in signs.items():
        pages = [ask("page", {"topic": topic, "skill": skill, "difficulty": 4}) for topic in topics()[::5]]
        named = [page for page in pages if f"Practice: {skill}" in page]
        assert named and all(sign in page for page in named), skill


def test_twenty_pages_in_a_row_differ(ask):
    from itertools import combinations

    def shingles(text: str) -> set[tuple[str, ...]]:
        found = text.lower().split()
        return {tuple(found[n : n + 5]) for n in range(len(found) - 4)}

    sets = [
        shingles(ask("page", {"topic": topic, "style": STYLES[n % 8], "difficulty": n % 5 + 1, "audience": AUDIENCES[n % 3]}))
        for n, topic in enumerate(topics()[3::11][:20])
    ]
    shared = [len(one & other) / len(one | other) for one, other in combinations(sets, 2)]
    assert max(shared) < 0.15 and sum(shared) / len(shared) < 0.03


def test_pages_show_functions_in_the_form_of_exercises(ask):
    pages = [ask("page", {"topic": topic, "difficulty": 3}) for topic in topics()]
    shown = [bool(re.search(r'def \w+\(\w+: [\w\[\]]+\) -> [\w\[\], ]+:\n    """[A-Z]', page)) for page in pages]
    assert sum(shown) > 0.5 * len(shown)


def test_audiences_are_recognized_by_their_words():
    assert audience_for("a student of biology who needs to tidy measurements").name == "scientist"
    assert audience_for("a working programmer who is new to Python").register == "technical"
    assert audience_for("somebody").name == "general"


def test_pairs_shown_in_snippets_are_not_held_out():
    for pair in words("taught pairs"):
        first, second = pair.split(">")
        assert first in primitives_by_name() and second in primitives_by_name()
        assert not pair_is_held_out(first, second)


def test_the_output_of_a_loop_is_below_it():
    assert with_outputs("for n in [1, 2]:\n    print(n)") == "for n in [1, 2]:\n    print(n)\n# 1\n# 2"
    assert with_outputs("def f():\n    print('in')\n\nf()\nprint(3)") == "def f():\n    print('in')\n\nf()  # in\nprint(3)  # 3"


def test_programs_in_words_and_without_hints():
    program = "def f(x: int, y: int = 1) -> int:\n    z: int = x + y\n    return z\n\nprint(f(2))\n"
    assert without_hints(program) == "def f(x, y=1):\n    z = x + y\n    return z\n\nprint(f(2))\n"
    assert statements_in_words(program) == [
        "Define a function `f` that takes `x` and `y`.",
        "Inside: let `z` be `x + y`.",
        "Inside: return `z`.",
        "Print `f(2)`.",
    ]
