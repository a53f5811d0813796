"""Requests to applications: rephrased in the voice of a person, and answered with function calls by matching words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from random import Random

from textbookgen_procedural.data_files import phrases, read_lists
from textbookgen_procedural.tasks.draw_fields import Draw, missing_field

_FUNCTION = re.compile(r"^- (\w+)\((.*?)\): (.*)$")
_ARGUMENT = re.compile(r"^ {4}(\w+): (.*)$")
#: Words after which a text value stands, by what they introduce.
_BEFORE_VALUE = re.compile(
    r"\b(?:in the|to the|on the|that|saying|to|by|for|of|in|tell|play|add|buy|text)\b:?\s+", re.IGNORECASE
)
_COMMON_WORDS = frozenset(phrases("words that name no function"))


# -- Paraphrases


def paraphrase(rng: Random, draw: Draw) -> str:
    """Return a `request` in a `voice` and with other common words; every required value stays word for word.

    Raises:
        RequestRefused: the draw has no `request`.
    """
    request, values = str(draw.get("request") or "").strip(), [str(item) for item in draw.get("required_values") or ()]
    if not request:
        raise missing_field("paraphrase", "request", "a text")
    voice = str(draw.get("voice") or "")
    body, end = request.rstrip(".!?"), request[-1] if request[-1] in ".!?" else "."
    for old, new in (pair.split(" = ") for pair in phrases("other words")):
        if rng.random() < 0.6:
            body = _replace_word(body, old, rng.choice(new.split(" / ")), values)
    for old, new in (pair.split(" = ") for pair in read_lists("reply_phrases").get(f"words of voice {voice}", ())):
        body = _replace_word(body, old, new.strip("-"), values)
    body = " ".join(body.split()).replace(" ,", ",").strip(" ,") or request.rstrip(".!?")
    first = body.split()[0]
    if not any(value.startswith(first.strip(",")) for value in values) and first != "I":
        body = body[0].lower() + body[1:]
    frames = read_lists("reply_phrases").get(f"request frames of voice {voice}", phrases("request frames"))
    fitting = [item for item in frames if ("?" in item) == (end == "?")] or frames
    text = rng.choice(fitting).format(body)
    if voice == "shorthand":
        return text
    return text[0].upper() + text[1:] if not any(text.startswith(value) for value in values) else text


def _replace_word(body: str, old: str, new: str, values: Iterable[str]) -> str:
    """Replace the first occurrence of a word, unless a required value contains it."""
    if any(re.search(rf"\b{re.escape(old)}\b", value, re.IGNORECASE) for value in values):
        return body

    def replacement(match: re.Match[str]) -> str:
        return new.capitalize() if match[0][0].isupper() else new

    return re.sub(rf"\b{re.escape(old)}\b", replacement, body, count=1, flags=re.IGNORECASE)


# -- Calls


@dataclass(frozen=True)
class _Function:
    """A function as a prompt describes it: the facts about each argument by name, and the words it is known by."""

    name: str
    arguments: Mapping[str, str]
    words: frozenset[str]


def function_calls(rng: Random, draw: Draw) -> str:
    """Return the call that answers a `request`, given the description of an `application`.

    The function with most words in common with the request is called, once; values are numbers, enumerated words, and what
    follows words such as "to" and "in the". It shows what matching words achieves without training.

    Raises:
        RequestRefused: the draw has no `request`.
    """
    request = str(draw.get("request") or "").strip()
    if not request:
        raise missing_field("function-calls", "request", "a text")
    words = _stems(request)
    functions = _functions(str(draw.get("application") or ""))
    scored = [(len(words & function.words), number) for number, function in enumerate(functions)]
    best, number = max(scored, key=lambda pair: (pair[0], -pair[1]), default=(0, 0))
    if not best:
        return "decline()"
    function = functions[number]
    values = _values(function, request)
    missing = [name for name, facts in function.arguments.items() if "required" in facts and name not in values]
    if missing:
        return f"clarify(missing={missing!r})"
    return f"{function.name}({', '.join(f'{name}={value!r}' for name, value in values.items())})"


def _functions(application: str) -> list[_Function]:
    functions: list[_Function] = []
    arguments: dict[str, str] = {}
    for line in application.splitlines():
        if match := _FUNCTION.match(line):
            arguments = {}
            words = _stems(f"{match[1].replace('_', ' ')} {match[3].split(' Returns ')[0]}")
            functions.append(_Function(match[1], arguments, words))
        elif functions and (match := _ARGUMENT.match(line)):
            arguments[match[1]] = match[2]
    return functions


def _stems(text: str) -> frozenset[str]:
    words = re.findall(r"[a-z]{2,}", text.lower())
    return frozenset(re.sub(r"(?:ing|es|ed|s)$", "", word) for word in words if word not in _COMMON_WORDS)


def _values(function: _Function, request: str) -> dict[str, str | int]:
    values: dict[str, str | int] = {}
    numbers = re.findall(r"\d+", request)
    texts = [piece.strip(" .,?!:\"'") for piece in _BEFORE_VALUE.split(request)[1:]]
    texts = [piece for piece in texts if piece]
    for name, facts in function.arguments.items():
        options = re.search(r"one of ([^;]+)", facts)
        if "integer" in facts and numbers:
            values[name] = int(numbers.pop(0))
        elif options:
            named = [word for word in re.findall(r"'([^']+)'", options[1]) if re.search(rf"\b{word}\b", request.lower())]
            values |= {name: named[0]} if named else {}
        elif "string" in facts and texts:
            values[name] = texts.pop(0)
    return values
