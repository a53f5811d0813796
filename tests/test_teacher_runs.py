"""Whole runs against a server: failures are reported and retried by the next run, budgets hold, no key is written to a file."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import polars as pl
import pytest

from textbookgen.api.errors import BudgetExceeded, TeacherError
from textbookgen.storage.workspace import RunFolder

SERVER = Path(__file__).parents[1] / "benchmarks" / "chat_server.py"
SECRET = "sk-textbookgen-secret-4711"
Ran = Callable[..., RunFolder]
RECIPE = """
[recipe]
name = "teacher-runs"
[teacher.server]
use = "openai"
model = "m"
api_base = "{address}/v1"
max_parallel = 16
{teacher}
[sampler.things]
use = "grid"
thing = {things}
place = ["sea", "hill", "wood"]
[stage.echoes]
use = "toy/echo"
teacher = "server"
sampler = "things"
count = 120
max_failures = 0.9
{stage}
"""


@contextmanager
def serving(*options: str) -> Iterator[str]:
    command = [sys.executable, str(SERVER), "--seconds", "0.005", *options]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        process.stdin.close()


def recipe(address: str, *, teacher: str = "", stage: str = "") -> str:
    return RECIPE.format(address=address, things=json.dumps([f"thing-{n}" for n in range(200)]), teacher=teacher, stage=stage)


def request_count(address: str) -> int:
    with urlopen(f"{address}/stats") as stats:
        return sum(json.load(stats)["requests"].values())


def rows(folder: Path, kind: str = "data") -> pl.DataFrame:
    return pl.concat([pl.read_parquet(file) for file in sorted(folder.glob(f"work/steps/echoes-*/{kind}/*.parquet"))])


def test_refused_requests_are_failures_and_the_next_run_sends_only_these(ran: Ran, folder: Path) -> None:
    with serving("--fault", "0.2:400") as address:
        done = ran(recipe(address))
        failures = rows(folder, "failures")
        assert request_count(address) == 120
    summary = done.summary()
    assert 5 < len(failures) == summary.failures < 60
    assert len(rows(folder)) == 120 - len(failures)
    assert set(failures["reason"].str.contains("HTTP 400")) == {True}
    with serving() as address:
        ran(recipe(address), rerun={"echoes"})
        assert request_count(address) == len(failures)
    assert len(rows(folder)) == 120


def test_temporary_failures_lose_no_document(ran: Ran, folder: Path) -> None:
    faults = ("0.1:429x1@0.1", "0.1:500x2", "0.1:dropx1", "0.1:malformedx1")
    with serving(*(part for fault in faults for part in ("--fault", fault))) as address:
        ran(recipe(address))
    assert len(rows(folder)) == 120
    with serving() as address:
        ran(recipe(address), rerun={"echoes"})
        assert request_count(address) == 0


@pytest.mark.parametrize("where", ["teacher", "stage"])
def test_a_run_that_exceeds_its_budget_stops_and_resumes_with_a_larger_one(ran: Ran, folder: Path, where: str) -> None:
    prices = "price_in = 0.0\nprice_out = 1000.0\nmax_tokens = 130\n"

    def budgeted(address: str, dollars: float) -> str:
        option = f"budget_usd = {dollars}" if where == "teacher" else f"max_cost_usd = {dollars}"
        return recipe(
            address, teacher=prices + (option if where == "teacher" else ""), stage=option if where == "stage" else ""
        )

    with serving() as address:
        with pytest.raises(BudgetExceeded):
            ran(budgeted(address, 5.0))
        first = request_count(address)
        assert 0.97 * 5 <= first * 0.121 <= 5
        ran(budgeted(address, 15.0))
        assert request_count(address) == 120
    assert len(rows(folder)) == 120


def test_no_file_of_a_failed_or_a_completed_run_contains_the_key(
    ran: Ran, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The server repeats the key in its error message, as some do."""
    caplog.set_level("DEBUG")
    monkeypatch.setenv("THE_KEY", SECRET)
    keys = 'api_key_env = "THE_KEY"\nheaders = { "X-Key" = "env:THE_KEY" }\nmax_retries = 0'
    output = caplog.text
    message = f'{{"error": {{"message": "{SECRET} is not welcome"}}}}'
    with serving("--always", "401", message) as address:
        with pytest.raises(TeacherError, match="is not welcome") as caught:
            ran(recipe(address, teacher=keys))
        output += str(caught.value) + repr(caught.value.__cause__)
        assert request_count(address) <= 16
    with serving("--always", "403", message) as address:
        done = ran(recipe(address, teacher=keys).replace("max_failures = 0.9", "max_failures = 1.0"))
        output += done.report.read_text(encoding="utf-8")
    assert rows(folder, "failures")["reason"].str.contains("is not welcome", literal=True).all()
    with serving() as address:
        done = ran(recipe(address, teacher=keys), rerun={"echoes"})
        output += done.report.read_text(encoding="utf-8")
        with urlopen(f"{address}/stats") as stats:
            assert json.load(stats)["keys"] == [f"Bearer {SECRET}"]
    assert len(rows(folder)) == 120
    assert SECRET not in output + caplog.text
    files = [file for file in folder.rglob("*") if file.is_file()]
    assert len(files) > 10
    for file in files:
        assert SECRET.encode() not in file.read_bytes(), file
    assert SECRET not in "".join(map(str, rows(folder).rows()))
