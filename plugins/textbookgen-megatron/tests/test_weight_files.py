"""Weight files in the format of transformers: splitting, reading in every form, and errors for damaged ones."""

from __future__ import annotations

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from textbookgen_megatron.exchange import quantize, weight_files
from textbookgen_megatron.exchange.reader import chat_template, end_of_document
from textbookgen_megatron.exchange.weight_files import open_safetensors, open_weights, read_json, write_weights

from textbookgen.api.errors import TrainerError

TENSORS = {f"layers.{n}.weight": torch.full((4, 8), float(n)) for n in range(5)}


def read_all(folder):
    with open_weights(folder) as reader:
        return {name: reader(name).clone() for name in TENSORS}


def same(actual, expected):
    return actual.keys() == expected.keys() and all(torch.equal(actual[name], tensor) for name, tensor in expected.items())


@pytest.mark.parametrize(("max_bytes", "files"), [(10**9, 1), (300, 3), (1, 5)])
def test_written_weights_are_read_back_from_any_number_of_files(tmp_path, monkeypatch, max_bytes, files):
    monkeypatch.setattr(weight_files, "MAX_FILE_BYTES", max_bytes)
    write_weights(TENSORS.items(), torch.float32, tmp_path)
    assert len(list(tmp_path.glob("*.safetensors"))) == files
    assert not list(tmp_path.glob("*.part"))
    assert same(read_all(tmp_path), TENSORS)
    if files > 1:
        index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
        assert index["metadata"]["total_size"] == 5 * 4 * 8 * 4
        assert set(index["weight_map"]) == set(TENSORS)


def test_views_of_one_tensor_are_written_separately(tmp_path):
    """safetensors rejects tensors that share memory, as parts of a fused matrix do."""
    fused = torch.arange(16.0).view(4, 4)
    parts = {"upper": fused[:2], "lower": fused[2:], "transposed": fused.T}
    write_weights(parts.items(), torch.float16, tmp_path)
    with open_safetensors(tmp_path / "model.safetensors") as get_tensor:
        assert all(torch.equal(get_tensor(name).float(), tensor) for name, tensor in parts.items())


def test_pickled_weights_are_read_from_one_file_and_from_several(tmp_path):
    torch.save(TENSORS, tmp_path / "pytorch_model.bin")
    assert same(read_all(tmp_path), TENSORS)
    (tmp_path / "pytorch_model.bin").unlink()
    names = sorted(TENSORS)
    files = {"a.bin": names[:2], "b.bin": names[2:]}
    for file, part in files.items():
        torch.save({name: TENSORS[name].half() for name in part}, tmp_path / file)
    weight_map = {name: file for file, part in files.items() for name in part}
    (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": weight_map}))
    read = read_all(tmp_path)
    assert same(read, TENSORS)
    assert all(tensor.dtype == torch.float32 for tensor in read.values())


def test_a_pickle_that_runs_code_is_rejected(tmp_path):
    class Payload:
        def __reduce__(self):
            return (print, ("code was run",))

    torch.save({"weight": Payload()}, tmp_path / "pytorch_model.bin")
    with pytest.raises(TrainerError, match="cannot be read"), open_weights(tmp_path):
        pass


@pytest.mark.parametrize(
    ("file", "content", "problem"),
    [
        (None, b"", "there is no model.safetensors"),
        ("model.safetensors", b"short", "cannot be read"),
        ("pytorch_model.bin", b"not a pickle", "cannot be read"),
        ("model.safetensors.index.json", b"{", "not valid JSON"),
        ("model.safetensors.index.json", b"[]", "not contain a JSON object"),
        ("model.safetensors.index.json", b"{}", "no weight_map"),
        ("model.safetensors.index.json", b'{"weight_map": {"a": "missing.safetensors"}}', "cannot be read"),
        ("pytorch_model.bin.index.json", b'{"weight_map": {"a": "missing.bin"}}', "cannot be read"),
    ],
)
def test_missing_and_damaged_files_are_reported(tmp_path, file, content, problem):
    if file is not None:
        (tmp_path / file).write_bytes(content)
    with pytest.raises(TrainerError, match=problem) as error, open_weights(tmp_path):
        pass
    assert str(tmp_path) in error.value.place
    assert error.value.hint


def test_a_missing_tensor_is_reported_by_name(tmp_path):
    write_weights(TENSORS.items(), torch.float32, tmp_path)
    with open_weights(tmp_path) as reader:
        assert "layers.0.weight" in reader
        assert "layers.9.weight" not in reader
        with pytest.raises(TrainerError, match=r"no tensor layers\.9\.weight"):
            reader("layers.9.weight")


# -- tokenizer and chat template


def write_tokenizer(folder, tokens, **config):
    added = [{"content": token, "id": number} for token, number in tokens.items()]
    (folder / "tokenizer.json").write_text(json.dumps({"added_tokens": added, "model": {"vocab": [["▁", 0.0]]}}))
    (folder / "config.json").write_text(json.dumps(config))


def test_the_end_of_document_is_endoftext_or_the_first_eos_token(tmp_path):
    write_tokenizer(tmp_path, {"<|endoftext|>": 5, "</s>": 2}, eos_token_id=2)
    assert end_of_document(tmp_path) == 5
    write_tokenizer(tmp_path, {"</s>": 2}, eos_token_id=[2, 3])
    assert end_of_document(tmp_path) == 2
    write_tokenizer(tmp_path, {"</s>": 2}, eos_token_id=None)
    with pytest.raises(TrainerError, match="no end-of-document token"):
        end_of_document(tmp_path)


def test_a_chat_template_is_read_from_its_file_or_from_the_tokenizer_config(tmp_path):
    assert chat_template(tmp_path) is None
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": [{"name": "default", "template": "x"}]}))
    assert chat_template(tmp_path) is None  # several templates: none is the obvious choice
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": "from the config"}))
    assert chat_template(tmp_path).template == "from the config"
    (tmp_path / "chat_template.jinja").write_text("from the file")
    assert chat_template(tmp_path).template == "from the file"
    (tmp_path / "chat_template.jinja").unlink()
    (tmp_path / "tokenizer_config.json").write_text("{")
    with pytest.raises(TrainerError, match="not valid JSON"):
        chat_template(tmp_path)


def test_a_missing_json_file_is_reported(tmp_path):
    with pytest.raises(TrainerError, match=r"there is no config\.json"):
        read_json(tmp_path / "config.json")


# -- quantized weights


@given(
    rows=st.integers(1, 4),
    columns=st.integers(1, 40),
    group_size=st.integers(2, 17),
    bits=st.sampled_from([4, 8]),
    exponent=st.integers(-20, 10),
    seed=st.integers(0, 2**16),
)
def test_any_matrix_is_restored_to_half_a_step(rows, columns, group_size, bits, exponent, seed):
    weight = torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed)) * 2.0**exponent
    integers, scales = quantize.quantize(weight, bits, group_size)
    assert scales.shape == (rows, -(-columns // group_size))
    restored = quantize.dequantize(integers, scales, bits, group_size, columns)
    steps = scales.float().repeat_interleave(group_size, 1)[:, :columns]
    assert restored.shape == weight.shape
    assert bool(((restored - weight).abs() <= 0.51 * steps).all())


@pytest.mark.parametrize("bits", [4, 8])
def test_a_quantized_file_has_its_matrices_by_name_and_the_rest_in_half_precision(tmp_path, bits):
    generator = torch.Generator().manual_seed(0)
    weights = {
        "model.embed_tokens.weight": torch.randn(6, 5, generator=generator),
        "model.layers.0.mlp.up_proj.weight": torch.randn(4, 5, generator=generator),
        "transformer.h.0.mlp.c_fc.weight": torch.zeros(3, 7),
        "model.layers.0.input_layernorm.weight": torch.randn(5, generator=generator),
    }
    size = quantize.write(weights.items(), bits, 4, tmp_path)
    assert size == (tmp_path / quantize.FILE).stat().st_size
    assert [path.name for path in tmp_path.iterdir()] == [quantize.FILE]
    read = dict(quantize.read(tmp_path, {name: weight.size(-1) for name, weight in weights.items()}))
    assert {name: tensor.shape for name, tensor in read.items()} == {name: tensor.shape for name, tensor in weights.items()}
    for name, weight in weights.items():
        if name == "model.layers.0.mlp.up_proj.weight":
            assert not torch.equal(read[name], weight)
            assert torch.allclose(read[name], weight, atol=float(weight.abs().max()) / quantize.MAX_LEVEL[bits])
        else:
            assert torch.equal(read[name], weight.half().float())
