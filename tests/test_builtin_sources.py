"""Sources read the same documents in the same order in every run, and samples depend on ids only."""

import gzip
import json
import os
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from textbookgen.api.artifacts import Documents, Part
from textbookgen.api.errors import RunError
from textbookgen.api.stage import Estimate, StageInputs
from textbookgen.builtin.sources import python_code
from textbookgen.builtin.sources.python_code import PythonCode
from textbookgen.builtin.sources.tables import Jsonl, Parquet
from textbookgen.builtin.sources.text import Text
from textbookgen.builtin.stages.sample import Sample


def texts(source) -> list[str]:
    return [text for frame in source.read() for text in frame["text"]]


def test_python_code_is_a_sample_that_is_part_of_a_larger_one():
    few = pl.concat(PythonCode(max_files=30).read())
    more = pl.concat(PythonCode(max_files=60).read())
    assert few["id"].to_list() == more["id"].to_list()[:30]
    assert more["id"].n_unique() == 60
    assert set(few.columns) == {"id", "text", "kind", "source.path"}
    assert len({path.split("/")[1] for path in more["source.path"]}) > 10
    assert PythonCode(max_files=30, seed=1).read().__next__()["id"].to_list() != few["id"].to_list()


@pytest.fixture
def small_python(tmp_path, monkeypatch):
    """A Python whose standard library and packages are a few files."""
    library, packages = tmp_path / "python3.11", tmp_path / "python3.11" / "site-packages"
    for path, content in {
        "abc.py": b"class ABC: ...\n",
        "json/decoder.py": b"x = 1\r\ny = 2\r\n",
        "empty.py": b" \n",
        "latin.py": "# -*- coding: latin-1 -*-\nx = 'é'".encode("latin-1"),
        "bom.py": b"\xef\xbb\xbfz = 3\n",
        "__pycache__/cached.py": b"no",
        "notes.txt": b"no",
        "site-packages/textbookgen/stage.py": b"no",
        "site-packages/large.py": b"#" * 5000,
        "site-packages/pkg/tests/test_it.py": b"def test(): ...\n",
    }.items():
        (library / path).parent.mkdir(parents=True, exist_ok=True)
        (library / path).write_bytes(content)
    outside = tmp_path / "outside.py"
    outside.write_text("no")
    (packages / "link.py").symlink_to(outside)
    (packages / "links").symlink_to(tmp_path)
    monkeypatch.setattr(
        python_code.sysconfig,
        "get_paths",
        lambda: {"stdlib": str(library), "purelib": str(packages), "platlib": str(packages)},
    )
    monkeypatch.setattr(python_code.site, "getsitepackages", lambda: [str(packages)])
    return library


def test_python_code_skips_what_is_not_code_and_follows_no_links(small_python):
    code = pl.concat(PythonCode(max_kib=4).read())
    assert dict(zip(code["source.path"], code["text"], strict=True)) == {
        "stdlib/abc.py": "class ABC: ...\n",
        "stdlib/json/decoder.py": "x = 1\ny = 2\n",
        "stdlib/bom.py": "z = 3\n",
        "packages/pkg/tests/test_it.py": "def test(): ...\n",
    }


def test_the_digest_of_python_code_changes_with_any_of_its_files(small_python):
    before = PythonCode().digest()
    assert PythonCode().digest() == before
    (small_python / "abc.py").write_text("class ABC: pass\n")
    after = PythonCode().digest()
    assert after != before
    (small_python / "notes.txt").write_text("other notes")
    assert PythonCode().digest() == after


def test_half_a_surrogate_pair_in_jsonl_becomes_the_replacement_character(tmp_path):
    (tmp_path / "a.jsonl").write_text(r'{"text": "a\ud83db \ud83d\ude00"}')
    assert texts(Jsonl(path=str(tmp_path / "a.jsonl"))) == ["a\ufffdb \U0001f600"]


def test_jsonl_reads_plain_and_compressed_files_and_their_ids(tmp_path):
    lines = [json.dumps({"body": f"text {n}", "n": n, "late": {"a": 1}}) for n in range(2500)]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    with gzip.open(tmp_path / "b.jsonl.gz", "wt") as file:
        file.write("\n".join([*lines[:3], '{"n": 9}', '{"body": "", "n": 10}']))
    plain = list(Jsonl(path=str(tmp_path / "a.jsonl"), text="body").read())
    assert [len(frame) for frame in plain] == [1000, 1000, 500]
    assert texts(Jsonl(path=str(tmp_path / "*.jsonl"), text="body", max_documents=1200)) == [f"text {n}" for n in range(1200)]
    compressed = pl.concat(Jsonl(path=str(tmp_path / "b.jsonl.gz"), text="body", id="n", kind="note").read())
    assert compressed["id"].to_list() == ["0", "1", "2"]
    assert compressed["kind"].unique().to_list() == ["note"]


def test_ids_do_not_depend_on_the_folder_or_on_other_files(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
        pl.DataFrame({"text": ["a", "b"]}).write_parquet(folder / "m.parquet")
    pl.DataFrame({"text": ["a", "b"]}).write_parquet(second / "a.parquet")
    before = pl.concat(Parquet(path=str(first / "*.parquet")).read())
    after = pl.concat(Parquet(path=str(second / "*.parquet")).read())
    assert after["source.path"].to_list() == ["a.parquet", "a.parquet", "m.parquet", "m.parquet"]
    assert after["id"].to_list()[2:] == before["id"].to_list()
    assert after["id"].n_unique() == 4
    assert Parquet(path=str(second / "*.parquet")).estimate({}) == Estimate(documents=4)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ["One.\nTwo.\n\nThree.\n<|endoftext|>\nFour.\n"]),
        ({"separator": "<|endoftext|>"}, ["One.\nTwo.\n\nThree.", "Four.\n"]),
        ({"per": "line"}, ["One.", "Two.", "Three.", "<|endoftext|>", "Four."]),
        ({"per": "paragraph"}, ["One.\nTwo.", "Three.\n<|endoftext|>\nFour."]),
    ],
)
def test_text_is_split_into_documents(tmp_path, options, expected):
    (tmp_path / "story.txt").write_text("One.\nTwo.\n\nThree.\n<|endoftext|>\nFour.\n")
    assert [text.rstrip("\n") for text in texts(Text(path=str(tmp_path / "story.txt"), **options))] == [
        text.rstrip("\n") for text in expected
    ]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"])), max_size=30))
def test_lines_are_read_as_they_were_written(tmp_path_factory, lines):
    file = tmp_path_factory.mktemp("lines") / "lines.txt"
    file.write_text("\n".join(lines), encoding="utf-8", newline="")
    source = Text(path=str(file), per="line")
    expected = [line for line in lines if line.strip()]
    assert texts(source) == texts(source) == expected
    assert len({key for frame in source.read() for key in frame["id"]}) == len(expected)


def test_diagnostics_name_the_option_and_the_file():
    [diagnostic] = Text(path="nowhere/*.txt").check()
    assert (diagnostic.place, "nowhere/*.txt" in diagnostic.problem) == ("path", True)
    assert list(Parquet(path="hf://datasets/someone/something/*.parquet").check()) == []
    assert [item.place for item in Text(path=__file__, per="line", separator="--").check()] == ["separator"]
    assert [item.place for item in PythonCode(min_kib=9, max_kib=1).check()] == ["min_kib"]


def test_unreadable_files_are_reported(tmp_path):
    (tmp_path / "bad.txt").write_bytes(b"caf\xe9\n")
    (tmp_path / "bad.jsonl").write_text('{"text": "a"}\nnot json\n')
    (tmp_path / "rows.jsonl").write_text('{"content": "a", "id": 1}\n')
    (tmp_path / "nameless.jsonl").write_text('{"text": "a", "id": 1}\n{"text": "b"}\n')
    with pytest.raises(RunError, match="utf8"):
        texts(Text(path=str(tmp_path / "bad.txt")))
    with pytest.raises(RunError, match=r"bad\.jsonl"):
        texts(Jsonl(path=str(tmp_path / "bad.jsonl")))
    with pytest.raises(RunError) as caught:
        texts(Jsonl(path=str(tmp_path / "rows.jsonl")))
    assert (caught.value.place, caught.value.hint) == ("text", "it has content, id")
    with pytest.raises(RunError, match="row 2 of"):
        texts(Jsonl(path=str(tmp_path / "nameless.jsonl"), id="id"))


def test_the_digest_of_files_changes_with_their_content_and_not_with_their_times(tmp_path):
    file = tmp_path / "a.txt"
    file.write_text("a")
    before = Text(path=str(file)).digest()
    assert Text(path=str(file)).digest() == before
    os.utime(file, (1, 1))
    assert Text(path=str(file)).digest() == before
    file.write_text("b")
    os.utime(file, (1, 1))
    assert Text(path=str(file)).digest() != before
    assert Text(path="https://example.org/a.txt").digest() == Text(path="https://example.org/a.txt").digest()


def corpus(folder: Path, parts: list[list[str]]) -> Documents:
    table = []
    for number, ids in enumerate(parts):
        pl.DataFrame({"id": ids, "text": ids}).write_parquet(folder / f"{number}.parquet")
        table.append(Part(folder / f"{number}.parquet"))
    return Documents(tuple(table))


def sampled(folder: Path, documents: Documents, **options) -> set[str]:
    stage = Sample(**{"from": "docs"}, **options)
    stage.prepare(StageInputs({"from": {"docs": documents}}, folder / "work", None))
    verdicts = pl.concat(stage.decide(frame) for frame in documents.frames())
    assert verdicts.filter(~pl.col("keep"))["reason"].unique().to_list() in ([], ["not sampled"])
    assert verdicts.filter("keep")["reason"].null_count() == verdicts["keep"].sum()
    return set(verdicts.filter("keep")["id"])


def test_a_sample_has_exactly_count_documents_in_any_order(tmp_path):
    ids = [f"doc-{n}" for n in range(1000)]
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir(), other.mkdir()
    kept = sampled(one, corpus(one, [ids[:300], ids[300:]]), count=100)
    assert len(kept) == 100
    assert sampled(other, corpus(other, [ids[:500:-1], ids[500::-1]]), count=100) == kept
    assert sampled(tmp_path / "c", corpus(one, [ids]), count=200) > kept
    assert sampled(tmp_path / "d", corpus(one, [ids]), count=5000) == set(ids)
    assert sampled(tmp_path / "e", corpus(one, [ids]), count=100, seed=1) != kept


def test_a_sample_has_about_a_share_of_the_documents(tmp_path):
    ids = [f"doc-{n}" for n in range(4000)]
    tenth = sampled(tmp_path, corpus(tmp_path, [ids]), share=0.1)
    assert 330 < len(tenth) < 470  # four standard deviations
    assert sampled(tmp_path, corpus(tmp_path, [ids]), share=0.2) > tenth
    assert sampled(tmp_path, corpus(tmp_path, [ids]), share=1.0) == set(ids)


def test_a_sample_has_either_a_share_or_a_count():
    assert [item.place for item in Sample(**{"from": "x"}).check()] == ["share"]
    assert [item.place for item in Sample(**{"from": "x"}, share=0.1, count=3).check()] == ["share"]
    assert [item.place for item in Sample(count=3).check()] == ["count"]
    assert Sample(**{"from": "x"}, count=30).estimate({"from": Estimate(documents=100, tokens=1000)}) == Estimate(
        documents=30, tokens=300
    )
    with pytest.raises(RunError, match="must be prepared"):
        Sample(share=0.1).decide(pl.DataFrame({"id": ["a"]}))


def test_a_path_that_matches_nothing_fails_the_run(tmp_path):
    with pytest.raises(RunError, match="no file matches"):
        texts(Text(path=str(tmp_path / "*.txt")))


def test_expected_tokens_replace_the_estimate_by_file_size(tmp_path):
    (tmp_path / "a.txt").write_text("x" * 400)
    assert Text(path=str(tmp_path / "a.txt")).estimate({}) == Estimate(tokens=100)
    assert Text(path="https://example.org/a.txt").estimate({}) == Estimate()
    expected = Text(path="https://example.org/a.txt", expected_tokens=300).estimate({})
    assert (expected.tokens, expected.disk_bytes) == (300, 400)


def test_documents_without_text_are_counted(tmp_path, ran):
    (tmp_path / "rows.jsonl").write_text('{"text": "a"}\n{"text": ""}\n{"text": null}\n{"text": " "}\n{"text": "b"}\n')
    (tmp_path / "a.txt").write_text("one\n\n\ntwo\n")
    (tmp_path / "empty.txt").write_text("")
    sources = {
        "rows": f'use = "jsonl"\npath = "{tmp_path}/rows.jsonl"',
        "lines": f'use = "text"\npath = "{tmp_path}/a.txt"\nper = "line"',
        "files": f'use = "text"\npath = "{tmp_path}/*.txt"',
    }
    tables = "".join(f"[stage.{label}]\n{options}\n" for label, options in sources.items())
    run = ran(f'[recipe]\nname = "empty"\n{tables}')
    records = {step.label: (step.rows_in, step.rows_out, step.dropped) for step in run.summary().steps}
    assert records == {
        "rows": (5, 2, {"empty text": 3}),
        "lines": (4, 2, {"empty text": 2}),
        "files": (2, 1, {"empty text": 1}),
    }
    assert "| rows | empty text | 3 |" in run.report.read_text(encoding="utf-8")
