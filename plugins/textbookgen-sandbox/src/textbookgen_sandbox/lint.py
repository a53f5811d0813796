"""Judge `lint`: keeps the code that ruff finds nothing wrong with."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

import polars as pl
from pydantic import Field

from textbookgen import Diagnostic, Filter, MissingRequirement, RunError

_SCHEMA: dict[str, type[pl.DataType]] = {
    "id": pl.String,
    "keep": pl.Boolean,
    "reason": pl.String,
    "score": pl.Float64,
    "detail": pl.String,
}
_SHOWN = 8
_AS_MANY_AS = 256  # files a call of ruff


class Lint(Filter):
    """Reads each document as Python with ruff, without running it, and drops those with too many findings.

    The rules are pyflakes' and syntax errors unless said: names that are not defined, imports and variables not used, formats
    that do not fit. The reason is the rule found most often (`F821`, `invalid-syntax`), the score the share of lines without
    a finding.
    """

    name: ClassVar[str] = "lint"

    text: str = Field("text", description="column that holds the code")
    rules: tuple[str, ...] = Field(
        ("E9", "F"), min_length=1, description="ruff's rules that are looked for, by code or by its beginning"
    )
    ignore: tuple[str, ...] = Field((), description="rules that are let be")
    most: float = Field(0.0, ge=0, description="findings per 100 lines that are let pass")

    def check(self) -> Iterable[Diagnostic]:
        """Complains if there is no ruff."""
        if _ruff() is None:
            yield MissingRequirement("", "ruff is not installed here", "pip install 'textbookgen-sandbox[lint]'")

    def decide(self, docs: pl.DataFrame) -> pl.DataFrame:
        """Verdicts in the order of the documents; the detail names line, rule and finding."""
        texts = [text or "" for text in docs[self.text]]
        result = [
            item for start in range(0, len(texts), _AS_MANY_AS) for item in self._find(texts[start : start + _AS_MANY_AS])
        ]
        rows = [(id, *self._verdict(text, its)) for id, text, its in zip(docs["id"], texts, result, strict=True)]
        return pl.DataFrame(rows, schema=_SCHEMA, orient="row")

    def _find(self, texts: list[str]) -> list[list[dict[str, Any]]]:
        """What ruff finds in each text."""
        with tempfile.TemporaryDirectory() as folder:
            for number, text in enumerate(texts):
                Path(folder, f"{number}.py").write_text(text, encoding="utf-8", errors="replace", newline="")
            result: dict[int, list[dict[str, Any]]] = defaultdict(list)
            for item in self._ask(folder):
                result[int(Path(item["filename"]).stem)].append(item)
        return [sorted(result[number], key=_place) for number in range(len(texts))]

    def _ask(self, folder: str) -> list[dict[str, Any]]:
        ruff = _ruff()
        if ruff is None:
            raise RunError("ruff is not installed here", hint="pip install 'textbookgen-sandbox[lint]'")
        options = ["--isolated", "--no-cache", "--ignore-noqa", "--quiet", "--exit-zero", "--output-format", "json"]
        rules = ["--select", ",".join(self.rules), *(["--ignore", ",".join(self.ignore)] if self.ignore else [])]
        done = subprocess.run([ruff, "check", *options, *rules, folder], capture_output=True, text=True, check=False)
        if done.returncode:
            raise RunError(f"ruff stopped: {done.stderr.strip()}", hint="are all `rules` known to this version of ruff?")
        return list(json.loads(done.stdout))

    def _verdict(self, text: str, result: list[dict[str, Any]]) -> tuple[bool, str | None, float, str | None]:
        lines = max(1, len(text.splitlines()))
        score = 1 - min(1.0, len({_place(item)[0] for item in result}) / lines)
        if len(result) * 100 <= self.most * lines:
            return True, None, score, None
        counts = Counter(_rule(item) for item in result)
        reason = min(counts, key=lambda rule: (-counts[rule], rule))
        return False, reason, score, "\n".join(f"line {_place(e)[0]}: {_rule(e)} {e['message']}" for e in result[:_SHOWN])


def _rule(result: dict[str, Any]) -> str:
    return str(result["code"] or "invalid-syntax")


def _place(result: dict[str, Any]) -> tuple[int, int, str]:
    return result["location"]["row"], result["location"]["column"], _rule(result)


def _ruff() -> str | None:
    """Ruff beside this interpreter, or else on the path."""
    beside = Path(sys.executable).with_name("ruff")
    return str(beside) if beside.exists() else shutil.which("ruff")
