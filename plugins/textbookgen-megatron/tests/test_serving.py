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

from textbookgen.api.cards import CausalLMCard, TokenizerCard
from textbookgen.api.errors import TrainerError
from textbookgen.api.message import Message
from textbookgen.api.model import TokenModel
from textbookgen.api.tokenizer import ByteTokenizer
from textbookgen.training.generation import BatchGenerator
from textbookgen.training.prompt_codec import PromptCodec, cut
from textbookgen.training.sampling import SamplingParams

PHI = Shape("phi", layers=2, hidden=32, heads=4, kv_heads=4, ffn=128, vocabulary=257, sequence_length=48)
LLAMA = Shape("llama", layers=2, hidden=48, heads=6, kv_heads=2, ffn=80, vocabulary=257, sequence_length=48)
PROMPTS = ["Once", "a", "", "There was a small dog", "Ann had", "x" * 40]


def trained(shape: Shape) -> dict[str, torch.Tensor]:
    """Weights far from their initial values, so that greedy decoding varies."""
    draw = torch.Generator().manual_seed(5)
    return {
        name: weight + 0.3 * torch.randn(weight.shape, generator=draw)
        for name, weight in weights.gather(build_model(shape), shape).items()
    }


@pytest.fixture(scope="module", params=[PHI, LLAMA], ids=lambda shape: shape.architecture)
def model(request: pytest.FixtureRequest) -> TorchModel:
    with process_groups():
        return TorchModel(request.param, trained(request.param))


@pytest.fixture
def generator(model: TorchModel, tmp_path: Path) -> BatchGenerator:
    return BatchGenerator(CachedModel(model), PromptCodec.load(tmp_path, None, 256))


@torch.no_grad()
def test_parity_of_logits_with_megatron(model):
    tokens = torch.randint(0, 257, (3, 48), generator=torch.Generator().manual_seed(0))
    with process_groups():
        megatron = build_model(model.shape)
        weights.load(megatron, model.weights, model.shape)
        expected = megatron(tokens, torch.arange(48).expand_as(tokens), None)[..., :257]
    ours = model.logits(model.hidden(tokens)[0])
    assert torch.linalg.norm(ours - expected) / torch.linalg.norm(expected) < 1e-5
    assert float((ours - expected).abs().max()) < 1e-4


def greedy_by_full_forwards(model: TorchModel, prompt: str, count: int) -> str:
    ids = [256, *prompt.encode()]
    start = len(ids)
    while len(ids) < start + count and len(ids) < model.shape.sequence_length:
        token = int(model.logits(model.hidden(torch.tensor([ids]))[0])[0, -1].argmax())
        if token == 256:
            break
        ids.append(token)
    return ByteTokenizer().decode(ids[start:])


def test_greedy_completions_are_the_argmax_of_full_forwards(model, generator):
    short = PROMPTS[:5]
    assert generator.complete(short, SamplingParams(max_tokens=20)) == [
        [greedy_by_full_forwards(model, prompt, 20)] for prompt in short
    ]


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_completion_does_not_depend_on_its_batch(generator, temperature):
    params = SamplingParams(max_tokens=20, temperature=temperature, samples=1, seed=4)
    alone = [generator.complete([""] * index + [prompt], params)[index] for index, prompt in enumerate(PROMPTS)]
    assert generator.complete(PROMPTS, params) == alone


def test_samples_follow_the_seed(generator):
    def sample(seed: int) -> list[list[str]]:
        return generator.complete(PROMPTS[:3], SamplingParams(max_tokens=16, temperature=0.8, samples=3, seed=seed))

    assert sample(1) == sample(1)
    assert sample(1) != sample(2)
    assert len({text for texts in sample(1) for text in texts}) > 3


def test_samples_follow_the_distribution_of_the_model(model, generator):
    probabilities = model.logits(model.hidden(torch.tensor([[256, 65]]))[0])[0, -1].softmax(-1)
    likeliest = int(probabilities.argmax())
    texts = generator.complete(["A"], SamplingParams(max_tokens=1, temperature=1.0, samples=2_000, seed=0))[0]
    share = sum(text == ByteTokenizer().decode([likeliest]) for text in texts) / 2_000
    # all invalid bytes decode alike, so only a share that is too small would be wrong
    assert share > float(probabilities[likeliest]) - 0.05


def test_completions_end_before_the_first_stop_text(generator):
    free = generator.complete(PROMPTS[:4], SamplingParams(max_tokens=24))
    stops = tuple({text[3:5] for [text] in free if len(text) > 5 and "�" not in text[3:5]}) or ("e",)
    stopped = generator.complete(PROMPTS[:4], SamplingParams(max_tokens=24, stop=stops))
    assert stopped == [[cut(text, stops)] for [text] in free]
    assert cut("abcd", ("d", "bc")) == "a"


def test_long_prompts_are_truncated_on_the_left(generator):
    long = "y" * 500 + "Once upon"
    assert generator.complete([long], SamplingParams(max_tokens=8)) == generator.complete(
        [long[-300:]], SamplingParams(max_tokens=8)
    )


@torch.no_grad()
def test_scores_are_summed_log_probabilities(model, generator):
    pairs = [("Ann had", " a dog."), ("", "Tom"), ("a longer beginning of it", "!"), ("", "")]
    for (before, after), (logprob, tokens, _) in zip(pairs, generator.score(pairs), strict=True):
        ids = torch.tensor([[256, *before.encode(), *after.encode()]])
        every = model.logits(model.hidden(ids)[0])[0, :-1].log_softmax(-1).gather(-1, ids[0, 1:, None])[len(before.encode()) :]
        assert tokens == len(after.encode())
        assert logprob == pytest.approx(float(every.sum()), rel=1e-5, abs=1e-5)


def test_greedy_texts_score_as_greedy(generator):
    [[text]] = generator.complete(["Ann"], SamplingParams(max_tokens=6))
    ids = ByteTokenizer().encode_batch([text])[0]
    if ByteTokenizer().decode(ids) == text and "�" not in text:
        assert generator.score([("Ann", text)])[0][2]
    assert not generator.score([("Ann", "qzqzqzqz")])[0][2]


def test_texts_longer_than_the_context_are_scored_completely(generator):
    [(logprob, tokens, _)] = generator.score([("", "z" * 200)])
    assert tokens == 200
    assert logprob < 0


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    with process_groups():
        weights.write(trained(PHI), tmp_path)
    CausalLMCard(
        format="megatron",
        shape=PHI.card(),
        weights=weights.FILE,
        weights_digest=hashlib.sha256((tmp_path / weights.FILE).read_bytes()).hexdigest(),
        tokenizer=TokenizerCard(name="bytes", digest="bytes"),
        eod=256,
    ).write(tmp_path)
    return tmp_path


def test_a_served_model_answers_like_the_generator(checkpoint):
    model = open_model(checkpoint)
    assert model is not None
    generator = open_generator(checkpoint)
    try:
        assert model.complete(PROMPTS, max_tokens=12) == generator.complete(PROMPTS, SamplingParams(max_tokens=12))
        samples = model.complete(PROMPTS[:2], max_tokens=6, temperature=0.7, samples=2, seed=3)
        assert samples == generator.complete(PROMPTS[:2], SamplingParams(max_tokens=6, temperature=0.7, samples=2, seed=3))
        [score] = model.score([("Ann had", " a dog.")])
        assert (score.logprob, score.tokens, score.greedy) == pytest.approx(generator.score([("Ann had", " a dog.")])[0])
        assert [len(texts) for texts in model.complete(["a"], max_tokens=2, samples=3)] == [3]
    finally:
        model.close()


def test_a_loading_error_reaches_the_client(checkpoint):
    (checkpoint / weights.FILE).write_bytes(b"corrupt")
    model = open_model(checkpoint)
    assert model is not None
    with pytest.raises(TrainerError, match="the model server ended") as error:
        model.complete(["a"], max_tokens=1)
    assert str(checkpoint) in error.value.place
    assert "the weights do not match the digest" in error.value.problem
    assert "Traceback" not in error.value.problem
    model.close()


def test_checkpoints_of_other_plugins_are_not_opened(tmp_path):
    assert open_model(tmp_path) is None
    (tmp_path / "checkpoint.json").write_text('{"format": "nanochat"}')
    assert open_model(tmp_path) is None


# -- by token ids


PREFIXES = [[79, 110], [97], [], list(b"There was a small dog"), list(b"x" * 30)]


def test_a_continuation_depends_on_its_own_seed_only(generator):
    params = SamplingParams(max_tokens=20, temperature=1.0, samples=3)
    limits = [20, 5, 12, 1, 20]
    together = generator.extend(PREFIXES, params, [7, 8, 9, 10, 11], limits)
    alone = [generator.extend([prefix], params, [7 + at], [limits[at]])[0] for at, prefix in enumerate(PREFIXES)]
    assert together == alone
    assert generator.extend(PREFIXES, params, [1, 2, 3, 4, 5], limits) != together
    assert all(len(ids) <= limit for samples, limit in zip(together, limits, strict=True) for ids, _, _ in samples)
    assert len({tuple(ids) for ids, _, _ in together[0]}) == 3


def test_splitting_samples_into_batches_does_not_change_them(generator, monkeypatch):
    params = SamplingParams(max_tokens=20, temperature=1.0, samples=5)
    whole = generator.extend(PREFIXES, params, [1] * 5, [20] * 5)
    monkeypatch.setattr("textbookgen.training.generation.MAX_BATCH_TOKENS", 90)
    assert generator.extend(PREFIXES, params, [1] * 5, [20] * 5) == whole


def test_extending_ids_equals_completing_text(generator):
    texts = generator.complete(PROMPTS[:4], SamplingParams(max_tokens=12))
    ids = generator.extend([list(prompt.encode()) for prompt in PROMPTS[:4]], SamplingParams(max_tokens=12), [0] * 4, [12] * 4)
    assert [samples[0][1] for samples in ids] == [samples[0] for samples in texts]


def test_finished_continuations_include_their_end_token(generator):
    params = SamplingParams(max_tokens=200, temperature=1.5, samples=16)
    for ids, text, ended in generator.extend([[65]], params, [3], [12])[0]:
        assert ended == (ids[-1] == 256)
        assert ended or len(ids) == 12
        assert text == ByteTokenizer().decode(ids)
    stopping = SamplingParams(max_tokens=200, temperature=1.5, samples=16, stop=("e", "a", "o"))
    for _, text, ended in generator.extend([[65]], stopping, [3], [30])[0]:
        assert not set(text) & set("eao")
        assert ended or len(text.encode()) >= 10


def test_log_probabilities_of_ids_sum_to_the_score(generator):
    texts = [("Once", " there was a dog"), ("", "a" * 60), ("x" * 40, "yz")]
    logprobs = generator.logprobs([(list(before.encode()), list(after.encode())) for before, after in texts])
    assert [len(row) for row in logprobs] == [16, 60, 2]
    assert [sum(row) for row in logprobs] == pytest.approx([total for total, _, _ in generator.score(texts)], abs=1e-9)


def test_a_served_model_accepts_token_ids(checkpoint):
    model = open_model(checkpoint)
    assert isinstance(model, TokenModel)
    try:
        [head] = model.encode([[Message("user", "Once")]])
        assert head == list(b"Once")
        samples = model.extend([head, head], max_tokens=8, seeds=[1, 2], samples=3)
        assert [len(of_prefix) for of_prefix in samples] == [3, 3]
        assert model.extend([head], max_tokens=[8], seeds=[2], samples=3)[0] == samples[1]
        greedy = model.extend([head], max_tokens=8, seeds=[2], temperature=0, samples=2)[0]
        assert [one.text for one in greedy] == model.complete(["Once"], max_tokens=8)[0] * 2
        assert model.decode([[*b"ab", 256]]) == ["ab"]
        assert len(model.logprobs([(head, head)])[0]) == 4
    finally:
        model.close()
