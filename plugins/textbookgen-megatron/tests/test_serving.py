from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from textbookgen_megatron import open_model
from textbookgen_megatron.backend import weights
from textbookgen_megatron.backend.device import process_groups
from textbookgen_megatron.backend.gpt_model import build_model
from textbookgen_megatron.serving.decoding import CachedModel
from textbookgen_megatron.serving.server import open_generator
from textbookgen_megatron.shape import Shape
from textbookgen_megatron.torch_model import TorchModel

from textbookgen.api.errors import TrainerError
from textbookgen.api.message import Message
from textbookgen.api.model import TokenModel
from textbookgen.api.tokenizer import ByteTokenizer
from textbookgen.training.generation import BatchGenerator, SamplingParams
from textbookgen.training.job import write_card
from textbookgen.training.prompt_codec import PromptCodec, cut

PHI = Shape("phi", layers=2, hidden=32, heads=4, kv_heads=4, ffn=128, vocabulary=257, sequence_length=48)
LLAMA = Shape("llama", layers=2, hidden=48, heads=6, kv_heads=2, ffn=80, vocabulary=257, sequence_length=48)
PROMPTS = ["Once", "a", "", "There was a small dog", "Ann had", "x" * 40]


def trained(shape: Shape) -> dict[str, torch.Tensor]:
    """Weights far from their start, so that likeliest tokens vary."""
    draw = torch.Generator().manual_seed(5)
    return {
        name: weight + 0.3 * torch.randn(weight.shape, generator=draw)
        for name, weight in weights.gather(build_model(shape), shape).items()
    }


@pytest.fixture(scope="module", params=[PHI, LLAMA], ids=lambda shape: shape.architecture)
def network(request: pytest.FixtureRequest) -> TorchModel:
    with process_groups():
        return TorchModel(request.param, trained(request.param))


@pytest.fixture
def writer(network: TorchModel, tmp_path: Path) -> BatchGenerator:
    return BatchGenerator(CachedModel(network), PromptCodec.at(tmp_path, {"tokenizer": {"file": None}, "eod": 256}))


@torch.no_grad()
def test_logits_are_those_of_megatron(network):
    tokens = torch.randint(0, 257, (3, 48), generator=torch.Generator().manual_seed(0))
    with process_groups():
        model = build_model(network.shape)
        weights.load(model, network.weights, network.shape)
        expected = model(tokens, torch.arange(48).expand_as(tokens), None)[..., :257]
    ours = network.logits(network.hidden(tokens)[0])
    assert torch.linalg.norm(ours - expected) / torch.linalg.norm(expected) < 1e-5
    assert float((ours - expected).abs().max()) < 1e-4


def greedy_by_full_forwards(network: TorchModel, prompt: str, count: int) -> str:
    ids = [256, *prompt.encode()]
    start = len(ids)
    while len(ids) < start + count and len(ids) < network.shape.sequence_length:
        token = int(network.logits(network.hidden(torch.tensor([ids]))[0])[0, -1].argmax())
        if token == 256:
            break
        ids.append(token)
    return ByteTokenizer().decode(ids[start:])


def test_greedy_completions_are_the_argmax_of_full_forwards(network, writer):
    short = PROMPTS[:5]
    assert writer.complete(short, SamplingParams(max_tokens=20)) == [
        [greedy_by_full_forwards(network, prompt, 20)] for prompt in short
    ]


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_completion_does_not_depend_on_what_else_is_asked(writer, temperature):
    wish = SamplingParams(max_tokens=20, temperature=temperature, samples=1, seed=4)
    alone = [writer.complete([""] * index + [prompt], wish)[index] for index, prompt in enumerate(PROMPTS)]
    assert writer.complete(PROMPTS, wish) == alone


def test_draws_follow_the_seed(writer):
    def drawn(seed: int) -> list[list[str]]:
        return writer.complete(PROMPTS[:3], SamplingParams(max_tokens=16, temperature=0.8, samples=3, seed=seed))

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)
    assert len({text for texts in drawn(1) for text in texts}) > 3


def test_draws_are_as_likely_as_the_model_says(network, writer):
    probabilities = network.logits(network.hidden(torch.tensor([[256, 65]]))[0])[0, -1].softmax(-1)
    likeliest = int(probabilities.argmax())
    texts = writer.complete(["A"], SamplingParams(max_tokens=1, temperature=1.0, samples=2_000, seed=0))[0]
    share = sum(text == ByteTokenizer().decode([likeliest]) for text in texts) / 2_000
    # bytes that begin no character all decode alike, so only a share that is too small would be wrong
    assert share > float(probabilities[likeliest]) - 0.05


def test_completions_end_before_the_first_stop(writer):
    free = writer.complete(PROMPTS[:4], SamplingParams(max_tokens=24))
    stops = tuple({text[3:5] for [text] in free if len(text) > 5 and "�" not in text[3:5]}) or ("e",)
    stopped = writer.complete(PROMPTS[:4], SamplingParams(max_tokens=24, stop=stops))
    assert stopped == [[cut(text, stops)] for [text] in free]
    assert cut("abcd", ("d", "bc")) == "a"


def test_long_prompts_lose_their_beginning(writer):
    long = "y" * 500 + "Once upon"
    assert writer.complete([long], SamplingParams(max_tokens=8)) == writer.complete([long[-300:]], SamplingParams(max_tokens=8))


@torch.no_grad()
def test_scores_are_summed_log_probabilities(network, writer):
    pairs = [("Ann had", " a dog."), ("", "Tom"), ("a longer beginning of it", "!"), ("", "")]
    for (before, after), (logprob, tokens, _) in zip(pairs, writer.score(pairs), strict=True):
        ids = torch.tensor([[256, *before.encode(), *after.encode()]])
        every = (
            network.logits(network.hidden(ids)[0])[0, :-1].log_softmax(-1).gather(-1, ids[0, 1:, None])[len(before.encode()) :]
        )
        assert tokens == len(after.encode())
        assert logprob == pytest.approx(float(every.sum()), rel=1e-5, abs=1e-5)


def test_greedy_texts_score_as_greedy(writer):
    [[text]] = writer.complete(["Ann"], SamplingParams(max_tokens=6))
    ids = ByteTokenizer().encode_batch([text])[0]
    if ByteTokenizer().decode(ids) == text and "�" not in text:
        assert writer.score([("Ann", text)])[0][2]
    assert not writer.score([("Ann", "qzqzqzqz")])[0][2]


def test_texts_longer_than_the_window_are_scored_whole(writer):
    [(logprob, tokens, _)] = writer.score([("", "z" * 200)])
    assert tokens == 200
    assert logprob < 0


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    with process_groups():
        weights.write(trained(PHI), tmp_path)
    card = {
        "format": "megatron",
        "shape": PHI.card(),
        "weights": weights.FILE,
        "weights_digest": hashlib.sha256((tmp_path / weights.FILE).read_bytes()).hexdigest(),
        "tokenizer": {"name": "bytes", "digest": "bytes", "file": None},
        "eod": 256,
    }
    write_card(tmp_path, card)
    return tmp_path


def test_a_served_model_answers_as_the_writer_does(checkpoint):
    model = open_model(checkpoint)
    assert model is not None
    writer = open_generator(checkpoint)
    try:
        assert model.complete(PROMPTS, max_tokens=12) == writer.complete(PROMPTS, SamplingParams(max_tokens=12))
        drawn = model.complete(PROMPTS[:2], max_tokens=6, temperature=0.7, samples=2, seed=3)
        assert drawn == writer.complete(PROMPTS[:2], SamplingParams(max_tokens=6, temperature=0.7, samples=2, seed=3))
        [score] = model.score([("Ann had", " a dog.")])
        assert (score.logprob, score.tokens, score.greedy) == pytest.approx(writer.score([("Ann had", " a dog.")])[0])
        assert [len(texts) for texts in model.complete(["a"], max_tokens=2, samples=3)] == [3]
    finally:
        model.close()


def test_a_model_that_cannot_load_says_why(checkpoint):
    (checkpoint / weights.FILE).write_bytes(b"torn")
    model = open_model(checkpoint)
    assert model is not None
    with pytest.raises(TrainerError, match="the serving process ended") as error:
        model.complete(["a"], max_tokens=1)
    assert str(checkpoint) in error.value.place
    assert "the file is torn or changed" in error.value.problem
    assert "Traceback" not in error.value.problem
    model.close()


def test_checkpoints_of_others_are_left_to_others(tmp_path):
    assert open_model(tmp_path) is None
    (tmp_path / "checkpoint.json").write_text('{"format": "nanochat"}')
    assert open_model(tmp_path) is None


# -- by token ids


HEADS = [[79, 110], [97], [], list(b"There was a small dog"), list(b"x" * 30)]


def test_what_is_gone_on_with_depends_on_its_own_seed_alone(writer):
    wish = SamplingParams(max_tokens=20, temperature=1.0, samples=3)
    rooms = [20, 5, 12, 1, 20]
    together = writer.extend(HEADS, wish, [7, 8, 9, 10, 11], rooms)
    alone = [writer.extend([head], wish, [7 + at], [rooms[at]])[0] for at, head in enumerate(HEADS)]
    assert together == alone
    assert writer.extend(HEADS, wish, [1, 2, 3, 4, 5], rooms) != together
    assert all(len(ids) <= room for each, room in zip(together, rooms, strict=True) for ids, _, _ in each)
    assert len({tuple(ids) for ids, _, _ in together[0]}) == 3


def test_samples_that_do_not_fit_into_one_batch_are_the_same(writer, monkeypatch):
    wish = SamplingParams(max_tokens=20, temperature=1.0, samples=5)
    whole = writer.extend(HEADS, wish, [1] * 5, [20] * 5)
    monkeypatch.setattr("textbookgen.training.generation.TOKENS_AT_ONCE", 90)
    assert writer.extend(HEADS, wish, [1] * 5, [20] * 5) == whole


def test_going_on_by_ids_is_completing(writer):
    texts = writer.complete(PROMPTS[:4], SamplingParams(max_tokens=12))
    ids = writer.extend([list(prompt.encode()) for prompt in PROMPTS[:4]], SamplingParams(max_tokens=12), [0] * 4, [12] * 4)
    assert [each[0][1] for each in ids] == [each[0] for each in texts]


def test_what_ended_is_known_and_its_end_is_among_the_ids(writer):
    wish = SamplingParams(max_tokens=200, temperature=1.5, samples=16)
    for ids, text, ended in writer.extend([[65]], wish, [3], [12])[0]:
        assert ended == (ids[-1] == 256)
        assert ended or len(ids) == 12
        assert text == ByteTokenizer().decode(ids)
    stopping = SamplingParams(max_tokens=200, temperature=1.5, samples=16, stop=("e", "a", "o"))
    for _, text, ended in writer.extend([[65]], stopping, [3], [30])[0]:
        assert not set(text) & set("eao")
        assert ended or len(text.encode()) >= 10


def test_log_probabilities_of_ids_sum_to_the_score(writer):
    texts = [("Once", " there was a dog"), ("", "a" * 60), ("x" * 40, "yz")]
    each = writer.logprobs([(list(before.encode()), list(after.encode())) for before, after in texts])
    assert [len(one) for one in each] == [16, 60, 2]
    assert [sum(one) for one in each] == pytest.approx([total for total, _, _ in writer.score(texts)], abs=1e-9)


def test_a_served_model_is_asked_by_ids(checkpoint):
    model = open_model(checkpoint)
    assert isinstance(model, TokenModel)
    try:
        [head] = model.encode([[Message("user", "Once")]])
        assert head == list(b"Once")
        each = model.extend([head, head], max_tokens=8, seeds=[1, 2], samples=3)
        assert [len(several) for several in each] == [3, 3]
        assert model.extend([head], max_tokens=[8], seeds=[2], samples=3)[0] == each[1]
        greedy = model.extend([head], max_tokens=8, seeds=[2], temperature=0, samples=2)[0]
        assert [one.text for one in greedy] == model.complete(["Once"], max_tokens=8)[0] * 2
        assert model.decode([[*b"ab", 256]]) == ["ab"]
        assert len(model.logprobs([(head, head)])[0]) == 4
    finally:
        model.close()
