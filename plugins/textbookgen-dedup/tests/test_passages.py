"""`dedup/passages`: what it removes, whatever the parts."""

from __future__ import annotations

from pathlib import Path

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from textbookgen_dedup.stages.passages import PassageDedup

from textbookgen.testing import documents, stage_inputs, write_documents

LICENCE = "You may copy this text as you like, but say where you have it from."
ONE, TWO, THREE = (
    f"The {n} page is about something that no other page in the whole corpus speaks of." for n in ["first", "second", "third"]
)


def changed(folder: Path, *parts: pl.DataFrame, **options: object) -> pl.DataFrame:
    stage = PassageDedup(inputs=("pages",), corpus=("pages",), **options)
    stage.prepare(stage_inputs(folder, corpus=write_documents(folder, *parts)))
    return pl.concat([stage.transform(part) for part in parts])


def test_repeated_paragraphs_are_removed_except_the_first(tmp_path: Path) -> None:
    docs = documents([f"{LICENCE}\n\n{ONE}", f"{TWO}\n\n{LICENCE.upper()}\n\nThe end", f"{THREE}\n\nThe end"])
    after = changed(tmp_path, docs)
    assert after["text"].to_list() == [docs["text"][0], f"{TWO}\n\nThe end", docs["text"][2]]
    assert after["dedup.removed"].to_list() == [0, len(LICENCE) + 2, 0]
    assert [old == new for old, new in zip(docs["id"], after["id"], strict=True)] == [True, False, True]
    assert after["parents"][1].to_list() == [docs["id"][1]]


def test_lines_more_copies_and_repetition_within_a_document(tmp_path: Path) -> None:
    docs = documents([f"{LICENCE}\n{ONE}\n{LICENCE}", f"{LICENCE}\n{TWO}", f"{LICENCE}\n{THREE}"])
    assert changed(tmp_path / "a", docs, unit="line")["text"].to_list() == [f"{LICENCE}\n{ONE}", TWO, THREE]
    assert changed(tmp_path / "b", docs, unit="line", max_documents=2)["text"].to_list() == [
        f"{LICENCE}\n{ONE}",
        f"{LICENCE}\n{TWO}",
        THREE,
    ]
    assert changed(tmp_path / "c", docs)["text"].to_list() == docs["text"].to_list()


def test_a_document_of_repeated_passages_only_becomes_empty(tmp_path: Path) -> None:
    assert changed(tmp_path, documents([LICENCE, LICENCE + "!"]))["text"].to_list() == [LICENCE, ""]


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from([ONE, TWO, THREE, LICENCE, "short"]), max_size=4), min_size=1, max_size=8),
    st.integers(1, 7),
)
def test_parts_do_not_matter_and_each_passage_is_kept_once(tmp_path_factory: object, texts: list[list[str]], cut: int) -> None:
    folder: Path = tmp_path_factory.mktemp("passages")  # type: ignore[attr-defined]
    docs = documents(["\n\n".join(passages) for passages in texts])
    whole = changed(folder / "whole", docs)
    assert changed(folder / "parts", docs[:cut], docs[cut:]).equals(whole)
    left = [passage for text in whole["text"] for passage in text.split("\n\n") if passage not in ("", "short")]
    assert sorted(left) == sorted({passage for passages in texts for passage in passages} - {"short"})


def test_changed_stages_must_be_counted() -> None:
    assert [each.place for each in PassageDedup(inputs=("pages", "web"), corpus=("pages",)).check()] == ["corpus"]
    assert not list(PassageDedup(inputs=("pages",), corpus=("web", "pages")).check())
