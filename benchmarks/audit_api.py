"""Audit of requests to an application: does each call follow from its request, and is the request written as people write?

    python benchmarks/audit_api.py [--documents 500] [--seed 0] [--samples 20]

Requests to the application `household` are made as `recipes/api.toml` makes them, and each is checked from its text, without
the code that made it: every argument is in the request, in figures or in words; figures of the request are in the call; what
a request for clarification lists is indeed missing; the calls of a plan are in the order in which their values come; results
that are passed on come from functions that return something. The last line is JSON.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from audit_common import Audit, audit_parser, print_audits

Row = Mapping[str, Any]

_UNITS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = {20: "twenty", 30: "thirty", 40: "forty", 50: "fifty", 60: "sixty", 70: "seventy", 80: "eighty", 90: "ninety"}
#: Words for brightness besides numbers.
_BRIGHTNESS = {
    0: "off|dark|darken|out|no light|no more light|kill|shut|cut|0|light can go|get rid of the light|put out",
    25: "a quarter",
    50: "half",
    100: "full|fully|on|max|maximum|bright|completely|all the|light up|all the way up",
}
#: What functions return something that another call can take.
_RETURNING = ("find_ingredients", "read_list", "read_temperature")
#: Signs that a request has a value for an argument.
_SIGNS = {
    "brightness_value": r"\d ?%|\d+ per ?cent|\bhalf\b|\ba quarter\b",
    "minutes_value": r"\d ?(?:m\b|min|hour)|\bminutes\b(?! are)|\ban hour\b",
    "hour_value": r"\d:00|\d ?[ap]m\b|o'clock|\bnoon\b|\bmidnight\b",
    "room_value": r"\bin the (?!mood|bath|middle|oven)[a-z]+",
    "dish_value": r"[Ii]ngredients (?:for|of) \w",
    "person_value": r"\b(?:to|with) [A-Z][a-z]+\b",
    "artist_value": r"\bby [A-Z]",
    "text_value": r"\bthat (?:I|the|we|it) |[a-z]: ?[A-Za-z]",
    "item_value": r"\b(?:add|buy) (?:some|more|\d+) [a-z]+ to\b",
}
#: Slips of a generator: doubled words, blanks before punctuation, a wrong article, brackets left over.
_GLITCHES = {
    "a word twice": re.compile(r"\b(?!that\b|had\b|bye\b|ha\b)([a-z]{2,}) \1\b", re.IGNORECASE),
    "a blank before punctuation": re.compile(r"[\w,] [,.?!](?:\s|$)"),
    "doubled punctuation": re.compile(r"[,;:][,;.?]|[.?!][.,;]|\.\."),
    "a wrong article": re.compile(r"\ba (?:alarm|egg|album|hour|oven|item|order|ingredient)\b", re.IGNORECASE),
    "a template left over": re.compile(r"[{}<|]|\[|\]"),
    "a lower-case I between capitals": re.compile(r"^[A-Z].*\bi\b.*\.$"),
}


# -- The truth


def number_words(number: int) -> set[str]:
    """Return the ways in which a number from 0 to 180 is said, in figures and in words."""
    words = {str(number), f"{number:02d}"}
    if number < 20:
        words.add(_UNITS[number])
    elif number < 100:
        tens, unit = _TENS[number // 10 * 10], number % 10
        words |= {f"{tens} {_UNITS[unit]}", f"{tens}-{_UNITS[unit]}"} if unit else {tens}
    return words | {12: {"a dozen"}, 100: {"a hundred"}, 1: {"a minute"}}.get(number, set())


def minutes_words(number: int) -> set[str]:
    """Return the ways in which a length in minutes is said."""
    return number_words(number) | {
        15: {"quarter of an hour"},
        30: {"half an hour"},
        45: {"three quarters of an hour"},
        60: {"an hour", "one hour", "1 hour", "1h"},
        90: {"an hour and a half", "one and a half hours"},
        120: {"2 hours", "two hours", "2h"},
        180: {"3 hours", "three hours"},
    }.get(number, set())


def hour_words(number: int) -> set[str]:
    """Return the ways in which an hour of the day is said, with the part of the day where it is needed."""
    half = number % 12 or 12
    part = "am" if number < 12 else "pm"
    words = {f"{number}:00", f"{number:02d}:00", f"{half}{part}", f"{half} {part}"}
    if number < 13:
        words |= {f"{number} o'clock", str(number), *number_words(number), f"{half} in the morning"}
    if 12 <= number < 18:
        words |= {f"{word} in the afternoon" for word in number_words(half)}
    if number >= 17:
        words |= {f"{word} in the evening" for word in number_words(half)}
    return words | {0: {"midnight"}, 12: {"noon", "midday"}}.get(number, set())


def brightness_words(number: int) -> set[str]:
    """Return the ways in which a brightness in percent is said."""
    return number_words(number) | set(_BRIGHTNESS[number].split("|") if number in _BRIGHTNESS else ())


def is_said(name: str, value: Any, request: str) -> bool:
    """Return whether a request says that an argument has this value."""
    text = request.lower()
    if isinstance(value, bool):
        words = {"order", "shuffle", "shuffled", "mixed up", "first to last"}
        negated = bool(re.search(r"\b(?:not|without)\b|\bin order\b|first to last", text))
        return any(_has(text, word) for word in words) and negated != value
    if isinstance(value, int):
        said = {"hour": hour_words, "minutes": minutes_words, "brightness": brightness_words}.get(name, number_words)(value)
        if name == "hour" and value < 12:
            text = re.sub(r"\w+(?=(?: ?pm\b| in the (?:afternoon|evening)))", "", text)
        return any(_has(text, word) for word in said)
    if name == "day":
        return _has(text, str(value))
    return _has(request, str(value))


def _has(text: str, word: str) -> bool:
    """Whether a text has a word; digits and letters may meet, as in `45min`."""
    start = r"(?<![\w])" if word[:1].isalpha() else r"(?<!\d)"
    end = r"(?![a-zA-Z0-9])" if word[-1:].isalpha() else r"(?!\d)"
    return re.search(start + re.escape(word) + end, text) is not None


def read_plan(text: str) -> list[tuple[str | None, str, dict[str, Any]]]:
    """Return the calls in a text: the name of the result, the function, and its arguments; names of results as `$name`.

    Raises:
        ValueError: it has something else, or an argument names no earlier result.
    """
    plan: list[tuple[str | None, str, dict[str, Any]]] = []
    known: set[str] = set()
    try:
        statements = ast.parse(text).body
    except SyntaxError as error:
        raise ValueError("not Python") from error
    for statement in statements:
        call = getattr(statement, "value", None)
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            raise ValueError("not a call")
        arguments: dict[str, Any] = {}
        for keyword in call.keywords:
            if isinstance(keyword.value, ast.Name):
                if keyword.value.id not in known:
                    raise ValueError(f"no earlier result is called {keyword.value.id}")
                arguments[str(keyword.arg)] = f"${keyword.value.id}"
            else:
                arguments[str(keyword.arg)] = ast.literal_eval(keyword.value)
        target = statement.targets[0].id if isinstance(statement, ast.Assign) else None  # type: ignore[attr-defined]
        known |= {target} if target else set()
        plan.append((target, call.func.id, arguments))
    return plan


# -- Checks


def wrong_facts(row: Row) -> list[str]:
    """Return what is wrong with the calls of a request."""
    try:
        plan = read_plan(row["api.call"])
    except ValueError as error:
        return [f"the call cannot be read: {error}"]
    request, case = row["api.request"], row["api.case"]
    names = [function for _, function, _ in plan]
    if (case == "outside") != (names == ["decline"]) or (case == "missing") != (names == ["clarify"]):
        return ["the case does not fit the call"]
    if case == "missing":
        return list(_wrongly_missing(row, plan[0][2].get("missing", [])))
    if case == "outside":
        return []
    problems = [problem for _, function, arguments in plan for problem in _wrong_arguments(function, arguments, request)]
    if (case == "plan") != (len(plan) > 1):
        problems.append("the case does not fit the number of calls")
    return [*problems, *_wrong_order(plan, request), *_unused_numbers(plan, request), *_wrong_results(plan)]


def _wrong_arguments(function: str, arguments: Mapping[str, Any], request: str) -> Iterator[str]:
    for name, value in arguments.items():
        if not str(value).startswith("$") and not is_said(name, value, request):
            yield f"{function}: {name}={value!r} is not in the request"


def _wrongly_missing(row: Row, missing: Sequence[str]) -> Iterator[str]:
    """Values that a request for clarification asks for although the request has them."""
    if not missing:
        yield "nothing is missing"
    request = re.sub(r"^(?:quick(?: one)?|one more thing): ", "", row["api.request"], flags=re.IGNORECASE)
    for name in missing:
        if f"{name}_value" not in _SIGNS:
            yield f"no function requires {name}"
        elif re.search(_SIGNS[f"{name}_value"], request):
            yield f"{name} is not missing"


def _wrong_order(plan: Sequence[tuple[str | None, str, dict[str, Any]]], request: str) -> Iterator[str]:
    """Calls whose first free-text value comes in the request before that of the call before."""
    places: list[tuple[int, str]] = []
    for _, function, arguments in plan:
        starts = [request.find(value) for value in arguments.values() if isinstance(value, str) and not value.startswith("$")]
        if starts and min(starts) >= 0 and not any(str(value).startswith("$") for value in arguments.values()):
            places.append((min(starts), function))
    for (one, first), (other, second) in pairwise(places):
        if one > other:
            yield f"{first} comes before {second}, but not in the request"


def _unused_numbers(plan: Sequence[tuple[str | None, str, dict[str, Any]]], request: str) -> Iterator[str]:
    """Figures of the request that are in no argument."""
    used = {word for _, _, arguments in plan for name, value in arguments.items() for word in _figures(name, value)}
    for figure in re.findall(r"(?<![\w])\d+", re.sub(r"\b[24] (?=the|\w)", "", request)):
        if str(int(figure)) not in used:
            yield f"{figure} is in no argument"


def _figures(name: str, value: Any) -> set[str]:
    if isinstance(value, bool):
        return set()
    if isinstance(value, int):
        hours = {str(value % 12 or 12), str(value), "0", "00"} if name == "hour" else set()
        return hours | {str(value), str(value // 60)} if name != "brightness" else {str(value)}
    return set(re.findall(r"\d+", str(value)))


def _wrong_results(plan: Sequence[tuple[str | None, str, dict[str, Any]]]) -> Iterator[str]:
    results = {target: function for target, function, _ in plan if target}
    passed = {str(value)[1:] for _, _, arguments in plan for value in arguments.values() if str(value).startswith("$")}
    for target, function in results.items():
        if function not in _RETURNING:
            yield f"{function} returns nothing"
        if target not in passed:
            yield f"the result of {function} is not used"


def glitches(request: str, values: Iterable[str] = ()) -> list[str]:
    """Return the slips in the wording of a request, apart from its values."""
    for value in sorted(values, key=len, reverse=True):
        request = request.replace(value, "X")
    return [name for name, pattern in _GLITCHES.items() if pattern.search(request)]


# -- The audit


def audit(documents: int, seed: int) -> list[Audit]:
    """Return what was found in this many requests, made as `recipes/api.toml` makes them."""
    return [audit_rows(make_requests(documents, seed))]


def audit_rows(rows: Sequence[Row]) -> Audit:
    """Return what was found in these requests: calls are their answers, slips of grammar their facts."""
    result = Audit("request", len(rows))
    for row in rows:
        problems, slipped = wrong_facts(row), glitches(row["api.request"], row.get("api.values") or ())
        shown = f"{row['api.request']!r} -> {row['api.call']}"
        result.check("the call follows from the request", not problems, f"{', '.join(problems)}: {shown}", "answer")
        result.check("the request has no slip of grammar", not slipped, f"{', '.join(slipped)}: {shown}")
    distinct = len({row["api.request"] for row in rows}) / max(1, len(rows))
    result.notes.append(f"distinct requests: {distinct:.4f}")
    return result


def make_requests(documents: int, seed: int = 0) -> list[dict[str, Any]]:
    """Return requests to `household`, as `recipes/api.toml` makes them but without typing errors."""
    import polars as pl
    from textbookgen_api.requests import Requests

    source = Requests(path="household", count=documents, seed=seed, outside_share=0.12, sequence_share=0.2)
    return pl.concat(source.read()).to_dicts()


def main() -> None:
    """Audit requests, and print the faults and figures."""
    parser = audit_parser(__doc__, documents="requests to make", samples="requests to print")
    options = parser.parse_args()
    rows = make_requests(options.documents, options.seed)
    for row in rows[: options.samples]:
        print(f"{row['api.voice']:<10} {row['api.request']}\n{'':<10} {row['api.call']}")
    audits = [audit_rows(rows)]
    print_audits(audits)


if __name__ == "__main__":
    main()
