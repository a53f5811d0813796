"""Recorded requests: a test set of users, with cases that follow from the calls."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl
import pytest
from textbookgen_api.application_file import read_application
from textbookgen_api.recorded_requests import RecordedRequests
from textbookgen_api.requests import COLUMNS, Requests


def test_the_held_back_requests_can_be_read_and_no_template_makes_them():
    source = RecordedRequests(path="household")
    assert list(source.check()) == []
    rows = pl.concat(source.read())
    assert rows.schema == pl.Schema(COLUMNS)
    assert rows.height == 24 and rows["id"].n_unique() == 24
    assert set(rows["api.case"]) == {"call", "plan", "missing", "outside"}
    made = pl.concat(Requests(path="household", count=2_000, phrasings="seen", values="seen").read())
    assert not set(rows["api.request"].str.to_lowercase()) & set(made["api.request"].str.to_lowercase())
    assert source.estimate({}).documents == 24


def test_values_of_the_held_back_requests_are_in_their_text():
    application = read_application("household")
    texts = {item.name for function in application.functions for item in function.parameters if item.is_free_text}
    for row in pl.concat(RecordedRequests(path="household").read()).iter_rows(named=True):
        for name, _, value in re.findall(r"(\w+)=(['\"])(.*?)\2", row["api.call"]):
            assert name not in texts or value in row["api.request"]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "cannot read"),
        ('{"request": "x"}', "has no `request` and `call`"),
        ('{"request": "x", "call": "no call"}', "not a call"),
        ('{"request": "x", "call": "fly()"}', "line 1: the application has no function fly"),
    ],
)
def test_problems_of_a_file_are_reported(tmp_path: Path, file: Path, line: str, problem: str):
    path = tmp_path / "users.jsonl"
    path.write_text(line, encoding="utf-8")
    (diagnostic,) = RecordedRequests(path=str(path), application=str(file)).check()
    assert problem in diagnostic.problem
    assert RecordedRequests(path=str(tmp_path / "none"), application=str(file)).estimate({}) is None


def test_a_problem_of_the_application_is_reported(tmp_path: Path):
    (diagnostic,) = RecordedRequests(path="household", application=str(tmp_path / "none.json")).check()
    assert diagnostic.place == "application"
