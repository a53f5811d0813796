"""Tasks: solutions are right, judgements separate good from bad, and derived texts keep what they must."""

from __future__ import annotations

import ast
import json
import re
from random import Random

import pytest
from textbookgen_procedural.docstring_parser import parse_function
from textbookgen_procedural.exercises import draw_exercise, literal
from textbookgen_procedural.lessons.catalogue import find_topic, known_topics
from textbookgen_procedural.tasks import TASKS
from textbookgen_procedural.tasks.questions import solve, wrong_solution
from textbookgen_procedural.tasks.sections import passage_details
from textbookgen_procedural.tasks.text_analysis import wrong_equations
from textbookgen_procedural.word_problems import draw_problem, find_equation, find_problem

STORY = {"verb": "jump", "noun": "boat", "adjective": "red", "features": ["Dialogue"], "paragraphs": 4}


def do(task: str, draw: dict, seed: int = 0) -> str:
    return TASKS[task](Random(seed), draw)


def row(text: str, **more) -> dict:
    return {"document": {"id": "x", "text": text, **more}}


def test_word_problems_are_recognised_in_a_text() -> None:
    for seed in range(200):
        problem = draw_problem(Random(seed))
        assert find_problem(f"Hello. {problem.question} Thanks.") == problem
        assert not wrong_equations(". ".join(problem.steps))
        assert str(problem.answer) in problem.steps[-1]
    assert find_equation("12 + 30 =").answer == 42
    assert find_equation("2 + 2 = 4") is None


def test_functions_are_parsed_from_their_docstrings() -> None:
    for seed in range(200):
        exercise = draw_exercise(Random(seed), "solve_it", 1 + seed % 5)
        known = parse_function(exercise.program())
        assert known is not None
        assert [known.call(case.value) for case in exercise.cases] == [case.result for case in exercise.cases]


def test_a_request_leads_back_to_its_code() -> None:
    for seed in range(100):
        exercise = draw_exercise(Random(seed), "solve_it", 1 + seed % 5)
        request = do("instruction-reversal", row(exercise.prompt + exercise.solution), seed)
        code = do("regenerate-code", {"request": request}).strip("`").removeprefix("python\n")
        for case in exercise.cases:
            exec(compile(f"{code}\nassert solve_it({literal(case.value)}) == {case.result!r}", "x", "exec"), {})
    assert "NotImplementedError" in do(
        "regenerate-code",
        {"request": "Write a Python function `fly` that takes `wings`, a `list[int]`, and does this: Fly away. Thanks"},
    )


def test_deductions_are_solved_and_passages_without_any_give_none() -> None:
    exercise = draw_exercise(Random(3), "solve_it", 3)
    reply = do("deduction", row(f"Text.\n\n```python\n{exercise.program()}```\n"))
    question, _, solution = reply.partition("SOLUTION:")
    case = next(case for case in exercise.cases if literal(case.value) in question)
    assert solution.rstrip().endswith(f"ANSWER: {literal(case.result)}")
    assert do("deduction", row("A fox ran home. It was late.")) == "NONE"


def test_answers_are_right_more_often_than_not_and_not_always() -> None:
    right = []
    for seed in range(60):
        problem = draw_problem(Random(seed))
        answers = [do("answer", {"question": problem.question}, n).rpartition("ANSWER: ")[2] for n in range(10)]
        right.append(sum(each == str(problem.answer) for each in answers) / 10)
    assert 0.5 < sum(right) / len(right) < 0.8
    assert min(right) < 0.5 and max(right) > 0.9  # some questions are hard, some are easy


@pytest.mark.parametrize(
    ("attempt", "verdict"),
    [
        ("1. So.\nANSWER: 42", "correct"),
        ("ANSWER: 41", "incorrect"),
        ("It is 42", "correct"),
        ("ANSWER: 41\nNo, wait.\nANSWER: 42", "correct"),
        ("I cannot say", "uncertain"),
    ],
)
def test_attempts_are_compared_with_the_reference(attempt: str, verdict: str) -> None:
    assert json.loads(do("check-answer", {"question": "?", "reference_answer": "42", "attempt": attempt})) == {
        "verdict": verdict
    }


def test_a_bogus_question_cannot_be_solved() -> None:
    problem = draw_problem(Random(1))
    bogus = json.loads(do("bogus-question", {"question": problem.question, "reference_answer": str(problem.answer)}))
    assert bogus["plausibility"] >= 3 and bogus["question"] != problem.question
    assert solve(bogus["question"]) is None


def test_what_it_cannot_solve_is_unknown_each_time() -> None:
    answers = {do("answer", {"question": "Why is the sky blue?"}, seed) for seed in range(20)}
    assert {text.rpartition("ANSWER: ")[2] for text in answers} == {"UNKNOWN"}
    assert {do("attempt", {"question": "Why is the sky blue?"}, seed) for seed in range(20)} == {"I do not know."}


CALL = 'What does `f([3, 1, 2])` give?\n\n```python\ndef f(prices: list[int]) -> {}:\n    """{}"""\n    return prices\n```'


@pytest.mark.parametrize(
    "question",
    [
        "12 + 30 =",
        "9 * 9 =",
        draw_problem(Random(3)).question,
        CALL.format("list[int]", "Sort the prices."),
        CALL.format("int", "Find the sum of the prices then double the number."),
        CALL.format("bool", "Find the sum of the prices then return whether it is even."),
    ],
)
def test_a_wrong_solution_has_the_form_of_the_right_one(question: str) -> None:
    right = solve(question)
    assert right is not None
    wrong = [wrong_solution(Random(seed), question) for seed in range(30)]
    for solution in wrong:
        assert solution is not None and solution.answer != right.answer
        assert solution.answer in solution.steps[-1]
        assert len(solution.steps) == len(right.steps)
    lengths = [len(solution.answer) for solution in wrong if solution]
    assert abs(sum(lengths) / len(lengths) - len(right.answer)) < 3


def test_a_bogus_call_names_a_function_that_is_not_shown() -> None:
    question = CALL.format("list[int]", "Sort the prices.")
    bogus = json.loads(do("bogus-question", {"question": question, "reference_answer": "[1, 2, 3]"}))
    assert bogus["plausibility"] >= 3 and solve(bogus["question"]) is None
    assert bogus["question"].split("```")[1:] == question.split("```")[1:]


@pytest.mark.parametrize(
    ("attempt", "verdict"),
    [
        ("ANSWER: [1, 2]", "correct"),
        ("The answer is [1, 2].", "correct"),
        ("Sure!\n\n**Answer:** [1, 2]", "correct"),
        ("so $\\boxed{[1, 2]}$", "correct"),
        ("The answer is [1, 3].", "incorrect"),
        ("The answer is [2].", "incorrect"),
        ("I do not know.", "uncertain"),
        ("ANSWER: UNKNOWN", "uncertain"),
    ],
)
def test_an_attempt_is_compared_with_the_key(attempt: str, verdict: str) -> None:
    reply = do("check-answer", {"question": "?", "reference_answer": "[1, 2]", "attempt": attempt})
    assert json.loads(reply)["verdict"] == verdict


def test_right_and_wrong_replies_differ_in_what_they_say_and_not_in_their_form() -> None:
    code = (
        "Write a Python function `f` that takes `prices`, a `list[int]`, and does this: Sort the prices, then skip the first 2."
    )
    for question in (draw_problem(Random(4)).question, code):
        messages = [{"role": "user", "content": question}]
        texts = [do("candidate", {"messages": messages}, seed) for seed in range(40)]
        replies = [{"label": str(number), "text": text} for number, text in enumerate(texts)]
        grades = json.loads(do("grade-replies", {"messages": messages, "replies": replies}))["replies"]
        right = {text for text, grade in zip(texts, grades, strict=True) if grade["accuracy"] == 5}
        wrong = {text for text, grade in zip(texts, grades, strict=True) if grade["accuracy"] == 1}
        assert len(right) == 1 and len(wrong) > 3
        assert {(grade["style"], grade["detail"]) for grade in grades} == {(5, 5)}
        assert {text.count("\n") for text in right | wrong} == {next(iter(right)).count("\n")}


def test_faults_are_criticised_and_corrected() -> None:
    criteria = ["factual accuracy", "validity of each step", "depth", "clarity"]
    draft = "The shop has 3 * 4 = 13 apples. The shop has 3 * 4 = 13 apples. The shop has 3 * 4 = 13 apples. That is all"
    marks = json.loads(do("critique", {"draft": draft, "criteria": criteria}))["assessments"]
    before = {mark["criterion"]: mark["score"] for mark in marks}
    assert max(before["factual accuracy"], before["validity of each step"], before["depth"]) < 4
    revised = do("revise", {"draft": draft, "assessments": marks, "round": 1})
    after = {
        mark["criterion"]: mark["score"]
        for mark in json.loads(do("critique", {"draft": revised, "criteria": criteria}))["assessments"]
    }
    assert min(after.values()) >= 4
    assert revised.count("3 * 4 = 12") == 1


def test_a_summary_is_about_its_story() -> None:
    story = do("story", STORY, 5)
    summary = do("summary", row(story))
    assert 5 < len(summary.split()) <= 60
    words = {word for word in re.findall(r"[a-z]+", summary.lower()) if len(word) > 3}
    assert len(words & set(re.findall(r"[a-z]+", story.lower()))) >= 0.6 * len(words)
    assert summary.split()[0] in story  # the hero's name


def test_the_right_reply_is_graded_higher() -> None:
    problem = draw_problem(Random(2))
    replies = [
        {"label": "A", "text": f"The answer is {problem.answer + 1}."},
        {"label": "B", "text": ". ".join(problem.steps) + f". So the answer is {problem.answer}."},
    ]
    graded = json.loads(do("grade-replies", {"messages": [{"role": "user", "content": problem.question}], "replies": replies}))
    one, other = graded["replies"]
    assert other["accuracy"] == 5 and one["accuracy"] == 1
    assert "B" in graded["comparison"]


def test_a_missing_line_is_inferred_from_the_docstring() -> None:
    right = 0
    for seed in range(40):
        exercise = draw_exercise(Random(seed), "solve_it", 2)
        lines = exercise.solution.splitlines(keepends=True)
        if len(lines) < 2:
            continue
        guess = do("fill-in-the-middle", {"prefix": exercise.prompt + "    ", "suffix": "\n" + "".join(lines[1:]), "hint": ""})
        right += guess.rpartition("GUESS:\n")[2].strip() == lines[0].strip()
    assert right > 20
    near, far = (
        json.loads(do("grade-guess", {"prefix": "", "suffix": "", "middle": "the cat sat on the mat", "guess": guess}))["grade"]
        for guess in ("the cat sat on a mat", "no dogs here at all")
    )
    assert near >= 4 > 2 > far


def test_the_second_of_three_lines_is_inferred_as_well() -> None:
    right = total = 0
    for seed in range(80):
        exercise = draw_exercise(Random(seed), "solve_it", 5)
        lines = exercise.solution.splitlines(keepends=True)
        if len(lines) == 3 and lines[0] != lines[1]:
            prefix, suffix = exercise.prompt + lines[0] + "    ", "\n" + lines[2]
            guess = do("fill-in-the-middle", {"prefix": prefix, "suffix": suffix, "hint": ""})
            right += guess.rpartition("GUESS:\n")[2].strip() == lines[1].strip()
            total += 1
    assert total > 40 and right > 0.9 * total


@pytest.mark.parametrize("voice", ["terse", "polite", "indirect", "shorthand", "goal-first", "question", "talkative"])
def test_voices_differ_and_keep_required_values(voice: str) -> None:
    draw = {"request": "Could you please play Blue Harbor in the hall?", "required_values": ["Blue Harbor", "hall"]}
    texts = {do("paraphrase", {**draw, "voice": voice}, seed) for seed in range(40)}
    plain = {do("paraphrase", draw, seed) for seed in range(40)}
    assert all(value in text for text in texts for value in ("Blue Harbor", "hall"))
    assert len(texts - plain) > len(texts) / 2
    if voice == "terse":
        assert not any("please" in text.lower() for text in texts)


APPLICATION = """A home.
- set_timer(minutes, label): Starts a timer.
    minutes: length; integer from 1 to 180; required
    label: what it is for; string; optional
- send_message(person, text): Sends a message to a person.
    person: string; required
    text: string; required
- set_alarm(day): Sets an alarm clock.
    day: string; one of 'today', 'friday'; optional"""


@pytest.mark.parametrize(
    ("request_", "call"),
    [
        ("Start a timer, 25 minutes.", "set_timer(minutes=25)"),
        ("Start the timer for the pizza.", "clarify(missing=['minutes'])"),
        ("Send a message to Anna saying hello.", "send_message(person='Anna', text='hello')"),
        ("Set an alarm clock on Friday.", "set_alarm(day='friday')"),
        ("Explain why cats purr.", "decline()"),
    ],
)
def test_calls_are_made_by_words_in_common(request_: str, call: str) -> None:
    assert do("function-calls", {"request": request_, "application": APPLICATION}, 0) == call


def test_a_paraphrase_keeps_required_values() -> None:
    request, slots = "Set a timer for 25 minutes called the Red Tea.", ["25", "the Red Tea"]
    paraphrases = {
        do("paraphrase", {"request": request, "required_values": slots, "persona": "a cook"}, seed) for seed in range(50)
    }
    assert len(paraphrases) > 10
    assert all(slot in each for each in paraphrases for slot in slots)


def test_the_known_disciplines_divide_into_over_twenty_thousand_topics() -> None:
    assert len(known_topics()) >= 20_000
    names = {"law": 0, "theory of mind": 0}
    for discipline in names:
        for subject in json.loads(do("taxonomy", {"path": {"d": discipline}, "level": "subject", "count": 30}))["names"]:
            path = {"d": discipline, "s": subject}
            for session in json.loads(do("taxonomy", {"path": path, "level": "session", "count": 8}))["names"]:
                concepts = json.loads(do("taxonomy", {"path": {**path, "t": session}, "level": "concept", "count": 4}))["names"]
                assert all(find_topic(concept) for concept in concepts)
                names[discipline] += len(concepts)
    assert names == {"law": 5 * 32, "theory of mind": 20 * 8}


def test_an_unknown_discipline_is_divided_without_two_equal_names() -> None:
    subjects = json.loads(do("taxonomy", {"path": {"d": "sport"}, "level": "subject", "count": 24}))["names"]
    assert len(set(subjects)) == len(subjects) >= 8
    assert all("sport" in name for name in subjects)


@pytest.mark.parametrize("seed", range(3))
def test_every_lesson_can_be_drawn_and_its_equations_are_right(seed: int) -> None:
    for number, topic in enumerate(known_topics().values()):
        if number % 29 == seed:
            text = do("section", {"topic": topic.path[-1]}, seed)
            assert not wrong_equations(text), topic.path
            assert "{" not in text and topic.path[-1] in text.lower()


@pytest.mark.parametrize("topic", ["tides", "why the sky is blue"])
def test_a_section_on_an_unknown_topic_says_how_to_find_out_and_teaches_nothing_else(topic: str) -> None:
    draw = {"topic": topic, "domain": "science", "audience": "a child", "persona": "a baker", "passage": None}
    texts = {do("section", draw, seed) for seed in range(50)}
    assert len(texts) == 50
    for text in texts:
        assert topic in text.lower() and "a baker" in text.lower() and len(text.split()) > 100
        assert "does not say what is known about the topic" in text


STYLES = {
    "conversation": r"(?m)^[A-Z]\w+: .*\n\n[A-Z]\w+: ",
    "step-by-step guide": r"(?m)^1\. .*\n2\. ",
    "case report": r"## The case\n",
    "letter": r"Dear [A-Z]\w+,\n",
    "story": r"said [A-Z]\w+\.",
    "notebook": r"\*\*9:00",
}


@pytest.mark.parametrize("style", STYLES)
def test_a_section_has_the_style_and_the_content_of_its_draw(style: str) -> None:
    draw = {"topic": "the mean of leaf lengths", "style": style, "audience": "a child of eight"}
    child = do("section", draw)
    student = do("section", {**draw, "audience": "a first-year university student"})
    assert re.search(STYLES[style], child) and re.search(STYLES[style], student)
    assert "total of the values / number of values" not in child
    assert "total of the values / number of values" in student
    others = [pattern for name, pattern in STYLES.items() if name != style]
    assert not any(re.search(pattern, child) for pattern in others)


def test_a_section_takes_one_everyday_detail_from_a_passage_and_copies_nothing() -> None:
    passage = "Parsing is easy. She left the umbrella in the corner, and nobody noticed it until the evening."
    text = do("section", {"topic": "whether a cork stopper floats", "passage": passage})
    assert "an umbrella" in text
    assert "nobody noticed it" not in text
    assert passage_details("The parser reads tokens.") == []


def test_rewritten_passages_keep_every_number() -> None:
    page = do("page", {"topic": "loops", "audience": "x", "skill": "y", "difficulty": 2, "style": "z"})
    for style in ("exercise", "discussion", "reasoning", "tutorial"):
        text = do("rewrite", {**row(page), "style": style, "audience": "a child"})
        assert set(re.findall(r"\d+", page)) <= set(re.findall(r"\d+", text))
        for piece in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
            ast.parse(piece)
