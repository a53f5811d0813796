"""Answers in one form, so that equal ones can be counted: numbers, options and short texts."""

from __future__ import annotations

import re
from fractions import Fraction

_MARKED = re.compile(r"ANSWER\s*:\s*(.+)", re.IGNORECASE)
_BOXED = re.compile(r"\\boxed\{((?:[^{}]|\{[^{}]*\})*)\}")
_LATEX_FRACTION = re.compile(r"\\d?frac\{([^{}]+)\}\{([^{}]+)\}")
_NUMBER = re.compile(r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+)?(?:e[-+]?\d{1,3}(?!\d))?", re.IGNORECASE)
_OPTION = re.compile(r"(?:option|choice|answer)?\s*\(?([a-h])\)?(?:[.):]\s*.*)?", re.IGNORECASE)
_ARTICLE = re.compile(r"^(?:the|an?)\s+")


def answer_of(reply: str) -> str | None:
    """What a reply gives as its answer: after the last `ANSWER:`, or in the last box; None if there is neither."""
    marked = _MARKED.findall(reply)
    if marked:
        return str(marked[-1]).strip()
    boxed = _BOXED.findall(reply)
    return str(boxed[-1]).strip() if boxed else None


def canonical(answer: str | None) -> str | None:
    """One form for all ways to write an answer; None for none.

    Numbers become integers or fractions in lowest terms (`1,000`, `1e3` and `1000.0` are `1000`; `50%`, `0.5` and `1/2`
    are `1/2`), with a unit or a currency behind them, though without dollar signs, which formulas have too. Options become
    a capital letter (`(b) Paris` is `B`). The rest is lower-cased, without articles, quotes and closing punctuation.
    """
    if answer is None:
        return None
    boxed = _BOXED.fullmatch(answer.strip().strip("$. "))
    plain = _LATEX_FRACTION.sub(r"\1/\2", boxed[1] if boxed else answer).replace("\u2212", "-")
    plain = plain.strip().strip("*_`\"'$").strip().rstrip(".;!").strip("*_`\"'$ ")
    if not plain:
        return None
    if option := _OPTION.fullmatch(plain):
        return str(option[1]).upper()
    return _number(plain) or _ARTICLE.sub("", " ".join(plain.lower().split()))


def _number(text: str) -> str | None:
    """A number with what follows it in one form; None if the text does not begin with a number."""
    currency, bare = (text[0], text[1:].lstrip()) if text[0] in "\u20ac\u00a3\u00a5" else ("", text)
    result = _NUMBER.match(bare) if len(bare) < 100 else None
    if not result or not any(item.isdigit() for item in result[0]):
        return None
    value, rest = _value(result[0]), bare[result.end() :]
    if over := re.match(r"\s*/\s*(\d+(?:\.\d+)?)", rest):
        if not _value(over[1]):
            return None
        value, rest = value / _value(over[1]), rest[over.end() :]
    unit = " ".join(rest.lower().split())
    if unit.startswith("%"):
        value, unit = value / 100, unit[1:].strip()
    return f"{value} {currency}{unit}".strip() if _is_unit(unit) else None


def _is_unit(text: str) -> bool:
    return len(text.split()) <= 3 and not any(item.isdigit() for item in text.replace("^2", "").replace("^3", ""))


def _value(number: str) -> Fraction:
    return Fraction(number.replace(",", ""))
