"""Final answers: found in a reply, cleaned, and brought into one form so that equal ones can be counted."""

from __future__ import annotations

import ast
import re
from fractions import Fraction
from typing import Any

_LABELLED = re.compile(r"\bANSWER[*_ \t]*:[*_\s]*(.+)", re.IGNORECASE)
_BOXED = re.compile(r"\\boxed\{((?:[^{}]|\{[^{}]*\})*)\}")
_LATEX_FRACTION = re.compile(r"\\d?frac\{([^{}]+)\}\{([^{}]+)\}")
_NUMBER = re.compile(r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+)?(?:e[-+]?\d{1,3}(?!\d))?", re.IGNORECASE)
#: A letter alone, in parentheses or before `)` or `:`; before a full stop only a capital that an option's text follows,
#: since "E. coli" and "c. 1850" are no options.
_OPTION = re.compile(
    r"(?i:(?:option|choice|answer)\s+)?"
    r"(?:\((?P<enclosed>[A-Ha-h])\)(?:[.:]?\s.*)?|(?P<separated>[A-Ha-h])(?:\)|:)(?:\s.*)?|(?P<alone>[A-Ha-h])\.?|"
    r"(?P<dotted>[A-H])\.\s+[A-Z0-9].*)",
    re.DOTALL,
)
#: A number, or nothing, in quotation marks: another value than without them.
_QUOTED_LITERAL = re.compile(r"([\"'])((?:[-+]?\d[\d.]*)?)\1")
_ARTICLE = re.compile(r"^(?:the|an?)\s+")
_MARKUP = "*_`"
_QUOTES = "\"'"
_UNKNOWN = re.compile(r"(?:unknown\b.*|none|n/a|cannot be determined\b.*|not enough information\b.*)", re.IGNORECASE)


def extract_answer(reply: str) -> str | None:
    """Return the final answer of a reply: what follows the last `ANSWER:`, or the last `\\boxed{...}`; None without either."""
    labelled = _LABELLED.findall(reply)
    if labelled:
        return clean_answer(str(labelled[-1]))
    boxed = _BOXED.findall(reply)
    return clean_answer(str(boxed[-1])) if boxed else None


def clean_answer(answer: str) -> str | None:
    """Return an answer without Markdown, LaTeX delimiters and the final full stop; None if nothing is left.

    Quotation marks around it stay: `"16"` is a string in Python, and `16` a number.
    """
    boxed = _BOXED.fullmatch(answer.strip().strip("$. "))
    text = (boxed[1] if boxed else answer).strip().strip(_MARKUP).rstrip(".;! ").strip(f"{_MARKUP} ")
    text = text.strip(_QUOTES).strip() if _has_stray_quote(text) else text
    if text.startswith("$") and text.endswith("$"):
        text = text.strip("$ ")
    return text if text.strip(f"{_QUOTES} ") or text in ('""', "''") else None


def _has_stray_quote(text: str) -> bool:
    """Whether a text begins or ends with a quotation mark that has no partner at its other end."""
    return bool(text) and (text[0] in _QUOTES or text[-1] in _QUOTES) and (len(text) < 2 or text[0] != text[-1])


def is_unknown(answer: str) -> bool:
    """Return whether an answer says that there is none, such as `UNKNOWN`."""
    return _UNKNOWN.fullmatch(answer.strip()) is not None


def canonical(answer: str | None) -> str | None:
    """Return one form for all ways to write an answer; None for no answer. It is for comparing, not for showing.

    Numbers become integers or fractions in lowest terms (`1,000`, `1e3` and `1000.0` are `1000`; `50%`, `0.5` and `1/2`
    are `1/2`), with the unit or currency that follows them, though without dollar signs, which formulas have too. Options
    become a capital letter (`(b) Paris` is `B`). Python's lists, tuples, sets and dictionaries are compared by value, so that
    spaces, kinds of quotes and the order of keys do not matter, and capitals in strings do. The rest is lower-cased, without
    articles, quotes and closing punctuation, except that a number in quotes keeps them.
    """
    if answer is None:
        return None
    boxed = _BOXED.fullmatch(answer.strip().strip("$. "))
    plain = _LATEX_FRACTION.sub(r"\1/\2", boxed[1] if boxed else answer).replace("\u2212", "-")
    plain = plain.strip().strip(f"{_MARKUP}$").strip()
    if quoted := _QUOTED_LITERAL.fullmatch(plain.rstrip(".;!")):
        return f'"{quoted[2]}"'
    if container := _canonical_container(plain.rstrip(".;!")):
        return container
    plain = plain.strip(_QUOTES).strip()
    if not plain.strip(f".;!{_MARKUP}{_QUOTES}$ "):
        return None
    if option := _OPTION.fullmatch(plain):
        return next(letter for letter in option.groups() if letter).upper()
    plain = plain.rstrip(".;!").strip(f"{_MARKUP}{_QUOTES}$ ")
    return _canonical_number(plain) or _ARTICLE.sub("", " ".join(plain.lower().split()))


def _canonical_container(text: str) -> str | None:
    """The value of a Python list, tuple, set or dictionary in one form; None for anything else."""
    if not text.startswith(("[", "(", "{")):
        return None
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None
    return _value_form(value) if isinstance(value, list | tuple | set | dict) else None


def _value_form(value: Any) -> str:
    """A value of Python in one form, whatever the order of the keys of a dictionary and the members of a set."""
    match value:
        case dict():
            return f"{{{', '.join(sorted(f'{_value_form(key)}: {_value_form(item)}' for key, item in value.items()))}}}"
        case set():
            return f"{{{', '.join(sorted(map(_value_form, value)))}}}"
        case list():
            return f"[{', '.join(map(_value_form, value))}]"
        case tuple():
            return f"({', '.join(map(_value_form, value))},)"
        case _:
            return repr(value)


def _canonical_number(text: str) -> str | None:
    """A number and its unit in one form; None if the text does not begin with a number, or more than a unit follows."""
    currency, bare = (text[0], text[1:].lstrip()) if text[0] in "\u20ac\u00a3\u00a5" else ("", text)
    number = _NUMBER.match(bare) if len(bare) < 100 else None
    if not number or not any(character.isdigit() for character in number[0]):
        return None
    value, rest = _fraction(number[0]), bare[number.end() :]
    if denominator := re.match(r"\s*/\s*(\d+(?:\.\d+)?)", rest):
        if not _fraction(denominator[1]):
            return None
        value, rest = value / _fraction(denominator[1]), rest[denominator.end() :]
    unit = " ".join(rest.lower().split())
    if unit.startswith("%"):
        value, unit = value / 100, unit[1:].strip()
    return f"{value} {currency}{unit}".strip() if _is_unit(unit) else None


def _is_unit(text: str) -> bool:
    return len(text.split()) <= 3 and not any(character.isdigit() for character in text.replace("^2", "").replace("^3", ""))


def _fraction(number: str) -> Fraction:
    return Fraction(number.replace(",", ""))
