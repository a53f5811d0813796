"""The examples work: other tools read the exports, and the third-party plugin filters."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from textbookgen.api.artifacts import MESSAGES, Chats, Pairs, Part, Table
from textbookgen.api.stage import StageInputs
from textbookgen.api.tokenizer import ByteTokenizer
from textbookgen.builtin.sources.text import Text
from textbookgen.builtin.stages.export import Export
from textbookgen.testing import documents, write_documents

EXAMPLES = Path(__file__).parents[1] / "examples"
TEXTS = [
    f"The {animal} sat on the {place} and sang." for animal in ("cat", "dog", "hen") for place in ("mat", "roof", "hill")
] * 4


class Resolver:
    def tokenizer(self, name: str) -> ByteTokenizer:
        return ByteTokenizer()


def load(file: Path):
    spec = importlib.util.spec_from_file_location(file.stem, file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def tables(folder: Path) -> dict[str, Table]:
    ids = [str(n) for n in range(len(TEXTS))]
    turns = [[{"role": "user", "content": text}] for text in TEXTS]
    pl.DataFrame({"id": ids, "messages": turns}, schema_overrides={"messages": MESSAGES}).write_parquet(folder / "chats")
    pl.DataFrame({"id": ids, "prompt": turns, "chosen": turns, "rejected": turns}).write_parquet(folder / "pairs")
    return {
        "documents": write_documents(folder, documents(TEXTS)),
        "chats": Chats((Part(folder / "chats"),)),
        "pairs": Pairs((Part(folder / "pairs"),)),
    }


@pytest.mark.parametrize(
    ("layout", "flow", "options"),
    [
        ("parquet-text", "documents", {}),
        ("jsonl", "documents", {"validation": 0.25}),
        ("jsonl", "pairs", {}),
        ("trl", "documents", {}),
        ("trl", "chats", {"validation": 0.25}),
        ("trl", "pairs", {}),
        ("tokenized", "documents", {"tokenizer": "bytes", "rows_per_file": 10}),
    ],
)
def test_an_external_trainer_reads_every_layout(tmp_path, layout, flow, options):
    out = tmp_path / "out"
    out.mkdir()
    export = Export(**{"from": "corpus"}, layout=layout, **options)
    export.pack(StageInputs({"from": {"corpus": tables(tmp_path)[flow]}}, out, Resolver()), out)
    script = EXAMPLES / "external_trainer" / "bigram.py"
    without_textbookgen = f"import sys; sys.modules['textbookgen'] = None; sys.argv = ['bigram.py', {str(out)!r}]"
    run = f"import runpy; runpy.run_path({str(script)!r}, run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", f"{without_textbookgen}; {run}"], capture_output=True, text=True, check=True)
    first, second = done.stdout.splitlines()
    held_out = json.loads((out / "manifest.json").read_text())["validation_documents"]
    assert (held_out > 0) == ("validation" in options or layout == "parquet-text")
    assert first.startswith(f"{layout}: {36 - held_out} documents in {4 if layout == 'tokenized' else 1} files")
    trained = int(re.search(r"(\d+) (character|token)s", first)[1])
    if flow == "documents" and not held_out:
        assert trained == sum(len(text) + 1 for text in TEXTS)
    assert ("validation" if held_out else "training") in second
    assert 0.3 < float(second.split()[0]) < 4  # such sentences are easier than 96 equal characters, at 6.6 bits each


@pytest.fixture
def shards(tmp_path):
    pack = pytest.importorskip("textbookgen.builtin.stages.pack.stage").Pack
    pytest.importorskip("megatron.core.datasets.indexed_dataset")
    out = tmp_path / "out"
    out.mkdir()
    inputs = StageInputs({"from": {"corpus": write_documents(tmp_path, documents([*TEXTS, "é"]))}}, out, Resolver())
    pack(**{"from": "corpus"}, tokenizer="bytes", validation_share=0.3).pack(inputs, out)
    return out


@pytest.mark.slow
def test_shards_are_read_with_numpy_as_with_megatron(shards):
    example = load(EXAMPLES / "read_shards.py")
    for split in ("train", "valid"):
        ours, theirs = example.open_documents(shards / split), example.open_documents(shards / split, megatron=True)
        assert len(ours) == len(theirs) > 3
        assert [ours[n].tolist() for n in range(len(ours))] == [theirs[n].tolist() for n in range(len(theirs))]
    done = subprocess.run(
        [sys.executable, EXAMPLES / "read_shards.py", shards, "1"], capture_output=True, text=True, check=True
    )
    train, valid, text = done.stdout.splitlines()
    assert train.endswith("as the manifest says")
    assert valid.endswith("as the manifest says")
    assert text.removeprefix("document 1: ") in TEXTS


def test_the_third_party_plugin_drops_the_two_stories_with_long_sentences():
    plugin = load(EXAMPLES / "third_party_plugin" / "textbookgen_readability.py")
    [stories] = Text(path=str(EXAMPLES / "third_party_plugin" / "stories.txt"), per="paragraph").read()
    verdicts = plugin.stages()[0](max_words=12).decide(stories)
    assert verdicts["keep"].to_list() == [True, False, True, False, True]
    assert verdicts.filter(~pl.col("keep"))["detail"].to_list() == ["44.0 words per sentence", "43.0 words per sentence"]
