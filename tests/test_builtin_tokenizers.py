"""Tokenizers are lossless, and training one is deterministic and bounded."""

import hashlib
import json
import os
import pickle
import subprocess
import sys
import types

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models

from textbookgen.api.artifacts import Chats, Documents, Part, TrainedTokenizer
from textbookgen.api.errors import RunError
from textbookgen.api.stage import StageInputs
from textbookgen.builtin.stages.train_tokenizer import TrainTokenizer
from textbookgen.builtin.tokenizers import FileTokenizer, open_tokenizer

SENTENCE = "the cat sat on a mat and looked at 12 birds while 345 children read books about wonderful things"
WORDS = SENTENCE.split(" ")
TEXTS = [" ".join(WORDS[(n * k) % len(WORDS)] for k in range(1, 40)) + f"\n    return {n}\n" for n in range(300)]


def table(folder, texts, name="docs.parquet"):
    frame = pl.DataFrame({"id": [str(n) for n in range(len(texts))], "text": texts})
    frame.write_parquet(folder / name)
    return Documents((Part(folder / name),))


def train(folder, inputs, **options) -> TrainedTokenizer:
    folder.mkdir(exist_ok=True)
    stage = TrainTokenizer(**{"from": list(inputs)}, **options)
    stage.pack(StageInputs({"from": inputs}, folder, None), folder)
    return TrainedTokenizer(folder)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    return train(folder, {"docs": table(folder, TEXTS)}, vocabulary=320)


def test_the_card_describes_the_file(trained):
    card = trained.card()
    assert card["vocabulary"] == 320
    assert card["digest"] == hashlib.sha256(trained.file.read_bytes()).hexdigest()
    assert (card["documents"], card["bytes"]) == (300, sum(len(text) for text in TEXTS))
    tokenizer = open_tokenizer(f"hf:{trained.file}")
    tokens = sum(map(len, tokenizer.encode_batch(TEXTS)))
    assert card["bytes_per_token"] == pytest.approx(card["bytes"] / tokens)
    assert card["bytes_per_token"] > 2
    assert (tokenizer.vocabulary, tokenizer.digest, tokenizer.file) == (320, card["digest"], trained.file)


@pytest.fixture(scope="module")
def fast(trained):
    """The tokenizer, encoding with gigatoken if that is installed."""
    return FileTokenizer(trained.file)


@pytest.fixture(scope="module")
def plain(trained):
    """The same tokenizer in an environment without gigatoken."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "gigatoken", None)
        return FileTokenizer(trained.file)


@settings(max_examples=200, deadline=None)
@given(text=st.text())
def test_encoding_is_lossless(fast, text):
    for tokenizer in (fast, open_tokenizer("bytes")):
        [ids] = tokenizer.encode_batch([text])
        assert tokenizer.decode(ids) == text
        assert all(0 <= i < tokenizer.vocabulary and i != tokenizer.eod for i in ids)


ODD = r"([a-z]{1,3}|\s{1,3}|\d{1,4}|['\".]|<\|endoftext\|>|\u00e9|e\u0301)*"


@settings(max_examples=200, deadline=None)
@given(text=st.one_of(st.text(), st.from_regex(ODD, fullmatch=True)))
def test_gigatoken_gives_the_same_ids(fast, plain, text):
    assert fast.encode_batch([text, ""]) == plain.encode_batch([text, ""])


@settings(max_examples=50, deadline=None)
@given(texts=st.lists(st.text(), max_size=5))
def test_ragged_ids_are_those_of_the_batch(fast, plain, texts):
    for tokenizer in (fast, plain):
        ids, lengths = tokenizer.encode_ragged(texts)
        batch = tokenizer.encode_batch(texts)
        assert lengths.tolist() == [len(row) for row in batch]
        assert ids.tolist() == [i for row in batch for i in row]


def test_gigatoken_is_used_only_for_tokenizers_that_it_supports(trained, tmp_path, monkeypatch):
    gigatoken = pytest.importorskip("gigatoken")
    created = []
    from_json = gigatoken.Tokenizer.from_json
    fake = types.SimpleNamespace(
        Tokenizer=types.SimpleNamespace(from_json=lambda text: created.append(from_json(text)) or created[-1])
    )
    monkeypatch.setitem(sys.modules, "gigatoken", fake)
    FileTokenizer(trained.file)
    assert len(created) == 1
    words = Tokenizer(models.WordLevel({"<|endoftext|>": 0, "?": 1}, "?"))
    words.save(str(tmp_path / "words.json"))
    assert FileTokenizer(tmp_path / "words.json").encode_batch(["a"]) == [[1]]
    assert len(created) == 1


def test_gigatoken_is_not_used_if_it_gives_other_ids(trained, plain, monkeypatch):
    wrong = types.SimpleNamespace(encode_batch_list=lambda texts: [[0] for _ in texts])
    fake = types.SimpleNamespace(Tokenizer=types.SimpleNamespace(from_json=lambda text: wrong))
    monkeypatch.setitem(sys.modules, "gigatoken", fake)
    assert FileTokenizer(trained.file).encode_batch(["the cat"]) == plain.encode_batch(["the cat"])


def test_no_document_can_end_itself(trained):
    tokenizer = FileTokenizer(trained.file)
    [ids] = tokenizer.encode_batch(["one<|endoftext|>two"])
    assert tokenizer.eod not in ids
    assert tokenizer.decode([*ids, tokenizer.eod]) == "one<|endoftext|>two"


def test_each_digit_is_a_token_unless_digits_are_joined(trained, tmp_path):
    [ids] = FileTokenizer(trained.file).encode_batch(["345"])
    assert len(ids) == 3
    joined = train(tmp_path / "joined", {"docs": table(tmp_path, TEXTS)}, vocabulary=320, split_digits=False)
    [ids] = FileTokenizer(joined.file).encode_batch(["345"])
    assert len(ids) < 3


def test_a_word_has_the_same_tokens_after_a_space_and_a_quotation_mark_if_spaces_are_split(tmp_path):
    texts = ["the kitchen", "set(room='kitchen')", "kitchen light, kitchen lamp"] * 20
    separate = train(tmp_path / "separate", {"docs": table(tmp_path, texts)}, vocabulary=320, split_spaces=True)
    tokenizer = FileTokenizer(separate.file)
    word, spaced, quoted = tokenizer.encode_batch(["kitchen", "a kitchen", "'kitchen'"])
    assert len(word) == 1
    assert word[0] in spaced and word[0] in quoted
    assert tokenizer.decode(tokenizer.encode_batch(["set(room=' the kitchen'); x\n"])[0]) == "set(room=' the kitchen'); x\n"
    joined = FileTokenizer(train(tmp_path / "joined", {"docs": table(tmp_path, texts)}, vocabulary=320).file)
    assert joined.encode_batch(["kitchen"])[0][0] not in joined.encode_batch(["a kitchen"])[0]


def test_training_in_another_process_gives_the_same_bytes(trained, tmp_path):
    docs = table(tmp_path, TEXTS)
    script = f"""
from pathlib import Path
from textbookgen.api.artifacts import Documents, Part
from textbookgen.builtin.stages.train_tokenizer import TrainTokenizer
from textbookgen.api.stage import StageInputs
docs = Documents((Part(Path({str(docs.parts[0].data)!r})),))
out = Path({str(tmp_path)!r})
TrainTokenizer(inputs=["docs"], vocabulary=320).pack(StageInputs({{"from": {{"docs": docs}}}}, out, None), out)
"""
    environment = {**os.environ, "RAYON_NUM_THREADS": "1", "PYTHONHASHSEED": "7"}
    subprocess.run([sys.executable, "-c", script], check=True, env=environment)
    assert (tmp_path / "tokenizer.json").read_bytes() == trained.file.read_bytes()
    assert (tmp_path / "vocabulary.json").read_bytes() == (trained.path / "vocabulary.json").read_bytes()


@pytest.mark.parametrize(("options", "documents"), [({"max_documents": 30}, 30), ({"max_mib": 0.01}, 66)])
def test_it_trains_on_an_even_sample(tmp_path, options, documents):
    texts = [("early " if n < 150 else "late ") * 20 + TEXTS[n][:40] for n in range(300)]
    trained = train(tmp_path / "out", {"docs": table(tmp_path, texts)}, vocabulary=300, **options)
    card = trained.card()
    assert abs(card["documents"] - documents) <= documents * 0.15
    vocabulary = json.loads(trained.file.read_text())["model"]["vocab"]
    assert {"Ġearly", "Ġlate"} <= vocabulary.keys()


def test_it_trains_on_chats_and_documents_together(tmp_path):
    messages = [[{"role": "user", "content": "zebra zebra"}, {"role": "assistant", "content": "quagga"}]] * 5
    pl.DataFrame({"id": list("abcde"), "messages": messages}).write_parquet(tmp_path / "chats.parquet")
    inputs = {"docs": table(tmp_path, TEXTS), "chats": Chats((Part(tmp_path / "chats.parquet"),))}
    trained = train(tmp_path / "out", inputs, vocabulary=500)
    assert trained.card()["documents"] == 305
    assert {"zebra", "quagga"} <= json.loads(trained.file.read_text())["model"]["vocab"].keys()


def test_a_small_corpus_gives_a_smaller_vocabulary_and_an_empty_one_an_error(tmp_path):
    trained = train(tmp_path / "few", {"docs": table(tmp_path, ["ab ab", "ab"])}, vocabulary=4096)
    assert trained.card()["vocabulary"] == 258
    with pytest.raises(RunError, match="have no text"):
        train(tmp_path / "none", {"docs": Documents(())})


def test_a_tokenizer_can_be_pickled(trained):
    tokenizer = pickle.loads(pickle.dumps(open_tokenizer(f"hf:{trained.file}")))
    assert tokenizer.encode_batch(["the cat"]) == FileTokenizer(trained.file).encode_batch(["the cat"])


def test_invalid_tokenizers_are_reported(tmp_path):
    assert open_tokenizer("sentencepiece:x") is None
    with pytest.raises(RunError, match="there is no tokenizer"):
        open_tokenizer("hf:nowhere.json")
    (tmp_path / "broken.json").write_text("{}")
    with pytest.raises(RunError, match="cannot read"):
        open_tokenizer(f"hf:{tmp_path / 'broken.json'}")
    Tokenizer(models.WordLevel({"a": 0, "?": 1}, "?")).save(str(tmp_path / "endless.json"))
    with pytest.raises(RunError) as caught:
        open_tokenizer(f"hf:{tmp_path / 'endless.json'}")
    assert "train-tokenizer" in caught.value.hint
