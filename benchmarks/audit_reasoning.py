"""Audit of reasoning problems: are their answers right, and are they what their columns say?

    python benchmarks/audit_reasoning.py [--documents 500] [--seed 1] [--samples 3]

Problems of `reasoning/lego`, `arithmetic` and `programs` in several forms, word problems of the embedded teacher with its
right and wrong replies, and tasks of reasoning-gym if it is installed. Every problem is read from its text and solved again
here, without the plugin: chains by applying clauses until all variables have values, sums and products from the digits in the
text, Python programs by running them, C programs by a compiler where there is one, word problems by the formulas of
`audit_answers`. The last line is JSON.
"""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice, permutations
from pathlib import Path
from random import Random
from typing import Any

from audit_answers import false_equations, true_answer
from audit_common import Audit, audit_parser, print_audits
from textbookgen_reasoning.arithmetic import Arithmetic
from textbookgen_reasoning.lego import Lego
from textbookgen_reasoning.programs import Programs

from textbookgen import Source

Row = Mapping[str, Any]

#: The forms of each generator that are audited, by their name in the table.
LEGO_FORMS: Mapping[str, Mapping[str, Any]] = {
    "lego": {"variables": 6, "supervised": 6},
    "lego in order": {"variables": 4, "supervised": 4, "shuffle": False, "question_order": "chain"},
    "lego each": {"variables": 5, "supervised": 3, "layout": "each", "chains": 2, "distractors": 3},
    "lego words": {"variables": 6, "supervised": 6, "min_variables": 2, "notation": "words"},
    "lego Z5": {"variables": 6, "supervised": 6, "group": "Z5"},
    "lego S3": {"variables": 6, "supervised": 6, "group": "S3"},
}
ARITHMETIC_FORMS: Mapping[str, Mapping[str, Any]] = {
    "sums": {"max_digits": 6},
    "sums reversed": {"max_digits": 6, "reverse": "both", "spaced": False},
    "sums with blanks": {"max_digits": 6, "reverse": "output", "space_share": 0.3},
    "sums with carries": {"max_digits": 8, "carry_share": 0.9, "pad_to": 9},
    "scratchpads": {"max_digits": 5, "scratchpad": "recursive"},
    "dialogues": {"max_digits": 5, "dialogue_share": 1.0},
    "products": {"operation": "mul", "max_digits": 4, "pad_to": 4, "reverse": "output"},
    "product dialogues": {"operation": "mul", "max_digits": 3, "dialogue_share": 1.0, "spaced": False},
}
PROGRAM_FORMS: Mapping[str, Mapping[str, Any]] = {
    "python programs": {"operators": ("+", "-", "*")},
    "c programs": {"language": "c", "operators": ("+", "-", "*"), "statements": 6},
}
GYM_TASKS = ("leg_counting", "spell_backward", "basic_arithmetic")

#: Animals of leg_counting by their number of legs, in the library's plural without its last s.
_LEGS = {
    animal: legs
    for legs, animals in {
        0: "snake, sea slug, jellyfish, flatworm, leech",
        2: "chicken, bird, human, duck",
        4: "dog, cat, cow, horse, lion, elephant, giraffe, tiger, deer, sheep",
        5: "starfish",
        6: "insect, ant, butterfly, beetle, bee, wasp, grasshopper, cricket, cockroach, praying manti, praying mantis, firefly",
        8: "spider, scorpion",
        10: "crab, lobster, shrimp",
        14: "woodlouse",
    }.items()
    for animal in animals.split(", ")
}

_CLAUSE = re.compile(r"(?:^|[;,]) ?([a-z]) ?= ?([^;,?]+?) ?(?=[;,])")
_QUESTION = re.compile(r"\? ?([a-z]) ?= ?([+-]?\w+)")
_NUMBER = re.compile(r"\d(?:[\d ]*\d)?")
_STEP = re.compile(r"([\d ]+) \+ ([\d ]+) : (\d) carry (\d)")


# -- Chains


def chain_values(clauses: str, notation: str) -> dict[str, str]:
    """Return the value of each variable, as text, from the clauses alone, in any order; unresolved ones are missing."""
    pending = [(variable, right.strip()) for variable, right in _CLAUSE.findall(clauses)]
    values: dict[str, str] = {}
    for _ in pending:
        for variable, right in pending:
            value = _right_side(right, values, notation)
            if value is not None:
                values[variable] = value
    return values


def _right_side(right: str, values: Mapping[str, str], notation: str) -> str | None:
    """Return the value of the right side of a clause; None while the variable in it has none."""
    if notation == "words":
        word, operand = right.split()
        if operand in ("0", "1"):
            return operand
        bit = values.get(operand)
        return bit if bit is None or word == "val" else str(1 - int(bit))
    if notation == "Z2":
        if right in ("+1", "-1"):
            return right
        before = values.get(right[1:])
        return None if before is None else before if right[0] == "+" else {"+1": "-1", "-1": "+1"}[before]
    action, _, operand = right.partition("*") if notation == "S3" else right.partition("+")[::-1]
    if not operand or not (action and operand):
        return right if not operand or not action else None
    if operand not in values:
        return None
    if notation == "S3":
        return _apply_permutation(action, values[operand])
    return str((int(action) + int(values[operand])) % int(notation[1:]))


def _apply_permutation(action: str, value: str) -> str:
    """Return the product of two permutations of three elements, which are named EABRQC in lexicographic order."""
    by_name = dict(zip("EABRQC", permutations(range(3)), strict=True))
    product = tuple(by_name[action][image] for image in by_name[value])
    return next(name for name, images in by_name.items() if images == product)


def check_chain(audit: Audit, row: Row, options: Mapping[str, Any]) -> None:
    """Check the answers of a puzzle, its columns, and that its chains have the drawn lengths."""
    notation = options.get("notation") or options.get("group", "Z2")
    values = chain_values(row["text"].partition("?")[0], notation)
    questions = _QUESTION.findall(row["text"])
    for variable, answer in questions:
        audit.check("the answer is right", values.get(variable) == answer, f"?{variable}: {row['text']}", "answer")
    as_column = {"1": "+1", "0": "-1"} if notation == "words" else {}
    columns = dict(zip(row["reasoning.variables"], row["reasoning.values"], strict=True))
    asked = [variable for variable, _ in questions]
    chain, place = row["reasoning.variables"], row["reasoning.cell"].split()
    length = int(place[1]) if place[0] == "length" else options["variables"]
    facts = {
        "the column of values is right": columns == {name: as_column.get(value, value) for name, value in values.items()},
        "there is a question": bool(questions) and len(set(asked)) == len(asked),
        "the cell is right": _cell_is_right(row, asked, length, options),
        "the text is prompt and answer": row["text"] == row["reasoning.prompt"] + row["reasoning.answer"],
        "the questions are about supervised variables": set(asked) <= set(_supervised(chain, length, options)),
    }
    if not options.get("shuffle", True):
        in_text = [variable for variable, _ in _CLAUSE.findall(row["text"].partition("?")[0])]
        facts["the clauses are in order"] = in_text == chain
    audit.check_all(facts, row["text"])


def _supervised(variables: Sequence[str], length: int, options: Mapping[str, Any]) -> list[str]:
    starts = range(0, options.get("chains", 1) * length, length)
    return [name for start in starts for name in variables[start : start + min(options["supervised"], length)]]


def _cell_is_right(row: Row, asked: Sequence[str], length: int, options: Mapping[str, Any]) -> bool:
    kind, number = row["reasoning.cell"].split()
    if kind == "place":
        return row["reasoning.variables"].index(asked[0]) % length == int(number)
    return len(row["reasoning.variables"]) == int(number) * options.get("chains", 1) + options.get("distractors", 0)


# -- Sums and products


def check_arithmetic(audit: Audit, row: Row, options: Mapping[str, Any]) -> None:
    """Check the result in the text, the steps of a scratchpad, the columns, and that the text has the options' form."""
    reverse = options.get("reverse", "none")
    question, answer = row["reasoning.prompt"], row["reasoning.answer"]
    operands = [item.replace(" ", "") for item in _NUMBER.findall(question)]
    written = _NUMBER.findall(answer.rpartition("=")[2])
    result = written[0].replace(" ", "") if len(written) == 1 else ""
    numbers = [int(item[::-1] if reverse == "both" else item) for item in operands]
    stated = int(result[::-1] if reverse != "none" else result) if result else None
    is_sum = options.get("operation", "add") == "add"
    truth = None if len(numbers) != 2 else numbers[0] + numbers[1] if is_sum else numbers[0] * numbers[1]
    audit.check("the answer is right", truth is not None and stated == truth, row["text"], "answer")
    columns = [row[f"reasoning.{name}"] for name in ("a", "b", "result")]
    in_text = [*sorted(map(str, numbers)), str(truth)]  # "if I add B to A" names the second operand first
    digits = [len(str(number)) for number in numbers]
    facts = {
        "the columns are the numbers in the text": [*sorted(columns[:2]), columns[2]] == in_text,
        "the cell is right": sorted(row["reasoning.cell"].split("x")) == sorted(map(str, digits)),
        "the lengths are in range": all(1 <= count <= options["max_digits"] for count in digits),
        "the text is prompt and answer": row["text"] == question + answer,
    }
    if width := options.get("pad_to"):
        of_result = width + 1 if is_sum else 2 * width
        facts["numbers are padded"] = {len(item) for item in operands} == {width} and len(result) == of_result
    else:
        facts["numbers have no leading zeros"] = [len(item) for item in (*operands, result)] == [*digits, len(str(truth))]
    if options.get("dialogue_share"):
        words = re.findall(r"(?<![\d ]) *(\d[\d ]*) (?!to |times )[a-z]+", row["text"])
        facts["things are counted in the plural"] = not {item.replace(" ", "") for item in words} & {"0", "1"}
    audit.check_all(facts, row["text"])
    if options.get("scratchpad"):
        audit.check("the steps are right", scratchpad_is_right(answer, numbers), row["text"], "answer")


def scratchpad_is_right(answer: str, numbers: Sequence[int]) -> bool:
    """Return whether the steps of a sum, last digits first, have the remaining digits, the digit written and the carry."""
    width, carry = max(len(str(number)) for number in numbers), 0
    left, right = (str(number).zfill(width)[::-1] for number in numbers)
    steps = answer.rpartition(" = ")[0].split(" ; ")
    for place, step in enumerate(steps):
        match = _STEP.fullmatch(step)
        if match is None or place >= width:
            return False
        total = int(left[place]) + int(right[place]) + carry
        carry = total // 10
        shown = [item.replace(" ", "") for item in match.groups()]
        if shown != [left[place:], right[place:], str(total % 10), str(carry)]:
            return False
    return len(steps) == width


# -- Programs


def check_program(audit: Audit, row: Row, options: Mapping[str, Any]) -> None:
    """Check the answer of a Python program by running it, and the columns of a program in any language."""
    is_c = options.get("language") == "c"
    source, _, question = row["reasoning.prompt"].rpartition("// " if is_c else "# ")
    (variable,) = row["reasoning.variables"]
    as_python = source.replace("int ", "").replace(";", "") if is_c else source
    values: list[dict[str, int]] = [{}]
    for line in as_python.splitlines():
        names = dict(values[-1])
        exec(line, {"__builtins__": {}}, names)
        values.append(names)
    right = str(values[-1][variable]) == row["reasoning.answer"].strip()
    audit.check("the answer is right", right, row["text"], "answer")
    numbers = [abs(number) for names in values for number in names.values()]
    facts = {
        "the question is about the variable": question.split() == [variable, "==" if is_c else "="],
        "values stay in range": max(numbers) <= options.get("max_value", 99),
        "the number of statements is right": len(values) - 1 == options.get("statements", 8),
        "the cell is right": row["reasoning.cell"] == f"{needed_statements(as_python, variable):02d} statements",
        "the text is prompt and answer": row["text"] == row["reasoning.prompt"] + row["reasoning.answer"],
    }
    audit.check_all(facts, row["text"])


def needed_statements(source: str, variable: str) -> int:
    """Return how many assignments of a program the final value of a variable depends on."""
    statements = [node for node in ast.parse(source).body if isinstance(node, ast.Assign)]
    last: dict[str, frozenset[int]] = {}
    for number, node in enumerate(statements):
        reads = {item.id for item in ast.walk(node.value) if isinstance(item, ast.Name)}
        needs = frozenset({number}).union(*(last[name] for name in reads))
        last[ast.unparse(node.targets[0])] = needs
    return len(last[variable])


def check_compiled(audit: Audit, rows: Sequence[Row]) -> None:
    """Check the answers of C programs with one compiled program that lists the wrong ones."""
    compiler = shutil.which("cc")
    if compiler is None:
        audit.notes.append("no C compiler: C programs were run as Python")
        return
    parts = []
    for number, row in enumerate(rows):
        source, _, question = row["reasoning.prompt"].rpartition("// ")
        parts.append(f'{{ {source} if (!({question}{row["reasoning.answer"].strip()})) printf("{number} "); }}')
    with tempfile.TemporaryDirectory() as folder:
        file, program = Path(folder, "all.c"), str(Path(folder, "all"))
        file.write_text("#include <stdio.h>\nint main(void) {\n" + "\n".join(parts) + "\nreturn 0; }\n", encoding="utf-8")
        subprocess.run([compiler, "-w", str(file), "-o", program], check=True)
        wrong = {int(item) for item in subprocess.run([program], check=True, capture_output=True, text=True).stdout.split()}
    for number, row in enumerate(rows):
        audit.check("the compiled program agrees", number not in wrong, row["text"], "answer")


# -- Word problems


def check_word_problem(audit: Audit, question: str, reply: str, wrong_reply: str) -> None:
    """Check the reply to a word problem and its equations, and that the reply with a slip is wrong."""
    truth = true_answer(question)
    stated = re.findall(r"answer is (-?\d+)\.", reply)[-1:]
    audit.check("the answer is right", truth is not None and stated == [str(truth)], f"{question} {reply}", "answer")
    numbers = set(re.findall(r"\d+", question))
    facts = {
        "every equation is right": not false_equations(reply),
        "the reply uses every number of the question": numbers <= set(re.findall(r"\d+", reply)),
        "the answer is positive": isinstance(truth, int) and truth > 0,
        "the reply with a slip is wrong": re.findall(r"answer is (-?\d+)\.", wrong_reply)[-1:] != stated,
        "the slip has the form of the right reply": re.sub(r"\d", "0", wrong_reply) == re.sub(r"\d", "0", reply),
    }
    audit.check_all(facts, f"{question} {reply} | {wrong_reply}")


def write_word_problems(documents: int, seed: int) -> Iterator[tuple[str, str, str]]:
    """Yield questions of the embedded teacher with its right reply and one with a slip."""
    from textbookgen_procedural.tasks.questions import solve, wrong_solution
    from textbookgen_procedural.word_problems import draw_problem

    for number in range(documents):
        rng = Random(f"audit/{seed}/{number}")
        question = draw_problem(rng).question
        solutions = (solve(question), wrong_solution(rng, question))
        right, slip = (f"{'. '.join(item.steps)}. The answer is {item.answer}." if item else "" for item in solutions)
        yield question, right, slip


# -- The run


def audit_rows(name: str, rows: Sequence[Row], options: Mapping[str, Any], check: Callable[..., None]) -> Audit:
    """Return what a check finds in the problems of one form."""
    audit = Audit(name)
    for row in rows:
        audit.documents += 1
        check(audit, row, options)
    distinct = len({row["text"] for row in rows})
    audit.check("all texts differ", distinct == len(rows), f"{distinct} of {len(rows)} are different", "figure")
    return audit


def write_rows(source: Source, documents: int) -> list[Row]:
    """Return the first problems of a source."""
    return list(islice((row for frame in source.read() for row in frame.iter_rows(named=True)), documents))


def audit(documents: int, seed: int) -> list[Audit]:
    """Return what is found in this many problems of each form."""
    audits = []
    for forms, kind, check in (
        (LEGO_FORMS, Lego, check_chain),
        (ARITHMETIC_FORMS, Arithmetic, check_arithmetic),
        (PROGRAM_FORMS, Programs, check_program),
    ):
        for name, options in forms.items():
            rows = write_rows(kind(count=documents, seed=seed, **options), documents)
            audits.append(audit_rows(name, rows, options, check))
            if options.get("language") == "c":
                check_compiled(audits[-1], rows)
    word_problems = Audit("word problems", documents)
    for question, reply, wrong_reply in write_word_problems(documents, seed):
        check_word_problem(word_problems, question, reply, wrong_reply)
    return [*audits, word_problems, audit_gym(documents, seed)]


def audit_gym(documents: int, seed: int) -> Audit:
    """Return what is found in tasks of reasoning-gym whose truth can be computed here; a note if it is not installed."""
    from textbookgen_reasoning.gym import Gym

    audit = Audit("gym")
    source = Gym(tasks=GYM_TASKS, count=max(1, documents // len(GYM_TASKS)), seed=seed)
    if any("not installed" in diagnostic.problem for diagnostic in source.check()):
        audit.notes.append("reasoning-gym is not installed: its tasks were not checked")
        return audit
    for row in write_rows(source, documents):
        audit.documents += 1
        truth = gym_truth(row["reasoning.cell"], row["reasoning.prompt"])
        audit.check("the answer is right", truth == row["reasoning.answer"].strip(), row["text"], "answer")
    return audit


def gym_truth(task: str, prompt: str) -> str | None:
    """Return the answer of a problem of one of `GYM_TASKS`; None if it cannot be read."""
    if task == "spell_backward" and (word := re.search(r"example: sun -> nus\)?:? (\w+)", prompt)):
        return word[1][::-1]
    if task == "leg_counting":
        counts = re.findall(r"(\d+) ([a-z ]+?)s?(?=[,?])", prompt.partition(" have ")[2])
        known = [int(count) * _LEGS[animal] for count, animal in counts if animal in _LEGS]
        return str(sum(known)) if known and len(known) == len(counts) else None
    if task == "basic_arithmetic" and (term := re.search(r"([\d+\-*/() ]{3,}?)\s*(?:[=.?]|$)", prompt)):
        return str(eval(term[1].replace("/", "//"), {"__builtins__": {}}))
    return None


def main() -> None:
    """Print the table and, last, the totals as JSON."""
    parser = audit_parser(__doc__, documents="problems of each form", samples="problems of each form to print")
    options = parser.parse_args()
    if options.samples:
        for forms, kind in ((LEGO_FORMS, Lego), (ARITHMETIC_FORMS, Arithmetic), (PROGRAM_FORMS, Programs)):
            for name, form in forms.items():
                for row in write_rows(kind(count=options.samples, seed=options.seed, **form), options.samples):
                    print(f"{name} | {row['reasoning.cell']} | {row['text'].strip()}")
        for number, (question, reply, slip) in enumerate(write_word_problems(3 * options.samples, options.seed)):
            print(f"word problem {number} | {question}\n  {reply}\n  {slip}")
    audits = audit(options.documents, options.seed)
    print_audits(audits)


if __name__ == "__main__":
    main()
