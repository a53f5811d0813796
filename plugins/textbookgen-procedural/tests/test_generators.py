"""The embedded teacher under the real generators, with their prompts, schemas and readers, as recipes combine them."""

from __future__ import annotations

import ast
import contextlib
import io
import re
from collections.abc import Callable, Iterable, Mapping
from random import Random
from typing import Any

import polars as pl
import pytest
from textbookgen_procedural import topics
from textbookgen_procedural.docstring_parser import parse_function
from textbookgen_procedural.stories.inflection import past
from textbookgen_procedural.tasks.questions import solve

from textbookgen.api.errors import PluginError, UnusableReply
from textbookgen.api.generator import Generator
from textbookgen.api.sampler import AcceptedStats, Sampler

textbooks = pytest.importorskip("textbookgen_textbooks")
tinystories = pytest.importorskip("textbookgen_tinystories")
sandbox_pool = pytest.importorskip("textbookgen_sandbox.pool")

from textbookgen_sandbox.stages.doctest import Doctest  # noqa: E402
from textbookgen_sandbox.stages.tests_pass import PassingTests  # noqa: E402
from textbookgen_textbooks.answers import extract_answer  # noqa: E402
from textbookgen_textbooks.attempts import Attempts  # noqa: E402
from textbookgen_textbooks.best_of_n import BestOfN  # noqa: E402
from textbookgen_textbooks.conversation import Conversation  # noqa: E402
from textbookgen_textbooks.deductions import Deductions  # noqa: E402
from textbookgen_textbooks.excerpts import Excerpts  # noqa: E402
from textbookgen_textbooks.exercise import Exercise  # noqa: E402
from textbookgen_textbooks.fill_in_the_middle import FillInTheMiddle  # noqa: E402
from textbookgen_textbooks.function_names import FunctionNames  # noqa: E402
from textbookgen_textbooks.instruction_reversal import InstructionReversal  # noqa: E402
from textbookgen_textbooks.majority_vote import MajorityVote  # noqa: E402
from textbookgen_textbooks.page import Page  # noqa: E402
from textbookgen_textbooks.page_topics import PageTopics  # noqa: E402
from textbookgen_textbooks.preferences import Preferences  # noqa: E402
from textbookgen_textbooks.refusals import RefusalChats, RefusalPairs  # noqa: E402
from textbookgen_textbooks.rewrite import Rewrite  # noqa: E402
from textbookgen_textbooks.section import Section  # noqa: E402
from textbookgen_textbooks.section_topics import SectionTopics  # noqa: E402
from textbookgen_textbooks.self_revision import SelfRevision  # noqa: E402
from textbookgen_textbooks.taxonomy import Taxonomy  # noqa: E402
from textbookgen_textbooks.user_prompts import UserPrompts  # noqa: E402
from textbookgen_tinystories.grades import Grades  # noqa: E402
from textbookgen_tinystories.story import Story  # noqa: E402
from textbookgen_tinystories.story_constraints import StoryConstraints  # noqa: E402
from textbookgen_tinystories.summary import Summary  # noqa: E402

Row = dict[str, Any]
Generate = Callable[[Generator, Mapping[str, Any]], list[Row]]
OPTIONS: dict[str, Any] = {"teacher": "author", "count": 1}
FROM: dict[str, Any] = {"teacher": "author", "from": "earlier"}
NUMBER = re.compile(r"\d+")


def draws(sampler: Sampler, count: int) -> list[Row]:
    return [sampler.draw(n, Random(n), AcceptedStats()) for n in range(count)]


def write(generate: Generate, stage: Generator, sampler: Sampler, count: int) -> list[Row]:
    """The documents of a generator without `from`, one per draw, each with an id and its draw."""
    rows = [(draw, row) for draw in draws(sampler, count) for row in generate(stage, draw)]
    return [{"kind": stage.kind, **row, "id": f"{stage.name}-{n}", "draw": draw} for n, (draw, row) in enumerate(rows)]


def derive(generate: Generate, stage: Generator, documents: Iterable[Row]) -> list[Row]:
    """The documents of a generator with `from`; documents it rejects by design are left out."""
    rows = []
    for document in documents:
        source = {name: value for name, value in document.items() if name != "draw"}
        try:
            rows += [{**row, "source": document} for row in generate(stage, {"document": source})]
        except UnusableReply:
            continue
    return [{"kind": stage.kind, **row, "id": f"{stage.name}-{n}"} for n, row in enumerate(rows)]


@pytest.fixture(scope="module")
def stories(generate: Generate) -> list[Row]:
    return write(generate, Story(**OPTIONS), StoryConstraints(), 120)


@pytest.fixture(scope="module")
def exercises(generate: Generate) -> list[Row]:
    # the few replies that miss their concept are counted in test_exercises.py
    rows = write(generate, Exercise(require_concept=False, **OPTIONS), FunctionNames(), 160)
    return [{**row, "id": str(n)} for n, row in enumerate(rows)]


@pytest.fixture(scope="module")
def pages(generate: Generate) -> list[Row]:
    return write(generate, Page(**OPTIONS), PageTopics(topics=topics()), 120)


@pytest.fixture(scope="module")
def user_prompts(generate: Generate) -> list[Row]:
    return write(generate, UserPrompts(**OPTIONS), SectionTopics(persona_share=0.5), 80)


@pytest.fixture(scope="module")
def questions(generate: Generate, pages: list[Row], user_prompts: list[Row]) -> list[Row]:
    """Questions on code, from pages, and word problems, from user prompts."""
    deductions = derive(generate, Deductions(**FROM), pages)
    return deductions + [row for row in user_prompts if solve(row["text"])]


@pytest.fixture(scope="module")
def voted(generate: Generate, questions: list[Row]) -> list[Row]:
    return derive(generate, MajorityVote(**FROM), questions)


def verdicts(stage: PassingTests | Doctest, rows: list[Row]) -> pl.DataFrame:
    """The verdicts of a sandbox filter; skipped where the machine cannot isolate programs."""
    columns = {name: [row.get(name) for row in rows] for name in ("id", "text", "textbooks.tests")}
    try:
        return stage.decide(pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String)))
    except PluginError as error:
        pytest.skip(error.problem)


def text_of(row: Row) -> str:
    return str(row["text"])


# -- Documents written from a draw


def test_stories_contain_the_words_of_their_constraints(stories: list[Row]):
    assert len(stories) == 120
    for row in stories:
        words = set(re.findall(r"[a-z]+", row["text"].lower()))
        draw = row["draw"]
        assert {draw["noun"], draw["adjective"]} <= words and words & {draw["verb"], past(draw["verb"])}, draw
    assert len(set(map(text_of, stories))) == 120


def test_summaries_name_who_is_in_their_story_and_are_shorter(generate: Generate, stories: list[Row]):
    rows = derive(generate, Summary(**FROM), stories)
    assert len(rows) == len(stories)
    for row in rows:
        words, story = row["tinystories.summary"].split(), row["source"]["text"].split()
        assert 5 <= len(words) <= 45 < len(story)
        names = {word.strip(".,") for word in words if word[0].isupper()} - {
            "In",
            "They",
            "The",
            "It",
            "A",
            "Nobody",
            "She",
            "He",
        }
        assert names & {word.strip('.,!?"') for word in story}


def test_grades_rank_stories_above_their_shuffled_words(generate: Generate, stories: list[Row]):
    whole, broken = [], []
    for row in stories[:40]:
        half = len(row["text"]) // 2
        words = row["text"][half:].split()
        Random(row["id"]).shuffle(words)
        for completion, graded in ((row["text"][half:], whole), (" ".join(words).lower(), broken)):
            parts = {"tinystories.beginning": row["text"][:half], "tinystories.completion": completion}
            (grades,) = generate(Grades(**FROM), {"document": {"id": row["id"], "text": row["text"], **parts}})
            graded.append(grades)
    for axis in ("grammar", "creativity", "consistency", "plot"):
        assert all(1 <= row[f"tinystories.{axis}"] <= 10 for row in whole + broken)
    mean = {name: sum(row["tinystories.grammar"] for row in rows) for name, rows in (("whole", whole), ("broken", broken))}
    assert mean["whole"] > mean["broken"]


def first_result(exercise: Row) -> str:
    """The result that the first assert of an exercise expects, as source code."""
    test = ast.parse(exercise["textbooks.tests"]).body[0]
    assert isinstance(test, ast.Assert) and isinstance(test.test, ast.Compare)
    return ast.unparse(test.test.comparators[0])


def test_exercises_pass_their_own_asserts_and_constant_functions_do_not(exercises: list[Row]):
    assert len(exercises) == 160
    passed = verdicts(PassingTests(workers=2, isolate_tests=False), exercises)
    assert passed["keep"].all(), passed.filter(~pl.col("keep")).row(0, named=True)
    wrong = [{**row, "text": f"{row['textbooks.prompt']}    return {first_result(row)}\n"} for row in exercises]
    assert not verdicts(PassingTests(workers=2, isolate_tests=False), wrong)["keep"].any()


def test_exercises_have_the_name_and_the_argument_type_of_the_draw(exercises: list[Row]):
    for row in exercises:
        function = ast.parse(row["text"]).body[0]
        assert isinstance(function, ast.FunctionDef) and function.name == row["draw"]["function_name"]
        assert row["textbooks.entry_point"] == function.name and ast.get_docstring(function)


def test_pages_print_what_they_say_and_a_changed_comment_is_noticed(pages: list[Row]):
    judged = verdicts(Doctest(workers=2), pages)
    assert judged["keep"].all(), judged.filter(~pl.col("keep")).row(0, named=True)
    assert judged["score"].min() == 1.0
    changed = [{**row, "text": re.sub(r"(\)  # )(.*)", r"\g<1>98765", row["text"], count=1)} for row in pages]
    touched = [number for number, row in enumerate(changed) if row["text"] != pages[number]["text"]]
    kept = verdicts(Doctest(workers=2), [changed[number] for number in touched])["keep"]
    assert len(touched) > 80 and not kept.any()


def test_the_question_of_a_page_has_the_answer_that_the_changed_snippet_prints(pages: list[Row]):
    asked = 0
    for row in pages:
        for question, answer in re.findall(r"\*\*Question\.\*\* (.*)\n\n\*\*Answer\.\*\* It prints (.*)", row["text"]):
            change = re.search(r"`(.+?)` (?:in place of|where .* has) `(.+?)`", question)
            reverse = re.search(r"`(.+?)` (?:in .* became|is changed to) `(.+?)`", question)
            if "smallest case" in question or not (change or reverse):
                continue
            new, old = change.groups() if change else reverse.groups()[::-1]
            outputs = []
            for snippet in re.findall(r"```python\n(.*?)```", row["text"], re.S):
                code = re.sub(r"(?m)^#.*\n|  # .*$", "", snippet)
                if len(re.findall(rf"(?<![\w.]){re.escape(old)}(?![\w.])", code)) != 1:
                    continue
                output = io.StringIO()
                source = re.sub(rf"(?<![\w.]){re.escape(old)}(?![\w.])", lambda _, new=new: new, code)
                with contextlib.suppress(Exception), contextlib.redirect_stdout(output):
                    exec(compile(source, "snippet", "exec", dont_inherit=True), {"__name__": "snippet"})
                outputs.append(" and then ".join(f"`{line}`" for line in output.getvalue().splitlines()) + ".")
            assert answer in outputs, (row["draw"], question, answer, outputs)
            asked += 1
    assert asked > 10


def test_no_training_text_contains_a_held_out_pair(exercises: list[Row], pages: list[Row], user_prompts: list[Row]):
    from textbookgen_procedural.compositions import is_held_out

    parsed = 0
    sources = [text_of(row) for row in exercises]
    sources += [snippet for row in pages for snippet in re.findall(r"```python\n(.*?)```", row["text"], re.S)]
    for source in sources:
        function = parse_function(source)
        if function is not None:
            parsed += 1
            assert not is_held_out([step.primitive.name for step in function.composition.steps]), source
    assert parsed > 140


def test_held_out_prompts_occur_in_no_training_text(exercises: list[Row], pages: list[Row], user_prompts: list[Row]):
    from textbookgen_procedural.heldout_benchmark import HeldOutExercises

    def task(source: str) -> str:
        function = ast.parse(source).body[0]
        assert isinstance(function, ast.FunctionDef)
        return (ast.get_docstring(function) or "").splitlines()[0]

    training = "\n".join(map(text_of, exercises + pages + user_prompts))
    tasks = [task(item.prompt + item.solution) for item in HeldOutExercises().items()]
    assert len(tasks) == 200
    assert not [item for item in tasks if item in training]


def test_sections_are_about_their_topic_and_keep_the_persona(generate: Generate):
    rows = write(generate, Section(**OPTIONS), SectionTopics(), 60)
    assert len(rows) == 60
    for row in rows:
        draw, text = row["draw"], row["text"].lower()
        assert draw["topic"].rstrip(".").lower() in text
        assert draw["persona"] is None or draw["persona"].rstrip(".").lower() in text
        for one, sign, other, result in re.findall(r"(?<![\d*+-] )(?<!\d)(\d+) ([-+*]) (\d+) = (-?\d+)", text):
            assert eval(f"{one} {sign} {other}") == int(result)


def test_taxonomies_have_distinct_paths_of_three_levels(generate: Generate):
    stage = Taxonomy(subjects=4, sessions=3, concepts=4, **OPTIONS)
    rows = [row for name in ("geology", "music") for row in generate(stage, {"discipline": name})]
    paths = {tuple(row[f"textbooks.{level}"] for level in ("discipline", "subject", "session", "topic")) for row in rows}
    assert len(rows) == len(paths) == 2 * 4 * 3 * 4
    assert all(subject in concept or subject.split()[0] in concept for _, subject, _, concept in paths)


def test_user_prompts_name_the_persona_and_differ(user_prompts: list[Row]):
    assert len(user_prompts) == 80
    assert len(set(map(text_of, user_prompts))) > 70
    for row in user_prompts:
        persona = row["draw"]["persona"]
        assert persona is None or persona.rstrip(".") in row["text"]
    assert any("function `" in row["text"] for row in user_prompts) and any(solve(row["text"]) for row in user_prompts)


# -- Texts derived from documents


def test_excerpts_are_parts_of_their_page(generate: Generate, pages: list[Row]):
    rows = derive(generate, Excerpts(**FROM), pages)
    assert len(rows) > len(pages) / 2
    for row in rows:
        assert row["text"].strip() in row["source"]["text"]
        assert row["text"].count("```") % 2 == 0  # a code block is not cut
        assert row["textbooks.complexity"] in "BCD"
    assert any(row["textbooks.steps"] for row in rows)


def test_rewritten_passages_keep_numbers_and_code(generate: Generate, pages: list[Row]):
    rows = derive(generate, Rewrite(**FROM), pages[:30])
    assert {row["textbooks.style"] for row in rows} == {"exercise", "discussion", "reasoning", "tutorial"}
    for row in rows:
        source = row["source"]["text"]
        assert set(NUMBER.findall(source)) <= set(NUMBER.findall(row["text"]))
        assert re.findall(r"```.*?```", source, re.S) == re.findall(r"```.*?```", row["text"], re.S)


def test_filled_gaps_are_right_in_code_and_stay_within_the_text(generate: Generate, exercises: list[Row], pages: list[Row]):
    code = derive(generate, FillInTheMiddle(**FROM), exercises)
    assert len(code) > 60
    for row in code:
        assert row["textbooks.middle"].strip() in row["source"]["text"]
        assert row["textbooks.grade"] >= 4
    exact = sum(row["text"].rstrip().endswith(row["textbooks.middle"].strip()) for row in code)
    assert exact > 0.9 * len(code)
    assert all(row["textbooks.grade"] >= 4 for row in derive(generate, FillInTheMiddle(**FROM), pages[:30]))


def test_conversations_alternate_and_answers_quote_the_document(generate: Generate, pages: list[Row]):
    rows = derive(generate, Conversation(turns=(4, 6), **FROM), pages[:60])
    assert len(rows) > 10
    for row in rows:
        messages = row["messages"]
        assert [message["role"] for message in messages] == ["user", "assistant"] * (len(messages) // 2)
        questions = [message["content"] for message in messages if message["role"] == "user"]
        assert len(set(questions)) == len(questions)


def test_requests_lead_back_to_the_code(generate: Generate, exercises: list[Row]):
    one_argument = [row for row in exercises if "," not in row["textbooks.argument_types"]]
    rows = derive(generate, InstructionReversal(**FROM, exact_operations=False), one_argument)  # the tests decide
    regenerated = [{**row, "text": row["textbooks.regenerated"]} for row in rows]
    passing = verdicts(PassingTests(workers=2, isolate_tests=False), regenerated)["keep"].sum()
    assert passing > 0.9 * len(one_argument)
    assert all(row["source"]["textbooks.entry_point"] in row["messages"][0]["content"] for row in rows)


def test_self_revised_drafts_meet_the_rubric(generate: Generate):
    stage = SelfRevision(prompt="phi1/page.md.j2", **OPTIONS)
    rows = []
    for draw in draws(PageTopics(topics=topics()), 120):
        try:
            rows += generate(stage, draw)
        except UnusableReply:
            continue
    assert len(rows) > 60
    assert all(row["textbooks.lowest_score"] >= 4 for row in rows)


def test_paraphrases_keep_the_values_of_the_request(generate: Generate):
    pytest.importorskip("textbookgen_api")
    from textbookgen_api.paraphrase import Paraphrase

    document = {
        "id": "a", "text": "x", "api.request": "Set a timer for 25 minutes called Play Tea.", "api.values": ["25", "Play Tea"],
        "api.case": "1", "api.function": "timer", "api.description": "Set a timer.", "api.defaults": [], "api.call": "timer(25)",
    }  # fmt: skip
    rows = generate(Paraphrase(paraphrases=8, keep_original=False, **FROM), {"document": document})
    requests = {row["api.request"] for row in rows}
    assert len(rows) == 8 and len(requests) >= 6
    assert all("25" in request and "Play Tea" in request for request in requests)


def test_annotations_are_on_the_scale(generate: Generate, exercises: list[Row], pages: list[Row]):
    pytest.importorskip("textbookgen_quality")
    from textbookgen_quality.annotate import QualityAnnotator

    rows = derive(generate, QualityAnnotator(**FROM), exercises[:30] + pages[:30])
    rows += derive(generate, QualityAnnotator(**FROM), [{"id": "x", "text": "A = 1\nB = 2\n", "kind": "code"}])
    scores = [row["quality.score"] for row in rows]
    assert len(scores) == 61 and min(scores) >= 0 and max(scores) == 5
    assert scores[-1] <= 1 < max(scores[:30])


# -- Questions and answers


def answer_by_execution(question: str) -> object:
    """What the call in a question on code returns, found by running the code."""
    call = re.search(r"What does `(.+)` give\?", question)
    assert call is not None
    names: dict[str, Any] = {}
    exec(question.split("```python\n")[1].split("```")[0], names)
    return eval(call[1], names)


def test_deductions_have_the_answer_that_the_code_returns(generate: Generate, pages: list[Row]):
    rows = derive(generate, Deductions(**FROM), pages)
    assert len(rows) > 20
    for row in rows:
        answer = row["textbooks.solution"].rpartition("ANSWER: ")[2]
        assert ast.literal_eval(answer) == answer_by_execution(row["textbooks.question"])


def test_majority_votes_are_right_and_some_questions_are_too_easy_or_too_hard(voted: list[Row], questions: list[Row]):
    assert 10 < len(voted) < len(questions)
    right = 0
    for row in voted:
        solution = solve(row["textbooks.question"])
        assert solution is not None and 0.25 <= row["textbooks.agreement"] <= 0.9
        right += row["textbooks.answer"] == extract_answer(f"ANSWER: {solution.answer}")
    assert right == len(voted)


def test_sums_and_products_are_answered_right_more_often_than_not(generate: Generate):
    pytest.importorskip("textbookgen_reasoning")
    from textbookgen_reasoning.arithmetic import Arithmetic

    for operation in ("add", "mul"):
        source = Arithmetic(count=30, operation=operation, max_digits=3, spaced=False)
        problems = [row for frame in source.read() for row in frame.to_dicts()]
        assert all(solve(row["reasoning.prompt"]).answer == row["reasoning.result"] for row in problems)
        asked = [{**row, "textbooks.question": row["reasoning.prompt"]} for row in problems]
        rows = derive(generate, MajorityVote(max_agreement=1.0, **FROM), asked)
        right = sum(row["textbooks.answer"] == row["source"]["reasoning.result"] for row in rows)
        assert len(rows) > 20 and right == len(rows)


def test_unsolvable_questions_have_no_majority(generate: Generate):
    question = {"id": "x", "text": "Why is the sky blue?", "kind": "question"}
    assert derive(generate, MajorityVote(min_agreement=0.5, **FROM), [question]) == []


def test_refusals_teach_answers_refusals_and_bogus_questions(generate: Generate, voted: list[Row]):
    attempted = derive(generate, Attempts(**FROM), voted)
    assert len(attempted) == len(voted)
    chats = derive(generate, RefusalChats(**FROM), attempted)
    types = {row["textbooks.response_type"] for row in chats}
    assert types == {"answer", "refusal", "bogus-refusal"}
    for row in chats:
        question, reply = (message["content"] for message in row["messages"])
        if row["textbooks.response_type"] == "bogus-refusal":
            assert question != row["source"]["textbooks.question"] and solve(question) is None
        if row["textbooks.response_type"] != "answer":
            assert row["source"]["textbooks.answer"] not in NUMBER.findall(reply)
    pairs = derive(generate, RefusalPairs(**FROM), attempted)
    assert pairs and all(row["chosen"] != row["rejected"] for row in pairs)


def test_the_best_reply_is_graded_highest_and_solves_the_question(generate: Generate, user_prompts: list[Row]):
    problems = [row for row in user_prompts if solve(row["text"])]
    best = derive(generate, BestOfN(**FROM), problems)
    assert len(best) > len(problems) / 2
    for row in best:
        assert solve(row["source"]["text"]).answer in row["messages"][-1]["content"]
    pairs = derive(generate, Preferences(**FROM), user_prompts)
    assert len(pairs) > len(user_prompts) / 2
    assert all(row["textbooks.chosen_score"] >= row["textbooks.rejected_score"] + 1 for row in pairs)
