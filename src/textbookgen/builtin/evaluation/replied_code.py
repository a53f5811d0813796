"""The program in a chat model's reply to a programming task: the function that was asked for, and what it needs."""

from __future__ import annotations

import ast
import re
import textwrap

from textbookgen.api.reply_code import parse_python, python_snippets

_OPEN_FENCE = re.compile(r"^[ \t]*`{3,}[ \t]*(?:python3?|py)?[ \t]*\n(?P<body>.*)\Z", re.MULTILINE | re.DOTALL | re.IGNORECASE)
_CODE_START = re.compile(r"^(?:def |async def |class |import |from \w|@|[A-Za-z_]\w*[ \t]*=[^=])", re.MULTILINE)


def replied_program(reply: str, prompt: str, entry_point: str) -> str:
    """Return a program with the function of a reply.

    It begins with what precedes the function in the prompt (imports, helpers). The function is in the first code block that
    defines it, or in the text if there is no code block; a block that only has its body continues the prompt. What uses the
    function (prints, asserts, `if __name__ == "__main__"`) is left out, since a program for a terminal may wait for input.

    Args:
        reply: the reply, whatever else it contains.
        prompt: the beginning of a program, such as a signature with a docstring.
        entry_point: the function that the tests call; empty if it is not known.
    """
    blocks = python_snippets(reply) or [match["body"] for match in _OPEN_FENCE.finditer(reply)][:1]
    for block in blocks:
        if _defines(block, entry_point):
            return f"{_before(prompt, entry_point)}{_definitions(block)}"
    if (
        not blocks
        and (start := _CODE_START.search(reply))
        and _defines(code := _longest_code(reply[start.start() :]), entry_point)
    ):
        return f"{_before(prompt, entry_point)}{_definitions(code)}"
    body = blocks[0] if blocks else reply
    return prompt + _as_body(body, prompt)


def _defines(code: str, entry_point: str) -> bool:
    if not entry_point:
        return bool(_CODE_START.search(code))
    name = re.escape(entry_point)
    return re.search(rf"^(?:async )?def {name}\b|^class {name}\b|^{name}\s*=", code, re.MULTILINE) is not None


def _before(prompt: str, entry_point: str) -> str:
    """Return the prompt up to the function, with its decorators; empty for a prompt that does not define it."""
    tree = parse_python(f"{prompt.rstrip()}\n    pass\n") or parse_python(prompt)
    for node in tree.body if tree else ():
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == entry_point:
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            return "".join(prompt.splitlines(keepends=True)[: first - 1])
    return ""


def _definitions(code: str) -> str:
    """Return imports, definitions and assignments of a program, as they are written; all of it if it does not parse."""
    code = textwrap.dedent(code)
    tree = parse_python(code)
    if tree is None:
        code = _longest_code(code)
        tree = parse_python(code)
    if tree is None:
        return code
    lines = code.splitlines(keepends=True)
    kept = [node for node in tree.body if not _is_use(node)]
    return "".join("".join(lines[_first_line(node) - 1 : node.end_lineno]).rstrip("\n") + "\n" for node in kept)


def _is_use(node: ast.stmt) -> bool:
    """Return whether a statement uses what was defined, rather than defining something."""
    if isinstance(node, ast.If):
        return "__name__" in ast.dump(node.test)
    if isinstance(node, ast.Assign | ast.AnnAssign):
        return any(isinstance(part, ast.Call) and getattr(part.func, "id", "") == "input" for part in ast.walk(node))
    return isinstance(node, ast.Expr | ast.Assert | ast.For | ast.While)


def _first_line(node: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(decorator.lineno for decorator in decorators)])


def _longest_code(text: str) -> str:
    """Return the longest beginning of a text, in whole lines, that parses as Python; all of it if none does."""
    lines = text.splitlines(keepends=True)
    for end in range(len(lines), 0, -1):
        if parse_python("".join(lines[:end])) is not None:
            return "".join(lines[:end])
    return text


def _as_body(code: str, prompt: str) -> str:
    """Return code that continues a prompt, indented as the body of its function if it is not."""
    code = code.strip("\n")
    first = next((line for line in code.splitlines() if line.strip()), "")
    if first and not first[0].isspace() and parse_python(f"{prompt.rstrip()}\n    pass\n") is not None:
        code = textwrap.indent(code, "    ")
    return f"{'' if prompt.endswith(chr(10)) else chr(10)}{code}\n"
