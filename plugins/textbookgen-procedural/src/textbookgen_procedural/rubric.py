"""The educational value of a text, 0 to 5: an additive rubric over the syntax tree, with the unsteadiness of a human label.

The points follow the rubric that FineWeb-Edu and Stack-Edu made common (valid; practical; suitable for teaching;
self-contained like a school exercise; outstanding), and the four faults that phi-1 names in raw code: it does not stand alone,
computes nothing of interest, hides its logic in complex undocumented functions, or is lopsided.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

_LONGEST = 400  # lines that are looked at
_NOISE = 0.1  # share of labels that are one point off, as two careful readers would differ

_GUI = frozenset(["tkinter", "turtle", "curses", "PyQt5", "PyQt6", "PySide6", "wx", "gi", "kivy", "pygame", "idlelib"])
_TESTS = frozenset(["unittest", "pytest", "doctest", "test", "mock"])
_FAR = frozenset(
    [
        "socket",
        "ssl",
        "ctypes",
        "subprocess",
        "threading",
        "multiprocessing",
        "asyncio",
        "select",
        "winreg",
        "distutils",
        "setuptools",
    ]
)


@dataclass(frozen=True)
class Findings:
    """What the syntax tree shows; shares are between 0 and 1."""

    lines: int
    functions: int
    documented: float  # share of functions and classes with a docstring
    hinted: float  # share of functions with type hints
    teaching: int  # functions that stand alone: parameters in, a computed result out
    complexity: float  # mean branches and loops a function
    longest: int  # lines of the longest function
    computing: int  # operators, loops, comprehensions
    constants: float  # share of top-level statements that only assign constants
    comments: float  # share of lines that are comments
    imports: frozenset[str]
    relative: bool

    @property
    def boilerplate(self) -> str:
        """What kind of boilerplate it is, if it is."""
        if self.imports & _GUI:
            return "user interface"
        if self.imports & _TESTS:
            return "tests"
        if self.constants > 0.6:
            return "tables and constants"
        return ""


def judge_text(text: str) -> str:
    """A justification in one or two lines, and a last line `score: N`.

    One label in ten is one point up or down, always the same way for the same text.
    """
    findings = find(text)
    score, why = _of_code(findings) if findings else _of_prose(text)
    digest = sha256(text.encode("utf-8", "surrogatepass")).digest()
    if digest[0] < 256 * _NOISE:
        score = min(5, max(0, score + (1 if digest[1] % 2 else -1)))
    return f"{why}\nscore: {score}"


def _of_code(result: Findings) -> tuple[int, str]:
    """Points are added in order, and each needs the one before it."""
    if result.functions == 0 and result.computing < 3:
        return 0, "It holds no logic, only names and values."
    if result.boilerplate:
        return 1, f"It is valid code, but mostly {result.boilerplate}."
    if result.computing < 4 or result.functions == 0:
        return 1, "It is valid code, but computes little that could be learnt from."
    if result.documented < 0.25 and result.comments < 0.08:
        return 2, "It computes something, but does not say what for."
    if result.complexity > 6 or result.longest > 100 or result.teaching == 0:
        return 2, "It is documented, but too involved for a learner, or all of it hangs on the state of objects."
    if result.relative or result.imports & _FAR or result.lines > 300 or result.teaching < result.functions * 0.3:
        return 3, "It is documented and practical, though much of it makes sense only together with other code."
    if result.documented < 0.8 or result.hinted < 0.5 or result.longest > 40:
        return 4, "It stands alone, computes something worth knowing and explains itself."
    return 5, "Small, documented functions with plain inputs and results, ready for a lesson."


def _of_prose(text: str) -> tuple[int, str]:
    """Prose is valued by whether it explains: sentences, definitions, examples."""
    words = len(text.split())
    if words < 20:
        return 0, "There is too little to learn from."
    sentences = max(1, len(re.findall(r"[.!?](?:\s|$)", text)))
    explains = bool(re.search(r"\b(is called|means|for example|such as|because|is a|step)\b", text))
    shows = "```" in text
    asks = "Question" in text or "?" in text
    readable = 5 <= words / sentences <= 30
    score = 1 + readable + explains + shows + (shows and asks and explains)
    return score, f"Prose of {words} words that {'explains' if explains else 'tells'}{' and shows code' if shows else ''}."


def find(text: str) -> Findings | None:
    """What the syntax tree of a Python text shows; None if it is not Python."""
    lines = text.splitlines()[:_LONGEST]
    tree = _parsed(lines)
    if tree is None or not tree.body or _is_prose(tree):
        return None
    nodes = list(ast.walk(tree))
    functions = [node for node in nodes if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    named = [*functions, *(node for node in nodes if isinstance(node, ast.ClassDef))]
    branches = sum(isinstance(node, (ast.If, ast.For, ast.While, ast.Try, ast.With, ast.BoolOp)) for node in nodes)
    return Findings(
        lines=len(lines),
        functions=len(functions),
        documented=sum(ast.get_docstring(node) is not None for node in named) / max(1, len(named)),
        hinted=sum(node.returns is not None for node in functions) / max(1, len(functions)),
        teaching=sum(map(_teaches, functions)),
        complexity=branches / max(1, len(functions)),
        longest=max(((node.end_lineno or node.lineno) - node.lineno + 1 for node in functions), default=0),
        computing=sum(isinstance(node, _COMPUTING) for node in nodes),
        constants=sum(map(_is_constant, tree.body)) / len(tree.body),
        comments=sum(line.lstrip().startswith("#") for line in lines) / max(1, len(lines)),
        imports=frozenset(_imports(nodes)),
        relative=any(isinstance(node, ast.ImportFrom) and node.level for node in nodes),
    )


_COMPUTING = (
    ast.BinOp,
    ast.Compare,
    ast.For,
    ast.While,
    ast.ListComp,
    ast.DictComp,
    ast.SetComp,
    ast.GeneratorExp,
    ast.AugAssign,
)


def _parsed(lines: list[str]) -> ast.Module | None:
    """The tree; a text that was cut off is read up to the last statements that are whole."""
    for _ in range(3):
        try:
            return ast.parse("\n".join(lines))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            starts = [n for n, line in enumerate(lines) if re.match(r"(?:def|class|@|if|for|while|with|try|async)\b|@", line)]
            if not starts or starts[-1] == 0:
                return None
            lines = lines[: starts[-1]]
    return None


def _is_prose(tree: ast.Module) -> bool:
    """A word or a number alone is an expression to Python, but no program."""
    return all(isinstance(node, ast.Expr) and isinstance(node.value, (ast.Name, ast.Constant)) for node in tree.body)


def _teaches(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether it takes plain parameters and returns something computed from them, without an object's state."""
    arguments = [item.arg for item in function.args.args]
    if not arguments or arguments[0] in ("self", "cls"):
        return False
    inside = list(ast.walk(function))
    returns = any(isinstance(node, ast.Return) and node.value is not None for node in inside)
    return returns and any(isinstance(node, _COMPUTING) for node in inside)


def _is_constant(node: ast.stmt) -> bool:
    return isinstance(node, (ast.Assign, ast.AnnAssign)) and not any(isinstance(item, ast.Call) for item in ast.walk(node))


def _imports(nodes: list[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]
