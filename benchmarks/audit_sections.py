"""Audit of sections: is each on its declared topic, for its audience, in its style, and is what it states and answers true?

    python benchmarks/audit_sections.py [--documents 500] [--seed 1] [--samples 3]

The embedded teacher divides the disciplines of `textbooks/disciplines` into topics, `textbooks/taxonomy-topics` draws topics
with audiences and styles, half of the draws get a passage of prose, and `textbooks/section` reads the replies. Each section is
checked from its text. Equations are calculated again, and the answer of the exercise is computed from the numbers in its
question by formulas written here, by the kind of topic. The last line is JSON.
"""

from __future__ import annotations

import asyncio
import re
import statistics
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any

from audit_common import Audit, audit_parser, print_audits
from textbookgen_procedural.tasks import TASKS
from textbookgen_textbooks.distinct_topics import title_key
from textbookgen_textbooks.section import Section
from textbookgen_textbooks.taxonomy import Taxonomy
from textbookgen_textbooks.taxonomy_topics import Disciplines, TaxonomyTopics

from textbookgen import AcceptedStats, Reply
from textbookgen.builtin.sources.documentation import Documentation
from textbookgen.testing import ScriptedAsk, documents, write_documents

Row = Mapping[str, Any]

#: What a text of each style must have: a pattern, and how often it must occur.
STYLES: dict[str, tuple[str, int]] = {
    "textbook section": (r"^\*\*Example\.\*\* ", 1),
    "questions and answers": (r"^\*\*.+\?\*\*$", 3),
    "conversation": (r"^[A-Z]\w+: ", 6),
    "letter": (r"^(?:\w+ [A-Z]\w+,|Yours, [A-Z]\w+)$", 2),
    "step-by-step guide": (r"^\d\. ", 3),
    "story": (r"said [A-Z]\w+\.", 1),
    "case report": (r"^## ", 5),
    "notebook": (r"^\*\*\d+:\d\d, ", 4),
}
#: For each audience, what its text must have (+) and must not have (-). Rules, mistakes and limits are marked
#: in most styles, and announced by other words in some.
AUDIENCES: dict[str, tuple[str, ...]] = {
    "a child of eight": ("-**Rule.**", "-**Limits.**"),
    "a first-year university student": ("+rule", "+limit"),
    "a parent who must explain it to a child tonight": ("+mistake", "-**Limits.**"),
    "a nurse between two shifts": ("+mistake", "-**Limits.**"),
}
_MARKS = {
    "rule": ("**Rule.**", "general rule?", "in one line."),
    "limit": ("**Limits.**", "always"),
    "mistake": ("**Beware.**", "get wrong?", "look out for?"),
}
_MAX_COPIED = 8  # words in a row that a section and its passage may not share
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_SIDE = r"[-(]*\d+(?:\.\d+)?\)?(?: [-+*/] \(?-?\d+(?:\.\d+)?\)?)*"
_EQUATION = re.compile(rf"({_SIDE}) = (-?\d+(?:\.\d+)?)(?![\d.]*\d)")


# -- The truth


def false_equations(text: str) -> list[str]:
    """Return the equations in a text that are wrong; quotients of one decimal are compared exactly."""
    return [match[0] for match in _EQUATION.finditer(text) if _value(match[1]) != Fraction(match[2])]


def _value(expression: str) -> Fraction | None:
    """Return the value of an expression of numbers; None if it divides by zero or is not one."""
    tokens = re.sub(r"(\d+(?:\.\d+)?)", r"Fraction('\1')", expression)
    try:
        return Fraction(eval(tokens, {"__builtins__": {}, "Fraction": Fraction}))
    except (ZeroDivisionError, SyntaxError, TypeError):
        return None


def _percent_of(numbers: list[Fraction]) -> Fraction:
    return numbers[0] * numbers[1] / 100


#: The answer of an exercise from the numbers in its question, by the beginning of the topic.
FORMULAS: dict[str, Callable[[list[Fraction]], Fraction]] = {
    "the mean of ": lambda n: sum(n[1:], Fraction(0)) / n[0],
    "the median of ": lambda n: Fraction(statistics.median(n[1:])),
    "the range of ": lambda n: max(n[1:]) - min(n[1:]),
    "differences between ": lambda n: n[0] - n[1],
    "ratios of ": lambda n: n[0] / n[1],
    "percentage differences between ": lambda n: (n[0] - n[1]) / n[1] * 100,
    "percentage increases of ": lambda n: n[0] + _percent_of(n),
    "percentage decreases of ": lambda n: n[0] - _percent_of(n),
    "a rise and an equal fall in percent of ": lambda n: n[0] * (1 + n[1] / 100) * (1 - n[1] / 100),
    "a missing entry in a table of ": lambda n: n[0] * n[1] - sum(n[2:], Fraction(0)),
    "the share of ": lambda n: n[1] / n[0] * 100,
    "expected numbers from a share of ": lambda n: n[0] * n[1] / 100,
    "biased samples of ": lambda n: sum(n[2:5], Fraction(0)) / 3 - sum(n[2:5] + n[6:], Fraction(0)) / 6,
    "chance and cause in changed ": lambda n: n[1] - n[0] - (n[3] - n[2]),
    "what does not follow from the largest of ": lambda n: n[0] * n[1],
    "steady growth of ": lambda n: n[0] + n[1] * n[2],
    "how long ": lambda n: sum(n, Fraction(0)),
}

#: What is true of materials, apart from what the teacher's own table says.
_FLOATS = frozenset(["oak wood", "pine wood", "dry wood", "cork", "wax"])
_METALS = frozenset(["steel", "iron", "copper", "aluminium", "silver", "brass"])
_BURNS = _FLOATS | {"paper", "cardboard", "cotton", "wool", "linen"}
_PROPERTIES: dict[str, Callable[[str], bool]] = {
    "float": lambda material: material in _FLOATS,
    "soak up water": lambda material: material in _BURNS - {"cork", "wax"},
    "be attracted by a magnet": lambda material: material in ("steel", "iron"),
    "conduct electricity": lambda material: material in _METALS,
    "burn": lambda material: material in _BURNS,
    "break": lambda material: material in ("glass", "glazed porcelain"),
    "let light through": lambda material: material == "glass",
}


def exercise_of(text: str) -> tuple[str, str]:
    """Return the exercise of a section and its answer; empty texts if there is none."""
    match = re.search(r"^\*\*Exercise\.\*\* (.+?)\n+\*\*Answer\.\*\* (.+)$", text, re.MULTILINE)
    return (match[1], match[2]) if match else ("", "")


def answer_is_right(topic: str, question: str, answer: str) -> bool | None:
    """Return whether the answer of an exercise is what a formula gives; None for topics without one."""
    if topic.startswith("whether "):
        return _material_answer_is_right(question, answer)
    formula = next((formula for start, formula in FORMULAS.items() if topic.startswith(start)), None)
    if formula is None or (topic.startswith("how long ") and not topic.endswith("takes")):
        return None
    numbers, last = [Fraction(item) for item in _NUMBER.findall(question)], re.split(r"(?<=[.!?]) ", answer)[-1]
    if topic.startswith("the share of "):
        numbers = numbers[:2]
    try:
        return formula(numbers) in [Fraction(item) for item in _NUMBER.findall(last)]
    except (IndexError, ZeroDivisionError, statistics.StatisticsError):
        return False


def _material_answer_is_right(question: str, answer: str) -> bool:
    material = re.search(r"It is made of ([\w ]+)\.", question)
    asked = re.search(r"Will it (.+?)(?: if it falls .*)?\?", question)
    verdict = re.search(r"\b(Yes|No), ", answer)
    if not (material and asked and verdict and asked[1] in _PROPERTIES):
        return False
    return _PROPERTIES[asked[1]](material[1]) == (verdict[1] == "Yes")


# -- Checks


def check_section(audit: Audit, row: Row, draw: Row) -> None:
    """Count what holds of a section and of the draw it was written from."""
    text, topic = row["text"], draw["topic"]
    body = text.partition("\n")[2].lower()
    words = re.findall(r"[^\W\d_]{4,}", topic.lower())
    question, answer = exercise_of(text)
    example = f"{draw['style']} | {draw['audience']} | {text[:120]}"
    facts = {
        "the stated topic is the drawn one": row["textbooks.topic"] == topic,
        "the heading is the topic": text.split("\n")[0].removeprefix("# ").lower() == topic.lower(),
        "the body is about the topic": all(word in body or word.rstrip("s") in body for word in words if word not in _FRAME),
        "the stated path ends above the topic": _is_path_of(row["textbooks.course"], draw),
        "the text has the stated style": has_style(text, row["textbooks.style"]),
        "the text suits the stated audience": suits_audience(text, row["textbooks.audience"]),
        "there is an exercise with an answer": bool(question and answer),
        "the exercise differs from the example": question not in text.replace(f"**Exercise.** {question}", "", 1)
        if question
        else True,
        "the equations are right": not false_equations(text),
        "articles fit": not re.search(r"\b[Aa] [aeio]\w|\b[Aa]n [bcdfgjklmnpqrstvwxyz]\w", _without_labels(text)),
        "no word comes twice in a row": not re.search(r"\b([a-z]+) \1\b", text),
        "no slot is open": not re.search(r"[{}]|\bNone\b", text),
    }
    audit.check_all(facts, example)
    if draw.get("persona"):
        audit.check("the person appears", draw["persona"].lower() in text.lower(), example)
    if draw.get("passage"):
        audit.check("the passage is not copied", not copies(text, draw["passage"]), example)
        audit.check("a detail of the passage is used", uses_detail(text, draw["passage"]), draw["passage"], "figure")
    right = answer_is_right(topic.lower(), question, answer)
    if right is not None:
        audit.check("the answer of the exercise is right", right, f"{topic} | {question} | {answer}", "answer")


#: Words of titles that say what is done, and need not come again.
_FRAME = frozenset(
    """
    about absolute after among before between biased cause chance changed comes conditions counterexamples decides
    decreases differences does done entry equal errors expected extreme fall finding follow frequency from growth guessed
    impossible increases large largest light limits long measurements moves numbers order passes people percentage ranking
    ratios reasoning recognizing relative repeated reserve rounded samples sharing small start statements steps still
    summaries takes that this through time total value values what when where whether whose with without
    """.split()  # noqa: SIM905  (a list of this length is easier to read as a text)
)


def _is_path_of(course: str, draw: Row) -> bool:
    """Whether a path has discipline, subject and session, and the session names the subject or what it is about."""
    parts = course.split(" > ")
    return len(parts) == 3 and parts[0] == draw["discipline"] and parts == draw["path"][:3]


def has_style(text: str, style: str) -> bool:
    """Return whether a text has what its style requires, and not the marks of another."""
    pattern, count = STYLES[style]
    if len(re.findall(pattern, text, re.MULTILINE)) < count:
        return False
    others = ("case report", "notebook", "letter")
    return not any(
        len(re.findall(STYLES[other][0], text, re.MULTILINE)) >= STYLES[other][1] for other in others if other != style
    )


def suits_audience(text: str, audience: str) -> bool:
    """Return whether a text has what its audience needs."""
    for requirement in AUDIENCES.get(audience, ()):
        sign, what = requirement[0], requirement[1:]
        is_there = any(mark in text for mark in _MARKS.get(what, (what,)))
        if is_there != (sign == "+"):
            return False
    return True


def copies(text: str, passage: str) -> bool:
    """Return whether a text has eight words in a row of the passage."""
    words, others = text.lower().split(), passage.lower().split()
    grams = {tuple(others[at : at + _MAX_COPIED]) for at in range(len(others) - _MAX_COPIED + 1)}
    return any(tuple(words[at : at + _MAX_COPIED]) in grams for at in range(len(words) - _MAX_COPIED + 1))


def uses_detail(text: str, passage: str) -> bool:
    """Return whether the paragraph after the heading has a noun of the passage after an article."""
    setting = text.split("\n\n")[1]
    nouns = re.findall(r"\ban? (\w+)\.", setting)
    return any(re.search(rf"\b{noun}\b", passage.lower()) for noun in nouns)


def _without_labels(text: str) -> str:
    """Leave out single letters that are labels (`A 12`), and words of which the first sound is not the first letter."""
    return re.sub(r"\b[Aa]n? (?:one|once|use\w*|uni\w*|eu\w*|hour\w*|honest\w*)\b|\bA (?:and|is|in|implies|for)\b", "", text)


# -- The run


def write_topics(seed: int, count: int) -> list[dict[str, Any]]:
    """Return topics of all disciplines, about as many as requested, as the embedded teacher divides these."""
    per_level = 2 if count <= 1_000 else 4
    stage = Taxonomy(teacher="author", sampler="disciplines", count=126, subjects=per_level, sessions=2, concepts=2)
    rows: list[dict[str, Any]] = []
    for n in range(126):
        draw = Disciplines().draw(n, Random(n), AcceptedStats())
        ask = ScriptedAsk(lambda prompt, path: TASKS["taxonomy"](Random(f"{seed}/{sorted(path['path'].items())}"), path))
        rows += asyncio.run(_generate(stage, draw, ask))
    return rows


async def _generate(stage: Any, draw: Row, ask: ScriptedAsk) -> list[dict[str, Any]]:
    return list(await stage.generate(draw, ask))


def write_sections(count: int, seed: int) -> Iterator[tuple[Row, Row]]:
    """Yield what the stage makes of each reply, and the draw it was written from."""
    topics = write_topics(seed, count)
    columns = {name: [topic[name] for topic in topics] for name in topics[0] if name != "text"}
    passages = [text for frame in Documentation(origins=("python",)).read() for text in frame["text"]]
    stage = Section(teacher="author", count=count)
    with tempfile.TemporaryDirectory() as folder:
        sampler = TaxonomyTopics(inputs="topics", seed=seed)
        table_of = write_documents(Path(folder, "topics"), documents([topic["text"] for topic in topics], "topic", **columns))
        sampler.prepare({"topics": table_of}, Path(folder))
        for n in range(count):
            draw = sampler.draw(n, Random(f"{seed}/{n}"), AcceptedStats())
            draw["passage"] = " ".join(passages[n % len(passages)].split()[:150]) if n % 2 else None
            reply = Reply(TASKS["section"](Random(f"{seed}/{n}/section"), draw))
            for row in stage.parse(draw, reply):
                yield row, {**draw, "path": [*draw["course"].split(" > "), draw["topic"]]}


def audit(documents: int, seed: int) -> list[Audit]:
    """Return what is found in this many sections, and in the topics they are about."""
    sections, topics = Audit("section"), Audit("topic")
    written = write_topics(seed, documents)
    keys = [title_key(topic["textbooks.topic"]) for topic in written]
    topics.documents = len(written)
    for topic, key in zip(written, keys, strict=True):
        levels = [topic[f"textbooks.{level}"] for level in ("discipline", "subject", "session", "topic")]
        topics.check("the path has four different names", len(set(levels)) == 4, topic["text"])
        topics.check("the text is the path", topic["text"] == "/".join(levels), topic["text"])
        topics.check("no other topic has nearly the same title", keys.count(key) == 1, topic["text"])
        topics.check("the title says what it is about", shares_word(levels[1], levels[3]), topic["text"])
    for row, draw in write_sections(documents, seed):
        sections.documents += 1
        check_section(sections, row, draw)
    return [topics, sections]


def shares_word(one: str, other: str) -> bool:
    """Return whether two names have a word in common that says what they are about, apart from inflection."""
    return bool(set(title_key(one).split()) & set(title_key(other).split()))


def print_samples(samples: Iterable[tuple[Row, Row]]) -> None:
    for row, draw in samples:
        print(f"--- {' > '.join(draw['path'])} | {draw['audience']} | {draw['style']}\n{row['text']}")


def main() -> None:
    parser = audit_parser(__doc__, documents="sections to check", samples="sections to print")
    options = parser.parse_args()
    if options.samples:
        print_samples(write_sections(options.samples, options.seed))
    audits = audit(options.documents, options.seed)
    print_audits(audits)


if __name__ == "__main__":
    main()
