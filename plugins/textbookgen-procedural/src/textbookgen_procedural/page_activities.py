"""Questions and exercises of a page, made from its examples, with answers that come from running programs."""

from __future__ import annotations

import ast
import builtins
import keyword
import re
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from textbookgen_procedural.code_in_words import statements_in_words
from textbookgen_procedural.code_snippets import output_of, output_within_limits, run_program, run_tree, trace_program
from textbookgen_procedural.page_examples import (
    Example,
    as_function,
    change_value,
    code_lines,
    fenced,
    make_slip,
    smallest_value,
)

_MAX_LINES = 6  # of output in an answer
_MAX_PROGRAM = 9  # lines of a program that is taken apart
_TYPES = {"int": "an integer", "float": "a float", "str": "a string", "list": "a list", "dict": "a dictionary", "set": "a set",
          "tuple": "a tuple", "bool": "a boolean"}  # fmt: skip


@dataclass(frozen=True)
class Activity:
    """A task for the reader with its answer, both Markdown; the task begins with what it is (`**Question.**`)."""

    task: str
    answer: str

    def blocks(self) -> list[str]:
        """Return task and answer as blocks of a page."""
        return [self.task, f"**Answer.** {self.answer}"]


def listed_output(lines: list[str]) -> str:
    """Return lines of output in a sentence: each as code, joined by "and then"."""
    return " and then ".join(f"`{line}`" for line in lines)


def predict(rng: Random, example: Example) -> Activity | None:
    """Ask what a changed program prints."""
    change = change_value(rng, example, _MAX_LINES)
    if change is None:
        return None
    question = rng.choice(_PREDICT).format(old=change.old, new=change.new, program=rng.choice(_THE_PROGRAM))
    return Activity(f"**Question.** {question}", f"It prints {listed_output(change.output)}.")


def fill_gap(rng: Random, example: Example) -> Activity | None:
    """Ask for a line that is left out."""
    program, output = example.program(), example.output()
    lines = program.splitlines()
    fixed = ("print", "def ", "import ", "from ", "class ", "@", "else", "try", "#")
    known = code_lines(program)
    choices = [
        n for n, line in enumerate(lines) if line in known and not line.lstrip().startswith(fixed) and lines.count(line) == 1
    ]
    if not choices or len(output) > _MAX_LINES:
        return None
    place = rng.choice(choices)
    indent = re.match(" *", lines[place])[0]  # type: ignore[index]
    shown = "\n".join([*lines[:place], f"{indent}____", *lines[place + 1 :]])
    task = f"**Exercise.** Which line belongs in place of `____`, if the program prints {listed_output(output)}?"
    return Activity(f"{task}\n\n```text\n{shown}\n```", f"`{lines[place].strip()}`")


def order_lines(rng: Random, example: Example) -> Activity | None:
    """Ask for the order of shuffled lines."""
    program, output = example.program(), example.output()
    lines = code_lines(program)
    if not 3 <= len(lines) <= _MAX_PROGRAM or len(output) > _MAX_LINES or '"""' in program:
        return None
    shuffled = rng.sample(lines, len(lines))
    if shuffled == lines:
        return None
    task = f"**Exercise.** These lines are in the wrong order. Sort them, so that the program prints {listed_output(output)}."
    return Activity(f"{task}\n\n```text\n" + "\n".join(shuffled) + "\n```", f"The right order is:\n\n{fenced(program)}")


def find_mistake(rng: Random, example: Example) -> Activity | None:
    """Show a program with a mistake and ask for the line."""
    slip, output = make_slip(rng, example), example.output()
    if slip is None or len(output) > _MAX_LINES:
        return None
    task = f"**Exercise.** One line of this program is wrong: it should print {listed_output(output)}. Which one?"
    answer = f"Line {slip.line}: `{slip.wrong.strip()}` should be `{slip.right.strip()}`."
    return Activity(f"{task}\n\n{fenced(slip.program)}", answer)


def better_names(rng: Random, example: Example) -> Activity | None:
    """Show a program with meaningless names and ask for better ones."""
    program = example.program()
    names = _own_names(program)
    if not 2 <= len(names) <= 6 or 'f"' in program or "__" in program or "=" in "".join(re.findall(r"\w+\(([^)]*)\)", program)):
        return None
    short = dict(zip(names, (f"{letter}{n}" for letter in "vw" for n in range(1, 7)), strict=False))
    renamed = re.sub(r"(?<![\w.\"'])[A-Za-z_]\w*", lambda match: short.get(match[0], match[0]), program)
    if output_within_limits(renamed) != output_of(program):
        return None
    task = "**Exercise.** This program works, but its names say nothing. Find better ones."
    pairs = ", ".join(f"`{short[name]}` could be `{name}`" for name in names)
    return Activity(f"{task}\n\n{fenced(renamed)}", f"{pairs[0].upper()}{pairs[1:]}.")


def _own_names(program: str) -> list[str]:
    """Return the names of more than two letters that a program gives to values and functions, in order."""
    names: dict[str, None] = {}
    for node in ast.walk(ast.parse(program)):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.FunctionDef(name=name) | ast.arg(arg=name):
                names[name] = None
    return [name for name in names if len(name) > 2 and not keyword.iskeyword(name) and not hasattr(builtins, name)]


def generalise(rng: Random, example: Example) -> Activity | None:
    """Ask to turn a program for one value into a function with a parameter."""
    change = change_value(rng, example, _MAX_LINES)
    head = re.match(r"(\w+) = (.+)", example.program())
    if change is None or head is None or change.old != head[2] or len(example.program().splitlines()) > _MAX_PROGRAM:
        return None
    function = as_function(example, (change.new,))
    if function is None:
        return None
    task = f"**Exercise.** The program is written for one value of `{head[1]}`. Make it a function for any, and call it twice."
    return Activity(task, f"The first line becomes a parameter:\n\n{fenced(function)}")


def second_way(rng: Random, example: Example) -> Activity | None:
    """Ask for another program with the same output."""
    if not example.snippet.variant:
        return None
    task = f'**Exercise.** Write a program that prints the same as "{example.snippet.introduction}", in another way.'
    lead = example.snippet.variant_introduction
    return Activity(task, f"{lead}:\n\n{fenced(example.program(variant=True))}")


def tests(rng: Random, example: Example) -> Activity | None:
    """Ask for asserts about the functions of a program."""
    program = example.program()
    namespace: dict[str, object] = {}
    run_program(program, namespace)
    functions = {node.name for node in ast.parse(program).body if isinstance(node, ast.FunctionDef)}
    asserts = []
    for node in ast.parse(program).body:
        match node:
            case ast.Expr(value=ast.Call(func=ast.Name(id="print"), args=[ast.Call(func=ast.Name(id=name)) as call])):
                if name in functions and (value := _literal_value(ast.unparse(call), namespace)) is not None:
                    asserts.append(f"assert {ast.unparse(call)} == {value}")
    if not asserts:
        return None
    task = "**Exercise.** Write down what the calls of the example show as tests, with `assert`."
    lines = program.splitlines()
    for node in reversed(ast.parse(program).body):
        if isinstance(node, ast.Expr):
            del lines[node.lineno - 1 : node.end_lineno]
    block = "\n".join([*lines, *asserts])
    if output_within_limits(block) is None:  # a call that depends on those before it
        return None
    block = "\n".join(["\n".join(lines).rstrip(), "", *asserts])
    return Activity(task, f"The definition, and below it the tests:\n\n```python\n{block}\n```")


def _literal_value(call: str, namespace: dict[str, object]) -> str | None:
    before = namespace.get("__builtins__")
    try:
        value = repr(eval(call, {**namespace, "__builtins__": before}))
        return value if ast.literal_eval(value) is not None or value == "None" else None
    except (ValueError, SyntaxError):
        return None


def smallest_case(rng: Random, example: Example) -> Activity | None:
    """Ask what happens for an empty list or zero."""
    replaced = smallest_value(example)
    if replaced is None:
        return None
    old, new, program = replaced
    what = "an empty list" if new == "[]" else "zero"
    task = f"**Question.** What happens in the smallest case: {what}, `{new}`, in place of `{old}`?"
    try:
        trace_program(program, with_values=False)
        output = output_of(program)
    except Exception as error:
        return Activity(task, f"The program raises `{type(error).__name__}`, so this case must be tested for first.")
    if len(output) > _MAX_LINES:
        return None
    return Activity(task, f"It prints {listed_output(output)}." if output else "Nothing is printed.")


def count_work(rng: Random, example: Example) -> Activity | None:
    """Ask how many lines are run for a value and for one twice as large."""
    for slot, kind in example.snippet.slots:
        if kind not in ("small", "three", "tiny", "big", "large"):
            continue
        old = example.values[slot]
        double = str(2 * int(old))
        try:
            counts = [len(trace_program(example.program({slot: value}), with_values=False)) for value in (old, double)]
        except Exception:
            continue
        is_single = len(re.findall(rf"(?<![\w.]){re.escape(old)}(?![\w.])", example.program())) == 1
        if counts[0] != counts[1] and is_single:
            task = (
                f"**Question.** With `{old}`, the computer executes {counts[0]} lines of the program in all, lines of loops "
                f"counted each time. How many are there with `{double}`?"
            )
            ratio = counts[1] / counts[0]
            growth = "less than" if ratio < 1.95 else "more than" if ratio > 2.05 else "about"
            return Activity(task, f"{counts[1]} lines: {growth} twice as many for twice the value.")
    return None


def why_it_stops(rng: Random, example: Example) -> Activity | None:
    """Ask why a loop ends, and after how many rounds."""
    program = example.program()
    for node, rounds in _rounds(program):
        if isinstance(node, ast.While) and ast.unparse(node.test) != "True":
            test = ast.unparse(node.test)
            return Activity(
                f"**Question.** Why does the loop `while {test}` stop?",
                f"Its body runs {_times(rounds)} in all; after that, `{test}` is false.",
            )
        if isinstance(node, ast.For):
            head = f"for {ast.get_source_segment(program, node.target)} in {ast.get_source_segment(program, node.iter)}"
            return Activity(
                f"**Question.** Why does the loop `{head}` stop?",
                f"It takes one item after the other and has no more; its body runs {_times(rounds)} in all.",
            )
    return None


def _rounds(program: str) -> list[tuple[ast.For | ast.While, int]]:
    """Return the loops of a program that ran without leaving early, with how often their bodies ran, in order."""
    tree = ast.parse(program)
    loops = [node for node in ast.walk(tree) if isinstance(node, ast.For | ast.While)]
    left = (ast.Break, ast.Return)
    plain = [node for node in loops if not any(isinstance(inner, left) for inner in ast.walk(node))]
    for number, node in enumerate(plain):
        call = ast.parse(f"__rounds__.append({number})").body[0]
        node.body.insert(0, ast.copy_location(call, node.body[0]))
    counts: list[int] = []
    try:
        run_tree(ast.fix_missing_locations(tree), {"__rounds__": counts})
    except Exception:
        return []
    return [(node, counts.count(number)) for number, node in enumerate(plain) if number in counts]


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def follow_values(rng: Random, example: Example) -> Activity | None:
    """Ask for the values that a variable has one after the other."""
    try:
        moments = [moment for moment in trace_program(example.program()) if moment.function == "<module>"]
    except Exception:
        return None
    histories: dict[str, list[str]] = {}
    for moment in moments:
        for name, value in moment.values.items():
            history = histories.setdefault(name, [])
            if not history or history[-1] != value:
                history.append(value)
    fitting = [(name, values) for name, values in histories.items() if 3 <= len(values) <= 9 and len(", ".join(values)) < 120]
    if not fitting:
        return None
    name, values = max(fitting, key=lambda item: len(item[1]))
    shown = ", ".join(f"`{value}`" for value in values)
    return Activity(
        f"**Exercise.** Trace the program by hand: which values does `{name}` have, one after the other?", f"{shown}."
    )


def name_types(rng: Random, example: Example) -> Activity | None:
    """Ask for the type of each variable."""
    namespace: dict[str, object] = {}
    run_program(example.program(), namespace)
    kinds = {
        name: _TYPES[type(value).__name__]
        for name, value in namespace.items()
        if not name.startswith("_") and type(value).__name__ in _TYPES
    }
    if len(kinds) < 2:
        return None
    names = ", ".join(f"`{name}`" for name in kinds)
    answer = ", ".join(f"`{name}` is {kind}" for name, kind in kinds.items())
    return Activity(f"**Question.** At the end of the program, what kind of value is in each of {names}?", f"{answer}.")


def describe_lines(rng: Random, example: Example) -> Activity | None:
    """Ask for the program in words."""
    sentences = statements_in_words(example.program())
    if not 2 <= len(sentences) <= _MAX_PROGRAM:
        return None
    numbered = "\n".join(f"{number}. {sentence}" for number, sentence in enumerate(sentences, 1))
    task = "**Exercise.** Say in words what the program does, one sentence for each step."
    return Activity(task, f"For instance:\n\n{numbered}")


Maker = Callable[[Random, Example], Activity | None]

#: What trains each skill, by words in its description; the first that is possible is taken.
SKILLS: tuple[tuple[str, tuple[Maker, ...]], ...] = (
    ("tracing", (follow_values, predict)),
    ("data structure", (name_types,)),
    ("steps", (describe_lines,)),
    ("empty", (smallest_case,)),
    ("smallest", (smallest_case,)),
    ("names", (better_names,)),
    ("reading code", (describe_lines, better_names)),
    ("fixing", (find_mistake,)),
    ("stops", (why_it_stops,)),
    ("how much work", (count_work,)),
    ("testing", (tests,)),
    ("two solutions", (second_way,)),
    ("generalis", (generalise,)),
    ("generaliz", (generalise,)),
    ("second way", (second_way, tests)),
    ("invariant", (follow_values, why_it_stops)),
)
#: What fits each level.
LEVELS: dict[int, tuple[Maker, ...]] = {
    1: (predict, follow_values, fill_gap, order_lines),
    2: (predict, fill_gap, order_lines, follow_values, describe_lines),
    3: (predict, find_mistake, order_lines, why_it_stops, smallest_case, fill_gap),
    4: (find_mistake, tests, generalise, smallest_case, why_it_stops, predict),
    5: (count_work, second_way, tests, find_mistake, generalise, smallest_case, predict),
}

_THE_PROGRAM = ("the program", "the example", "the snippet")
_PREDICT = (
    "What would {program} print with `{new}` in place of `{old}`?",
    "Put `{new}` where {program} has `{old}`. What is printed?",
    "Suppose `{old}` in {program} became `{new}`. What would we see?",
    "Without running it: what does {program} print if `{old}` is changed to `{new}`?",
)
