"""The filters that use a library (compression, language, secrets), and redaction."""

from __future__ import annotations

import base64
import random
import re
from collections.abc import Iterable

import polars as pl
import pytest
from textbookgen_quality.compression import CompressionFilter
from textbookgen_quality.language import LanguageFilter
from textbookgen_quality.redact import AddressRedaction
from textbookgen_quality.secrets import SecretsFilter

from textbookgen.api.stage import Filter
from textbookgen.testing import documents

ENGLISH = (
    "It was a bright cold day in the valley, and every clock in the small town had stopped at a different hour of the night. "
)
GERMAN = (
    "Es war ein heller, kalter Tag im Tal, und jede Uhr in der kleinen Stadt war zu einer anderen Stunde stehen geblieben. "
)
TOKEN = "ghp_" + "".join(random.Random(1).choices("abcdefghijklmnopqrstuvwxyz0123456789ABCDEF", k=36))


def verdicts(stage: Filter, texts: Iterable[str], kind: str = "page") -> pl.DataFrame:
    result = stage.decide(documents(list(texts), kind))
    assert result.columns[:2] == ["id", "keep"]
    return result


def test_compression_drops_repetition_and_noise() -> None:
    noise = base64.b85encode(random.Random(0).randbytes(600)).decode()
    prose = " ".join(f"{word}{n % 7}" for n, word in enumerate((ENGLISH * 3).split()))
    result = verdicts(CompressionFilter(inputs=("x",)), ["la la " * 200, noise, prose, "la la la"])
    assert result["reason"].to_list() == ["repetitive", "noise", None, None]
    assert result["score"][3] is None and 0.15 < result["score"][2] < 0.85
    assert [each.place for each in CompressionFilter(inputs=("x",), min_ratio=0.9).check()] == ["min_ratio"]


def test_language() -> None:
    result = verdicts(LanguageFilter(inputs=("x",)), [ENGLISH * 2, GERMAN * 2])
    assert result["reason"].to_list() == [None, "another language"]
    assert result["quality.language"].to_list() == ["en", "de"]
    assert verdicts(LanguageFilter(inputs=("x",), languages=("de", "en")), [ENGLISH, GERMAN])["keep"].all()
    assert verdicts(LanguageFilter(inputs=("x",)), [GERMAN], kind="code")["keep"].all()
    assert [each.place for each in LanguageFilter(inputs=("x",), languages=("klingon",)).check()] == ["languages"]


def test_secrets_are_found_and_not_disclosed() -> None:
    result = verdicts(
        SecretsFilter(inputs=("x",)), [f"import os\n\ntoken = '{TOKEN}'\n", "token = os.environ['TOKEN']\n", ENGLISH]
    )
    assert result["reason"].to_list() == ["secret", None, None]
    assert result["detail"][0] == "GitHub Token, line 3"
    assert TOKEN not in str(result.to_dicts())
    assert [each.place for each in SecretsFilter(inputs=("x",), detectors=("Unknown",)).check()] == ["detectors"]


@pytest.mark.parametrize(
    ("text", "after", "many"),
    [
        ("Write to jane.doe+x@mail.example.org today.", "Write to someone@example.com today.", 1),
        ("Hosts 8.8.8.8, 10.0.0.1 and 8.8.8.8.", "Hosts 192.0.2.1, 10.0.0.1 and 192.0.2.1.", 2),
        ("@decorator\ndef f(a): return a @ b", "@decorator\ndef f(a): return a @ b", 0),
        ("version 8.8.8.81.2 and 300.1.1.1", "version 8.8.8.81.2 and 300.1.1.1", 0),
    ],
)
def test_redaction(text: str, after: str, many: int) -> None:
    docs = documents([text])
    result = AddressRedaction(inputs=("x",)).transform(docs)
    assert result["text"].to_list() == [after]
    assert result["quality.redacted"].to_list() == [many]
    assert (result["id"][0] == docs["id"][0]) == (many == 0)
    assert result["parents"][0].to_list() == ([docs["id"][0]] if many else [])


def test_redaction_can_be_disabled_and_is_idempotent() -> None:
    docs = documents(["a@b.org at 8.8.8.8"])
    assert AddressRedaction(inputs=("x",), email="").transform(docs)["text"].to_list() == ["a@b.org at 192.0.2.1"]
    once = AddressRedaction(inputs=("x",)).transform(docs)["text"][0]
    assert not re.search(r"a@b|8\.8", once)
