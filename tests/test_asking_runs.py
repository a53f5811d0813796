"""Whole runs against a server: what fails is told and asked again later, budgets hold, and no key is written anywhere."""

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
name = "asking"
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


def asked(address: str) -> int:
    with urlopen(f"{address}/stats") as stats:
        return sum(json.load(stats)["asked"].values())


def rows(folder: Path, kind: str = "data") -> pl.DataFrame:
    return pl.concat([pl.read_parquet(file) for file in sorted(folder.glob(f"work/steps/echoes-*/{kind}/*.parquet"))])


def test_what_is_refused_is_told_and_only_that_is_asked_again(ran: Ran, folder: Path) -> None:
    with serving("--trouble", "0.2:400") as address:
        done = ran(recipe(address))
        failures = rows(folder, "failures")
        assert asked(address) == 120
    (step,) = done.summary()["steps"]
    assert 5 < len(failures) == step["failures"] < 60
    assert len(rows(folder)) == 120 - len(failures)
    assert set(failures["reason"].str.contains("HTTP 400")) == {True}
    with serving() as address:
        ran(recipe(address), again=frozenset({"echoes"}))
        assert asked(address) == len(failures)
    assert len(rows(folder)) == 120


def test_passing_failures_cost_no_document(ran: Ran, folder: Path) -> None:
    trouble = ("0.1:429x1@0.1", "0.1:500x2", "0.1:dropx1", "0.1:junkx1")
    with serving(*(part for each in trouble for part in ("--trouble", each))) as address:
        ran(recipe(address))
    assert len(rows(folder)) == 120
    with serving() as address:
        ran(recipe(address), again=frozenset({"echoes"}))
        assert asked(address) == 0


@pytest.mark.parametrize("where", ["teacher", "stage"])
def test_a_run_over_its_budget_stops_and_goes_on_with_a_larger_one(ran: Ran, folder: Path, where: str) -> None:
    prices = "price_in = 0.0\nprice_out = 1000.0\nmax_tokens = 130\n"

    def budgeted(address: str, dollars: float) -> str:
        option = f"budget_usd = {dollars}" if where == "teacher" else f"max_cost_usd = {dollars}"
        return recipe(
            address, teacher=prices + (option if where == "teacher" else ""), stage=option if where == "stage" else ""
        )

    with serving() as address:
        with pytest.raises(BudgetExceeded):
            ran(budgeted(address, 5.0))
        first = asked(address)
        assert 0.97 * 5 <= first * 0.121 <= 5
        ran(budgeted(address, 15.0))
        assert asked(address) == 120
    assert len(rows(folder)) == 120


def test_no_key_is_in_any_file_of_a_failed_and_of_a_good_run(
    ran: Ran, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The server tells the key back when it refuses, as some do."""
    caplog.set_level("DEBUG")
    monkeypatch.setenv("THE_KEY", SECRET)
    keys = 'api_key_env = "THE_KEY"\nheaders = { "X-Key" = "env:THE_KEY" }\nretries = 0'
    told = caplog.text
    telling = f'{{"error": {{"message": "{SECRET} is not welcome"}}}}'
    with serving("--refuse", "401", telling) as address:
        with pytest.raises(TeacherError, match="is not welcome") as caught:
            ran(recipe(address, teacher=keys))
        told += str(caught.value) + repr(caught.value.__cause__)
        assert asked(address) <= 16
    with serving("--refuse", "403", telling) as address:
        done = ran(recipe(address, teacher=keys).replace("max_failures = 0.9", "max_failures = 1.0"))
        told += done.report.read_text(encoding="utf-8")
    assert rows(folder, "failures")["reason"].str.contains("is not welcome", literal=True).all()
    with serving() as address:
        done = ran(recipe(address, teacher=keys), again=frozenset({"echoes"}))
        told += done.report.read_text(encoding="utf-8")
        with urlopen(f"{address}/stats") as stats:
            assert json.load(stats)["keys"] == [f"Bearer {SECRET}"]
    assert len(rows(folder)) == 120
    assert SECRET not in told + caplog.text
    files = [file for file in folder.rglob("*") if file.is_file()]
    assert len(files) > 10
    for file in files:
        assert SECRET.encode() not in file.read_bytes(), file
    assert SECRET not in "".join(map(str, rows(folder).rows()))
