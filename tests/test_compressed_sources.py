"""Compressed files that expand to far more than they are: refused with the line, without being held in memory."""

from __future__ import annotations

import gzip
import io
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import zstandard

from textbookgen.api.errors import RunError
from textbookgen.builtin.sources import compressed
from textbookgen.builtin.sources.compressed import blocks, check_lines, read_at_most
from textbookgen.builtin.sources.tables import Jsonl
from textbookgen.builtin.sources.text import Text

CODECS: dict[str, Callable[[bytes], bytes]] = {
    "zst": zstandard.ZstdCompressor().compress,
    "gz": gzip.compress,
    "zlib": zlib.compress,
    "two frames": lambda data: gzip.compress(data[:9]) + gzip.compress(data[9:]),
    "two zstd frames": lambda data: zstandard.compress(data[:9]) + zstandard.compress(data[9:]),
    "plain": bytes,
}


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("data", [b"", b"one line", b"a\nb\n" * 400_000, bytes(3 * 2**20)])
def test_blocks_are_the_content(tmp_path: Path, codec: str, data: bytes) -> None:
    file = tmp_path / "file"
    file.write_bytes(CODECS[codec](data))
    pieces = list(blocks(file))
    assert b"".join(pieces) == data
    assert max(map(len, pieces), default=0) <= 2**20
    assert read_at_most(file, len(data)) == data
    if data:
        assert read_at_most(file, len(data) - 1) is None


@pytest.mark.parametrize("codec", ["zst", "gz", "zlib"])
@pytest.mark.parametrize("source", [Text, Jsonl])
def test_a_line_that_is_too_long_is_refused_in_little_memory(
    tmp_path: Path, codec: str, source: type[Text] | type[Jsonl], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compressed, "MAX_RECORD_BYTES", 20 * 2**20)
    file = tmp_path / "bomb"
    file.write_bytes(CODECS[codec](b'{"text": "short"}\n{"text": "' + bytes(64 * 2**20)))
    assert file.stat().st_size < 200_000
    tracemalloc.start()
    with pytest.raises(RunError, match=r"line 2 of '.*bomb' has more than 20 MiB") as caught:
        list(source(path=(str(file),)).read())
    assert tracemalloc.get_traced_memory()[1] < 30 * 2**20
    tracemalloc.stop()
    assert "divide the file" in caught.value.hint


def test_a_document_of_many_lines_is_bounded_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("textbookgen.builtin.sources.text.MAX_RECORD_BYTES", 5_000)
    file = tmp_path / "many.txt.gz"
    file.write_bytes(gzip.compress(b"a line of text\n" * 1_000))
    with pytest.raises(RunError, match="a document of"):
        list(Text(path=(str(file),)).read())
    assert sum(map(len, Text(path=(str(file),), per="line").read())) == 1_000


@pytest.mark.parametrize("codec", ["zst", "gz", "zlib"])
@pytest.mark.parametrize("cut", [1, 30, 200])
def test_a_cut_file_is_an_error_that_names_it(tmp_path: Path, codec: str, cut: int) -> None:
    content = CODECS[codec](b"".join(b"%d\n" % (n * n) for n in range(2_000)))
    file = tmp_path / "cut"
    file.write_bytes(content[:-cut])
    with pytest.raises(RunError, match="cut"):
        list(Text(path=(str(file),), per="line").read())


def test_lines_at_the_limit_pass(tmp_path: Path) -> None:
    file = tmp_path / "file.gz"
    file.write_bytes(gzip.compress(b"x" * 1_000 + b"\n" + b"y" * 999))
    check_lines(str(file), 1_000)
    with pytest.raises(RunError, match="line 1"):
        check_lines(str(file), 999)
    stream = io.BytesIO()
    pl.DataFrame({"text": ["a"]}).write_parquet(stream)
    (tmp_path / "a.parquet").write_bytes(stream.getvalue())
    check_lines(str(tmp_path / "a.parquet"), 1)
