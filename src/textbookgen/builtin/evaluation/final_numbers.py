r"""The number that an answer gives: as models write it, and as lm-evaluation-harness extracts it for GSM8K."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction

#: `flexible-extract` of lm-evaluation-harness: the last number, or what looks like one.
_FLEXIBLE = re.compile(r"(-?[$0-9.,]{2,})|(-?[0-9]+)")
#: What its exact match ignores in both texts, in this order.
_IGNORED = tuple(re.compile(pattern) for pattern in (",", r"\$", r"(?s).*#### ", r"\.$"))

_GROUPED = r"\d{1,3}(?:(?:,|[\u00a0\u2009\u202f])\d{3})+(?!\d)"
#: A number, with its sign unless that is the minus of a difference, and a currency before it.
_NUMBER = re.compile(
    rf"(?P<sign>(?<![\w.)\]])[-+])?(?:[$\u20ac\u00a3\u00a5]\s?)?(?P<digits>(?:{_GROUPED}|\d+)(?:\.\d+)?|\.\d+)"
    r"(?:\s?/\s?(?P<denominator>\d+(?:\.\d+)?)(?![\d/]))?"
)
_BOXED = re.compile(r"\\(?:boxed|fbox)\s*\{((?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*)\}")
_LATEX_FRACTION = re.compile(r"\\[dt]?frac\s*\{([^{}]+)\}\s*\{([^{}]+)\}")
_LATEX_TEXT = re.compile(r"\\(?:text|textbf|mathrm|mathbf|mbox)\s*\{([^{}]*)\}")
#: A line `#### 18` with no more than a unit.
_MARKED = re.compile(r"####[ \t]*([^\n]*?\d[^\n]*)$", re.MULTILINE)
_MAX_WORDS_OF_UNIT = 3
#: "The answer is 18", "**Final answer:** 18", "Answer = 18".
_STATED = re.compile(
    r"\banswer\b[*_`]*(?:[^\n.:=?]{0,60}?\bis\b|[^\n.:=?]{0,30}?[:=])[*_`:\s]*(?=(?P<rest>[^\n]+))", re.IGNORECASE
)
_SENTENCE_END = re.compile(r"[.!?](?=\s|$)")
_BEFORE_NUMBER = re.compile(
    r"(?:\s|[*_`~($\u20ac\u00a3\u00a5]|\\\(|\\\[|about|exactly|therefore|thus|then|so|simply|just|equal|to)*"
)


def extract_strict(text: str, pattern: str) -> str | None:
    """Return what lm-evaluation-harness's filters `regex` and `take_first` return for a pattern with one group.

    None is its `[invalid]`.
    """
    match = re.search(pattern, text)
    return match[1].strip() if match else None


def extract_flexible(text: str) -> str | None:
    """Return what lm-evaluation-harness's filter `flexible-extract` of GSM8K returns; None for its `[invalid]`."""
    matches = _FLEXIBLE.findall(text)
    return next(group for group in matches[-1] if group).strip() if matches else None


def matches_exactly(extracted: str | None, solution: str) -> bool:
    """Return whether lm-evaluation-harness takes an extracted answer for the solution: without `,`, `$` and a last `.`."""
    return extracted is not None and _plain(extracted) == _plain(solution)


def _plain(text: str) -> str:
    for pattern in _IGNORED:
        text = pattern.sub("", text)
    return text.lower()


def final_number(text: str) -> Fraction | None:
    """Return the number that an answer gives, however a model writes it; None if it has none.

    That is the number in the last `\\boxed{…}`; or else after the last `####`; or else in the last sentence that states the
    answer (`the answer is …`, `Answer: …`), after an equals sign in it if there is one; or else the last number. Currencies,
    units, Markdown, separators of thousands and `.00` do not matter.
    """
    text = _without_markup(text)
    for part in _stated_answers(text):
        if (number := _single_number(part)) is not None:
            return number
    numbers = list(_NUMBER.finditer(_BOXED.sub(r" \1 ", text)))
    return _value(numbers[-1]) if numbers else None


def _without_markup(text: str) -> str:
    text = text.replace("\u2212", "-").replace(r"\$", "$").replace(r"\%", "%").replace("{,}", ",")
    text = re.sub(r"(?<=\d)\\[,!;](?=\d{3})", ",", text)
    text = _LATEX_TEXT.sub(r" \1 ", _LATEX_FRACTION.sub(r"\1/\2", text))
    return re.sub(r"\*\*|__", "", text)


def _stated_answers(text: str) -> Iterator[str]:
    """Yield what states the answer, the most reliable form first."""
    boxed = _BOXED.findall(text)
    yield from boxed[-1:]
    marked = [line for line in _MARKED.findall(text) if len(re.findall(r"[A-Za-z]+", line)) <= _MAX_WORDS_OF_UNIT]
    yield from marked[-1:]
    for statement in reversed([match["rest"] for match in _STATED.finditer(text)]):
        if _NUMBER.search(sentence := _SENTENCE_END.split(statement)[0]):
            yield sentence
            return


def _single_number(part: str) -> Fraction | None:
    """Return the number that a statement is about: after its last equals sign, at its beginning, or else its last one."""
    after = part.rpartition("=")[2]
    numbers = list(_NUMBER.finditer(after if _NUMBER.search(after) else part))
    if not numbers:
        return None
    first = _NUMBER.match(part, _end_of_lead(part))
    if first is not None and "=" not in part and not re.match(r"\s*(?:[*x\u00d7\u00f7+]|-\s)\s*\$?\d", part[first.end() :]):
        return _value(first)
    return _value(numbers[-1])


def _end_of_lead(part: str) -> int:
    """Return where the first number would begin, after markup and words such as "about"; currencies belong to the number."""
    lead = _BEFORE_NUMBER.match(part)
    return lead.end() if lead else 0


def _value(match: re.Match[str]) -> Fraction:
    value = Fraction(re.sub(r"[,\u00a0\u2009\u202f]", "", match["digits"]))
    denominator = Fraction(match["denominator"]) if match["denominator"] else Fraction(1)
    value = value / denominator if denominator else value
    return -value if match["sign"] == "-" else value


def same_number(number: Fraction | None, solution: str) -> bool:
    """Return whether a number is that of a solution such as `1018` or `2.5`."""
    return number is not None and number == final_number(solution)
