"""Generators: exact counts, failures as rows, parents, budgets, truncated replies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from textbookgen.api.errors import TextbookgenError
from textbookgen.api.files import write_frame
from textbookgen.storage.records import StepSummary
from textbookgen.storage.workspace import RunFolder, Workspace

Ran = Callable[..., RunFolder]
HEAD = '[recipe]\nname = "g"\n[teacher.parrot]\nuse = "fake"\nwords = 12\n[sampler.things]\nuse = "grid"\nthing = ["cat", "dog", "owl", "eel"]\nplace = ["sea", "hill"]\n'


def stage(**options: Any) -> str:
    lines = [
        f"{key.replace('inputs', 'from')} = {value!r}".replace("'", '"').replace("True", "true")
        for key, value in options.items()
    ]
    return HEAD + "\n".join(
        ['[stage.numbers]\nuse = "toy/numbers"\ncount = 12\n[stage.echoes]\nuse = "toy/echo"\nteacher = "parrot"', *lines]
    )


def rows(folder: Path, kind: str = "data") -> pl.DataFrame:
    files = sorted((folder / "work" / "steps").glob(f"echoes-*/{kind}/*.parquet"))
    return pl.concat([pl.read_parquet(file) for file in files], how="diagonal_relaxed") if files else pl.DataFrame()


def step(run: RunFolder) -> StepSummary:
    return run.summary().step("echoes")


def test_exactly_count_documents_are_accepted(ran: Ran, folder: Path) -> None:
    run = ran(
        stage(sampler="things", count=300, accept=[{"use": "toy/contains", "word": "sea"}])
        .replace('{"use": ', "{use = ")
        .replace('"word": ', "word = ")
    )
    verdicts = rows(folder, "verdicts")
    assert step(run).rows_out == int(verdicts["keep"].sum()) == 300
    assert len(verdicts) == len(rows(folder))
    passed = int((verdicts["keep"] | (verdicts["reason"] == "count reached")).sum())
    assert len(verdicts) <= 1.05 * 300 * len(verdicts) / passed
    kept = rows(folder).join(verdicts.filter("keep"), on="id", how="semi")
    assert kept["text"].str.contains("sea").all()


def test_max_draws_is_a_limit_and_the_report_says_so(ran: Ran, folder: Path) -> None:
    text = stage(sampler="things", count=50, max_draws=40, accept=["toy/contains"]).replace(
        'accept = ["toy/contains"]', 'accept = [{use = "toy/contains", word = "zebra"}]'
    )
    run = ran(text)
    assert (step(run).rows_out, len(rows(folder))) == (0, 40)
    assert "0 of 50 documents were accepted in 40 draws (`max_draws`)" in run.report.read_text(encoding="utf-8")


def test_each_input_document_is_the_parent_of_one_document(ran: Ran, folder: Path) -> None:
    (folder / "about.md.j2").write_text("Repeat.", encoding="utf-8")
    run = ran(stage(inputs=["numbers"], prompt="about.md.j2"))
    written = rows(folder)
    assert (step(run).rows_in, len(written), written["id"].n_unique()) == (12, 12, 12)
    assert written["parents"].list.len().to_list() == [1] * 12
    assert step(run).requests == 1, "equal prompts share one request"


def test_a_larger_sample_contains_a_smaller_one(ran: Ran, folder: Path) -> None:
    (folder / "about.md.j2").write_text("Repeat {{ document.text }}", encoding="utf-8")
    parents = []
    for size in (4, 9):
        ran(stage(inputs=["numbers"], prompt="about.md.j2", sample=size))
        (newest,) = [
            file for file in (folder / "work" / "steps").glob("echoes-*/data/*.parquet") if len(pl.read_parquet(file)) == size
        ]
        parents.append({each[0] for each in pl.read_parquet(newest)["parents"].to_list()})
    assert len(parents[0]) == 4
    assert parents[0] < parents[1]


def test_failures_are_rows_and_are_requested_again(ran: Ran, folder: Path) -> None:
    failing = stage(sampler="things", count=16, max_failures=1.0).replace("words = 12", 'faults = { owl = "refuse" }')
    run = ran(failing)
    failures = rows(folder, "failures")
    assert (step(run).failures, step(run).rows_out, len(failures)) == (4, 12, 4)
    assert failures["reason"].str.starts_with("refused: ").all()
    with pytest.raises(TextbookgenError, match="of 16 documents failed, the last one with: refused:"):
        ran(failing.replace("max_failures = 1.0", "max_failures = 0.1"), rerun=["echoes"])


def test_count_is_required_without_from_and_rejected_with_it(ran: Ran, folder: Path) -> None:
    (folder / "about.md.j2").write_text("Repeat.", encoding="utf-8")
    with pytest.raises(TextbookgenError, match="the option 'count' is required"):
        ran(stage(sampler="things"))
    with pytest.raises(TextbookgenError, match="cannot be combined with `from`"):
        ran(stage(inputs=["numbers"], prompt="about.md.j2", count=3))


def test_a_budget_holds_for_all_stages_that_share_the_teacher(ran: Ran, folder: Path) -> None:
    (folder / "about.md.j2").write_text("Repeat.", encoding="utf-8")
    priced = stage(sampler="things", count=16).replace(
        "words = 12", "words = 12\nmax_tokens = 20\nprice_in = 1000.0\nprice_out = 1000.0\nbudget_usd = 3.0"
    )
    more = priced + '\n[stage.more]\nuse = "toy/echo"\nteacher = "parrot"\nsampler = "things"\nseed = 1\ncount = 200\n'
    with pytest.raises(TextbookgenError, match="budget_usd"):
        ran(more)
    summary = Workspace(folder / "work").run().summary()
    assert summary.error
    assert 0 < sum(item.cost_usd for item in summary.steps) <= 3.0


def test_a_busy_teacher_fails_documents_and_not_the_run(ran: Ran, folder: Path) -> None:
    busy = stage(sampler="things", count=16, max_failures=1.0).replace(
        "words = 12", 'faults = { owl = "busy 99" }\nmax_retries = 1'
    )
    run = ran(busy)
    assert (step(run).failures, step(run).rows_out) == (4, 12)
    assert rows(folder, "failures")["reason"].str.starts_with("no reply: ").all()


@pytest.mark.parametrize("truncated_replies", ["fail", "keep"])
def test_truncated_replies_fail_or_are_kept_and_flagged(ran: Ran, folder: Path, truncated_replies: str) -> None:
    text = stage(sampler="things", count=16, max_failures=1.0, truncated_replies=truncated_replies).replace(
        "words = 12", 'words = 12\nfaults = { cat = "truncate" }'
    )
    run = ran(text)
    kept = rows(folder)
    assert step(run).requests == 16 == len(kept) + step(run).failures  # nothing is asked twice
    if truncated_replies == "fail":
        assert step(run).failures > 0 and "truncated" not in kept.columns
    else:
        assert step(run).failures == 0 and kept["truncated"].sum() > 0
        assert (
            kept.filter("truncated")["text"].str.len_bytes().max()
            < kept.filter(~pl.col("truncated"))["text"].str.len_bytes().min()
        )


def test_after_a_failure_later_parts_are_written_again_where_they_depend_on_it(ran: Ran, folder: Path) -> None:
    """Part 1 depends on what part 0 accepted, so it cannot stay once a failed document of part 0 is requested again."""
    text = stage(sampler="things", count=1_200, accept=["toy/contains"]).replace(
        'accept = ["toy/contains"]', 'accept = [{use = "toy/contains", word = "sea"}]'
    )
    ran(text)
    (address,) = (folder / "work" / "steps").glob("echoes-*")
    before = {file: file.read_bytes() for file in sorted(address.glob("*/part-*"))}
    assert len(before) >= 6, "three parts, with verdicts"
    (address / "record.json").unlink()
    failure = {"n": [0], "id": [None], "reason": ["refused: no"], "detail": [""]}
    write_frame(address / "failures" / "part-00000.parquet", pl.DataFrame(failure))
    for kind in ("data", "verdicts"):
        stale = address / kind / "part-00001.parquet"
        write_frame(stale, pl.read_parquet(stale).head(3))
    assert step(ran(text)).requests == 0
    assert {file: file.read_bytes() for file in sorted(address.glob("*/part-*"))} == before
