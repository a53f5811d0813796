"""Architectures, their forward passes, and serving."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from textbookgen_megatron.shape import Shape
from textbookgen_transformers import open_model
from textbookgen_transformers.backend.architecture import config_of, count_parameters
from textbookgen_transformers.backend.hardware import flops_per_token
from textbookgen_transformers.serving.decode_state import CachedModel
from textbookgen_transformers.serving.server import open_generator
from textbookgen_transformers.stages.pretrain import Pretrain
from textbookgen_transformers.weight_files import weights_digest
from transformers import AutoModelForCausalLM, AutoTokenizer

from textbookgen.api.errors import TrainerError
from textbookgen.api.tokenizer import ByteTokenizer
from textbookgen.recipe.plugin_manager import Plugins
from textbookgen.testing import check_plugin
from textbookgen.training.architectures import resolve_shape
from textbookgen.training.generation import BatchGenerator
from textbookgen.training.prompt_codec import PromptCodec, cut
from textbookgen.training.sampling import SamplingParams

from .conftest import card

KINDS = ["phi", "phi3", "llama", "neox", "pythia", "neo"]
PROMPTS = ["Once", "a", "", "There was a small dog", "Ann had"]


def built(kind, **more):
    values = {"architecture": kind, "layers": 2, "hidden": 32, "heads": 4, **more}
    if kind in ("phi3", "neo"):
        values["window"] = 7
    whole = resolve_shape(None, values) | {"vocabulary": 257, "sequence_length": 48}
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config_of(whole, 256), dtype=torch.float32)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    return whole, model.eval()


def generator_of(model):
    return BatchGenerator(CachedModel(model), PromptCodec.load(Path(), None, 256))


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_packed_documents_do_not_attend_to_each_other(kind):
    _, model = built(kind)
    texts = [torch.randint(0, 257, (1, length)) for length in (9, 14, 25)]
    places = torch.cat([torch.arange(text.size(1)) for text in texts])[None]
    packed = model(input_ids=torch.cat(texts, 1).repeat(2, 1), position_ids=places.repeat(2, 1), use_cache=False).logits
    alone = torch.cat([model(input_ids=text, use_cache=False).logits for text in texts], 1)
    assert torch.allclose(packed[1], alone[0], atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_parameter_counts_equal_megatrons(kind):
    whole, model = built(kind)
    shape = Shape(**whole, **{"head_bias": True} if kind == "phi" else {})
    assert count_parameters(model) == shape.parameters()


@pytest.mark.parametrize("kind", KINDS)
def test_flops_per_token_equal_megatrons(kind):
    whole, model = built(kind, ffn=96, tied=kind == "llama")
    assert flops_per_token(model, 48) == pytest.approx(Shape(**whole | {"vocabulary": 256}).flops(1), rel=0.04)  # biases


@pytest.mark.parametrize("kind", ["llama", "phi3", "neo"])
@torch.no_grad()
def test_completions_are_the_argmax_of_full_forward_passes_in_any_batch(kind):
    _, model = built(kind)
    generator = generator_of(model)

    def greedy(prompt):
        ids = [256, *prompt.encode()]
        start = len(ids)
        while len(ids) < min(start + 12, 48):
            token = int(model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].argmax())
            if token == 256:
                break
            ids.append(token)
        return ByteTokenizer().decode(ids[start:])

    assert generator.complete(PROMPTS, SamplingParams(max_tokens=12)) == [[greedy(prompt)] for prompt in PROMPTS]
    params = SamplingParams(max_tokens=12, temperature=1.0, samples=2, seed=4)
    alone = [generator.complete([""] * index + [prompt], params)[index] for index, prompt in enumerate(PROMPTS)]
    assert generator.complete(PROMPTS, params) == alone


@torch.no_grad()
def test_scores_are_summed_log_probabilities():
    _, model = built("llama")
    generator = generator_of(model)
    asked = [("Ann had", " a dog."), ("", "Tom"), ("a longer beginning of it", "!"), ("", "")]
    for (before, after), (logprob, tokens, _) in zip(asked, generator.score(asked), strict=True):
        ids = torch.tensor([[256, *before.encode(), *after.encode()]])
        every = model(input_ids=ids).logits[0, :-1].log_softmax(-1).gather(-1, ids[0, 1:, None])[len(before.encode()) :]
        assert (tokens, logprob) == (len(after.encode()), pytest.approx(float(every.sum()), rel=1e-5, abs=1e-5))
    assert generator.score([("", "z" * 200)])[0][1] == 200
    assert generator.complete(["y" * 500 + "Once"], SamplingParams(8)) == generator.complete(
        ["y" * 300 + "Once"], SamplingParams(8)
    )


def test_completions_end_before_the_first_stop():
    _, model = built("phi")
    generator = generator_of(model)
    free = generator.complete(PROMPTS, SamplingParams(max_tokens=24))
    stops = tuple({text[3:5] for [text] in free if len(text) > 5 and "\ufffd" not in text[3:5]}) or ("e",)
    assert generator.complete(PROMPTS, SamplingParams(max_tokens=24, stop=stops)) == [[cut(text, stops)] for [text] in free]


def test_an_answer_ends_where_the_chat_template_ends_it(trained, tmp_path):
    folder = shutil.copytree(trained, tmp_path / "chat")
    built("llama")[1].save_pretrained(folder)  # drawn weights say various things
    values = card(folder) | {"weights_digest": weights_digest(folder)}
    (folder / "checkpoint.json").write_text(json.dumps(values))
    asked = [chr(letter) for letter in range(ord("A"), ord("z"))]
    free = [text for [text] in open_generator(folder).complete(asked, SamplingParams(max_tokens=12))]
    at, place = next(
        (at, place)
        for at, text in enumerate(free)
        for place in range(1, 11)
        if re.fullmatch(r"\w\w", text[place : place + 2], re.A)
    )
    for size in (1, 2):  # one id, and text of several
        ending = free[at][place : place + size]
        template = "{% for m in messages %}{{ m.content }}" + ending + "\n{% endfor %}"
        (folder / "checkpoint.json").write_text(json.dumps(values | {"chat": {"name": "own", "template": template}}))
        ended = open_generator(folder).complete(asked, SamplingParams(max_tokens=12))[at]
        assert ended == [free[at].partition(ending)[0]]


@pytest.fixture(scope="module")
def trained(context, shards):
    options = {
        "layers": 2,
        "hidden": 32,
        "heads": 4,
        "batch_size": 8,
        "tokens": 2048,
        "learning_rate": 5e-3,
        "validate_every": 2,
    }
    context.here("served", Pretrain(shards="s", **options), shards=shards)
    return context.folder / "served"


def test_a_checkpoint_is_opened_by_this_plugin_and_by_transformers_itself(trained, tmp_path):
    model, alone = open_model(trained), AutoModelForCausalLM.from_pretrained(trained)
    tokenizer = AutoTokenizer.from_pretrained(trained)
    try:
        texts = model.complete(["Ann had", "Tom"], max_tokens=5, samples=2)
        ids = tokenizer("<|endoftext|>Ann had", return_tensors="pt")
        written = alone.generate(**ids, max_new_tokens=5, do_sample=False)[0, ids["input_ids"].size(1) :]
        assert tokenizer.decode(written, skip_special_tokens=True) == texts[0][0] == texts[0][1]
        assert model.score([("", "Tom")])[0].tokens == 3
        with pytest.raises(TrainerError, match="the model server failed"):
            model.complete(["x"], max_tokens="many")
        assert model.score([("", "Tom")])[0].logprob < 0
    finally:
        model.close()
    (tmp_path / "checkpoint.json").write_text(json.dumps({"format": "parquet"}))
    assert open_model(tmp_path) is None and open_model(tmp_path / "nothing") is None


def test_other_plugins_open_exported_checkpoints_first(tmp_path):
    (tmp_path / "checkpoint.json").write_text(json.dumps({"format": "transformers"}))
    for names, opened in (
        (["transformers"], "textbookgen_transformers"),
        (["megatron", "transformers"], "textbookgen_megatron"),
    ):
        model = Plugins(names).model(tmp_path)
        model.close()
        assert type(model).__module__.startswith(opened)


def test_training_in_bfloat16_is_close_to_float32(trained, context, shards):
    options = {
        "layers": 2,
        "hidden": 32,
        "heads": 4,
        "batch_size": 8,
        "tokens": 2048,
        "learning_rate": 5e-3,
        "precision": "bf16",
    }
    half = context.here("half", Pretrain(shards="s", **options), shards=shards)
    assert half["precision"] == "bf16"
    assert half["bits_per_byte"] == pytest.approx(card(trained)["bits_per_byte"], rel=0.01)


@pytest.mark.parametrize(
    ("options", "place"),
    [
        ({"heads": 5}, "heads"),
        ({"heads": 32}, "heads"),
        ({"architecture": "neox", "kv_heads": 2}, "kv_heads"),
        ({"architecture": "llama", "window": 9}, "window"),
        ({"architecture": "llama", "rotary": 0.5}, "rotary"),
        ({"architecture": "neo", "rotary": 0.5, "tied": True}, "rotary"),
        ({"shape": "tinystories-1m", "rotary": 0.5}, "rotary"),
        ({"shape": "gpt-5"}, "shape"),
        ({"layers": None}, "layers"),
        ({"batch_size": 8, "gpus": 3}, "batch_size"),
        ({"weights": {"other": 1.0}}, "weights"),
    ],
)
def test_impossible_options_are_reported_by_check(options, place):
    stage = Pretrain(**{"shards": "s", "layers": 2, "hidden": 32, "heads": 4, "tokens": 64, **options})
    assert [each.place for each in stage.check()] == [place]


def test_the_plugin_passes_plugin_check():
    check_plugin("transformers")
