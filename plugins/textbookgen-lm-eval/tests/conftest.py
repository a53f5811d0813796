"""A model of random weights in the format of transformers, and lm-evaluation-harness without a network."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")

import pytest
import torch
from textbookgen_transformers.served_model import TransformersModel
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, PreTrainedTokenizerFast

from textbookgen.api.cards import CausalLMCard, TokenizerCard
from textbookgen.builtin.tokenizers import FileTokenizer

from .published import WORDS, write_all

END = "<|endoftext|>"
CONTEXT = 160


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Let warnings of the harness and its libraries pass."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("lm_eval").setLevel(logging.ERROR)
        yield


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of random weights, as `save_pretrained` writes it, with our card."""
    folder = tmp_path_factory.mktemp("model")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    texts = [" ".join(WORDS), "Question: Answer: A. B. C. D. E. Title: Background: questions (with answers) about"] * 5
    trainer = trainers.BpeTrainer(
        vocab_size=480, special_tokens=[END], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=END, eos_token=END, pad_token=END).save_pretrained(folder)
    torch.manual_seed(3)
    config = GPTNeoXConfig(
        vocab_size=480, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=CONTEXT, initializer_range=0.3, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    GPTNeoXForCausalLM(config).save_pretrained(folder)
    file = FileTokenizer(folder / "tokenizer.json")
    card = TokenizerCard(name=file.name, digest=file.digest, file="tokenizer.json")
    CausalLMCard(format="transformers", tokenizer=card, eod=0).write(folder)
    return folder


@pytest.fixture(scope="session")
def model(checkpoint: Path) -> Iterator[TransformersModel]:
    with closing(TransformersModel(checkpoint)) as opened:
        yield opened


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    return write_all(tmp_path_factory.mktemp("benchmarks"))
