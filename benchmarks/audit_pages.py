"""Audit of textbook pages: are they about their topic, for their audience and level, and is what they print and answer true?

    python benchmarks/audit_pages.py [--documents 500] [--seed 1] [--samples 5]

The embedded teacher writes pages from draws of `textbooks/page-topics`, and `textbooks/page` reads them. Each page is checked
again from its text. Topic: its words, code that shows it where there is a detector, and a comparison with all other topics.
Audience: words of its world, and another text for another audience. Level: the same page at level 5 is longer and has more code
than at level 1. Code and printed output: `sandbox/doctest`, which must also notice a changed output. Answers: the changed,
completed, sorted or corrected program of a task is run in the sandbox. The last line is JSON.
"""

from __future__ import annotations

import ast
import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from random import Random
from typing import Any

import polars as pl
from audit_common import Audit, audit_parser, print_audits
from textbookgen_procedural.teacher import ProceduralTeacher
from textbookgen_sandbox.pool import Program, open_pool
from textbookgen_sandbox.stages.doctest import Doctest
from textbookgen_textbooks.page import Page
from textbookgen_textbooks.page_facts import is_about
from textbookgen_textbooks.page_topics import PageTopics, known_topics
from textbookgen_textbooks.topic_words import title_key

from textbookgen import AcceptedStats, Reply, Request, UnusableReply

Row = Mapping[str, Any]

_FENCE = re.compile(r"^```python\n(.*?)\n```$", re.MULTILINE | re.DOTALL)
_GIVEN = re.compile(r"^```text\n(.*?)\n```$", re.MULTILINE | re.DOTALL)
_OUTPUT = re.compile(r"(?m)^#.*\n?|  # .*$")
_WORD = re.compile(r"[a-z]+")
_NEAR, _SHINGLE = 0.8, 5  # near duplicates: Jaccard index of 5-word shingles
_MAX_SHARED = 0.6  # shingles that pages for two audiences may share
_TOPIC_RANK = 10  # a page's topic is among the ten that its words suggest

#: Words of each audience's world, by a word of its description; a page for it has at least one.
_WORLDS = {
    "child": r"dragon|pirate|castle|puppy|wizard|robot|rocket|pizza|game|backpack|monster|puzzle|block|maze|"
    r"doll|show to your friends",
    "teenager": r"game|player|sword|shield|quest|inventory|monster|dungeon|leaderboard|loot|goblin|ninja|turbo|"
    r"gold|quit|enemy",
    "computer science": r"invariant|data structure|algorithm|cost|proof|lower bound|semantics|state|abstraction|numerics|"
    r"input|by hand|assumes|definition|graphs|induction|exam|simulation|greedy",
    "biology": r"sample|measurement|species|cell|wells|food web|series|descent|experiment|leaf|seed|rows",
    "teacher": r"pupil|class|board|lesson|seating",
    "analyst": r"column|sheet|spreadsheet|invoice|lookup|formula|account|budget|figures|department|cell|"
    r"business|calculation|row",
    "engineer": r"machine|part|cam|slide rule|plate|component|assembly|pipe|prototype|wiring|"
    r"catalogue|workshop|line does",
    "programmer": r"Python|language|library|idiom|C and Java|overflow|Unicode|vector|review|boilerplate|interview|"
    r"tail-call|array|exactly what|sort is stable",
    "musician": r"note|rhythm|score|chord|melody|repeat sign|tempo|interval|canon|drum|motif|music|song|"
    r"instrument|pattern|slowly",
    "exam": r"exam|question|points|marks|paper|predict|test",
    "nurse": r"ward|patient|dose|temperature|shift|protocol|bed|emergency|by hand|saves minutes|lines below",
    "mathematician": r"equation|formula|notation|map|sum over|monoid|sequence|preorder|matrix|pure|induction|"
    r"adjacency|tuple|conjecture|recurrence|field|finite domain|Assignment",
}
_STYLES = {
    "question": r"(?m)^\*\*[^*\n]+\?\*\*",
    "dialogue": r"(?m)^\*\*Pupil:\*\*",
    "mistake": r"leads to line \d+",
    "comparison": r"\*\*Second solution\.\*\*",
    "recipe": r"(?m)^1\. ",
}


# -- Documents


async def _complete(draw: Mapping[str, Any], sample: int) -> Reply:
    return await ProceduralTeacher().complete(Request((), "page", draw, sample))


def _reply(draw: Mapping[str, Any], sample: int = 0) -> Reply:
    """Return the embedded teacher's reply, which needs no event loop: it waits for nothing."""
    coroutine = _complete(draw, sample)
    try:
        coroutine.send(None)
    except StopIteration as end:
        reply: Reply = end.value
        return reply
    raise RuntimeError("the embedded teacher waited for something")


def write_pages(count: int, seed: int = 0) -> tuple[list[Row], Counter[str]]:
    """Return what the stage makes of `count` draws, each row with its draw, and how often it refused a reply and why."""
    sampler, stage = PageTopics(), Page(teacher="author", count=1)
    rows: list[Row] = []
    refused: Counter[str] = Counter()
    for n in range(count):
        draw = sampler.draw(n, Random(f"audit/{seed}/{n}"), AcceptedStats())
        try:
            rows += [{**row, "draw": draw} for row in stage.parse(draw, _reply(draw, n))]
        except UnusableReply as error:
            refused[error.problem] += 1
    return rows, refused


def sibling(draw: Mapping[str, Any], **changes: Any) -> str:
    """Return the page of a draw with some fields changed."""
    return _reply({**draw, **changes}).text


# -- Topic, audience, level


def body(text: str) -> str:
    """Return a page without its heading."""
    return text.partition("\n")[2]


@cache
def _weights() -> Mapping[str, float]:
    """Return for each stem of a topic how much it says about it: stems of many topics count less."""
    keys = [title_key(topic).split() for topic in known_topics()]
    counts = Counter(stem for key in keys for stem in set(key))
    return {stem: math.log(1 + len(keys) / count) for stem, count in counts.items()}


def topic_rank(text: str, topic: str) -> int:
    """Return the place of a topic among all topics of the sampler, ordered by their words in a page; 1 is the first."""
    result = Counter(title_key(word) for word in _WORD.findall(body(text).lower()))

    def score(name: str) -> float:
        stems = title_key(name).split()
        total = sum(_weights().get(stem, 5.0) for stem in stems)
        return sum(_weights().get(stem, 5.0) * (result[stem] > 0) * (1 + min(result[stem], 4)) / 5 for stem in stems) / total

    own = score(topic)
    return 1 + sum(score(name) > own for name in known_topics() if name != topic)


def world_of(audience: str) -> str:
    """Return the pattern of an audience's world."""
    return next(pattern for words, pattern in _WORLDS.items() if words in audience)


def shared(one: str, other: str) -> float:
    """Return the Jaccard index of the shingles of two texts."""
    first, second = _shingles(one), _shingles(other)
    return len(first & second) / max(1, len(first | second))


def _shingles(text: str) -> set[tuple[str, ...]]:
    words = text.lower().split()
    return {tuple(words[n : n + _SHINGLE]) for n in range(len(words) - _SHINGLE + 1)}


def code_size(text: str) -> int:
    """Return the number of nodes in the syntax trees of a page's code."""
    return sum(sum(1 for _ in ast.walk(ast.parse(code))) for code in _FENCE.findall(text))


def declared_facts(row: Row) -> dict[str, bool]:
    """Return whether what was declared of a page (topic, audience, level) can be seen from it and from its siblings."""
    text, draw = row["text"], row["draw"]
    other = "a working programmer who is new to Python" if "programmer" not in draw["audience"] else "a child of eleven"
    easy, hard = (text if draw["difficulty"] == level else sibling(draw, difficulty=level) for level in (1, 5))
    return {
        "the page is about its topic": is_about(text, draw["topic"]),
        "its words suggest the topic": topic_rank(text, draw["topic"]) <= _TOPIC_RANK,
        "what it shows is recorded": json.loads(row["textbooks.shown"]).get("topic") in (draw["topic"], None),
        "the audience's world occurs": re.search(world_of(draw["audience"]), text, re.IGNORECASE) is not None,
        "another audience gets another page": shared(text, sibling(draw, audience=other)) <= _MAX_SHARED,
        "a higher level has more text or code": len(hard.split()) + code_size(hard) > len(easy.split()) + code_size(easy),
    }


# -- Answers


@dataclass(frozen=True)
class Trial:
    """A program that an answer implies, and what it must print; `matches` if one of the programs of its task does."""

    task: str
    programs: tuple[str, ...]
    printed: tuple[str, ...]


def _lines(sentence: str) -> tuple[str, ...]:
    return tuple(re.findall(r"`(.*?)`(?: and then |[.?,]|$)", sentence))


def trials(text: str) -> Iterator[Trial]:
    """Yield what the answers of a page imply: programs to run, and what they print."""
    blocks = re.split(r"\n\n(?=\*\*(?:Practice|Question|Exercise|Answer))", text)
    snippets = [_OUTPUT.sub("", code) for code in _FENCE.findall(text)]
    for task, answer in pairwise(blocks):
        if not answer.startswith("**Answer.**"):
            continue
        printed = _lines(answer.partition("It prints ")[2])
        wanted = _lines(re.split(r"prints? ", task.partition("\n\n")[0])[-1]) if "print" in task else ()
        if change := _change(task):
            old = re.compile(rf"(?<![\w.]){re.escape(change[0])}(?![\w.])")
            new = change[1].replace("\\", r"\\")
            changed = [old.sub(new, code) for code in snippets if len(old.findall(code)) == 1]
            if printed:
                yield Trial(task, tuple(changed), printed)
        elif "____" in task and (lines_shown := _GIVEN.search(task)) and (line := re.search(r"`(.*)`", answer)):
            yield Trial(task, (lines_shown[1].replace("____", line[1]),), wanted)
        elif "wrong order" in task and (lines_shown := _GIVEN.search(task)) and (code := _FENCE.search(answer)):
            solution = _OUTPUT.sub("", code[1])
            lines = Counter(line for line in solution.splitlines() if line.strip())
            yield Trial(task, (solution if lines == Counter(lines_shown[1].splitlines()) else "raise ValueError",), wanted)
        elif "is wrong" in task and (code := _FENCE.search(task)):
            fix = re.search(r"Line (\d+): `(.*?)` should be `(.*?)`\.", answer)
            yield Trial(task, (_corrected(_OUTPUT.sub("", code[1]), fix),), wanted)


def _change(task: str) -> tuple[str, str] | None:
    """Return the value that a task replaces and the new one."""
    if match := re.search(r"`([^`]+)`,? in place of `([^`]+)`|Put `([^`]+)` where .*? has `([^`]+)`", task):
        new, old = (match[1], match[2]) if match[1] else (match[3], match[4])
        return old, new
    if match := re.search(r"`([^`]+)` in .*? became `([^`]+)`|if `([^`]+)` is changed to `([^`]+)`", task):
        return (match[1], match[2]) if match[1] else (match[3], match[4])
    return None


def _corrected(program: str, fix: re.Match[str] | None) -> str:
    lines = program.splitlines()
    if fix is None or lines[int(fix[1]) - 1].strip() != fix[2]:
        return "raise ValueError"
    line = lines[int(fix[1]) - 1]
    lines[int(fix[1]) - 1] = line[: len(line) - len(line.lstrip())] + fix[3]
    return "\n".join(lines)


def second_solutions(text: str) -> tuple[str, str] | None:
    """Return both programs of a comparison."""
    match = re.search(
        r"\*\*First solution\.\*\*.*?```python\n(.*?)\n```.*?\*\*Second solution\.\*\*.*?```python\n(.*?)\n```", text, re.S
    )
    return (_OUTPUT.sub("", match[1]), _OUTPUT.sub("", match[2])) if match else None


def check_answers(result: Audit, texts: Sequence[str]) -> None:
    """Run what the answers imply in the sandbox, and count those that are right."""
    wanted = [trial for text in texts for trial in trials(text)]
    sources = [source for trial in wanted for source in trial.programs]
    pairs = [pair for text in texts if (pair := second_solutions(text))]
    sources += [source for pair in pairs for source in pair]
    outcomes = iter(open_pool(2, 512, False).map([Program(source, "") for source in sources]))
    for trial in wanted:
        outputs = [
            tuple(outcome.stdout.splitlines()) if outcome.ok else None for outcome in _take(outcomes, len(trial.programs))
        ]
        result.check("the answer is what the program prints", trial.printed in outputs, f"{trial.task} {outputs}", "answer")
    for pair in pairs:
        first, second = _take(outcomes, 2)
        same = first.ok and second.ok and first.stdout == second.stdout
        result.check("both solutions print the same", same, pair[1], "answer")


def _take(items: Iterator[Any], count: int) -> list[Any]:
    return [next(items) for _ in range(count)]


# -- Printed output


def with_wrong_output(rng: Random, text: str) -> str | None:
    """Return a page in which one printed output is stated wrongly; None if it states none behind a print."""
    places = list(re.finditer(r"(?m)\)  # (.+)$", text))
    if not places:
        return None
    place = rng.choice(places)
    return f"{text[: place.start(1)]}{_other(place[1])}{text[place.end(1) :]}"


def _other(output: str) -> str:
    """Return another output of the same kind: a digit or a letter is changed."""
    if output in ("True", "False", "None"):
        return "False" if output == "True" else "True"
    if digits := re.search(r"\d", output):
        return f"{output[: digits.start()]}{(int(digits[0]) + 1) % 10}{output[digits.end() :]}"
    return f"{output[:-1]}{'x' if output[-1:] != 'x' else 'y'}" if output[-1:].isalnum() else f"{output}x"


def check_output(result: Audit, texts: Sequence[str], seed: int) -> None:
    """Count the pages whose code runs and prints what they say, and the changed outputs that the filter notices."""
    for text, row in zip(texts, _verdicts(texts), strict=True):
        runs = row["keep"] or row["reason"] == "unexpected output"
        result.check("the code runs", runs, f"{row['reason']}: {row['detail']}")
        result.check("the printed output is as stated", row["keep"], str(row["detail"]) + text[:60])
    rng = Random(f"wrong/{seed}")
    changed = [page for text in texts[: max(20, len(texts) * 2 // 5)] if (page := with_wrong_output(rng, text))]
    for page, row in zip(changed, _verdicts(changed), strict=True):
        result.check("a changed output is noticed by the filter", not row["keep"], page[:80], "figure")


def _verdicts(texts: Sequence[str]) -> list[dict[str, Any]]:
    frame = pl.DataFrame(
        {"id": [str(n) for n in range(len(texts))], "text": list(texts)}, schema=dict.fromkeys(("id", "text"), pl.String)
    )
    return Doctest(workers=2).decide(frame).to_dicts()


# -- All


def near_duplicates(texts: Sequence[str]) -> float:
    """Return the share of texts with a text before them that shares four fifths of the shingles."""
    by_shingle: dict[tuple[str, ...], list[int]] = {}
    sets = [_shingles(text) for text in texts]
    near = 0
    for number, shingles in enumerate(sets):
        common = Counter(earlier for shingle in shingles for earlier in by_shingle.get(shingle, ()))
        near += any(count / (len(shingles) + len(sets[earlier]) - count) >= _NEAR for earlier, count in common.items())
        for shingle in shingles:
            by_shingle.setdefault(shingle, []).append(number)
    return near / max(1, len(texts))


def check_pages(rows: Sequence[Row], seed: int = 0) -> Audit:
    """Return the result of all checks of some pages."""
    result = Audit("page", len(rows))
    for row in rows:
        draw = row["draw"]
        example = f"{draw['topic']} | {draw['audience']} | {draw['difficulty']} | {draw['style']}"
        for fact, holds in declared_facts(row).items():
            result.check(fact, holds, f"{example}: {row['text'][:60]}")
        sign = next((sign for words, sign in _STYLES.items() if words in draw["style"]), None)
        if sign:
            result.check("the page has the form of its style", re.search(sign, row["text"]) is not None, example, "figure")
    texts = [row["text"] for row in rows]
    check_output(result, texts, seed)
    check_answers(result, texts)
    result.check("no page is there twice", len(set(texts)) == len(texts), "repeated pages", "fact")
    result.notes.append(f"near duplicates: {near_duplicates(texts):.4f}")
    result.notes.append(f"topics: {len({row['draw']['topic'] for row in rows})} of {len(known_topics())}")
    return result


def audit(documents: int, seed: int) -> list[Audit]:
    """Return the result of all checks of this many pages; replies that the stage refused are in the notes."""
    rows, refused = write_pages(documents, seed)
    result = check_pages(rows, seed)
    result.notes += [f"replies refused by the stage ({count}): {reason}" for reason, count in refused.items()]
    return [result]


def main() -> None:
    """Print some pages if asked to, the table, and, last, the totals as JSON."""
    parser = audit_parser(__doc__, documents="pages to write", samples="pages to print")
    options = parser.parse_args()
    for row in write_pages(options.samples, options.seed)[0]:
        print(f"{row['draw']}\n{row['text']}")
    audits = audit(options.documents, options.seed)
    print_audits(audits)


if __name__ == "__main__":
    main()
