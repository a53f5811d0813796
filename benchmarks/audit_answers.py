"""Audit of answers: how many of the answers and facts that the question generators teach are true.

    python benchmarks/audit_answers.py [--documents 500] [--seed 1] [--work FOLDER]

The embedded teacher writes questions, votes, chats, pairs, code requests, conversations and revisions with a recipe, and this
program checks what they state against the truth, which it computes on its own: the code in a question is run, word problems are
solved by formulas written here, and regenerated code is run with the asserts of the original. A model is trained to pick the
preferred replies by their surface alone (lengths, punctuation, digits), which should not work. The code that is run was written
by the embedded teacher: do not audit the code of a language model without a sandbox. The last line is JSON.
"""

from __future__ import annotations

import ast
import re
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
from audit_common import Audit, audit_parser, print_audits

Row = Mapping[str, Any]

_LABELS = ("questions", "voted", "honest", "honest-pairs", "reversed", "best", "preferred", "talks", "revised")
_CODE = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
_CALL = re.compile(r"What does `(\w+)(\(.*?\))` give\?", re.DOTALL)
_EQUATION = re.compile(r"(?<![\w.*+/-])(?<![-+*/] )(-?\d+) ([-+*]) (\d+) = (-?\d+)(?![\d.]*\w)")
_SUM = re.compile(r"\s*(\d+) ([-+*]) (\d+) =\s*")
_ANSWER = re.compile(r"(?:ANSWER:|answer is) (.+?)\.?\s*$", re.MULTILINE)

#: Words by which a word problem is known, and its answer from the numbers in its order.
_FORMULAS: tuple[tuple[str, Callable[..., int]], ...] = (
    ("pieces are left", lambda boxes, each, gone: boxes * each - gone),
    ("kilometres does it go", lambda speed, hours, slower, more: speed * hours + slower * more),
    ("coins of change", lambda count, price, paid: paid - count * price),
    ("spoons is that", lambda spoons, people: spoons * people),
    ("coins are there then", lambda first, weekly, weeks: first + weekly * weeks),
    ("How many minutes is that", lambda hours, minutes: hours * 60 + minutes),
    ("plants does it take", lambda long, wide, plants: long * wide * plants),
    ("How many degrees is it", lambda start, fall, hours: start - fall * hours),
)
_SENTENCE_OF_PROBLEM = re.compile(r"(?:There are|A bus|\w+ buys|\w+ has|A cup|A walk|A bed|At noon)\b[^?]*\?")


# -- The truth


def true_answer(question: str) -> Any:
    """Return the answer of a question: what its code returns, or a formula gives; None if it has none."""
    if equation := _SUM.fullmatch(question):
        return _calculate(int(equation[1]), equation[2], int(equation[3]))
    if (code := _CODE.search(question)) and (call := _CALL.search(question)):
        return _run_call(code[1], call[1], call[2])
    for problem in _SENTENCE_OF_PROBLEM.findall(question):
        numbers = [int(number) for number in re.findall(r"\d+", problem)]
        for words, formula in _FORMULAS:
            if words in problem and len(numbers) == formula.__code__.co_argcount:
                return formula(*numbers)
    return None


def _calculate(one: int, sign: str, other: int) -> int:
    return {"+": one + other, "-": one - other, "*": one * other}[sign]


def _run_call(source: str, name: str, arguments: str) -> Any:
    names: dict[str, Any] = {}
    exec(source, names)
    return eval(f"{name}{arguments}", names) if name in names else None


def states(text: str, truth: Any) -> bool:
    """Return whether a text is this value, as Python writes it."""
    try:
        value = ast.literal_eval(text.strip())
    except (SyntaxError, ValueError):
        return False
    return type(value) is type(truth) and bool(value == truth)


def false_equations(text: str) -> list[str]:
    """Return the equations in a text that are wrong."""
    matches = _EQUATION.finditer(text)
    return [match[0] for match in matches if _calculate(int(match[1]), match[2], int(match[3])) != int(match[4])]


def passes(source: str, tests: str) -> bool:
    """Return whether code of the embedded teacher runs, and its asserts hold."""
    try:
        exec(f"{source}\n{tests}", {"__name__": "audited"})
    except Exception:
        return False
    return True


def reply_is_right(question: str, reply: str) -> bool | None:
    """Return whether a reply gives the right answer, or code that does what was asked for; None if there is no truth."""
    code = _CODE.search(reply)
    if code is not None:
        return _does_what_was_asked(question, code[1])
    truth, answers = true_answer(question), _ANSWER.findall(reply)
    return None if truth is None else bool(answers) and states(answers[-1], truth)


def _does_what_was_asked(request: str, source: str) -> bool | None:
    """Whether the code returns what the steps in the request return, for twenty inputs; None if they are not known."""
    from textbookgen_procedural.tasks.user_requests import requested_function
    from textbookgen_procedural.value_types import example_value

    wanted, names = requested_function(request), {}  # type: tuple[Any, dict[str, Any]]
    if wanted is None:
        return None
    exec(source, names)
    inputs = [example_value(wanted.composition.input_type, Random(f"audit {number}")) for number in range(20)]
    return wanted.name in names and all(names[wanted.name](value) == wanted.composition.run(value) for value in inputs)


# -- Checks of one document


@dataclass(frozen=True)
class Finding:
    """What a document states.

    Attributes:
        answers: for each answer that it teaches, whether it is right.
        facts: for each other statement about it that can be checked, whether it is true.
    """

    answers: tuple[bool, ...] = ()
    facts: tuple[bool, ...] = ()


def check_question(row: Row) -> Finding:
    """Check a question with a worked solution: its answer, and every equation in the solution."""
    truth, solution = true_answer(row["textbooks.question"]), row["textbooks.solution"]
    answers = _ANSWER.findall(solution)
    return Finding((truth is not None and bool(answers) and states(answers[-1], truth),), (not false_equations(solution),))


def check_vote(row: Row) -> Finding:
    """Check a voted answer, and that it is the one that its solution ends with."""
    truth, answer = true_answer(row["textbooks.question"]), row["textbooks.answer"]
    last = _ANSWER.findall(row["textbooks.solution"])[-1:]
    return Finding((truth is not None and states(answer, truth),), (last == [answer], 0 < row["textbooks.agreement"] < 1))


def check_refusal_chat(row: Row) -> Finding:
    """Check a chat: answers are right, refused bogus questions have no answer, and refusals state none."""
    question, reply = (message["content"] for message in row["messages"])
    truth, kind = true_answer(question), row["textbooks.response_type"]
    if kind == "answer":
        return Finding((truth is not None and states(reply, truth),))
    if kind == "bogus-refusal":
        return Finding((), (truth is None, not re.search(r"\d", reply)))
    return Finding((), (truth is not None, not re.search(r"\d", reply)))


def check_refusal_pair(row: Row) -> Finding:
    """Check a pair: a chosen answer is right, and an answer that loses to a refusal is wrong."""
    question, chosen, rejected = (row[name][-1]["content"] for name in ("prompt", "chosen", "rejected"))
    truth = true_answer(question)
    if row["textbooks.response_type"] == "answer":
        return Finding((truth is not None and states(chosen, truth),), (not re.search(r"\d", rejected),))
    return Finding((), (reply_is_right(question, rejected) is False,))


def check_code_request(row: Row) -> Finding:
    """Check a request for code: the answer and the regenerated code pass the asserts, and the request names the function."""
    request, answer = (message["content"] for message in row["messages"])
    code, tests = _CODE.search(answer), row["textbooks.tests"] or ""
    name = re.search(r"def (\w+)\(", code[1] if code else "")
    right = code is not None and bool(tests.strip()) and passes(code[1], tests)
    named = name is not None and name[1] in request
    return Finding((right,), (passes(row["textbooks.regenerated"], tests), named))


def check_chat(row: Row) -> Finding:
    """Check a chat whose last reply answers its question."""
    question, reply = (message["content"] for message in row["messages"][-2:])
    return Finding((reply_is_right(question, reply) is True,), (not false_equations(reply),))


def check_pair(row: Row) -> Finding:
    """Check a preference pair: the chosen reply is right and the rejected one wrong."""
    question, chosen, rejected = (row[name][-1]["content"] for name in ("prompt", "chosen", "rejected"))
    return Finding((reply_is_right(question, chosen) is True,), (reply_is_right(question, rejected) is False,))


def check_conversation(row: Row) -> Finding:
    """Check a conversation: the two take turns, no question comes twice, and no equation is wrong."""
    messages = row["messages"]
    roles = [message["role"] for message in messages] == ["user", "assistant"] * (len(messages) // 2)
    questions = [message["content"] for message in messages[::2]]
    equations = [not false_equations(message["content"]) for message in messages[1::2]]
    return Finding((), (roles, len(set(questions)) == len(questions), *equations))


def check_revision(row: Row) -> Finding:
    """Check a revised document: no equation is wrong, and all code parses."""
    pieces = _CODE.findall(row["text"])
    return Finding((), (not false_equations(row["text"]), all(_parses(piece) for piece in pieces)))


def _parses(source: str) -> bool:
    try:
        ast.parse(source)
    except SyntaxError:
        return False
    return True


CHECKS: dict[str, Callable[[Row], Finding]] = {
    "questions": check_question,
    "voted": check_vote,
    "honest": check_refusal_chat,
    "honest-pairs": check_refusal_pair,
    "reversed": check_code_request,
    "best": check_chat,
    "preferred": check_pair,
    "talks": check_conversation,
    "revised": check_revision,
}


# -- Preferences by surface


def surface(text: str) -> list[float]:
    """Return what can be seen of a reply without reading it: lengths, and counts of punctuation, digits and lines."""
    counts = [text.count(mark) for mark in ".,:;!?()[]{}`'\"=+-*/%<>"]
    return [len(text), len(text.split()), text.count("\n"), sum(map(str.isdigit, text)), *counts]


def surface_accuracy(pairs: Iterable[Row], folds: int = 5) -> float:
    """Return how often a linear model picks the chosen reply of a held-out pair by its surface; 0.5 is chance."""
    import numpy as np
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    differences, labels = [], []
    for number, row in enumerate(pairs):
        chosen, rejected = (np.array(surface(row[name][-1]["content"])) for name in ("chosen", "rejected"))
        label = number % 2
        differences.append(chosen - rejected if label else rejected - chosen)
        labels.append(label)
    model = make_pipeline(StandardScaler(with_mean=False), LogisticRegression(max_iter=1000))
    return float(cross_val_score(model, np.array(differences), labels, cv=folds).mean())


# -- The run


def recipe(documents: int, seed: int = 1) -> str:
    """Return the recipe whose documents are audited: that of `recipes/phi4-data.toml` without what has no answers."""
    teacher = 'teacher = "author"'
    stage = {
        "pages": f'use = "textbooks/page"\n{teacher}\nsampler = "lessons"\ncount = {documents}',
        "code": f'use = "textbooks/exercise"\n{teacher}\nsampler = "tasks"\ncount = {documents}\n'
        'accept = [{ use = "sandbox/tests-pass", isolate_tests = false }]',
        "sums": f'use = "reasoning/arithmetic"\ncount = {documents // 2}\nmax_digits = 3\nspaced = false',
        "questions": f'use = "textbooks/deductions"\nfrom = "pages"\n{teacher}',
        "voted": f'use = "textbooks/majority-vote"\nfrom = ["questions", "sums"]\n{teacher}\n'
        'question_columns = ["textbooks.question", "reasoning.prompt"]',
        "tried": f'use = "textbooks/attempts"\nfrom = "voted"\n{teacher}',
        "honest": f'use = "textbooks/refusal-chats"\nfrom = "tried"\n{teacher}\nbogus_share = 0.05\n'
        "min_accuracy_to_answer = 0.6\nmax_accuracy_to_refuse = 0.0",
        "honest-pairs": f'use = "textbooks/refusal-pairs"\nfrom = "tried"\n{teacher}',
        "reversed": f'use = "textbooks/instruction-reversal"\nfrom = "code"\n{teacher}\n'
        'accept = [{ use = "sandbox/tests-pass", text = "textbooks.regenerated", isolate_tests = false }]',
        "wishes": f'use = "textbooks/user-prompts"\n{teacher}\nsampler = "wishers"\ncount = {documents}',
        "best": f'use = "textbooks/best-of-n"\nfrom = "wishes"\n{teacher}',
        "preferred": f'use = "textbooks/preferences"\nfrom = "wishes"\n{teacher}',
        "talks": f'use = "textbooks/conversation"\nfrom = "pages"\n{teacher}',
        "revised": f'use = "textbooks/self-revision"\n{teacher}\nsampler = "lessons"\nprompt = "phi1/page.md.j2"\n'
        f"count = {documents}",
    }
    head = (
        f'[recipe]\nname = "audit-answers"\nseed = {seed}\n'
        '[teacher.author]\nuse = "procedural/author"\nmax_parallel = 64\n'
        '[sampler.lessons]\nuse = "textbooks/page-topics"\n[sampler.tasks]\nuse = "textbooks/function-names"\n'
        '[sampler.wishers]\nuse = "textbooks/section-topics"\npersona_share = 1.0\n'
    )
    return head + "".join(f"[stage.{label}]\n{options}\n" for label, options in stage.items())


def read_output(work: Path, label: str) -> list[dict[str, Any]]:
    """Return the rows that a stage gives to later ones, by its label; those that its `accept` dropped are left out."""
    (folder,) = (path for path in (work / "steps").iterdir() if re.fullmatch(rf"{label}-[0-9a-f]{{12}}", path.name))
    rows = pl.concat([pl.read_parquet(path) for path in sorted((folder / "data").glob("*.parquet"))])
    verdicts = sorted((folder / "verdicts").glob("*.parquet"))
    if verdicts:
        kept = pl.concat([pl.read_parquet(path) for path in verdicts]).filter("keep")
        rows = rows.join(kept.select("id"), on="id", how="semi", maintain_order="left")
    return rows.to_dicts()


def audit(documents: int, seed: int) -> list[Audit]:
    """Return what was found in the answers, chats and pairs that the embedded teacher makes of this many documents."""
    with tempfile.TemporaryDirectory() as folder:
        return check_output(run(Path(folder), documents, seed))


def run(work: Path, documents: int, seed: int) -> dict[str, list[dict[str, Any]]]:
    """Run the recipe in a folder, and return the output of its audited stages by label."""
    from textbookgen import run_recipe

    work.mkdir(parents=True, exist_ok=True)
    file = work / "audit-answers.toml"
    file.write_text(recipe(documents, seed))
    run_recipe(file, work=work)
    return {label: read_output(work, label) for label in _LABELS}


def check_output(rows: Mapping[str, list[dict[str, Any]]]) -> list[Audit]:
    """Return what was found in the output of each stage."""
    audits = []
    for label, documents in rows.items():
        audits.append(Audit(label, len(documents)))
        for row in documents:
            finding, shown = CHECKS[label](row), str({name: row[name] for name in _SHOWN if name in row})
            for right in finding.answers:
                audits[-1].check("the answer is right", right, shown, "answer")
            for true in finding.facts:
                audits[-1].check("what else is stated is true", true, shown)
    kinds = [row["textbooks.response_type"] for row in rows.get("honest", ())]
    for item in audits:
        if item.generator == "honest":
            refusals = sum(kind != "answer" for kind in kinds) / max(1, kinds.count("answer"))
            item.notes.append(f"refusals per answer: {refusals:.3f}")
        if item.generator == "preferred" and item.documents > 20:
            item.notes.append(f"preferred replies that are picked by surface alone: {surface_accuracy(rows['preferred']):.3f}")
    return audits


#: Columns that are printed of a document with a fault.
_SHOWN = ("textbooks.question", "textbooks.answer", "textbooks.solution", "prompt", "chosen", "rejected", "messages", "text")


def main() -> None:
    """Run the recipe, audit its output, and print the figures."""
    parser = audit_parser(__doc__, documents="documents of each generator to write")
    parser.add_argument("--work", type=Path, help="the folder of the run, which is kept; a temporary one unless given")
    options = parser.parse_args()
    if options.work:
        audits = check_output(run(options.work, options.documents, options.seed))
    else:
        audits = audit(options.documents, options.seed)
    print_audits(audits)


if __name__ == "__main__":
    main()
