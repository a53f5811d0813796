"""Statements of pages about output: whether one claims an output at all, and whether the claim is true.

Teachers write `print(2 + 3)  # 5`, `# -> 5`, `# prints 5`, `# 5 (the sum)`, and blocks of comments and code fences headed
"Output:"; but also remarks: `# this adds one`. A text that equals the output is right whatever it is. Any other text is wrong
if it claims an output: it has a lead-in, is a value as Python writes it, or resembles the output closely.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import Literal

from textbookgen_sandbox.worker import claims
from textbookgen_sandbox.worker.expectations import Expectation

Judgement = Literal["right", "wrong", "remark"]

_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{4,}")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
_WORD = re.compile(r"\w+")
_ELLIPSIS = re.compile(r"\.\.\.|…")
_SEPARATORS = re.compile(r"(?:[\s,;|/]|\\n|\b(?:and|then)\b)+")
_QUOTES = str.maketrans({"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u00a0": " "})
_MIN_ALIKE = 0.9  # from which a text is the output with a slip, whatever its first words
_MIN_RESEMBLANCE = {"comment": 0.55, "below": 0.6, "block": 0.4, "sentence": 0.7, "value": 1.1}
_PLAIN_WORD = re.compile(r"[^\W\d]\w*[.!?]?")


def judge(statement: Expectation) -> Judgement:
    """Return whether a statement of a page about an output is right, wrong, or no claim about it."""
    if statement.kind == "session":
        return "right" if statement.expected == statement.printed[0] else "wrong"
    if statement.kind == "error":
        return "wrong"
    expected = statement.expected.translate(_QUOTES)
    printed = [text.translate(_QUOTES) for text in statement.printed]
    if statement.kind in ("below", "block"):
        return _judge_lines(expected, printed, _MIN_RESEMBLANCE[statement.kind])
    if any(_equals(variant, output) for variant in _variants(expected) for output in _outputs(statement.kind, printed)):
        return "right"
    return "wrong" if _claims(expected, printed, _MIN_RESEMBLANCE[statement.kind]) else "remark"


# -- One line


def _outputs(kind: str, printed: Sequence[str]) -> set[str]:
    """Return the forms in which a comment may give what a print printed, each time that it ran."""
    if kind != "comment":
        return {_normal(text) for text in printed}
    lines = [_normal(text) for text in printed]
    return {_normal(gap.join(lines)) for gap in (" ", ", ", "")} | set(lines)


def _variants(expected: str) -> Iterator[str]:
    """Yield an expected text, then what is left of it without lead-ins and asides."""
    text = _normal(expected)
    yield text
    rest = _without_lead_in(text)
    if rest != text:
        yield _normal(rest)
    if match := claims.VALUE_AT_END.search(rest):
        yield _normal(match["value"])
    without_place = claims.EACH_ON_A_LINE.sub("", rest)
    if without_place != rest:
        yield _normal(without_place)


def _without_lead_in(text: str) -> str:
    """Return a text without the words and arrows before an output."""
    for _ in range(3):
        match = claims.LEAD_IN.match(text)
        if match is None or not match[0].strip() or match.end() == len(text):
            break
        text = text[match.end() :].strip()
    return text


def _normal(text: str) -> str:
    """Return a text on one line, without addresses, backticks, and quotes around it."""
    text = _ADDRESS.sub("0x", " ".join(text.split()))
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"`" and text[0] not in text[1:-1] else text


def _equals(expected: str, printed: str) -> bool:
    """Return whether an expected text is an output, both normalized, apart from an aside, layout or what `...` leaves out."""
    if expected == printed or _same_value(expected, printed) or _close(expected, printed):
        return True
    if printed and expected.startswith(printed) and claims.ASIDE.match(expected[len(printed) :]):
        return True
    for quote in "'\"`":
        if expected.startswith(f"{quote}{printed}{quote}") and (
            not expected[len(printed) + 2 :] or claims.ASIDE.match(expected[len(printed) + 2 :])
        ):
            return True
    if _ELLIPSIS.search(expected) and _matches_ellipsis(expected, printed):
        return True
    return bool(printed) and _items(expected) == _items(printed) != []


def _items(text: str) -> list[str]:
    return [item for item in _SEPARATORS.split(text) if item] if not re.search(r"[\[({]", text) else []


def _matches_ellipsis(expected: str, printed: str) -> bool:
    parts = [" ".join(part.split()).strip(",") for part in _ELLIPSIS.split(expected)]
    if len("".join(parts)) < 3:
        return False
    return re.fullmatch(".*?".join(re.escape(part.strip()) for part in parts), printed, re.DOTALL) is not None


def _same_value(expected: str, printed: str) -> bool:
    """Return whether two texts are the same value as Python writes it; sets and dictionaries in any order."""
    value = _literal(expected)
    return isinstance(value, set | dict | list | tuple) and bool(value == _literal(printed))


def _close(expected: str, printed: str) -> bool:
    """Return whether an expected number that is said to be approximate is the printed one, rounded."""
    number = claims.APPROXIMATELY.sub("", expected)
    if number == expected or not _NUMBER.fullmatch(number) or not _NUMBER.fullmatch(printed):
        return False
    digits = len(number.partition(".")[2])
    return abs(float(number) - float(printed)) <= 0.5 * 10.0**-digits + 1e-12


def _literal(text: str) -> object:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return None


def _is_value(text: str) -> bool:
    """Return whether a text, or what precedes an aside in it, is a value as Python writes it."""
    if text in ("None", "True", "False") or _NUMBER.fullmatch(text) or _literal(text) is not None:
        return True
    start = re.match(r"(?:None|True|False|-?\d[\d._]*|'[^']*'|\"[^\"]*\"|[\[({<].*[\])}>])(?=\W|$)", text)
    if start is None:
        return False
    rest = text[start.end() :]
    value = start[0].startswith("<") or start[0] in ("None", "True", "False") or _literal(start[0]) is not None
    return value and (not rest or bool(claims.ASIDE.match(rest)) or bool(re.fullmatch(r"(?:[\s,]+-?[\d.]+)+", rest)))


def _claims(expected: str, printed: Sequence[str], min_resemblance: float) -> bool:
    """Return whether a text that is not the output claims to be it."""
    text = _normal(expected)
    if not text or claims.VARIES.search(text):
        return False
    rest = _without_lead_in(text)
    output = " ".join(" ".join(printed).split())
    if _is_value(rest) or _is_value(claims.APPROXIMATELY.sub("", rest)):
        return True
    if (match := claims.VALUE_AT_END.search(rest)) and _is_value(match["value"]):
        return True
    if _resemblance(text, output) >= _MIN_ALIKE:
        return True
    if _same_numbers(text, output):
        return False
    starts_alike = rest.split()[:1] == output.split()[:1]
    if rest != text:
        describes = bool(claims.DESCRIPTION.match(rest)) and not starts_alike
        return not describes and len(rest.split()) <= max(3, 2 * len(output.split()))
    if _PLAIN_WORD.fullmatch(rest):
        return bool(_PLAIN_WORD.fullmatch(output)) and not claims.REMARK.fullmatch(rest)
    candidates = [output, *(" ".join(item.split()) for item in printed)]
    return max(_resemblance(rest, candidate) for candidate in candidates) >= min_resemblance


def _same_numbers(expected: str, output: str) -> bool:
    """Return whether a sentence has the numbers of the output, and further words: a description that agrees with it."""
    numbers = _NUMBER.findall(output)
    return (
        bool(numbers) and sorted(numbers) == sorted(_NUMBER.findall(expected)) and len(_WORD.findall(expected)) > len(numbers)
    )


def _resemblance(one: str, other: str) -> float:
    return SequenceMatcher(None, one.lower(), other.lower(), autojunk=False).ratio()


# -- Several lines


def _judge_lines(expected: str, printed: Sequence[str], min_resemblance: float) -> Judgement:
    """Judge lines below a statement or snippet by the stretches of output that they may show."""
    whole = [line.rstrip() for line in expected.strip("\n").split("\n")]
    outputs = [text.strip("\n").split("\n") for text in printed]
    if any(_lines_equal(whole, output) for output in outputs):
        return "right"
    lines, has_lead_in = _without_heading(whole)
    if not lines:
        return "remark"
    beginnings = [
        lines[:count]
        for count in range(len(lines), 0, -1)
        if count == len(lines) or not _is_value(_normal(lines[count]))  # an explanation may follow the output
    ]
    if any(_lines_equal(beginning, output) for beginning in beginnings for output in outputs):
        return "right"
    if claims.VARIES.search(expected):
        return "remark"
    if has_lead_in:
        starts_alike = any(lines[0].split()[:1] == output[0].split()[:1] for output in outputs)
        return "remark" if claims.DESCRIPTION.match(lines[0]) and not starts_alike else "wrong"
    if all(_is_value(_normal(line)) for line in lines) or (_is_value(_normal(lines[0])) and len(lines) > 1):
        return "wrong"
    best = max(_resemblance(" ".join(lines), " ".join(output)) for output in outputs)
    if best < _MIN_ALIKE and _same_numbers(" ".join(lines), " ".join(outputs[0])):
        return "remark"
    return "wrong" if best >= min_resemblance else "remark"


def _without_heading(lines: list[str]) -> tuple[list[str], bool]:
    """Return the lines without a heading ("Output:") and the lead-in of the first, and whether there was one."""
    has_lead_in = False
    while lines:
        first = lines[0].strip()
        if not first:
            lines = lines[1:]
            continue
        rest = _without_lead_in(first)
        heading = claims.LEAD_IN.match(first)
        if heading and (heading.end() == len(first) or re.fullmatch(r"[\w\s'()]{0,60}:", first)):
            lines, has_lead_in = lines[1:], True
            continue
        if rest != first:
            lines, has_lead_in = [rest, *lines[1:]], True
        break
    return [re.sub(r"^(?:[-=]+>|→|⇒|>)\s+", "", line) for line in lines] if has_lead_in else lines, has_lead_in


def _lines_equal(expected: Sequence[str], printed: Sequence[str]) -> bool:
    """Return whether lines are an output: line by line, with `...` for any number of lines, or all on one line."""
    wanted = [_normal(line) for line in expected if line.strip()]
    actual = [_normal(line) for line in printed if line.strip()]
    if any(line in ("...", "…") for line in wanted):
        at = next(place for place, line in enumerate(wanted) if line in ("...", "…"))
        end = wanted[at + 1 :]
        return (
            len(actual) >= at + len(end)
            and _all_equal(wanted[:at], actual[:at])
            and _all_equal(end, actual[len(actual) - len(end) :])
        )
    if len(wanted) == len(actual):
        return _all_equal(wanted, actual)
    return len(wanted) == 1 and any(_equals(variant, " ".join(actual)) for variant in _variants(wanted[0]))


def _all_equal(wanted: Sequence[str], actual: Sequence[str]) -> bool:
    return all(_equals(one, other) for one, other in zip(wanted, actual, strict=True))
