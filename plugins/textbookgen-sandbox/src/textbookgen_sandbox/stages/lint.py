"""Filter `lint`: keeps the code in which ruff finds nothing wrong."""

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
from textbookgen_sandbox.stages.program_filter import VERDICTS

_MAX_DETAILS = 8
_BATCH_SIZE = 256  # files per call of ruff
_INSTALL = "pip install 'textbookgen-sandbox[lint]'"

Violation = dict[str, Any]  # as ruff's JSON output has it


class Lint(Filter):
    """Checks each document as Python with ruff, without running it, and drops those with too many violations.

    By default the rules are those of pyflakes and syntax errors: undefined names, unused imports and variables, format strings
    that do not match. The reason is the most frequent rule (`F821`, `invalid-syntax`), the score the share of lines without a
    violation.
    """

    name: ClassVar[str] = "lint"

    text: str = Field("text", description="column of the code")
    rules: tuple[str, ...] = Field(("E9", "F"), min_length=1, description="ruff rules to check, as codes or their prefixes")
    ignore: tuple[str, ...] = Field((), description="ruff rules to ignore")
    max_violations: float = Field(0.0, ge=0, description="violations allowed per 100 lines")

    def check(self) -> Iterable[Diagnostic]:
        """Report a missing ruff."""
        if _find_ruff() is None:
            yield MissingRequirement("", "ruff is not installed", _INSTALL)

    def decide(self, docs: pl.DataFrame) -> pl.DataFrame:
        """Return verdicts in the order of the documents; the detail lists line, rule and message of each violation."""
        texts = [text or "" for text in docs[self.text]]
        violations = [
            item for start in range(0, len(texts), _BATCH_SIZE) for item in self._lint(texts[start : start + _BATCH_SIZE])
        ]
        rows = [(id, *self._verdict(text, its)) for id, text, its in zip(docs["id"], texts, violations, strict=True)]
        return pl.DataFrame(rows, schema=VERDICTS, orient="row")

    def _lint(self, texts: list[str]) -> list[list[Violation]]:
        """Return the violations of each text, in their order in it."""
        with tempfile.TemporaryDirectory() as folder:
            for number, text in enumerate(texts):
                Path(folder, f"{number}.py").write_text(text, encoding="utf-8", errors="replace", newline="")
            violations: dict[int, list[Violation]] = defaultdict(list)
            for item in self._run_ruff(folder):
                violations[int(Path(item["filename"]).stem)].append(item)
        return [sorted(violations[number], key=_position) for number in range(len(texts))]

    def _run_ruff(self, folder: str) -> list[Violation]:
        ruff = _find_ruff()
        if ruff is None:
            raise RunError("ruff is not installed", hint=_INSTALL)
        options = ["--isolated", "--no-cache", "--ignore-noqa", "--quiet", "--exit-zero", "--output-format", "json"]
        rules = ["--select", ",".join(self.rules), *(["--ignore", ",".join(self.ignore)] if self.ignore else [])]
        process = subprocess.run([ruff, "check", *options, *rules, folder], capture_output=True, text=True, check=False)
        if process.returncode:
            raise RunError(f"ruff failed: {process.stderr.strip()}", hint="does this version of ruff know all `rules`?")
        return list(json.loads(process.stdout))

    def _verdict(self, text: str, violations: list[Violation]) -> tuple[bool, str | None, float, str | None]:
        lines = max(1, len(text.splitlines()))
        score = 1 - min(1.0, len({_position(item)[0] for item in violations}) / lines)
        if len(violations) * 100 <= self.max_violations * lines:
            return True, None, score, None
        counts = Counter(_rule(item) for item in violations)
        reason = min(counts, key=lambda rule: (-counts[rule], rule))
        details = [f"line {_position(item)[0]}: {_rule(item)} {item['message']}" for item in violations[:_MAX_DETAILS]]
        return False, reason, score, "\n".join(details)


def _rule(violation: Violation) -> str:
    return str(violation["code"] or "invalid-syntax")


def _position(violation: Violation) -> tuple[int, int, str]:
    return violation["location"]["row"], violation["location"]["column"], _rule(violation)


def _find_ruff() -> str | None:
    """Return the path of ruff beside this interpreter, or else the one on PATH."""
    beside = Path(sys.executable).with_name("ruff")
    return str(beside) if beside.exists() else shutil.which("ruff")
