"""Finetuned chat models as others use them: transformers' own `generate`, which stops by ids only, and its chat template."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl
import pytest
from textbookgen_transformers.stages.pretrain import Pretrain
from textbookgen_transformers.stages.sft import Sft
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer

from textbookgen.api.artifacts import Chats, Part
from textbookgen.api.stage import StageInputs
from textbookgen.builtin.stages.train_tokenizer import TrainTokenizer
from textbookgen.builtin.tokenizers import FileTokenizer
from textbookgen.training.chat_template import TEMPLATES

from .conftest import documents

ANIMALS = ["dog", "cat", "cow", "hen", "fox", "owl", "bee", "ant", "pig", "rat", "bat", "elk"]


class File:
    """Resolves the name of a tokenizer's file."""

    def tokenizer(self, name: str) -> FileTokenizer:
        return FileTokenizer(Path(name))


def talk(animal: str) -> list[dict[str, str]]:
    return [
        {"role": "user", "content": f"Who are you, {animal}?"},
        {"role": "assistant", "content": f"I am a {animal}."},
        {"role": "user", "content": "Sure?"},
        {"role": "assistant", "content": f"A {animal}, yes."},
    ]


@pytest.fixture(scope="module")
def chats(tmp_path_factory):
    folder = tmp_path_factory.mktemp("chats")
    rows = [talk(animal)[:length] for animal in ANIMALS for length in (2, 4)]
    frame = pl.DataFrame(
        {"id": [str(n) for n in range(len(rows))], "messages": rows}, schema={"id": pl.String, **Chats.content}
    )
    frame.write_parquet(folder / "chats.parquet")
    return Chats((Part(folder / "chats.parquet"),))


def trained_tokenizer(folder, texts, control_tokens):
    stage = TrainTokenizer.model_validate({"from": "corpus", "vocabulary": 300, "control_tokens": control_tokens})
    out = folder / "tokenizer"
    out.mkdir()
    stage.pack(StageInputs({"from": {"corpus": documents(folder, texts)}}, out, File()), out)
    return out / "tokenizer.json"


@pytest.mark.parametrize(("template", "control"), [*((name, True) for name in TEMPLATES), ("phi-3", False), ("chatml", False)])
def test_replies_of_plain_generate_stop_by_ids(context, chats, tmp_path, template, control):
    texts = [message["content"] for animal in ANIMALS for message in talk(animal)]
    file = trained_tokenizer(tmp_path, texts, [template] if control else [])
    name = f"{template}-{control}"
    options = {"tokenizer": str(file), "chat_template": template, "sequence_length": 128, "validation_share": 0}
    shards = _pack(tmp_path, chats, **options)
    shape = {"layers": 2, "hidden": 64, "heads": 4, "learning_rate": 5e-3, "batch_size": 4}
    context.here(f"base-{name}", Pretrain(shards="s", tokens=1024, **shape), shards=shards)
    tuning = {"epochs": 20, "batch_size": 4, "learning_rate": 5e-3, "dropout": 0.0}
    context.here(
        f"chat-{name}", Sft(shards="s", checkpoint="c", **tuning), shards=shards, checkpoint=context.folder / f"base-{name}"
    )
    folder = context.folder / f"chat-{name}"
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    stopped = learned = 0
    for animal in ANIMALS:
        asked = tokenizer.apply_chat_template(
            talk(animal)[:1], add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        ids = model.generate(**asked, max_new_tokens=60, do_sample=False)[0, asked["input_ids"].shape[1] :]
        stopped += len(ids) < 60
        learned += tokenizer.decode(ids, skip_special_tokens=True).startswith("I am a")
    assert (stopped, learned) == (len(ANIMALS), len(ANIMALS))


def _pack(folder, table, **options):
    from textbookgen.builtin.stages.pack.stage import Pack

    stage = Pack.model_validate({"from": "corpus", **options})
    stage.pack(StageInputs({"from": {"corpus": table}}, folder, File()), folder / "shards")
    return folder / "shards"


@pytest.mark.parametrize("template", TEMPLATES)
def test_transformers_computes_the_mask_of_assistant_tokens(tmp_path, template):
    file = trained_tokenizer(tmp_path, ["I am a dog."] * 3, [template])
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(file), eos_token="<|endoftext|>", chat_template=TEMPLATES[template])
    encoded = tokenizer.apply_chat_template(talk("dog"), return_dict=True, return_assistant_tokens_mask=True)
    learned = [token for token, mask in zip(encoded["input_ids"], encoded["assistant_masks"], strict=True) if mask]
    said = re.sub(r"<\|[a-z_]+\|>\s*", "", tokenizer.decode(learned))
    assert said == "I am a dog.A dog, yes."


def test_control_tokens_are_encoded_in_templates_only(tmp_path):
    file = trained_tokenizer(tmp_path, ["What is <|end|> for?"] * 3, ["phi-3", "<|think|>"])
    library, own = Tokenizer.from_file(str(file)), FileTokenizer(file)
    added = ["<|endoftext|>", "<|system|>", "<|end|>", "<|user|>", "<|assistant|>", "<|think|>"]
    assert [library.token_to_id(token) for token in added] == list(range(6))
    [ids] = own.encode_batch(["a <|end|> b"])
    assert min(ids) > 5 and own.decode(ids) == "a <|end|> b"
