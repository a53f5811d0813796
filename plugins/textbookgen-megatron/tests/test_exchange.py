"""Exported models compute the same in transformers as in Megatron-core, and are imported unchanged."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest
import torch
from textbookgen_megatron.backend import weights
from textbookgen_megatron.backend.device import process_groups
from textbookgen_megatron.backend.gpt_model import build_model
from textbookgen_megatron.exchange import weight_files
from textbookgen_megatron.exchange.configs import config_to_shape, shape_to_config
from textbookgen_megatron.exchange.convert import export_model, import_model
from textbookgen_megatron.exchange.reader import read_model
from textbookgen_megatron.exchange.weight_names import from_transformers, to_transformers
from textbookgen_megatron.serving.loading import load_model
from textbookgen_megatron.shape import Shape
from textbookgen_megatron.stages.export import Export
from textbookgen_megatron.stages.grow import Grow
from textbookgen_megatron.stages.import_ import Import
from textbookgen_megatron.stages.sft import Sft
from textbookgen_megatron.torch_model import TorchModel

from textbookgen.api.cards import CausalLMCard, TokenizerCard
from textbookgen.api.errors import TrainerError
from textbookgen.training.architectures import NAMED
from textbookgen.training.job import JobInput

from .conftest import card, documents, pack, stories

transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.filterwarnings("ignore")

PHI = Shape("phi", layers=2, hidden=32, heads=2, kv_heads=2, ffn=96, vocabulary=257, sequence_length=48)
SHAPES = {
    "phi-1": replace(PHI, head_bias=True),
    "phi-2": replace(PHI, hidden=40, rotary=0.4),
    "phi-3": Shape("phi3", 2, 32, 4, 2, 80, 257, 48, window=7),
    "phi-4": Shape("phi3", 2, 32, 4, 2, 80, 257, 48, rotary_base=250_000),
    "llama": Shape("llama", 2, 32, 4, 2, 80, 257, 48),
    "llama-tied": Shape("llama", 2, 32, 4, 4, 80, 257, 48, tied=True),
    "neox": Shape("neox", 2, 32, 4, 4, 128, 257, 48),
    "pythia": Shape("pythia", 2, 32, 4, 4, 128, 257, 48, rotary=0.5),
    "tinystories": Shape("neo", 3, 32, 4, 4, 128, 257, 48, window=7, tied=True, positions=64),
}


def trained(shape: Shape) -> dict[str, torch.Tensor]:
    """Weights that all differ from their initial values."""
    draw = torch.Generator().manual_seed(5)
    whole = weights.gather(build_model(shape), shape)
    moved = {name: weight + 0.1 * torch.randn(weight.shape, generator=draw) for name, weight in whole.items()}
    for name in ("embedding.word_embeddings.weight", "output_layer.weight", "output_layer.bias"):
        if name in moved:
            moved[name][shape.vocabulary :] = 0  # transformers has no padding rows; import fills them with zeros
    return moved


def checkpoint(folder, shape, whole):
    """A finished checkpoint."""
    from safetensors.torch import save_file

    folder.mkdir(exist_ok=True)
    save_file(whole, folder / "model.safetensors")
    CausalLMCard(
        format="megatron",
        shape=shape.card(),
        parameters=shape.parameters(),
        tokens_total=7,
        tokenizer=TokenizerCard(name="bytes", digest="bytes"),
        eod=256,
        weights="model.safetensors",
        weights_digest=hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest(),
    ).write(folder)
    return folder


@pytest.fixture(scope="module", params=SHAPES)
def exported(request, tmp_path_factory):
    """A shape, its weights, and the folder they were exported to."""
    folder, shape = tmp_path_factory.mktemp("exported"), SHAPES[request.param]
    with process_groups():
        whole = trained(shape)
    export_model(Export(checkpoint="c"), JobInput("c", checkpoint(folder / "ours", shape, whole)), folder / "theirs")
    return shape, whole, folder / "theirs"


def relative(actual: torch.Tensor, expected: torch.Tensor) -> float:
    return float(torch.linalg.norm(actual - expected) / torch.linalg.norm(expected))


def test_parity_of_logits_and_gradients_with_transformers(exported):
    shape, whole, folder = exported
    theirs = transformers.AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").float()
    assert type(theirs).__name__ == card(folder)["transformers"]
    tokens = torch.randint(0, 257, (2, 48), generator=torch.Generator().manual_seed(0))
    labels = torch.randint(0, 257, (2, 48), generator=torch.Generator().manual_seed(1))
    expected = theirs(tokens).logits
    # over the vocabulary alone: the rows that pad it are not there in transformers
    torch.nn.functional.cross_entropy(expected.flatten(0, 1), labels.flatten(), reduction="sum").backward()
    with process_groups():
        ours = build_model(shape)
        weights.load(ours, whole, shape)
        actual = ours(tokens, torch.arange(48).expand_as(tokens), None)[..., :257]
        torch.nn.functional.cross_entropy(actual.flatten(0, 1), labels.flatten(), reduction="sum").backward()
        gradients = {name: parameter.grad for name, parameter in weights.full_names(ours, shape).items()}
    assert relative(actual.detach(), expected.detach()) < 1e-5
    mine = dict(to_transformers(gradients.__getitem__, shape))
    for name, parameter in theirs.named_parameters():
        if name == "lm_head.bias" and not shape.head_bias:
            continue  # PhiForCausalLM always has one; this model has none, so it is not trained
        if name.replace("lm_head", "embed_out") in mine and shape.architecture in ("neox", "pythia"):
            name = name.replace("lm_head", "embed_out")
        if "k_proj.bias" in name:
            # a bias that all keys share changes nothing (softmax), so its gradient is noise unless half of it rotates
            assert float((mine[name] - parameter.grad).abs().max()) < 1e-4
            continue
        assert relative(mine[name], parameter.grad) < 1e-5, name


def test_export_and_import_are_bit_exact(exported, tmp_path):
    shape, whole, folder = exported
    import_model(Import(folder=str(folder)), tmp_path)
    imported = card(tmp_path)
    again, back = read_model(folder)
    # options for which transformers has no default are set
    assert replace(again, rotary=shape.rotary, positions=shape.positions, sequence_length=48) == shape
    assert imported["eod"] == 256
    assert back.keys() == whole.keys()
    assert all(torch.equal(back[name], whole[name]) for name in whole)


def test_the_torch_model_reads_transformers_folders(exported):
    shape, whole, folder = exported
    tokens = torch.randint(0, 257, (2, 40), generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        model = load_model(folder)
        expected = TorchModel(shape, whole)
        assert torch.equal(model.logits(model.hidden(tokens)[0]), expected.logits(expected.hidden(tokens)[0]))
        # one token at a time as well
        hidden, cache = model.hidden(tokens[:, :20])
        cache = cache.extended(20)
        for place in range(20, 40):
            hidden, cache = model.hidden(tokens[:, place : place + 1], cache)
        step = model.logits(hidden[:, -1])
        assert relative(step, expected.logits(expected.hidden(tokens)[0])[:, -1]) < 1e-5


def test_parity_of_the_torch_model_with_megatron(exported):
    shape, whole, _ = exported
    tokens = torch.randint(0, 257, (2, 40), generator=torch.Generator().manual_seed(3))
    with process_groups(), torch.no_grad():
        megatron = build_model(shape)
        weights.load(megatron, whole, shape)
        expected = megatron(tokens, torch.arange(40).expand_as(tokens), None)[..., :257]
    model = TorchModel(shape, whole)
    with torch.no_grad():
        assert relative(model.logits(model.hidden(tokens)[0]), expected) < 1e-5


@pytest.mark.parametrize("name", NAMED)
def test_named_shapes_have_the_parameters_that_transformers_counts(name):
    shape = Shape(**NAMED[name])
    config = shape_to_config(shape, 0)
    kind = config.pop("model_type")
    with torch.device("meta"):
        built = transformers.AutoModelForCausalLM.from_config(transformers.AutoConfig.for_model(kind, **config))
    assert sum(parameter.numel() for parameter in built.parameters()) == shape.parameters()


def test_the_byte_tokenizer_is_exported(exported):
    _, _, folder = exported
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    text = "Once – upon\n a\ttime \U0001f642 naïve"
    assert tokenizer(text)["input_ids"] == list(text.encode())
    assert tokenizer.decode(list(text.encode())) == text
    assert tokenizer.eos_token_id == 256


def test_large_models_are_written_in_several_files(tmp_path, monkeypatch):
    monkeypatch.setattr(weight_files, "MAX_FILE_BYTES", 20_000)
    shape = SHAPES["llama"]
    with process_groups():
        whole = trained(shape)
    export_model(
        Export(checkpoint="c", dtype="bfloat16"),
        JobInput("c", checkpoint(tmp_path / "ours", shape, whole)),
        tmp_path / "theirs",
    )
    assert len(list((tmp_path / "theirs").glob("model-*-of-*.safetensors"))) > 2
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "theirs")
    assert model.dtype == torch.bfloat16
    _, back = read_model(tmp_path / "theirs")
    assert all(torch.equal(back[name], whole[name].bfloat16().float()) for name in whole)


def test_a_model_saved_by_transformers_is_grown_and_finetuned(context, tmp_path):
    config = transformers.PhiConfig(
        vocab_size=257, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=64, partial_rotary_factor=0.5, bos_token_id=256, eos_token_id=256,
    )  # fmt: skip
    torch.manual_seed(0)
    public = transformers.PhiForCausalLM(config)
    with torch.no_grad():
        public.lm_head.bias.normal_()
    public.save_pretrained(tmp_path / "public")
    from textbookgen.training.tokenizer_files import byte_tokenizer

    (tmp_path / "public" / "tokenizer.json").write_text(json.dumps(byte_tokenizer()))
    assert not list(Import(folder=str(tmp_path / "public")).check())
    assert {diagnostic.place for diagnostic in Import(folder=str(tmp_path)).check()} == {"folder"}
    read = context.convert("public", Import(folder=str(tmp_path / "public")))
    assert read["shape"]["head_bias"] is True
    assert read["parameters"] == sum(parameter.numel() for parameter in public.parameters())
    from textbookgen.builtin.tokenizers import FileTokenizer

    class Resolver:
        def tokenizer(self, name):
            return FileTokenizer(tmp_path / "public" / "tokenizer.json")

    table = documents(tmp_path, stories(60))
    shards = pack(tmp_path, table, resolver=Resolver(), tokenizer="hf:it", validation_share=0.2)
    grow = Grow(shards="s", checkpoint="c", hidden=64, tokens=4 * 8 * 64, batch_size=8, dropout=0.0)
    grown = context.run("public-grown", grow, shards=shards, checkpoint=context.folder / "public")
    sft = Sft(shards="s", checkpoint="c", batch_size=4, dropout=0.0)
    before = context.run("public-tuned", sft, shards=shards, checkpoint=context.folder / "public")["bits_per_byte_before"]
    assert grown["bits_per_byte_before"] == pytest.approx(before, rel=1e-5)
    shipped = context.convert("public-again", Export(checkpoint="c"), checkpoint=context.folder / "public-grown")
    assert shipped["transformers"] == "PhiForCausalLM"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"model_type": "mamba"}, "unsupported model_type"),
        ({"rope_scaling": {"type": "linear", "factor": 2.0}}, "RoPE scaling"),
        ({"attention_bias": True}, "attention_bias"),
        ({"head_dim": 64}, "head_dim 64"),
        ({"hidden_act": "relu"}, "hidden_act"),
    ],
    ids=["kind", "rope", "bias", "head", "activation"],
)
def test_unsupported_configs_are_rejected(change, problem):
    with pytest.raises(TrainerError, match=problem):
        config_to_shape({**shape_to_config(SHAPES["llama"], 0), **change}, "config.json")


def test_a_window_that_transformers_lacks_is_rejected():
    with pytest.raises(TrainerError, match="window"):
        shape_to_config(replace(SHAPES["llama"], window=8), 0)


def test_weight_names_map_in_both_directions():
    shape = SHAPES["neox"]
    with process_groups():
        whole = trained(shape)
    theirs = dict(to_transformers(whole.__getitem__, shape))
    assert all(torch.equal(tensor, whole[name]) for name, tensor in from_transformers(theirs.__getitem__, shape))
