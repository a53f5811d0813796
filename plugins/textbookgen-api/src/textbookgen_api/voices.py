"""Voices: orders turned into questions, wishes and shorthand, and the spelling and punctuation of people at a keyboard."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from random import Random

from textbookgen_api.application import ORDER
from textbookgen_api.parameters import Split, in_split
from textbookgen_api.request_templates import choose_words

#: The frame of an order that stays an order.
PLAIN_FRAME = "{}"
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_MIN_TYPO_LENGTH = 4  # shorter words become other words
_OPENER_SHARE = 0.12
_CLOSER_SHARE = 0.1
#: Shares of requests in lower case without a full stop, by voice.
_CARELESS = {"shorthand": 0.9, "terse": 0.7}
_CARELESS_OTHERS = 0.35
_FULL_STOP_SHARE = 0.7


@cache
def wordings() -> Mapping[str, object]:
    """Return the plugin's frames by voice, openers, closers, and joints of two orders."""
    content: Mapping[str, object] = json.loads(
        files("textbookgen_api").joinpath("lists/wordings.json").read_text(encoding="utf-8")
    )
    return content


@cache
def frames(split: Split) -> tuple[tuple[str, str], ...]:
    """Return voices with their frames: `{}` is the place of an order. The plain order is in both splits."""
    by_voice = wordings()["frames"]
    assert isinstance(by_voice, dict)
    return tuple(
        (voice, frame)
        for voice, items in by_voice.items()
        for frame in items
        if frame == PLAIN_FRAME or in_split("frame", frame, split)
    )


@cache
def additions(kind: str, split: Split) -> tuple[str, ...]:
    """Return the `openers`, `closers` or `joints` of a split."""
    items = wordings()[kind]
    assert isinstance(items, list)
    return tuple(item for item in items if in_split(kind, item, split))


def join_orders(orders: Sequence[str], split: Split, rng: Random) -> str:
    """Return one order that says to do several things one after the other."""
    text = orders[0]
    for order in orders[1:]:
        text += rng.choice(additions("joints", split)) + order
    return text


def in_voice(text: str, voice: str, split: Split, rng: Random) -> tuple[str, str, str]:
    """Return a request in a voice, the voice, and the frame.

    An order is put into a random frame, whose voice it takes on; some requests get an opener or a closer.

    Args:
        text: the wording of a request, in which slots may be left.
        voice: its voice.
        split: which frames, openers and closers are used.
        rng: source of randomness.
    """
    frame = PLAIN_FRAME
    if voice == ORDER:
        voices = sorted({item for item, _ in frames(split)})
        voice = rng.choice(voices)
        frame = rng.choice([item for name, item in frames(split) if name == voice])
        text = choose_words(frame, {}, rng).replace("{}", text)
    if rng.random() < _OPENER_SHARE:
        text = choose_words(rng.choice(additions("openers", split)), {}, rng) + text
    if rng.random() < _CLOSER_SHARE:
        closer = choose_words(rng.choice(additions("closers", split)), {}, rng)
        text += "" if text.endswith(closer.strip(" ,")) else closer
    return text, voice, frame


def typed(text: str, voice: str, rng: Random, typo_share: float = 0.0) -> tuple[str, bool]:
    """Return a request as someone types it, and whether carelessly: in lower case and without a full stop.

    Slots are not changed. Other requests begin with a capital letter, and most end with a full stop.

    Args:
        text: the request, in which slots may be left.
        voice: its voice.
        rng: source of randomness.
        typo_share: share of requests with a typing error.
    """
    text = re.sub(r"\ba(?= [aeio])", "an", " ".join(text.split()))
    text = re.sub(r" +(?=[?.!,])", "", text)
    text = re.sub(r"\?(?=[,. ]|$)\s*([,.] ?)?(?=\S)", "? ", text)
    careless = rng.random() < _CARELESS.get(voice, _CARELESS_OTHERS)
    if rng.random() < typo_share:
        text = _with_typo(text, rng)
    if careless:
        text = _outside_slots(text, str.lower)
        return (text.rstrip("?.") if rng.random() < 0.6 else text), True
    text = re.sub(r"(?:(?<=^)|(?<=[.?!] ))([a-z])", lambda match: match[1].upper(), text)
    text = re.sub(r"\bi(?=\b|')", "I", text)
    if text[-1] not in ".?!" and rng.random() < _FULL_STOP_SHARE:
        text += "."
    return text, False


def _outside_slots(text: str, change: object) -> str:
    pieces = re.split(r"(\{\w+#?\})", text)
    return "".join(piece if piece.startswith("{") else change(piece) for piece in pieces)  # type: ignore[operator]


def _with_typo(text: str, rng: Random) -> str:
    """Return a text with two letters of one word swapped, or a letter dropped, doubled or replaced."""
    words = [match for match in re.finditer(r"(?<![\w{'])[a-z]+(?![\w}'])", text) if len(match[0]) >= _MIN_TYPO_LENGTH]
    if not words:
        return text
    word = rng.choice(words)
    letters, place = list(word[0]), rng.randrange(1, len(word[0]) - 1)
    match rng.randrange(4):
        case 0:
            letters[place], letters[place + 1] = letters[place + 1], letters[place]
        case 1:
            del letters[place]
        case 2:
            letters.insert(place, letters[place])
        case _:
            letters[place] = rng.choice(_LETTERS)
    return text[: word.start()] + "".join(letters) + text[word.end() :]
