"""The source `documentation`: prose from documentation on this machine, without code, tables and legal notices."""

from __future__ import annotations

import gzip
from pathlib import Path

import polars as pl
import pytest

from textbookgen.api.errors import RunError
from textbookgen.builtin.sources import documentation
from textbookgen.builtin.sources.documentation import Documentation
from textbookgen.builtin.sources.prose import prose_of, read_manual

SENTENCE = "The tide rises because the moon attracts the water that is near to it."
PAGE = f"""# Tides

[![build](https://x.y/z.svg)](https://x.y)

{SENTENCE} See [the *manual*](https://a.b/c) for `more`, which is in the folder of the package.

```python
the = tide(of, the, moon)  # The code is not in the text and it is not prose.
```

| the table | is not | in the text |
|---|---|---|

- A list item that is a sentence is kept, since it explains what the thing is.
- no sentence

.. note:: The directive of the text is not a sentence that is kept in it.

Licensed under the terms of the licence that is in the file of the package.
"""


def test_sentences_are_kept_without_markup_and_everything_else_is_left_out():
    assert prose_of(PAGE) == [
        f"{SENTENCE} See the manual for more, which is in the folder of the package.",
        "A list item that is a sentence is kept, since it explains what the thing is.",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "usage: tool [-h] [--of FILE] [--the NAME]. It is to be in the a.",
        "Das Wasser steigt, weil der Mond es mit seiner Kraft zu sich zieht und nicht loslässt.",
        "This program is distributed in the hope that it is useful, but without any warranty of it.",
        'THE SOFTWARE IS PROVIDED "AS IS", and it is for you to see that it is of use to you.',
        "Copyright (c) 2001 by the authors of this program, to whom all of it belongs.",
        ">>> the_sum = of(the, numbers) is in the a. The rest of the line is that.",
        "alpha, beta, gamma, delta, the, of, epsilon, zeta, eta",
        "The tide is.",
        "a/b/c/d/e is the path to the file, and x_y=z_w is the option of the tool {of} the set.",
    ],
)
def test_what_is_not_english_prose_is_left_out(text: str):
    assert prose_of(text) == []


def test_reference_markup_of_rst_is_removed():
    text = "The class :class:`~a.b.Tide` is described in `the guide <x.html>`_, and ``rise`` is one of the methods of it."
    assert prose_of(text) == ["The class a.b.Tide is described in the guide, and rise is one of the methods of it."]


MANUAL = r""".\" comment
.TH TIDE 1
.SH NAME
tide \- this line of the page is not in the text that is read.
.SH DESCRIPTION
.PP
\fBtide\fR prints when the water is high, because
.B the moon
is near. It doesn\(aqt need a
.IR network .
.nf
tide --of the moon is a line of an example.
.fi
.SH AUTHOR
It was written by the author of the program, who is not to be named in the text.
"""


def test_manual_pages_are_read_without_macros():
    (paragraph,) = prose_of(read_manual(MANUAL).replace("tide prints", "Tide prints"))
    assert paragraph == "Tide prints when the water is high, because the moon is near. It doesn't need a network."


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a root with documentation of each origin, of which nothing else is found."""
    packages, stdlib, root = tmp_path / "packages", tmp_path / "stdlib", tmp_path / "share"
    paragraphs = [f"{SENTENCE} This is number {n} of the sentences that are in it." for n in range(40)]
    text = "\n\n".join(paragraphs)
    (packages / "sea-1.0.dist-info").mkdir(parents=True)
    (packages / "sea-1.0.dist-info/METADATA").write_text(
        f"Name: sea\nLicense-Expression: MIT\n\n{text.replace('number', 'tide')}"
    )
    (packages / "sea").mkdir()
    (packages / "sea/CHANGELOG.md").write_text(text.replace("number", "change"))
    (packages / "sea/LICENSE.txt").write_text(text.replace("number", "licence"))
    (packages / "sea/code.py").write_text(f'def f():\n    """{text.replace("number", "docstring")}"""\n')
    (stdlib / "pydoc_data").mkdir(parents=True)
    (stdlib / "pydoc_data/topics.py").write_text(f"topics = {{'a': {text.replace('number', 'topic')!r}}}\n")
    (root / "doc/sea").mkdir(parents=True)
    (root / "doc/sea/README.gz").write_bytes(gzip.compress(text.replace("number", "readme").encode()))
    (root / "doc/sea/README.md").write_bytes(b"\xff\xfe not UTF-8")
    (root / "man/man1").mkdir(parents=True)
    (root / "man/man1/sea.1.gz").write_bytes(gzip.compress(f".SH DESCRIPTION\n{text.replace('number', 'manual')}".encode()))
    monkeypatch.setattr(documentation, "_package_folders", lambda: [packages])
    monkeypatch.setattr(documentation.sysconfig, "get_paths", lambda: {"stdlib": str(stdlib)})
    return root


def test_every_origin_is_read_and_change_logs_and_licences_are_not(machine: Path):
    source = Documentation(root=str(machine))
    docs = pl.concat(source.read())
    assert {row["source.origin"]: row["source.path"].split("#")[0] for row in docs.to_dicts()} == {
        "packages": "packages/sea-1.0.dist-info/METADATA",
        "python": "pydoc_data/topics.py",
        "docstrings": "packages/sea/code.py",
        "folders": "doc/sea/README.gz",
        "manuals": "man/man1/sea.1.gz",
    }
    assert dict(source.passed_over()) == {"not readable": 1}
    assert docs["kind"].unique().to_list() == ["prose"]
    assert docs.filter(pl.col("source.origin") == "packages")["source.license"].to_list() == ["MIT"] * 2
    assert docs["text"].str.split(" ").list.len().max() <= 800
    assert not docs["text"].str.contains("change|licence").any()
    assert docs["id"].n_unique() == len(docs)


def test_a_sample_is_the_same_each_time_and_another_with_another_seed(machine: Path):
    few = pl.concat(Documentation(root=str(machine), max_documents=3).read())
    assert len(few) == 3
    assert few.equals(pl.concat(Documentation(root=str(machine), max_documents=3).read()))
    orders = {tuple(pl.concat(Documentation(root=str(machine), seed=seed).read())["id"]) for seed in range(5)}
    assert len(orders) > 1
    digest = Documentation(root=str(machine)).digest()
    (machine / "doc/sea/more.txt").write_text(SENTENCE)
    assert Documentation(root=str(machine)).digest() != digest


def test_the_first_file_of_each_package_comes_first(machine: Path):
    many = machine / "doc/land"
    many.mkdir()
    for n in range(20):
        (many / f"{n}.txt").write_text("\n\n".join(f"{SENTENCE} Land {n} is in it {k} times, as it is." for k in range(10)))
    docs = pl.concat(Documentation(root=str(machine), origins=("folders",)).read())
    first = [path.split("/")[1] for path in docs["source.path"]]
    assert first.index("sea") <= 3


def test_nothing_to_read_is_an_error_with_a_hint(tmp_path: Path):
    source = Documentation(root=str(tmp_path), origins=("manuals", "folders"))
    (problem,) = source.check()
    assert "no files for manuals, folders" in problem.problem
    with pytest.raises(RunError, match="no prose was found in manuals, folders"):
        list(source.read())


def test_this_machine_has_prose_in_every_environment():
    docs = pl.concat(Documentation(origins=("packages", "python"), max_documents=20).read())
    assert len(docs) == 20
    assert (docs["text"].str.count_matches(r"[.!?](\s|$)") >= 3).all()
    assert not docs["text"].str.contains(r">>>|^def |```").any()
