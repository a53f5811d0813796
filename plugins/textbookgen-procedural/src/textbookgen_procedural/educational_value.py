"""Educational value of a text, 0 to 5: an additive rubric over the syntax tree, with noise like that of human labels.

The points follow the rubric of FineWeb-Edu and Stack-Edu (valid; practical; suitable for teaching; self-contained like a school
exercise; outstanding), and the four faults of raw code listed in the phi-1 paper ("Textbooks Are All You Need", arXiv
2306.11644, section 2): it is not self-contained, computes nothing of interest, hides its logic in complex undocumented
functions, or covers topics unevenly.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

_MAX_CHARACTERS = 8_000  # that are read: what the prompt for labels shows, and what `quality/forest` reads
_MAX_CUTS = 60  # statements that are left out to find the last complete one
_NOISE = 0.1  # share of labels that are one point off, as labels of two careful readers differ

_GUI = frozenset(["tkinter", "turtle", "curses", "PyQt5", "PyQt6", "PySide6", "wx", "gi", "kivy", "pygame", "idlelib"])
_TESTS = frozenset(["unittest", "pytest", "doctest", "test", "mock"])
_SYSTEM = frozenset(
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


_MIN_WORDS = 20  # of prose
_MAX_SENTENCE = 30  # mean number of words in readable sentences
_MIN_EXPLAINING = 0.5  # explaining words per hundred, for a text that explains
_MIN_TEACHING = 1.2  # the same for a text that does little else
_MAX_REFERENCE = 2.5  # words of reference manuals per hundred

#: Words by which definitions, reasons and examples are known, and those of entries to look up rather than to learn from.
_EXPLAINING = re.compile(
    r"\b(?:because|so that|therefore|thus|hence|since|why|reason|cause[sd]?|otherwise|in order to|as a result|leads to"
    r"|for example|for instance|such as|e\.g\.|suppose|consider|imagine|called|means|meaning|refers to|consists? of"
    r"|defined as|similar|unlike|whereas|instead of|compared|difference|explains?|understand|learn|idea)\b",
    re.IGNORECASE,
)
_REFERENCE = re.compile(
    r"\b(?:options?|flags?|defaults?|arguments?|parameters?|specif(?:y|ies|ied)|deprecated|returns?|returned|optional|fields?"
    r"|attributes?|commands?|install(?:ed|ation)?|versions?|configur\w+|resources?|identifiers?|override[sn]?|enabled?"
    r"|disabled?|bugs?)\b",
    re.IGNORECASE,
)

_CODE_LINE = r"(?:def \w+\(.*|class \w+.*:|import [\w.]+|from [\w.]+ import .*|(?:if|for|while|elif) .*:|return\b.*)"

#: Lines that only code has: two of them, and a text is not rated as prose.
_LOOKS_LIKE_CODE = re.compile(rf"^(?:\s*{_CODE_LINE}\s*\n)(?:.*\n){{0,200}}?\s*{_CODE_LINE}$", re.MULTILINE)


#: The beginning of a table or a long string in Python.
_ASSIGNMENT = re.compile(r"^\w[\w.]* *(?::[^=\n]+)?= *(?:[\[{(]|r?\"\"\"|r?\'\'\')", re.MULTILINE)


@dataclass(frozen=True)
class CodeFeatures:
    """Features of a syntax tree; shares are between 0 and 1."""

    lines: int
    functions: int
    documented: float  # share of functions and classes with a docstring
    hinted: float  # share of functions with type hints
    self_contained: int  # functions with plain parameters and a computed result
    complexity: float  # mean number of branches and loops per function
    max_lines: int  # lines of the longest function
    operations: int  # operators, loops, comprehensions
    constants: float  # share of top-level statements that only assign constants
    comments: float  # share of lines that are comments
    imports: frozenset[str]
    relative: bool

    @property
    def boilerplate(self) -> str:
        """The kind of boilerplate it is, or ''."""
        if self.imports & _GUI:
            return "user interface"
        if self.imports & _TESTS:
            return "tests"
        if self.constants > 0.6:
            return "tables and constants"
        return ""


def rate_text(text: str) -> str:
    """Return a justification in one or two lines, and a last line `score: N`.

    One label in ten is one point higher or lower, always the same for the same text.
    """
    shown = text[:_MAX_CHARACTERS]
    features = code_features(shown)
    if features is not None:
        score, why = _rate_code(features)
    elif _LOOKS_LIKE_CODE.search(shown):
        score, why = 0, "It is not valid Python."
    elif _ASSIGNMENT.search(shown):
        score, why = 0, "It holds no logic, only a value that is longer than what is shown."
    else:
        score, why = _rate_prose(shown)
    digest = sha256(text.encode("utf-8", "surrogatepass")).digest()
    if digest[0] < 256 * _NOISE:
        score = min(5, max(0, score + (1 if digest[1] % 2 else -1)))
    return f"{why}\nscore: {score}"


def _rate_code(features: CodeFeatures) -> tuple[int, str]:
    """Return points and justification of code; each point requires the one before it."""
    if features.functions == 0 and features.operations < 3:
        return 0, "It holds no logic, only names and values."
    if features.boilerplate:
        return 1, f"It is valid code, but mostly {features.boilerplate}."
    if features.operations < 4 or features.functions == 0:
        return 1, "It is valid code, but computes little that could be learnt from."
    if features.documented < 0.25 and features.comments < 0.08:
        return 2, "It computes something, but does not say what for."
    if features.complexity > 6 or features.max_lines > 100 or features.self_contained == 0:
        return 2, "It is documented, but too involved for a learner, or all of it hangs on the state of objects."
    is_part = features.relative or features.imports & _SYSTEM or features.self_contained < features.functions * 0.3
    if is_part or features.lines > 300:
        return 3, "It is documented and practical, though much of it makes sense only together with other code."
    if features.documented < 0.8 or features.hinted < 0.5 or features.max_lines > 40:
        return 4, "It stands alone, computes something worth knowing and explains itself."
    return 5, "Small, documented functions with plain inputs and results, ready for a lesson."


def _rate_prose(text: str) -> tuple[int, str]:
    """Return points and justification of prose: sentences of readable length, definitions, reasons and examples."""
    words = len(text.split())
    sentences = len(re.findall(r"[.!?][\"')]*(?:\s|$)", text))
    if words < _MIN_WORDS or sentences * _MAX_SENTENCE * 2 < words:
        return 0, "There are too few sentences to learn from."
    explaining = len(_EXPLAINING.findall(text)) * 100 / words
    is_reference = len(_REFERENCE.findall(text)) * 100 / words > _MAX_REFERENCE
    explains = explaining >= _MIN_EXPLAINING
    points = (words <= _MAX_SENTENCE * sentences, explains, explaining >= _MIN_TEACHING, explains and not is_reference)
    kind = "entries to look up" if is_reference else "connected prose"
    return 1 + sum(points), f"{words} words of {kind}, of which {explaining:.1f} in a hundred explain or compare."


def code_features(text: str) -> CodeFeatures | None:
    """Return the features of a Python text; None if it is not Python."""
    lines = text[:_MAX_CHARACTERS].splitlines()
    tree = _parse(lines)
    if tree is None or not tree.body or _is_prose(tree):
        return None
    nodes = list(ast.walk(tree))
    functions = [node for node in nodes if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    named = [*functions, *(node for node in nodes if isinstance(node, ast.ClassDef))]
    branches = sum(isinstance(node, (ast.If, ast.For, ast.While, ast.Try, ast.With, ast.BoolOp)) for node in nodes)
    return CodeFeatures(
        lines=len(lines),
        functions=len(functions),
        documented=sum(ast.get_docstring(node) is not None for node in named) / max(1, len(named)),
        hinted=sum(node.returns is not None for node in functions) / max(1, len(functions)),
        self_contained=sum(map(_is_self_contained, functions)),
        complexity=branches / max(1, len(functions)),
        max_lines=max(((node.end_lineno or node.lineno) - node.lineno + 1 for node in functions), default=0),
        operations=sum(isinstance(node, _OPERATIONS) for node in nodes),
        constants=sum(map(_is_constant, tree.body)) / len(tree.body),
        comments=sum(line.lstrip().startswith("#") for line in lines) / max(1, len(lines)),
        imports=frozenset(_imports(nodes)),
        relative=any(isinstance(node, ast.ImportFrom) and node.level for node in nodes),
    )


_OPERATIONS = (
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


def _parse(lines: list[str]) -> ast.Module | None:
    """Return the syntax tree; a text that was cut off is read up to its last complete statement, even inside a class."""
    for end in _ends(lines):
        try:
            return ast.parse("\n".join(lines[:end]))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
    return None


def _ends(lines: list[str]) -> Iterator[int]:
    """Yield numbers of lines up to which a text may parse: all, then, from the end on, before each start of a statement."""
    yield len(lines)
    starts = [
        number
        for number, line in enumerate(lines)
        if number
        and re.match(r"\s*(?:def|class|@|if|for|while|with|try|async|return|import|from|[a-zA-Z_][\w.]*\s*[=(])", line)
    ]
    yield from starts[: -_MAX_CUTS - 1 : -1]


def _is_prose(tree: ast.Module) -> bool:
    """Return whether a text is only words and numbers, which are valid expressions but not a program."""
    return all(isinstance(node, ast.Expr) and isinstance(node.value, (ast.Name, ast.Constant)) for node in tree.body)


def _is_self_contained(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Return whether a function or method computes a result from parameters other than the object itself."""
    arguments = [item.arg for item in function.args.args]
    if not arguments or arguments[-1] in ("self", "cls"):
        return False
    nodes = list(ast.walk(function))
    returns = any(isinstance(node, ast.Return) and node.value is not None for node in nodes)
    return returns and any(isinstance(node, _OPERATIONS) for node in nodes)


def _is_constant(node: ast.stmt) -> bool:
    return isinstance(node, (ast.Assign, ast.AnnAssign)) and not any(isinstance(item, ast.Call) for item in ast.walk(node))


def _imports(nodes: list[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]
